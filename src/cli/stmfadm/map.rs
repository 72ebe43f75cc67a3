//! `list-map`, which is new (`cli.md` 10.10): which initiator sees which LU under which number through which target, as groups
//! and view entries of this node say.

use crate::cli::command_line::{Invocation, JSON};
use crate::cli::document::{self, set};
use crate::cli::service::still_there;
use crate::cli::text::{common_failure, or_dash, printable, state_lower};
use crate::cli::{Console, Service, values};
use crate::framework::{GroupKind, NexusInfo, ObjectState, ViewEntry};
use crate::types::{DevId, GroupName, Guid, Status};
use serde::Serialize;
use std::collections::HashMap;

/// Ports of the other node, which has view entries of its own.
const OF_PEER: &str = "pppt";

/// Everything that decides.
struct Map {
    hosts: HashMap<DevId, GroupName>,
    targets: HashMap<DevId, GroupName>,
    /// Targets of this node with their sessions, the newest first.
    ports: Vec<(DevId, Vec<NexusInfo>)>,
    /// By GUID.
    lus: Vec<Lu>,
    /// All that are in a host group or have a session.
    initiators: Vec<DevId>,
}

struct Lu {
    guid: Guid,
    alias: String,
    state: Option<ObjectState>,
    views: Vec<ViewEntry>,
}

/// One way to an LU; also an element of the data of `--json`.
#[derive(Serialize)]
struct Way {
    /// `None`: every initiator that is in no host group.
    initiator: Option<String>,
    host_group: Option<String>,
    target: String,
    logged_in: bool,
    lun: u16,
    lu: String,
    alias: Option<String>,
    /// `None`: not loaded, so that nothing is seen yet.
    status: Option<&'static str>,
    view_entry: u32,
}

/// `list-map`.
pub fn list(invocation: &Invocation, service: &dyn Service, console: &mut Console<'_>) -> u8 {
    let (mut ways, mut exit) = (Vec::new(), 0);
    match Map::read(service) {
        Err(status) => {
            let line = common_failure(status).unwrap_or(match status {
                Status::Busy => "resource busy",
                _ => "unknown error",
            });
            console.fail(status, line);
            exit = 1;
        }
        Ok(map) if invocation.operands.is_empty() => {
            map.initiators
                .iter()
                .for_each(|initiator| map.ways(Some(initiator), &mut ways));
            map.ways(None, &mut ways);
        }
        Ok(map) => {
            for operand in &invocation.operands {
                match values::device_id(operand) {
                    Some(initiator) => map.ways(Some(&initiator), &mut ways),
                    None => {
                        console.fail_operand(operand, Status::InvalidArg, "unrecognized device id");
                        exit = 1;
                    }
                }
            }
        }
    }
    if invocation.has(JSON) {
        document::print("list-map", ways, service, console);
    } else if !ways.is_empty() {
        table(&ways, console);
    }
    exit
}

impl Map {
    fn read(service: &dyn Service) -> Result<Map, Status> {
        let (hosts, mut initiators) = members(GroupKind::Host, service)?;
        let (targets, _) = members(GroupKind::Target, service)?;
        let mut ports = Vec::new();
        for target in service.target_list()?.into_iter().rev() {
            let Some(info) = still_there(service.target_info(target.clone()))? else {
                continue;
            };
            if info.provider != OF_PEER {
                let sessions = still_there(service.target_sessions(target.clone()))?;
                ports.push((target, sessions.unwrap_or_default()));
            }
        }
        for session in ports.iter().flat_map(|(_, sessions)| sessions) {
            if !initiators.contains(&session.initiator) {
                initiators.push(session.initiator.clone());
            }
        }
        let mut guids = service.lu_list()?;
        guids.sort_unstable();
        let mut lus = Vec::new();
        for guid in guids {
            let views = still_there(service.view_list(guid))?.unwrap_or_default();
            if views.is_empty() {
                continue;
            }
            let Some(info) = still_there(service.lu_info(guid))? else {
                continue;
            };
            lus.push(Lu {
                guid,
                alias: info.alias,
                state: info.state,
                views,
            });
        }
        Ok(Map {
            hosts,
            targets,
            ports,
            lus,
            initiators,
        })
    }

    /// Of an initiator, or of every one that is in no group.
    fn ways(&self, initiator: Option<&DevId>, ways: &mut Vec<Way>) {
        let host = initiator.and_then(|initiator| self.hosts.get(initiator));
        for (target, sessions) in &self.ports {
            let group = self.targets.get(target);
            let fits = |view: &&ViewEntry| {
                let side =
                    |wanted: &Option<GroupName>, has: Option<&GroupName>| wanted.is_none() || wanted.as_ref() == has;
                side(&view.host_group, host) && side(&view.target_group, group)
            };
            let seen = self.lus.iter().filter_map(|lu| Some((lu, lu.views.iter().find(fits)?)));
            let mut seen: Vec<_> = seen.collect();
            seen.sort_by_key(|(_, view)| view.lun);
            ways.extend(seen.into_iter().map(|(lu, view)| Way {
                initiator: initiator.map(ToString::to_string),
                host_group: host.map(ToString::to_string),
                target: target.to_string(),
                logged_in: sessions.iter().any(|session| Some(&session.initiator) == initiator),
                lun: view.lun.get(),
                lu: lu.guid.to_string(),
                alias: set(&lu.alias).map(str::to_owned),
                status: lu.state.map(state_lower),
                view_entry: view.index,
            }));
        }
    }
}

/// The group of each member, and the members in the order of their groups.
fn members(kind: GroupKind, service: &dyn Service) -> Result<(HashMap<DevId, GroupName>, Vec<DevId>), Status> {
    let (mut groups, mut all) = (HashMap::new(), Vec::new());
    for name in service.group_list(kind)? {
        for member in still_there(service.group_members(kind, name.clone()))?.unwrap_or_default() {
            all.push(member.clone());
            groups.insert(member, name.clone());
        }
    }
    Ok((groups, all))
}

fn table(ways: &[Way], console: &mut Console<'_>) {
    let initiator = |way: &Way| way.initiator.as_deref().map_or("any other".to_owned(), printable);
    let width = |text: &dyn Fn(&Way) -> String, least: usize| {
        let widths = ways.iter().map(|way| text(way).chars().count());
        widths.max().unwrap_or(0).max(least)
    };
    let target = |way: &Way| printable(&way.target);
    let (first, second) = (width(&initiator, 9), width(&target, 6));
    console.line(format_args!(
        "{:<first$}  {:<second$}  {:>5}  {:<32}  {:<10}  ALIAS",
        "INITIATOR", "TARGET", "LUN", "LU", "STATE"
    ));
    for way in ways {
        let state = format!("{:<10}", way.status.unwrap_or("not loaded"));
        console.line(format_args!(
            "{:<first$}  {:<second$}  {:>5}  {:<32}  {}  {}",
            initiator(way),
            target(way),
            way.lun,
            way.lu,
            console.state(&state),
            or_dash(way.alias.as_deref().unwrap_or(""))
        ));
    }
}

#[cfg(test)]
mod tests {
    use crate::cli::script::{Script, ran, run};
    use crate::cli::stmfadm;
    use crate::framework::{LuInfo, NexusInfo, ObjectState, PortInfo, ViewEntry};
    use crate::types::{DevId, GroupName, Guid, Lun, Protocol, Status};

    const ONE: &str = "600144F0C73ABF00000065A1B2C30001";
    const TWO: &str = "600144F0C73ABF00000065A1B2D70002";

    fn devid(name: &str) -> DevId {
        DevId::new(name.as_bytes()).unwrap()
    }

    fn group(name: &str) -> GroupName {
        GroupName::new(name.as_bytes()).unwrap()
    }

    fn info(name: &str, state: Option<ObjectState>) -> LuInfo {
        LuInfo {
            guid: name.parse().unwrap(),
            state,
            provider: "sbd".into(),
            alias: "disk".into(),
            vendor: [0; 8],
            product: [0; 16],
            revision: [0; 4],
        }
    }

    /// Targets `front` (in a group, with a session of `guest`) and `back`; `esx` in a group; one LU for that group through the
    /// target group, one for all.
    fn script() -> Script {
        let port = |name: &str| PortInfo {
            devid: devid(name),
            provider: "iscsit".into(),
            alias: String::new(),
            state: ObjectState::Online,
            protocol: Protocol::Iscsi,
            rtpid: 1,
        };
        let guest = NexusInfo {
            initiator: devid("iqn.guest"),
            alias: String::new(),
            created: 1,
        };
        let view = |host: Option<&str>, target: Option<&str>, lun| ViewEntry {
            index: 0,
            host_group: host.map(group),
            target_group: target.map(group),
            lun: Lun::new(lun).unwrap(),
        };
        let guids: Vec<Guid> = vec![TWO.parse().unwrap(), ONE.parse().unwrap()];
        Script::new()
            .ok("group_list(Host)", vec![group("esx-prod")])
            .ok(
                &format!("group_members(Host, {:?})", group("esx-prod")),
                vec![devid("iqn.esx")],
            )
            .ok("group_list(Target)", vec![group("tg")])
            .ok(
                &format!("group_members(Target, {:?})", group("tg")),
                vec![devid("iqn.front")],
            )
            .ok("target_list()", vec![devid("iqn.back"), devid("iqn.front")])
            .ok("target_info(iqn.front)", port("iqn.front"))
            .ok("target_sessions(iqn.front)", vec![guest])
            .ok("target_info(iqn.back)", port("iqn.back"))
            .ok("target_sessions(iqn.back)", Vec::<NexusInfo>::new())
            .ok("lu_list()", guids)
            .ok(
                &format!("view_list({ONE})"),
                vec![view(Some("esx-prod"), Some("tg"), 4)],
            )
            .ok(&format!("lu_info({ONE})"), info(ONE, Some(ObjectState::Online)))
            .ok(&format!("view_list({TWO})"), vec![view(None, None, 0)])
            .ok(&format!("lu_info({TWO})"), info(TWO, None))
    }

    #[test]
    fn everybody_and_one() {
        let head = "INITIATOR  TARGET       LUN  LU                                STATE       ALIAS\n";
        let out = format!(
            "{head}\
             iqn.esx    iqn.front      0  {TWO}  not loaded  disk\n\
             iqn.esx    iqn.front      4  {ONE}  online      disk\n\
             iqn.esx    iqn.back       0  {TWO}  not loaded  disk\n\
             iqn.guest  iqn.front      0  {TWO}  not loaded  disk\n\
             iqn.guest  iqn.back       0  {TWO}  not loaded  disk\n\
             any other  iqn.front      0  {TWO}  not loaded  disk\n\
             any other  iqn.back       0  {TWO}  not loaded  disk\n"
        );
        assert_eq!(run(stmfadm::run, "stmfadm list-map", &script()), ran(0, &out, ""));
        let out = format!(
            "{head}\
             iqn.new    iqn.front      0  {TWO}  not loaded  disk\n\
             iqn.new    iqn.back       0  {TWO}  not loaded  disk\n"
        );
        let err = "stmfadm: x: unrecognized device id\n";
        assert_eq!(
            run(stmfadm::run, "stmfadm list-map x iqn.NEW", &script()),
            ran(1, &out, err)
        );
        let busy = Script::new().fail("group_list(Host)", Status::Busy);
        assert_eq!(
            run(stmfadm::run, "stmfadm list-map", &busy),
            ran(1, "", "stmfadm: resource busy\n")
        );
    }
}
