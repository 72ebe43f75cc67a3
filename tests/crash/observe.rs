//! What a running `stmfd` says is configured.

use crate::common::rpc::Rpc;
use crate::model::{Config, DISKS, KINDS, Metadata, Registered, Settings, Value, Writer};
use std::collections::BTreeMap;
use stmf::framework::{AccessReport, DefaultState, GroupKind, ProviderData, ViewEntry};
use stmf::service::{Request, Response};
use stmf::store::{GroupTable, LuRow, ProviderRow, Snapshot, ViewRow};
use stmf::types::{AccessState, DevId, GroupName, Guid, ProviderKey};

/// The answer to a request that must succeed.
macro_rules! ask {
    ($rpc:expr, $request:expr, $answer:pat => $value:expr) => {{
        let request = $request;
        match $rpc.ask(&request) {
            $answer => $value,
            other => panic!("{request:?}: {other:?}"),
        }
    }};
}

/// The objects of one writer.
pub fn objects(rpc: &Rpc, writer: &Writer) -> Config {
    let number = writer.number;
    let mine = |name: &str, what: &str| name.starts_with(&format!("{what}{number}-"));
    let mut config = Config::default();
    for (at, kind) in KINDS.into_iter().enumerate() {
        config.groups[at] = groups(rpc, kind);
        config.groups[at].retain(|(name, _)| mine(name.as_str(), "group-"));
    }
    for guid in guids(rpc).into_iter().filter(|guid| guid.0[1] == number) {
        for view in views(rpc, guid) {
            let entry = (view.host_group, view.target_group, view.lun);
            config.views.insert((guid, view.index), entry);
        }
        if let Some(registered) = registered(rpc, guid) {
            let disk = usize::from(guid.0[2]);
            assert!(disk < DISKS, "{guid:?} is registered");
            let other = config.disks[disk].replace(registered);
            assert_eq!(other, None, "two LUs on one file");
        }
    }
    for key in data_keys(rpc) {
        if mine(key.name.as_str(), "provider-") {
            let value = Value::of(&data(rpc, &key).data);
            let value = value.unwrap_or_else(|| panic!("{key:?} holds a mixture"));
            config.data.insert(key, value);
        }
    }
    let targets = ask!(rpc, Request::TargetList, Response::DevIds(list) => list);
    let names = targets.iter().map(DevId::to_string);
    config.targets = names.filter(|name| mine(name, "iqn.2026-11.example:")).collect();
    config.targets.sort();
    config.settings = (number == 0).then(|| settings(rpc));
    config
}

/// Live state is what the store holds (`libstmf-api.md` 1.8).
pub fn compare_with_store(rpc: &Rpc, stored: &Snapshot) {
    for (kind, table) in KINDS.into_iter().zip([GroupTable::Host, GroupTable::Target]) {
        let groups_stored = stored.groups.iter().filter(|(of, ..)| *of == table);
        let groups_stored: Vec<_> = groups_stored
            .map(|(_, name, members)| (name.clone(), members.clone()))
            .collect();
        assert_eq!(groups(rpc, kind), groups_stored);
    }
    let mut rows: Vec<LuRow> = Vec::new();
    let mut entries: Vec<ViewRow> = Vec::new();
    for guid in guids(rpc) {
        entries.extend(views(rpc, guid).into_iter().map(|view| ViewRow {
            guid,
            index: view.index,
            host_group: view.host_group,
            target_group: view.target_group,
            lun: view.lun,
        }));
        if let Some(registered) = registered(rpc, guid) {
            let row = stored.lus.iter().find(|row| row.guid == guid);
            rows.push(LuRow {
                guid,
                path: row.map_or_else(String::new, |row| row.path.clone()),
                standby: matches!(registered, Registered::Standby(_)),
            });
        }
    }
    assert_eq!(rows, stored.lus);
    assert_eq!(entries, stored.views);
    let live: BTreeMap<ProviderKey, u64> = data_keys(rpc)
        .into_iter()
        .map(|key| (key.clone(), data(rpc, &key).token))
        .collect();
    assert_eq!(live.len(), stored.providers.len());
    for (key, token) in live {
        let same = |row: &&ProviderRow| row.name == key.name.as_str() && row.kind == key.kind as u8;
        assert_eq!(
            stored.providers.iter().find(same).map(|row| row.token),
            Some(token),
            "{key:?}"
        );
    }
    let setting = |key: &str| {
        stored
            .settings
            .iter()
            .find(|(known, _)| known == key)
            .map(|(_, value)| value.clone())
    };
    let stored_settings = Settings {
        lus_offline: setting("default-lu-state").as_deref() == Some("offline"),
        targets_offline: setting("default-target-state").as_deref() == Some("offline"),
        url: setting("mgmt-url"),
        alua: setting("alua.enabled").as_deref() == Some("true"),
    };
    assert_eq!(settings(rpc), stored_settings);
}

fn groups(rpc: &Rpc, kind: GroupKind) -> Vec<(GroupName, Vec<DevId>)> {
    let names = ask!(rpc, Request::GroupList(kind), Response::Groups(list) => list);
    let members = |name: GroupName| {
        let list = ask!(rpc, Request::GroupMembers(kind, name.clone()), Response::DevIds(list) => list);
        (name, list)
    };
    names.into_iter().map(members).collect()
}

fn guids(rpc: &Rpc) -> Vec<Guid> {
    ask!(rpc, Request::LuList, Response::Guids(list) => list)
}

fn views(rpc: &Rpc, guid: Guid) -> Vec<ViewEntry> {
    ask!(rpc, Request::ViewList(guid), Response::Views(list) => list)
}

fn registered(rpc: &Rpc, guid: Guid) -> Option<Registered> {
    ask!(rpc, Request::LuInfo(guid), Response::Lu(info) => info).state?;
    let AccessReport { access, properties } =
        ask!(rpc, Request::LuResource(guid), Response::Resource(report) => *report);
    match access {
        AccessState::Standby => return Some(Registered::Standby(guid)),
        AccessState::TransitionToStandby => return Some(Registered::GivenUp(guid)),
        AccessState::Active => {}
        other => panic!("{guid:?} is {other:?} at rest"),
    }
    Some(Registered::Active(Metadata {
        guid,
        alias: properties.alias.expect("an alias"),
        url: properties.mgmt_url,
        size: properties.size.expect("a size"),
        write_protect: properties.write_protect.expect("a state"),
        write_cache_disable: properties.write_cache_disable.expect("a state"),
    }))
}

fn data_keys(rpc: &Rpc) -> Vec<ProviderKey> {
    ask!(rpc, Request::ProviderDataList, Response::Providers(list) => list)
}

fn data(rpc: &Rpc, key: &ProviderKey) -> ProviderData {
    ask!(rpc, Request::ProviderDataGet(key.clone()), Response::ProviderData(data) => data)
}

fn settings(rpc: &Rpc) -> Settings {
    let offline = |which| !ask!(rpc, Request::GetDefaultState(which), Response::DefaultState(online) => online);
    Settings {
        lus_offline: offline(DefaultState::Lus),
        targets_offline: offline(DefaultState::Targets),
        url: ask!(rpc, Request::GetMgmtUrl, Response::MgmtUrl(url) => url),
        alua: ask!(rpc, Request::GetAlua, Response::Alua(alua) => alua.enabled),
    }
}
