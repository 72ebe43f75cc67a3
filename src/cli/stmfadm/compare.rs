//! `compare-peer`, which is new: groups, view entries and LUNs that the two nodes do not have alike.

use crate::cli::command_line::{Invocation, JSON};
use crate::cli::text::{common_failure, printable};
use crate::cli::{Console, Service, document};
use crate::framework::{Difference, PeerTrouble, Refusal};
use crate::types::{GroupName, Lun, Status};
use serde::Serialize;

/// `--overwrite-peer`.
pub const OVERWRITE: char = '\u{e040}';

/// Exit statuses: there are differences; the peer does not answer.
const DIFFERENT: u8 = 3;
const UNREACHABLE: u8 = 4;

/// An element of the data of `--json`; `None` is not part of it, and in a view entry all hosts or all targets.
#[derive(Debug, Default, Serialize)]
struct Element {
    /// `group-missing`, `members-differ`, `view-missing`, `lun-differs`.
    code: &'static str,
    /// `host` or `target`.
    kind: Option<&'static str>,
    group: Option<String>,
    lu: Option<String>,
    host_group: Option<String>,
    target_group: Option<String>,
    /// Which node has it: `this-node`, `peer`.
    only: Option<&'static str>,
    members_here: Vec<String>,
    members_peer: Vec<String>,
    lun_here: Option<u16>,
    lun_peer: Option<u16>,
}

/// `compare-peer`.
pub fn compare(invocation: &Invocation, service: &dyn Service, console: &mut Console<'_>) -> u8 {
    let result = if invocation.has(OVERWRITE) {
        overwrite(service)
    } else {
        Ok(())
    };
    let compared = result.and_then(|()| service.compare_peer().map_err(Trouble::Status)?.map_err(Trouble::Peer));
    let (differences, exit) = match compared {
        Ok(differences) if differences.is_empty() => (differences, 0),
        Ok(differences) => (differences, DIFFERENT),
        Err(trouble) => (Vec::new(), trouble.tell(console)),
    };
    if invocation.has(JSON) {
        let elements: Vec<Element> = differences.iter().map(Element::from).collect();
        document::print("compare-peer", elements, service, console);
    } else {
        differences
            .iter()
            .for_each(|difference| console.line(printable(&text(difference))));
    }
    exit
}

enum Trouble {
    Status(Status),
    Peer(PeerTrouble),
}

fn overwrite(service: &dyn Service) -> Result<(), Trouble> {
    service
        .overwrite_peer()
        .map_err(Trouble::Status)?
        .map_err(Trouble::Peer)
}

impl Trouble {
    fn tell(&self, console: &mut Console<'_>) -> u8 {
        match self {
            Trouble::Status(status) => {
                console.fail(*status, common_failure(*status).unwrap_or("unknown error"));
                1
            }
            Trouble::Peer(PeerTrouble::NoAnswer) => {
                console.fail(Status::Busy, "the peer does not answer, or cannot be asked");
                UNREACHABLE
            }
            Trouble::Peer(PeerTrouble::Refused(Refusal::NotMirrored)) => {
                console.fail(Status::Perm, "mirroring is off on the peer: aluaadm mirror on, there");
                1
            }
            Trouble::Peer(PeerTrouble::Refused(refusal)) => {
                console.fail(Status::Error, refusal);
                1
            }
        }
    }
}

fn group(name: &Option<GroupName>) -> String {
    name.as_ref().map_or("All".to_owned(), ToString::to_string)
}

fn who(here: bool) -> &'static str {
    if here { "only on this node" } else { "only on the peer" }
}

fn text(difference: &Difference) -> String {
    match difference {
        Difference::Group { kind, name, here } => format!("{} {name}: {}", kind.word(), who(*here)),
        Difference::Members { kind, name, here, peer } => {
            let members = here
                .iter()
                .map(|member| (member, true))
                .chain(peer.iter().map(|member| (member, false)));
            let members: Vec<String> = members
                .map(|(member, here)| format!("{member} {}", who(here)))
                .collect();
            format!("{} {name}: {}", kind.word(), members.join(", "))
        }
        Difference::View {
            guid,
            host_group,
            target_group,
            lun,
            here,
        } => format!(
            "LU {guid}: view entry for host group {}, target group {}, LUN {}: {}",
            group(host_group),
            group(target_group),
            lun.get(),
            who(*here)
        ),
        Difference::Lun {
            guid,
            host_group,
            target_group,
            here,
            peer,
        } => format!(
            "LU {guid}: view entry for host group {}, target group {}: LUN {} on this node, {} on the peer",
            group(host_group),
            group(target_group),
            here.get(),
            peer.get()
        ),
    }
}

impl From<&Difference> for Element {
    fn from(difference: &Difference) -> Element {
        use crate::framework::GroupKind::{Host, Target};
        let kind = |kind| match kind {
            Host => "host",
            Target => "target",
        };
        let only = |here: bool| if here { "this-node" } else { "peer" };
        let name = |name: &Option<GroupName>| name.as_ref().map(ToString::to_string);
        match difference {
            Difference::Group { kind: of, name, here } => Element {
                code: "group-missing",
                kind: Some(kind(*of)),
                group: Some(name.to_string()),
                only: Some(only(*here)),
                ..Element::default()
            },
            Difference::Members {
                kind: of,
                name,
                here,
                peer,
            } => Element {
                code: "members-differ",
                kind: Some(kind(*of)),
                group: Some(name.to_string()),
                members_here: here.iter().map(ToString::to_string).collect(),
                members_peer: peer.iter().map(ToString::to_string).collect(),
                ..Element::default()
            },
            Difference::View {
                guid,
                host_group,
                target_group,
                lun,
                here,
            } => Element {
                code: "view-missing",
                lu: Some(guid.to_string()),
                host_group: name(host_group),
                target_group: name(target_group),
                only: Some(only(*here)),
                lun_here: here.then_some(lun.get()),
                lun_peer: (!here).then_some(lun.get()),
                ..Element::default()
            },
            Difference::Lun {
                guid,
                host_group,
                target_group,
                here,
                peer,
            } => Element {
                code: "lun-differs",
                lu: Some(guid.to_string()),
                host_group: name(host_group),
                target_group: name(target_group),
                lun_here: Some(Lun::get(*here)),
                lun_peer: Some(Lun::get(*peer)),
                ..Element::default()
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::script::{Ran, Script, ran, run};
    use crate::cli::stmfadm;
    use crate::framework::GroupKind;
    use crate::service::AluaInfo;
    use crate::types::{DevId, Guid};

    type Compared = Result<Vec<Difference>, PeerTrouble>;

    fn stmfadm(line: &str, script: &Script) -> Ran {
        run(stmfadm::run, &format!("stmfadm {line}"), script)
    }

    fn differences() -> Vec<Difference> {
        let name = GroupName::new(b"esx").unwrap();
        let (guid, lun) = (Guid([0xab; 16]), |n| Lun::new(n).unwrap());
        let devid = |text: &str| DevId::new(text.as_bytes()).unwrap();
        vec![
            Difference::Group {
                kind: GroupKind::Target,
                name: name.clone(),
                here: false,
            },
            Difference::Members {
                kind: GroupKind::Host,
                name: name.clone(),
                here: vec![devid("iqn.a")],
                peer: vec![devid("iqn.b")],
            },
            Difference::View {
                guid,
                host_group: Some(name),
                target_group: None,
                lun: lun(3),
                here: true,
            },
            Difference::Lun {
                guid,
                host_group: None,
                target_group: None,
                here: lun(1),
                peer: lun(2),
            },
        ]
    }

    #[test]
    fn differences_for_people_and_programs() {
        let lu = "AB".repeat(16);
        let out = format!(
            "target group esx: only on the peer\n\
             host group esx: iqn.a only on this node, iqn.b only on the peer\n\
             LU {lu}: view entry for host group esx, target group All, LUN 3: only on this node\n\
             LU {lu}: view entry for host group All, target group All: LUN 1 on this node, 2 on the peer\n"
        );
        let script = Script::new().ok::<Compared>("compare_peer()", Ok(differences()));
        assert_eq!(stmfadm("compare-peer", &script), ran(3, &out, ""));
        let node = AluaInfo { enabled: true, node: 0 };
        let script = Script::new()
            .ok::<Compared>("compare_peer()", Ok(differences()))
            .ok("alua()", node);
        let printed = stmfadm("compare-peer --json", &script);
        let document: serde_json::Value = serde_json::from_str(&printed.out).unwrap();
        assert_eq!(
            (printed.status, document["data"].as_array().map(Vec::len)),
            (3, Some(4))
        );
        assert_eq!(
            (&document["data"][3]["lun_here"], &document["data"][3]["lun_peer"]),
            (&1.into(), &2.into())
        );
        let script = Script::new().ok::<Compared>("compare_peer()", Ok(Vec::new()));
        assert_eq!(stmfadm("compare-peer", &script), ran(0, "", ""));
    }

    #[test]
    fn the_peer_may_not_answer_or_not_want_to() {
        let line = "stmfadm: the peer does not answer, or cannot be asked\n";
        let script = Script::new().ok::<Compared>("compare_peer()", Err(PeerTrouble::NoAnswer));
        assert_eq!(stmfadm("compare-peer", &script), ran(4, "", line));
        let refused = |refusal| Err(PeerTrouble::Refused(refusal));
        let line = "stmfadm: mirroring is off on the peer: aluaadm mirror on, there\n";
        let script = Script::new().ok::<Result<(), PeerTrouble>>("overwrite_peer()", refused(Refusal::NotMirrored));
        assert_eq!(stmfadm("compare-peer --overwrite-peer", &script), ran(1, "", line));
        let script = Script::new()
            .ok::<Result<(), PeerTrouble>>("overwrite_peer()", Ok(()))
            .ok::<Compared>("compare_peer()", Ok(Vec::new()));
        assert_eq!(stmfadm("compare-peer --overwrite-peer", &script), ran(0, "", ""));
        let script = Script::new().fail("compare_peer()", Status::ServiceNotFound);
        assert_eq!(
            stmfadm("compare-peer", &script),
            ran(1, "", "stmfadm: STMF service not found\n")
        );
    }
}
