//! One of the calling processes.

use crate::history::{Event, Lane, Op, Outcome};
use crate::rng::Rng;
use stmf::client;
use stmf::framework::{GroupKind, ObjectState, ViewRequest};
use stmf::types::{DevId, GroupName, Guid, LuChange, Lun, ProviderKey, ProviderKind, ProviderName, Status};

/// GUIDs of the two LUs; those of the view entries begin with another byte.
pub fn lu(number: u8) -> Guid {
    let mut bytes = [0; 16];
    bytes[0] = 0x60;
    bytes[15] = number;
    Guid(bytes)
}

fn view_guid(number: u8) -> Guid {
    let mut bytes = [0; 16];
    bytes[0] = 0x70;
    bytes[15] = number;
    Guid(bytes)
}

fn group(number: u8) -> GroupName {
    GroupName::new(&[b'a' + number]).expect("a name")
}

fn member(number: u8) -> DevId {
    DevId::new(&[b'a' + number]).expect("a devid")
}

fn key(number: u8) -> ProviderKey {
    ProviderKey {
        kind: ProviderKind::Lu,
        name: ProviderName::new(&[b'a' + number]).expect("a name"),
    }
}

/// Our groups; there are others, whose names are longer.
fn names(list: &[GroupName]) -> Vec<u8> {
    let texts = list.iter().map(|name| name.as_str().as_bytes());
    texts.filter(|text| text.len() == 1).map(letter).collect()
}

fn letter(text: &[u8]) -> u8 {
    text[0] - b'a'
}

/// The system's monotonic clock, which all processes share.
fn now() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is valid for writing.
    let done = unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    assert_eq!(done, 0);
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}

/// Makes random calls and records them. `number` makes written values unique; `mortal`: the service may end at any time.
pub fn work(number: u32, seed: u64, calls: u32, mortal: bool) -> Vec<Lane> {
    let mut rng = Rng::new(seed);
    let mut lanes = vec![Lane::new()];
    let mut token = None;
    let mut call = 0;
    while call < calls {
        let op = choose(&mut rng, number << 20 | call, token, mortal);
        let start = now();
        let outcome = perform(&op);
        let end = now();
        match outcome {
            Outcome::Token(new) | Outcome::Data(_, new) => token = Some(new),
            _ => {}
        }
        let outcome = match outcome {
            // It did not happen.
            Outcome::Failed(Status::ServiceNotFound) if mortal => {
                std::thread::sleep(std::time::Duration::from_millis(2));
                continue;
            }
            Outcome::Failed(Status::Error) if mortal => None,
            other => Some(other),
        };
        call += 1;
        let lost = outcome.is_none();
        let lane = lanes.last_mut().expect("never empty");
        lane.push(Event {
            start,
            end,
            op,
            outcome,
        });
        if lost {
            lanes.push(Lane::new());
        }
    }
    lanes
}

fn choose(rng: &mut Rng, value: u32, token: Option<u64>, mortal: bool) -> Op {
    let small = |rng: &mut Rng, n| u8::try_from(rng.below(n)).expect("small");
    let (one, three) = (small(rng, 2), small(rng, 3));
    match rng.below(24) {
        0 => Op::GroupCreate(one),
        1 => Op::GroupDelete(one),
        2 => Op::GroupList,
        3 | 4 => Op::MemberAdd(one, three),
        5 => Op::MemberRemove(one, three),
        6 => Op::Members(one),
        7 | 8 => {
            let group = rng.chance(70).then(|| small(rng, 2));
            let lun = rng.chance(50).then(|| u16::from(three));
            Op::ViewAdd(one, group, lun)
        }
        9 | 10 => Op::ViewRemove(one, u32::from(small(rng, 2))),
        11 => Op::ViewList(one),
        12 => Op::GuidList,
        13 | 14 => Op::AliasSet(one, value),
        15 | 16 => Op::AliasGet(one),
        // Not kept over a restart.
        17 if !mortal => Op::LuOnline(one, rng.chance(50)),
        17 | 18 => Op::LuState(one),
        19 => Op::UrlSet(value),
        20 => Op::UrlGet,
        21 => Op::DataSet(one, value, token.filter(|_| rng.chance(80))),
        22 => Op::DataGet(one),
        _ if rng.chance(30) => Op::DataClear(one),
        _ => Op::DataGet(one),
    }
}

fn perform(op: &Op) -> Outcome {
    try_perform(op).unwrap_or_else(Outcome::Failed)
}

fn try_perform(op: &Op) -> Result<Outcome, Status> {
    const HOST: GroupKind = GroupKind::Host;
    Ok(match op.clone() {
        Op::GroupCreate(number) => done(client::group_create(HOST, group(number))?),
        Op::GroupDelete(number) => done(client::group_delete(HOST, group(number))?),
        Op::GroupList => {
            let list = client::group_list(HOST)?;
            Outcome::List(names(&list))
        }
        Op::MemberAdd(number, who) => done(client::group_add(HOST, group(number), member(who))?),
        Op::MemberRemove(number, who) => done(client::group_remove(HOST, group(number), member(who))?),
        Op::Members(number) => {
            let list = client::group_members(HOST, group(number))?;
            Outcome::List(list.iter().map(|devid| letter(devid.as_bytes())).collect())
        }
        Op::ViewAdd(number, of, lun) => {
            let request = ViewRequest {
                host_group: of.map(group),
                target_group: None,
                lun: lun.map(|lun| Lun::new(lun).expect("a LUN")),
            };
            let view = client::view_add(view_guid(number), request)?;
            Outcome::View(view.index, view.lun.get())
        }
        Op::ViewRemove(number, index) => done(client::view_remove(view_guid(number), index)?),
        Op::ViewList(number) => {
            let list = client::view_list(view_guid(number))?;
            let entry = |group: &GroupName| letter(group.as_str().as_bytes());
            let entries = list
                .iter()
                .map(|view| (view.index, view.host_group.as_ref().map(entry), view.lun.get()));
            Outcome::Views(entries.collect())
        }
        Op::GuidList => {
            let list = client::lu_list()?;
            Outcome::List(
                list.iter()
                    .filter(|guid| guid.0[0] == 0x70)
                    .map(|guid| guid.0[15])
                    .collect(),
            )
        }
        Op::AliasSet(number, value) => done(client::lu_modify(lu(number), LuChange::Alias(value.to_string()))?),
        Op::AliasGet(number) => {
            let alias = client::lu_snapshot(lu(number))?.get(client::LuProperty::Alias as u32)?;
            Outcome::Value(Some(parse(&alias)))
        }
        Op::LuOnline(number, true) => done(client::lu_online(lu(number))?),
        Op::LuOnline(number, false) => done(client::lu_offline(lu(number))?),
        Op::LuState(number) => Outcome::Online(client::lu_info(lu(number))?.state == Some(ObjectState::Online)),
        Op::UrlSet(value) => done(client::set_global_lu_property(URL, value.to_string().as_bytes())?),
        Op::UrlGet => match client::global_lu_property(URL) {
            Err(Status::NoProp) => Outcome::Value(None),
            text => Outcome::Value(Some(parse(&text?))),
        },
        Op::DataSet(number, value, token) => Outcome::Token(client::set_provider_data(
            key(number),
            value.to_be_bytes().to_vec(),
            token,
        )?),
        Op::DataGet(number) => {
            let data = client::provider_data(key(number))?;
            let value = data.data.as_slice().try_into().map(u32::from_be_bytes);
            Outcome::Data(value.expect("four bytes"), data.token)
        }
        Op::DataClear(number) => done(client::clear_provider_data(key(number))?),
    })
}

/// `STMF_LU_PROP_MGMT_URL`.
const URL: u32 = 7;

fn done((): ()) -> Outcome {
    Outcome::Done
}

fn parse(text: &str) -> u32 {
    text.parse().unwrap_or_else(|_| panic!("{text:?} was never written"))
}
