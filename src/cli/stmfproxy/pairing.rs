//! The pairing file: what one node tells the other one about itself. Public, but it must arrive unchanged.
//!
//! ```text
//! # comment
//! stmfproxy-pairing: 1
//! host: san-a
//! cluster: san
//! node: 0
//! -----BEGIN CERTIFICATE-----
//! ...
//! -----END CERTIFICATE-----
//! ```
#![forbid(unsafe_code)]

use super::greeting::{self, Member};
use crate::types::NodeId;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::fmt::Write;

/// Longest file that is read: far more than any certificate needs.
pub const MAX_FILE: usize = 64 << 10;

/// Where the certificate begins.
const BEGIN: &str = "-----BEGIN ";

/// A node, and the certificate that proves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pairing {
    /// Which node.
    pub member: Member,
    /// Its host name, for people.
    pub host: String,
    /// The whole certificate, DER.
    pub certificate: CertificateDer<'static>,
}

/// The text of a pairing file, with a certificate in PEM.
pub fn compose(member: &Member, host: &str, certificate: &str) -> String {
    format!(
        "# Who this node is to the other node's stmfproxy. Public, but must arrive there unchanged.\n\
         stmfproxy-pairing: 1\nhost: {}\ncluster: {}\nnode: {}\n{}",
        greeting::name_in(host.as_bytes()),
        member.cluster(),
        member.node.get(),
        certificate.replace("\r\n", "\n")
    )
}

impl Pairing {
    /// From the text of a pairing file. The error is for people and does not name the file.
    pub fn parse(text: &str) -> Result<Pairing, String> {
        let at = text.find(BEGIN).ok_or("no certificate in it")?;
        let (head, pem) = text.split_at(at);
        let mut certificates = CertificateDer::pem_slice_iter(pem.as_bytes());
        let certificate = match (certificates.next(), certificates.next()) {
            (Some(Ok(certificate)), None) => certificate,
            _ => return Err("not exactly one certificate in it".to_owned()),
        };
        let (mut version, mut host, mut cluster, mut node) = (None, None, None, None);
        for line in head.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
            let field = match line.split_once(':').map(|(name, value)| (name, value.trim())) {
                Some(("stmfproxy-pairing", value)) => version.replace(value),
                Some(("host", value)) => host.replace(value),
                Some(("cluster", value)) => cluster.replace(value),
                Some(("node", value)) => node.replace(value),
                _ if line.is_empty() => None,
                _ => return Err(format!("unknown line: {:.80}", line.escape_default().to_string())),
            };
            if field.is_some() {
                return Err("a line stands twice in it".to_owned());
            }
        }
        if version != Some("1") {
            return Err("not a pairing file of version 1".to_owned());
        }
        let node = match node {
            Some("0") => NodeId::new(0),
            Some("1") => NodeId::new(1),
            _ => None,
        };
        let node = node.ok_or("no line 'node: 0' or 'node: 1'")?;
        Ok(Pairing {
            member: Member::new(cluster.ok_or("no line 'cluster: NAME'")?, node)?,
            host: greeting::name_in(host.unwrap_or_default().as_bytes()),
            certificate,
        })
    }

    /// SHA-256 of the certificate, as other tools print it.
    pub fn fingerprint(&self) -> String {
        let digest = ring::digest::digest(&ring::digest::SHA256, &self.certificate);
        let mut text = String::new();
        for byte in digest.as_ref() {
            let colon = if text.is_empty() { "" } else { ":" };
            // Writing to a string cannot fail.
            let _ = write!(text, "{colon}{byte:02X}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Not a certificate, but what PEM makes of it does not matter here.
    const PEM: &str = "-----BEGIN CERTIFICATE-----\nAAEC\n-----END CERTIFICATE-----\n";

    #[test]
    fn there_and_back() {
        let member = Member::new("san", NodeId::new(1).unwrap()).unwrap();
        let text = compose(&member, "san-a", PEM);
        let pairing = Pairing::parse(&text).unwrap();
        assert_eq!((pairing.member.clone(), pairing.host.as_str()), (member, "san-a"));
        assert_eq!(&pairing.certificate[..], [0, 1, 2]);
        assert_eq!(Pairing::parse(&text.replace('\n', "\r\n")), Ok(pairing.clone()));
        assert!(pairing.fingerprint().starts_with("AE:4B:32:80:E5:6E:2F:AF:"));
        assert_eq!(pairing.fingerprint().len(), 95);
    }

    #[test]
    fn files_that_are_none() {
        let good = format!("stmfproxy-pairing: 1\nhost: a\ncluster: san\nnode: 1\n{PEM}");
        assert!(Pairing::parse(&good).is_ok());
        for bad in [
            String::new(),
            "rubbish".to_owned(),
            PEM.to_owned(),
            good.replace("pairing: 1", "pairing: 2"),
            good.replace("node: 1", "node: 2"),
            good.replace("node: 1\n", ""),
            good.replace("cluster: san\n", ""),
            good.replace("cluster: san", "cluster: s an"),
            good.replace("host: a", "cluster: san"),
            good.replace("host: a", "what: is this"),
            good.replace("AAEC", "A*EC"),
            good.replace("CERTIFICATE", "PRIVATE KEY"),
            format!("{good}{PEM}"),
        ] {
            assert!(Pairing::parse(&bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(stmfproxy-pairing: 1\n|host: |cluster: |node: |-----BEGIN |\\PC|\n){0,20}") {
            let _ = Pairing::parse(&text);
        }
    }
}
