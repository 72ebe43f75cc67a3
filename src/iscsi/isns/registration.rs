//! What a node registers with an iSNS server: itself as an entity, its portals, its online targets with their portal
//! groups (`iscsi-target.md` chapter 15, RFC 4171 5.6.5.1). Values and requests, no I/O.

use super::message::{Function, Message, tag};
use std::net::SocketAddr;

/// Entity protocol: iSCSI.
const ISCSI: u32 = 2;
/// Node type: target.
const TARGET: u32 = 1;

/// A target and where it can be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Canonical name.
    pub name: String,
    /// Alias.
    pub alias: Option<String>,
    /// Authentication method.
    pub auth: &'static str,
    /// Portal group tags and their portals.
    pub groups: Vec<(u16, Vec<SocketAddr>)>,
}

/// All of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// Entity identifier: the host name.
    pub entity: String,
    /// Online targets; never empty.
    pub nodes: Vec<Node>,
}

impl Registration {
    /// Every portal, once.
    fn portals(&self) -> Vec<SocketAddr> {
        let groups = self.nodes.iter().flat_map(|node| &node.groups);
        let mut portals: Vec<SocketAddr> = groups.flat_map(|(_, portals)| portals.iter().copied()).collect();
        portals.sort_unstable();
        portals.dedup();
        portals
    }

    /// The node that speaks for the entity: a registered one.
    fn source(&self) -> &str {
        self.nodes.first().map_or("", |node| &node.name)
    }

    /// DevAttrReg of everything, in place of what was there; `period` in seconds: without a sign of life for that long the
    /// server forgets it.
    pub fn register(&self, period: u32) -> Message {
        let mut message = Message::new(Function::Register, true);
        message
            .text(tag::NODE_NAME, self.source())
            .text(tag::ENTITY, &self.entity)
            .empty(tag::DELIMITER)
            .text(tag::ENTITY, &self.entity)
            .number(tag::ENTITY_PROTOCOL, ISCSI)
            .number(tag::REGISTRATION_PERIOD, period);
        let portals = self.portals();
        for portal in &portals {
            message.portal(tag::PORTAL_ADDRESS, tag::PORTAL_PORT, *portal);
        }
        for node in &self.nodes {
            message.text(tag::NODE_NAME, &node.name).number(tag::NODE_TYPE, TARGET);
            if let Some(alias) = &node.alias {
                message.text(tag::NODE_ALIAS, alias);
            }
            message.text(tag::NODE_AUTH, node.auth);
            for (group, members) in &node.groups {
                message.number(tag::GROUP_TAG, (*group).into());
                for portal in members {
                    message.portal(tag::GROUP_ADDRESS, tag::GROUP_PORT, *portal);
                }
            }
            // Without this the server would take the target to be reachable through every portal of the entity.
            let uses = |portal: &&SocketAddr| node.groups.iter().any(|(_, members)| members.contains(portal));
            let others: Vec<&SocketAddr> = portals.iter().filter(|portal| !uses(portal)).collect();
            if !others.is_empty() {
                message.empty(tag::GROUP_TAG);
                for portal in others {
                    message.portal(tag::GROUP_ADDRESS, tag::GROUP_PORT, *portal);
                }
            }
        }
        message
    }

    /// DevAttrQry of the entity: a sign of life, and a look whether the server still knows it.
    pub fn query(&self) -> Message {
        let mut message = Message::new(Function::Query, false);
        message
            .text(tag::NODE_NAME, self.source())
            .text(tag::ENTITY, &self.entity)
            .empty(tag::DELIMITER)
            .empty(tag::ENTITY);
        message
    }

    /// DevDereg of targets that are in this registration and not in the next one.
    pub fn deregister_missing(&self, next: &Registration) -> Option<Message> {
        let missing = |node: &&Node| next.nodes.iter().all(|other| other.name != node.name);
        let mut message = Message::new(Function::Deregister, false);
        message.text(tag::NODE_NAME, self.source()).empty(tag::DELIMITER);
        let gone: Vec<&Node> = self.nodes.iter().filter(missing).collect();
        for node in &gone {
            message.text(tag::NODE_NAME, &node.name);
        }
        (!gone.is_empty()).then_some(message)
    }

    /// DevDereg of the entity and all that belongs to it.
    pub fn deregister(&self) -> Message {
        let mut message = Message::new(Function::Deregister, false);
        message
            .text(tag::NODE_NAME, self.source())
            .empty(tag::DELIMITER)
            .text(tag::ENTITY, &self.entity);
        message
    }
}

#[cfg(test)]
mod tests {
    use super::super::message::{HEADER, parse_answer};
    use super::*;

    fn node(name: &str, tag: u16, portals: &[&str]) -> Node {
        let portals = portals.iter().map(|portal| portal.parse().unwrap()).collect();
        Node {
            name: name.into(),
            alias: None,
            auth: "None",
            groups: vec![(tag, portals)],
        }
    }

    fn tags(message: &Message) -> Vec<u32> {
        let mut body = vec![0; 4];
        body.extend_from_slice(&message.encode(0).unwrap()[HEADER..]);
        let (_, attributes) = parse_answer(&body).unwrap();
        attributes.iter().map(|(tag, _)| *tag).collect()
    }

    #[test]
    fn each_target_says_which_portals_are_its_own_and_which_are_not() {
        let registration = Registration {
            entity: "host".into(),
            nodes: vec![
                node("iqn.2026-11.example:a", 1, &["192.0.2.1:3260", "192.0.2.2:3260"]),
                node("iqn.2026-11.example:b", 2, &["192.0.2.2:3260"]),
            ],
        };
        let expected = [
            [32, 1, 0, 1, 2, 6].as_slice(),
            &[16, 17, 16, 17],
            &[32, 33, 42, 51, 49, 50, 49, 50],
            &[32, 33, 42, 51, 49, 50, 51, 49, 50],
        ];
        assert_eq!(tags(&registration.register(900)), expected.concat());
    }

    #[test]
    fn only_what_is_gone_is_deregistered() {
        let two = Registration {
            entity: "host".into(),
            nodes: vec![
                node("iqn.2026-11.example:a", 1, &[]),
                node("iqn.2026-11.example:b", 1, &[]),
            ],
        };
        let one = Registration {
            nodes: two.nodes[..1].to_vec(),
            ..two.clone()
        };
        assert!(one.deregister_missing(&two).is_none());
        assert_eq!(tags(&two.deregister_missing(&one).unwrap()), [32, 0, 32]);
        assert_eq!(tags(&one.deregister()), [32, 0, 1]);
    }
}
