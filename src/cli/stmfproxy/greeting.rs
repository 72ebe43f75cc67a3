//! The first frame each way (`alua-proxy.md` chapters 4 and 9): the sender's host name with its NUL, and inside TLS behind it
//! who the sender is.
//!
//! ```text
//! plain  HOST NUL
//! TLS    HOST NUL "stmfproxy/1" NUL CLUSTER NUL NODE NUL
//! ```
//!
//! Version 1 is the first one. Fields behind those that a version knows are ignored, so that a later one may append.
#![forbid(unsafe_code)]

use crate::types::NodeId;
use std::fmt;

/// What stands before the fields of version 1.
const VERSION_1: &[u8] = b"stmfproxy/1";

/// Longest cluster name.
const MAX_CLUSTER: usize = 64;

/// One node of one cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    cluster: String,
    /// ALUA node number.
    pub node: NodeId,
}

impl Member {
    /// A cluster's name has 1 to 64 letters, digits, dots, dashes and underscores. The error is for people.
    pub fn new(cluster: &str, node: NodeId) -> Result<Member, String> {
        let fits = (1..=MAX_CLUSTER).contains(&cluster.len())
            && cluster
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        if !fits {
            return Err(format!(
                "{:.80}: a cluster name has 1 to {MAX_CLUSTER} letters, digits, dots, dashes and underscores",
                cluster.escape_default().to_string()
            ));
        }
        Ok(Member {
            cluster: cluster.to_owned(),
            node,
        })
    }

    /// The cluster's name.
    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    /// Whether `other` can be this one's peer; the error names what does not fit.
    pub fn accepts(&self, other: &Member) -> Result<(), String> {
        if self.cluster != other.cluster {
            return Err(format!(
                "the peer belongs to cluster {}, this node to cluster {}",
                other.cluster, self.cluster
            ));
        }
        if self.node == other.node {
            return Err(format!(
                "both nodes of cluster {} are node {}: give one of them the other number",
                self.cluster,
                self.node.get()
            ));
        }
        Ok(())
    }
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node {} of cluster {}", self.node.get(), self.cluster)
    }
}

/// The greeting of a host; with `member` the form for TLS.
pub fn encode(host: &str, member: Option<&Member>) -> Vec<u8> {
    let mut greeting = host.as_bytes().to_vec();
    greeting.push(0);
    if let Some(member) = member {
        greeting.extend_from_slice(VERSION_1);
        greeting.extend_from_slice(format!("\0{}\0{}\0", member.cluster, member.node.get()).as_bytes());
    }
    greeting
}

/// Who greets; the error is for people.
pub fn member(greeting: &[u8]) -> Result<Member, String> {
    let mut fields = greeting.split(|b| *b == 0).skip(1);
    let mut field = || fields.next().unwrap_or_default();
    if field() != VERSION_1 {
        return Err("the peer's greeting does not say which node of which cluster it is".to_owned());
    }
    let (cluster, node) = (field(), field());
    let node = match node {
        b"0" => NodeId::new(0),
        b"1" => NodeId::new(1),
        _ => None,
    };
    let node = node.ok_or("the peer's greeting has a node number other than 0 and 1")?;
    Member::new(&String::from_utf8_lossy(cluster), node).map_err(|error| format!("the peer's greeting: {error}"))
}

/// The name in a greeting: what stands before the first NUL, for people.
pub fn name_in(greeting: &[u8]) -> String {
    let name = greeting.split(|b| *b == 0).next().unwrap_or_default();
    let name = String::from_utf8_lossy(&name[..name.len().min(255)]);
    name.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn san(node: u8) -> Member {
        Member::new("san", NodeId::new(node).unwrap()).unwrap()
    }

    /// Bars stand for NULs.
    fn bytes(text: &str) -> Vec<u8> {
        text.replace('|', "\0").into_bytes()
    }

    #[test]
    fn greetings_are_shown_safely() {
        assert_eq!(name_in(b"node1\0"), "node1");
        assert_eq!(name_in(b"node1\0more"), "node1");
        assert_eq!(name_in(b"a\x1b[2J\xff"), "a?[2J\u{fffd}");
        assert_eq!(name_in(b""), "");
    }

    #[test]
    fn golden_bytes() {
        assert_eq!(encode("node1", None), b"node1\0");
        assert_eq!(encode("node1", Some(&san(1))), bytes("node1|stmfproxy/1|san|1|"));
        assert_eq!(member(&bytes("node1|stmfproxy/1|san|1|")), Ok(san(1)));
        assert_eq!(
            member(&bytes("node1|stmfproxy/1|san|0|of a later version|")),
            Ok(san(0))
        );
    }

    #[test]
    fn greetings_that_name_nobody() {
        for bad in [
            "",
            "node1|",
            "stmfproxy/1|san|1|",
            "node1|stmfproxy/2|san|1|",
            "node1|stmfproxy/1|san|2|",
            "node1|stmfproxy/1|san|",
            "node1|stmfproxy/1||1|",
            "node1|stmfproxy/1|a b|1|",
            "node1|stmfproxy/1|\u{e4}|1|",
        ] {
            assert!(member(&bytes(bad)).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn who_can_be_whose_peer() {
        let other = Member::new("other", NodeId::new(1).unwrap()).unwrap();
        assert_eq!(san(0).accepts(&san(1)), Ok(()));
        assert!(san(0).accepts(&other).unwrap_err().contains("cluster other"));
        assert!(san(1).accepts(&san(1)).unwrap_err().contains("both nodes"));
    }

    #[test]
    fn cluster_names_are_bounded_and_plain() {
        let node = NodeId::new(0).unwrap();
        assert!(Member::new(&"a".repeat(64), node).is_ok());
        for bad in ["", "a b", "a\n", "ä", &"a".repeat(65)] {
            assert!(Member::new(bad, node).is_err(), "{bad:?}");
        }
        assert!(!Member::new("a\x1b[2J", node).unwrap_err().contains('\x1b'));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = member(&bytes);
            let _ = member(&[b"h\0stmfproxy/1\0", &bytes[..]].concat());
        }
    }
}
