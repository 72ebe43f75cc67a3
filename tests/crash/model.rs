//! What one writer has been told is configured, and the changes it makes. Writers own disjoint objects, so each one alone
//! knows what of its objects must be there.

use crate::rng::Rng;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::{Path, PathBuf};
use stmf::framework::{DefaultState, GroupKind, ViewRequest};
use stmf::iscsi::admin;
use stmf::service::{Request, Response};
use stmf::types::{
    DevId, GroupName, Guid, LuChange, LuProperties, Lun, NodeId, ProviderKey, ProviderKind, ProviderName,
};

pub const KINDS: [GroupKind; 2] = [GroupKind::Host, GroupKind::Target];
/// Backing files per writer.
pub const DISKS: usize = 2;
const FILE_SIZE: u64 = (4 << 20) + 65536;
const SIZES: [u64; 3] = [1 << 20, 2 << 20, 4 << 20];
const GROUPS: u64 = 3;
const MEMBERS: u64 = 4;
const TARGETS: u64 = 2;

/// The metadata of an LU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    pub guid: Guid,
    pub alias: String,
    pub url: Option<String>,
    pub size: u64,
    pub write_protect: bool,
    pub write_cache_disable: bool,
}

/// A registered LU as the API shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Registered {
    Active(Metadata),
    /// Given up in this life of the service: Transition to Standby, which stays when ALUA mode ends.
    GivenUp(Guid),
    /// Given up before. It goes when ALUA mode ends (`alua-proxy.md` 6.4).
    Standby(Guid),
}

/// Host group, target group, LUN.
pub type View = (Option<GroupName>, Option<GroupName>, Lun);

/// `libstmf-api.md` 1.8: what survives, of one writer's objects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// In order of creation, host groups and target groups.
    pub groups: [Vec<(GroupName, Vec<DevId>)>; 2],
    /// By GUID and index.
    pub views: BTreeMap<(Guid, u32), View>,
    pub disks: [Option<Registered>; DISKS],
    /// Words that say which change they are of, and how many.
    pub data: BTreeMap<ProviderKey, Value>,
    pub targets: Vec<String>,
    /// What belongs to nobody: writer 0 changes it.
    pub settings: Option<Settings>,
}

/// Provider data: one word again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value {
    pub word: u32,
    pub count: usize,
}

impl Value {
    fn bytes(self) -> Vec<u8> {
        self.word.to_be_bytes().repeat(self.count)
    }

    /// `None` for a mixture.
    pub fn of(bytes: &[u8]) -> Option<Value> {
        let word = u32::from_be_bytes(*bytes.first_chunk()?);
        let value = Value {
            word,
            count: bytes.len() / 4,
        };
        (value.bytes() == bytes).then_some(value)
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    pub lus_offline: bool,
    pub targets_offline: bool,
    pub url: Option<String>,
    pub alua: bool,
}

/// One change.
#[derive(Debug, Clone)]
pub enum Op {
    CreateGroup(GroupKind, GroupName),
    DeleteGroup(GroupKind, GroupName),
    AddMember(GroupKind, GroupName, DevId),
    RemoveMember(GroupKind, GroupName, DevId),
    AddView(Guid, u32, ViewRequest),
    RemoveView(Guid, u32),
    Create(usize, Metadata),
    Import(usize),
    Delete(usize),
    Standby(usize),
    Modify(usize, LuChange),
    SetData(ProviderKey, Value),
    ClearData(ProviderKey),
    CreateTarget(String),
    DeleteTarget(String),
    SetDefault(DefaultState, bool),
    SetUrl(Option<String>),
    SetAlua(bool),
}

/// A writer: its objects, and what it knows of its files.
pub struct Writer {
    pub number: u8,
    pub config: Config,
    /// Metadata in each file; `None` when a create may or may not have written them.
    pub files: [Option<Metadata>; DISKS],
    pub paths: [String; DISKS],
    pub rng: Rng,
    /// Makes every GUID, LUN and value a new one.
    serial: u32,
    /// Newest provider-data token it was given.
    pub token: u64,
    /// Changes that were acknowledged.
    pub acknowledged: u64,
    /// The change that was not answered.
    pub in_flight: Option<Op>,
    /// What was acknowledged since the last restart, for the report of a failure.
    recent: Vec<Op>,
}

impl Writer {
    pub fn new(number: u8, directory: &Path, seed: u64) -> Writer {
        let paths: [PathBuf; DISKS] = std::array::from_fn(|disk| directory.join(format!("disk-{number}-{disk}")));
        for path in &paths {
            let file = std::fs::File::create(path).and_then(|file| file.set_len(FILE_SIZE));
            file.expect("a backing file");
        }
        Writer {
            number,
            config: Config {
                settings: (number == 0).then(Settings::default),
                ..Config::default()
            },
            files: [const { None }; DISKS],
            paths: paths.map(|path| path.to_str().expect("a text").to_owned()),
            rng: Rng::new(seed ^ (u64::from(number) << 32)),
            serial: 0,
            token: 0,
            acknowledged: 0,
            in_flight: None,
            recent: Vec::new(),
        }
    }

    fn serial(&mut self) -> u32 {
        self.serial += 1;
        self.serial
    }

    /// A GUID that tells writer and disk; disk [`DISKS`] is none, for view entries.
    fn guid(&mut self, disk: usize) -> Guid {
        let mut bytes = [0; 16];
        bytes[0] = 0x60;
        bytes[1] = self.number;
        bytes[2] = u8::try_from(disk).expect("few disks");
        bytes[12..].copy_from_slice(&self.serial().to_be_bytes());
        Guid(bytes)
    }

    fn name(&mut self, what: &str, of: u64) -> String {
        format!("{what}-{}-{}", self.number, self.rng.below(of))
    }

    fn group(&mut self) -> GroupName {
        GroupName::new(self.name("group", GROUPS).as_bytes()).expect("a group name")
    }

    /// A change that must succeed.
    pub fn choose(&mut self) -> Op {
        loop {
            if let Some(op) = self.try_choose() {
                return op;
            }
        }
    }

    fn try_choose(&mut self) -> Option<Op> {
        let at = usize::from(self.rng.chance(50));
        let kind = KINDS[at];
        let disk = usize::try_from(self.rng.below(DISKS as u64)).expect("small");
        match self.rng.below(20) {
            0..4 => {
                let name = self.group();
                let known = self.config.groups[at].iter().find(|(known, _)| *known == name);
                match known.map(|(_, members)| members.clone()) {
                    None => Some(Op::CreateGroup(kind, name)),
                    Some(members) if self.rng.chance(80) => self.member(at, name, &members),
                    Some(_) => {
                        let side = |view: &View| [view.0.clone(), view.1.clone()];
                        let used = self
                            .config
                            .views
                            .values()
                            .any(|view| side(view)[at].as_ref() == Some(&name));
                        (!used).then_some(Op::DeleteGroup(kind, name))
                    }
                }
            }
            4..7 => self.view(),
            7..14 => self.disk(disk),
            14..16 => {
                let name = self.name("provider", 2);
                let key = ProviderKey {
                    kind: [ProviderKind::Lu, ProviderKind::Port][at],
                    name: ProviderName::new(name.as_bytes()).expect("a provider name"),
                };
                match self.config.data.contains_key(&key) && self.rng.chance(30) {
                    true => Some(Op::ClearData(key)),
                    false => {
                        let count = 1 + self.rng.below(20_000) as usize;
                        let word = self.serial();
                        Some(Op::SetData(key, Value { word, count }))
                    }
                }
            }
            16 => {
                let name = format!("iqn.2026-11.example:{}-{}", self.number, self.rng.below(TARGETS));
                Some(match self.config.targets.contains(&name) {
                    true => Op::DeleteTarget(name),
                    false => Op::CreateTarget(name),
                })
            }
            _ => self.setting(),
        }
    }

    fn member(&mut self, at: usize, group: GroupName, members: &[DevId]) -> Option<Op> {
        let text = self.name("iqn.member", MEMBERS);
        let member = DevId::new(text.as_bytes()).expect("a devid");
        if members.contains(&member) {
            return Some(Op::RemoveMember(KINDS[at], group, member));
        }
        let elsewhere = self.config.groups[at]
            .iter()
            .any(|(_, others)| others.contains(&member));
        (!elsewhere).then_some(Op::AddMember(KINDS[at], group, member))
    }

    /// Entries name a host group of the writer: those of several writers never overlap.
    fn view(&mut self) -> Option<Op> {
        if !self.config.views.is_empty() && self.rng.chance(40) {
            let at = self.rng.below(self.config.views.len() as u64) as usize;
            let (guid, index) = *self.config.views.keys().nth(at)?;
            return Some(Op::RemoveView(guid, index));
        }
        let host_group = Some(self.pick(0)?);
        let target_group = self.pick(1).filter(|_| self.rng.chance(50));
        let guid = match self.config.disks.iter().flatten().next() {
            Some(Registered::Active(lu)) if self.rng.chance(70) => lu.guid,
            _ => self.guid(DISKS),
        };
        let own = || self.config.views.iter().filter(|((of, _), _)| *of == guid);
        if own().any(|(_, (host, _, _))| *host == host_group) {
            return None;
        }
        let index = (0..).find(|index| own().all(|((_, taken), _)| taken != index))?;
        // Writers have ranges of their own.
        let first = u16::from(self.number) * 4000;
        let lun = (first..).find(|lun| self.config.views.values().all(|(_, _, taken)| taken.get() != *lun))?;
        let request = ViewRequest {
            host_group,
            target_group,
            lun: Lun::new(lun),
        };
        Some(Op::AddView(guid, index, request))
    }

    fn pick(&mut self, at: usize) -> Option<GroupName> {
        let groups = &self.config.groups[at];
        let which = self.rng.below(groups.len().max(1) as u64) as usize;
        groups.get(which).map(|(name, _)| name.clone())
    }

    fn disk(&mut self, disk: usize) -> Option<Op> {
        Some(match &self.config.disks[disk] {
            None if self.files[disk].is_some() && self.rng.chance(60) => Op::Import(disk),
            None => Op::Create(
                disk,
                Metadata {
                    guid: self.guid(disk),
                    alias: format!("alias-{}", self.serial()),
                    url: Some(format!("http://{}", self.serial())),
                    size: SIZES[0],
                    write_protect: false,
                    write_cache_disable: self.rng.chance(50),
                },
            ),
            Some(Registered::GivenUp(_) | Registered::Standby(_)) => Op::Import(disk),
            Some(Registered::Active(lu)) => match self.rng.below(10) {
                0 => Op::Delete(disk),
                // The end of ALUA mode takes Standby LUs along: only its writer has some.
                1 | 2 if self.number == 0 => Op::Standby(disk),
                2 => Op::Modify(disk, LuChange::WriteProtect(!lu.write_protect)),
                3 => Op::Modify(disk, LuChange::WriteCacheDisable(!lu.write_cache_disable)),
                4 => Op::Modify(disk, LuChange::MgmtUrl(Some(format!("http://{}", self.serial())))),
                5 | 6 => {
                    let next = SIZES.iter().position(|size| *size == lu.size)? + 1;
                    Op::Modify(disk, LuChange::Size(SIZES[next % SIZES.len()]))
                }
                _ => Op::Modify(disk, LuChange::Alias(format!("alias-{}", self.serial()))),
            },
        })
    }

    fn setting(&mut self) -> Option<Op> {
        let settings = self.config.settings.clone()?;
        Some(match self.rng.below(4) {
            0 => Op::SetDefault(DefaultState::Lus, settings.lus_offline),
            1 => Op::SetDefault(DefaultState::Targets, settings.targets_offline),
            2 => Op::SetUrl(self.rng.chance(70).then(|| format!("http://all/{}", self.serial()))),
            _ => Op::SetAlua(!settings.alua),
        })
    }

    pub fn request(&self, op: &Op) -> Request {
        let guid = |disk: usize| match &self.config.disks[disk] {
            Some(Registered::Active(lu)) => lu.guid,
            Some(Registered::GivenUp(guid) | Registered::Standby(guid)) => *guid,
            None => unreachable!("only registered LUs are changed"),
        };
        match op.clone() {
            Op::CreateGroup(kind, name) => Request::GroupCreate(kind, name),
            Op::DeleteGroup(kind, name) => Request::GroupDelete(kind, name),
            Op::AddMember(kind, name, member) => Request::GroupAdd(kind, name, member),
            Op::RemoveMember(kind, name, member) => Request::GroupRemove(kind, name, member),
            Op::AddView(guid, _, request) => Request::ViewAdd(guid, request),
            Op::RemoveView(guid, index) => Request::ViewRemove(guid, index),
            Op::Create(disk, lu) => Request::LuCreate(Box::new(LuProperties {
                alias: Some(lu.alias),
                data_file: Some(self.paths[disk].clone()),
                guid: Some(lu.guid),
                mgmt_url: lu.url,
                size: Some(lu.size),
                write_cache_disable: Some(lu.write_cache_disable),
                ..LuProperties::default()
            })),
            Op::Import(disk) => Request::LuImport(self.paths[disk].clone()),
            Op::Delete(disk) => Request::LuDelete(guid(disk)),
            Op::Standby(disk) => Request::LuStandby(guid(disk)),
            Op::Modify(disk, change) => Request::LuModify(guid(disk), change),
            Op::SetData(key, value) => Request::ProviderDataSet(key, value.bytes(), None),
            Op::ClearData(key) => Request::ProviderDataClear(key),
            Op::CreateTarget(name) => {
                Request::IscsiChange(Box::new(admin::Change::CreateTarget(admin::TargetChange {
                    name: Some(name),
                    ..admin::TargetChange::default()
                })))
            }
            Op::DeleteTarget(name) => Request::IscsiChange(Box::new(admin::Change::DeleteTarget { name, force: true })),
            Op::SetDefault(which, online) => Request::SetDefaultState(which, online),
            Op::SetUrl(url) => Request::SetMgmtUrl(url),
            Op::SetAlua(enabled) => Request::SetAlua {
                enabled,
                node: NodeId::new(0).expect("a node").get(),
            },
        }
    }

    /// An answer came: it must be the right one, and its change is to stay.
    pub fn acknowledge(&mut self, op: &Op, response: &Response) {
        let right = match (op, response) {
            (Op::AddView(_, index, request), Response::View(view)) => {
                view.index == *index && Some(view.lun) == request.lun && view.host_group == request.host_group
            }
            (Op::Create(_, lu), Response::Guid(guid)) => lu.guid == *guid,
            (Op::Import(disk), Response::Guid(guid)) => self.files[*disk].as_ref().is_some_and(|lu| lu.guid == *guid),
            (Op::SetData(..), Response::Token(token)) => std::mem::replace(&mut self.token, *token) < *token,
            (Op::CreateTarget(name) | Op::DeleteTarget(name), Response::IscsiChanged(Ok(changed))) => name == changed,
            // Its port is on its way on- or offline.
            (Op::DeleteTarget(_), Response::IscsiChanged(Err(admin::Refusal::Busy(_)))) => return,
            (_, Response::Done) => true,
            _ => false,
        };
        assert!(right, "writer {}: {op:?} was answered {response:?}", self.number);
        self.take_effect(op);
        self.acknowledged += 1;
        self.recent.push(op.clone());
    }

    /// What the change makes of the configuration and the files.
    pub fn take_effect(&mut self, op: &Op) {
        let groups = |kind: &GroupKind| usize::from(*kind == GroupKind::Target);
        let config = &mut self.config;
        match op {
            Op::CreateGroup(kind, name) => config.groups[groups(kind)].push((name.clone(), Vec::new())),
            Op::DeleteGroup(kind, name) => config.groups[groups(kind)].retain(|(known, _)| known != name),
            Op::AddMember(kind, name, member) => config.members(groups(kind), name).push(member.clone()),
            Op::RemoveMember(kind, name, member) => config.members(groups(kind), name).retain(|m| m != member),
            Op::AddView(guid, index, view) => {
                let lun = view.lun.expect("always asked for");
                let sides = (view.host_group.clone(), view.target_group.clone(), lun);
                config.views.insert((*guid, *index), sides);
            }
            Op::RemoveView(guid, index) => drop(config.views.remove(&(*guid, *index))),
            Op::Create(disk, lu) => {
                self.files[*disk] = Some(lu.clone());
                config.disks[*disk] = Some(Registered::Active(lu.clone()));
            }
            Op::Import(disk) => config.disks[*disk] = self.files[*disk].clone().map(Registered::Active),
            Op::Delete(disk) => config.disks[*disk] = None,
            Op::Standby(disk) => {
                let guid = self.files[*disk].as_ref().expect("a registered LU has metadata").guid;
                config.disks[*disk] = Some(Registered::GivenUp(guid));
            }
            Op::Modify(disk, change) => {
                let lu = self.files[*disk].as_mut().expect("a registered LU has metadata");
                match change.clone() {
                    LuChange::Alias(alias) => lu.alias = alias,
                    LuChange::MgmtUrl(url) => lu.url = url,
                    LuChange::Size(size) => lu.size = size,
                    LuChange::WriteProtect(protect) => lu.write_protect = protect,
                    LuChange::WriteCacheDisable(disable) => lu.write_cache_disable = disable,
                }
                config.disks[*disk] = Some(Registered::Active(lu.clone()));
            }
            Op::SetData(key, value) => drop(config.data.insert(key.clone(), *value)),
            Op::ClearData(key) => drop(config.data.remove(key)),
            Op::CreateTarget(name) => {
                config.targets.push(name.clone());
                config.targets.sort();
            }
            Op::DeleteTarget(name) => config.targets.retain(|known| known != name),
            Op::SetDefault(..) | Op::SetUrl(_) | Op::SetAlua(_) => {
                let settings = config.settings.as_mut();
                settings.expect("writer 0 alone has them").take_effect(op);
                if let Op::SetAlua(false) = op {
                    let standby = |disk: &&mut Option<_>| matches!(disk, Some(Registered::Standby(_)));
                    config.disks.iter_mut().filter(standby).for_each(|disk| *disk = None);
                }
            }
        }
    }

    /// A change was refused: nothing has changed, but for what a create leaves in its file.
    pub fn check(&mut self, seen: &Config, refused: &Op) {
        assert_eq!(
            self.config.difference(seen),
            None,
            "{refused:?} failed and changed something"
        );
        if let Op::Create(disk, _) = refused {
            self.files[*disk] = None;
        }
    }

    /// After a restart: what is there is what was acknowledged, or that and the whole change that was not answered.
    pub fn reconcile(&mut self, seen: &Config) -> Option<bool> {
        let unchanged = self.config.restarted().difference(seen);
        let recent = std::mem::take(&mut self.recent);
        let Some(op) = self.in_flight.take() else {
            assert_eq!(unchanged, None, "writer {} after {recent:?}", self.number);
            self.config = seen.clone();
            return None;
        };
        if let Some(difference) = &unchanged {
            self.take_effect(&op);
            let changed = self.config.restarted().difference(seen);
            assert_eq!(
                changed, None,
                "writer {}: {op:?} was in flight after {recent:?}; without it: {difference}; with it",
                self.number
            );
        } else if let Op::Create(disk, _) = op {
            self.files[disk] = None;
        }
        self.config = seen.clone();
        Some(unchanged.is_some())
    }
}

impl Config {
    /// What a restart makes of it.
    fn restarted(&self) -> Config {
        let mut config = self.clone();
        for disk in config.disks.iter_mut().flatten() {
            if let Registered::GivenUp(guid) = *disk {
                *disk = Registered::Standby(guid);
            }
        }
        config
    }

    /// What was to be and what there is, where they differ.
    fn difference(&self, seen: &Config) -> Option<String> {
        let (a, b) = (self, seen);
        let mut text = String::new();
        let mut compare = |same: bool, expected: &dyn Debug, seen: &dyn Debug| {
            if !same {
                text += &format!("expected {expected:?}, there is {seen:?}; ");
            }
        };
        compare(a.groups == b.groups, &a.groups, &b.groups);
        compare(a.views == b.views, &a.views, &b.views);
        compare(a.disks == b.disks, &a.disks, &b.disks);
        compare(a.data == b.data, &a.data, &b.data);
        compare(a.targets == b.targets, &a.targets, &b.targets);
        compare(a.settings == b.settings, &a.settings, &b.settings);
        assert_eq!(text.is_empty(), a == b, "a field is not compared");
        (!text.is_empty()).then_some(text)
    }

    fn members(&mut self, at: usize, name: &GroupName) -> &mut Vec<DevId> {
        let group = self.groups[at].iter_mut().find(|(known, _)| known == name);
        &mut group.expect("only existing groups are changed").1
    }
}

impl Settings {
    fn take_effect(&mut self, op: &Op) {
        match op {
            Op::SetDefault(DefaultState::Lus, online) => self.lus_offline = !online,
            Op::SetDefault(DefaultState::Targets, online) => self.targets_offline = !online,
            Op::SetUrl(url) => self.url.clone_from(url),
            Op::SetAlua(enabled) => self.alua = *enabled,
            _ => {}
        }
    }
}
