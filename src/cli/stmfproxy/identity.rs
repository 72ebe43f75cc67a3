//! The directory that says who this node is and who its peer is: `node.key`, `node.pair`, `peer.pair`.
#![forbid(unsafe_code)]

use super::greeting::Member;
use super::pairing::{self, MAX_FILE, Pairing};
use super::tls;
use rcgen::{CertificateParams, DnType, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use time::{Duration, OffsetDateTime};

const KEY: &str = "node.key";
const OWN: &str = "node.pair";
const PEER: &str = "peer.pair";

/// How long a new certificate holds. Nothing renews it by itself; the daemon warns before its end.
const VALIDITY: Duration = Duration::days(3650);

/// A new certificate is valid since this long ago: the other node's clock may be behind.
const BACKDATED: Duration = Duration::days(1);

/// Mode bits that a file or directory must not have: who can write it decides who the peer is.
const WRITABLE: u32 = 0o022;
/// The same for the key.
const ACCESSIBLE: u32 = 0o077;

/// A node that has been paired.
pub struct Identity {
    /// This node.
    pub own: Pairing,
    /// The key of its certificate.
    pub key: PrivateKeyDer<'static>,
    /// The only peer it talks to.
    pub peer: Pairing,
}

impl Identity {
    /// Reads and checks all three files. The error names the file and what to do.
    pub fn load(dir: &Path) -> Result<Identity, String> {
        let own = load_own(dir)?;
        let key = read(&dir.join(KEY), ACCESSIBLE)?;
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
            .map_err(|error| format!("{}: {error}", dir.join(KEY).display()))?;
        let path = dir.join(PEER);
        if !path.exists() {
            return Err(format!(
                "{}: no such file; run 'stmfproxy pair --accept FILE' with the other node's pairing file",
                path.display()
            ));
        }
        let peer = Pairing::parse(&read(&path, WRITABLE)?).map_err(|error| format!("{}: {error}", path.display()))?;
        own.member
            .accepts(&peer.member)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Identity { own, key, peer })
    }
}

/// Makes the key, the certificate and the pairing file of this node. Returns the pairing file's text.
pub fn create(dir: &Path, member: &Member, host: &str) -> Result<String, String> {
    let at = |error: io::Error| format!("{}: {error}", dir.display());
    if let Some(parent) = dir.parent() {
        fs::create_dir_all(parent).map_err(at)?;
    }
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => made.map_err(at)?,
    }
    check_access(dir, WRITABLE)?;
    let key_path = dir.join(KEY);
    if key_path.exists() {
        return Err(format!(
            "{}: there is a key already; to make a new one remove it, and pair both nodes again",
            key_path.display()
        ));
    }
    let now = OffsetDateTime::now_utc();
    let (certificate, key) = certify(member, now - BACKDATED, now + VALIDITY)
        .map_err(|error| format!("cannot make a certificate: {error}"))?;
    let text = pairing::compose(member, host, &certificate);
    // The key comes last: with it the identity is complete, without it this can be done again.
    write(dir, OWN, 0o644, &text)?;
    write(dir, KEY, 0o600, &key)?;
    Ok(text)
}

/// Pins the peer whose pairing file has this text, instead of the one before. Returns this node and the peer.
pub fn pin(dir: &Path, text: &str) -> Result<(Pairing, Pairing), String> {
    check_access(dir, WRITABLE)?;
    let own = load_own(dir)?;
    let peer = Pairing::parse(text)?;
    if peer.certificate == own.certificate {
        return Err("this is the node's own pairing file; give the other node's".to_owned());
    }
    own.member.accepts(&peer.member)?;
    tls::check_certificate(&peer.certificate, "the peer's certificate")?;
    write(dir, PEER, 0o644, text)?;
    Ok((own, peer))
}

/// A self-signed certificate and its key, both PEM.
pub fn certify(
    member: &Member,
    not_before: OffsetDateTime,
    not_after: OffsetDateTime,
) -> Result<(String, String), rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut parameters = CertificateParams::new(vec!["stmfproxy".to_owned()])?;
    parameters.not_before = not_before;
    parameters.not_after = not_after;
    parameters
        .distinguished_name
        .push(DnType::OrganizationName, "stmfproxy");
    parameters
        .distinguished_name
        .push(DnType::CommonName, member.to_string());
    Ok((parameters.self_signed(&key)?.pem(), key.serialize_pem()))
}

fn load_own(dir: &Path) -> Result<Pairing, String> {
    if !dir.join(KEY).exists() {
        return Err(format!(
            "{}: no such file; run 'stmfproxy pair --init' first, or give --plain",
            dir.join(KEY).display()
        ));
    }
    check_access(dir, WRITABLE)?;
    let path = dir.join(OWN);
    Pairing::parse(&read(&path, WRITABLE)?).map_err(|error| format!("{}: {error}", path.display()))
}

/// What others may change or read could make anybody the peer.
fn check_access(path: &Path, forbidden: u32) -> Result<(), String> {
    let metadata = fs::metadata(path).map_err(|error| format!("{}: {error}", path.display()))?;
    if ![0, nix::unistd::geteuid().as_raw()].contains(&metadata.uid()) {
        return Err(format!(
            "{}: belongs to user {}; only root and the user who runs this may own it",
            path.display(),
            metadata.uid()
        ));
    }
    let mode = metadata.permissions().mode() & 0o777;
    if mode & forbidden != 0 {
        return Err(format!(
            "{}: mode {mode:03o} lets others in; at most {:03o} is allowed",
            path.display(),
            0o777 & !forbidden
        ));
    }
    Ok(())
}

fn read(path: &Path, forbidden: u32) -> Result<String, String> {
    check_access(path, forbidden)?;
    File::open(path)
        .and_then(bounded)
        .map_err(|error| format!("{}: {error}", path.display()))
}

/// Everything there is to read, which must be text of at most [`MAX_FILE`] bytes.
pub fn bounded(source: impl Read) -> io::Result<String> {
    let mut text = String::new();
    source.take(MAX_FILE as u64 + 1).read_to_string(&mut text)?;
    if text.len() > MAX_FILE {
        return Err(io::Error::other(format!("longer than {MAX_FILE} bytes")));
    }
    Ok(text)
}

/// Replaces a file: after a crash there is the old one or the new one.
fn write(dir: &Path, name: &str, mode: u32, text: &str) -> Result<(), String> {
    let temporary = dir.join(format!(".{name}.new"));
    let replace = || {
        // Left behind by a crash; its mode is not to be inherited.
        match fs::remove_file(&temporary) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            removed => removed?,
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)?;
        file.set_permissions(Permissions::from_mode(mode))?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, dir.join(name))?;
        File::open(dir)?.sync_all()
    };
    replace().map_err(|error: io::Error| format!("{}: {error}", dir.join(name).display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::NodeId;

    fn member(cluster: &str, node: u8) -> Member {
        Member::new(cluster, NodeId::new(node).unwrap()).unwrap()
    }

    #[test]
    fn a_pair() {
        let top = tempfile::tempdir().unwrap();
        let (a, b) = (top.path().join("x/a"), top.path().join("x/b"));
        let text_a = create(&a, &member("san", 0), "san-a").unwrap();
        let text_b = create(&b, &member("san", 1), "san-b").unwrap();
        assert!(Identity::load(&a).err().unwrap().contains("pair --accept"));
        let (own, peer) = pin(&a, &text_b).unwrap();
        assert_eq!((own.member.node.get(), peer.member.node.get()), (0, 1));
        pin(&b, &text_a).unwrap();
        let loaded = Identity::load(&a).unwrap();
        assert_eq!((loaded.own, loaded.peer), (own, peer));
        assert!(Identity::load(&b).is_ok());
        assert_eq!(fs::read_to_string(a.join(OWN)).unwrap(), text_a);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(
            (mode(&a.join(KEY)), mode(&a.join(PEER)), mode(&a)),
            (0o600, 0o644, 0o700)
        );
        assert_eq!(fs::read_dir(&a).unwrap().count(), 3, "nothing temporary is left");
    }

    #[test]
    fn what_cannot_be_pinned() {
        let top = tempfile::tempdir().unwrap();
        let dir = |name: &str| top.path().join(name);
        assert!(pin(&dir("none"), "").is_err());
        let own = create(&dir("a"), &member("san", 0), "a").unwrap();
        let twin = create(&dir("b"), &member("san", 0), "b").unwrap();
        let foreign = create(&dir("c"), &member("other", 1), "c").unwrap();
        let refusal = |text: &str| pin(&dir("a"), text).unwrap_err();
        assert!(refusal(&own).contains("own pairing file"));
        assert!(refusal(&twin).contains("both nodes"));
        assert!(refusal(&foreign).contains("cluster other"));
        assert!(refusal("rubbish").contains("certificate"));
        let now = OffsetDateTime::now_utc();
        let peer = member("san", 1);
        let made = |from: i64, to: i64| {
            let (pem, _) = certify(&peer, now + Duration::days(from), now + Duration::days(to)).unwrap();
            pairing::compose(&peer, "old", &pem)
        };
        assert!(refusal(&made(-2, -1)).contains("expired"));
        assert!(refusal(&made(1, 2)).contains("clock"));
        assert!(!dir("a").join(PEER).exists(), "nothing was pinned");
        assert!(pin(&dir("a"), &made(-1, 1)).is_ok());
    }

    #[test]
    fn what_is_not_loaded() {
        let top = tempfile::tempdir().unwrap();
        let dir = top.path().join("a");
        assert!(Identity::load(&dir).err().unwrap().contains("pair --init"));
        create(&dir, &member("san", 0), "a").unwrap();
        assert!(
            create(&dir, &member("san", 0), "a")
                .unwrap_err()
                .contains("a key already")
        );
        let peer = create(&top.path().join("b"), &member("san", 1), "b").unwrap();
        pin(&dir, &peer).unwrap();
        for (name, mode, good) in [
            (KEY, 0o640, 0o600),
            (OWN, 0o664, 0o644),
            (PEER, 0o646, 0o644),
            ("", 0o770, 0o700),
        ] {
            let path = dir.join(name);
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let error = Identity::load(&dir).err().unwrap();
            assert!(error.contains("lets others in"), "{error}");
            fs::set_permissions(&path, Permissions::from_mode(good)).unwrap();
        }
        assert!(Identity::load(&dir).is_ok());
        fs::write(dir.join(KEY), "rubbish").unwrap();
        assert!(Identity::load(&dir).err().unwrap().contains(KEY));
        fs::write(dir.join(KEY), vec![b'a'; MAX_FILE + 1]).unwrap();
        assert!(Identity::load(&dir).err().unwrap().contains("longer than"));
    }
}
