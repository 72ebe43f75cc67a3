//! What the peer is to know of this node's ports and LUs: the newest announcement per object, sent until it got through
//! (`alua-proxy.md` 5.12, 5.13, hazards H5, H13).

use super::super::message::{Body, Lun, Message, PortId, Sync};
use super::held::Object;
use super::{AnnouncedLu, Announcement, Capabilities, Class, Context, Output, PeerEvent};
use crate::types::{AccessState, DevId, Guid};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

/// LU provider of disks (`alua-proxy.md` 1.2).
const DISK_PROVIDER: &[u8] = b"sbd";
/// Longest path in an announcement, without NUL (8.1: cb_arg 4096).
const MAX_NAME: usize = 4095;
/// The same announcement again within this time is not sent again: the framework answers PeerUp with announcements of its
/// own, and repeats LUN_ACTIVE at most once a second (6.4).
const REPEAT: Duration = Duration::from_secs(1);

struct Entry {
    announcement: Announcement,
    /// Message id under which it was sent; STATUS names it.
    id: u64,
    /// When it was given to the sender; `None`: not yet, or the door refused it.
    sent: Option<Duration>,
    /// Ports: the peer said yes.
    accepted: bool,
    /// Ports: when to send again, and the wait until then.
    retry: Option<(Duration, Duration)>,
    /// The door refused it; the next round sends it.
    failed: bool,
}

#[derive(Default)]
pub(super) struct Announcer {
    objects: BTreeMap<Object, Entry>,
    /// The registration round under way: what was sent in it, and when it ends if nothing is added.
    round: Option<(BTreeSet<Object>, Duration)>,
    /// Some were announced before anything could be sent.
    unsent: bool,
    /// Of our LUs.
    generations: HashMap<Guid, u64>,
}

impl Announcer {
    pub fn accepted(&self) -> impl Iterator<Item = &DevId> {
        self.ports().filter_map(|(object, entry)| match object {
            Object::Port(port) if entry.accepted => Some(port),
            _ => None,
        })
    }

    /// Ports sort before LUs.
    fn ports(&self) -> impl Iterator<Item = (&Object, &Entry)> {
        self.objects
            .iter()
            .take_while(|(object, _)| matches!(object, Object::Port(_)))
    }

    pub fn is_accepted(&self, port: &DevId) -> bool {
        self.objects
            .get(&Object::Port(port.clone()))
            .is_some_and(|entry| entry.accepted)
    }

    /// Ownership generation under which an LU is Active here, or was last. Whether it still is, the framework knows.
    pub fn generation(&self, guid: &Guid) -> Option<u64> {
        self.generations.get(guid).copied()
    }

    /// `direct`: messages may be sent now.
    pub fn announce(&mut self, cx: &mut Context<'_>, announcement: Announcement, direct: bool) {
        match &announcement {
            Announcement::LuRegister(lu) | Announcement::LuActive(lu) => {
                let length = lu.name.len();
                if length == 0 || length > MAX_NAME {
                    log::error!("pppt: LU {} cannot be announced: its name has {length} bytes", lu.guid);
                    return;
                }
                self.generations.insert(lu.guid, lu.generation);
            }
            Announcement::LuDeregister { guid } | Announcement::LuGivenUp { guid, .. } => {
                self.generations.remove(guid);
            }
            _ => {}
        }
        let object = object_of(&announcement);
        if let Some(known) = self.objects.get(&object) {
            let recent = known.sent.is_some_and(|sent| cx.now.saturating_sub(sent) < REPEAT);
            let counted = self.round.as_ref().is_none_or(|(sent, _)| sent.contains(&object));
            if recent && counted && known.announcement == announcement {
                return;
            }
        } else if self.objects.len() >= cx.config.objects {
            // Withdrawals that went out need not be remembered.
            self.objects
                .retain(|_, entry| entry.sent.is_none() || !is_withdrawal(&entry.announcement));
        }
        let accepted = match self.objects.get(&object) {
            Some(known) => known.accepted && known.announcement == announcement,
            None => false,
        };
        let entry = Entry {
            announcement,
            id: cx.ids.next(),
            sent: None,
            accepted,
            retry: None,
            failed: false,
        };
        self.objects.insert(object.clone(), entry);
        if direct {
            self.send(cx, &object);
        } else {
            self.unsent = true;
        }
    }

    /// Everything is told again: the peer has come (back), or ALUA mode was enabled again. Ports and withdrawals that were
    /// not sent yet go out now; LUs are announced again by the framework, which alone knows whether they are still Active.
    pub fn begin_round(&mut self, cx: &mut Context<'_>) {
        self.round = Some((BTreeSet::new(), cx.now + cx.config.round));
        self.objects.retain(|_, entry| match entry.announcement {
            Announcement::PortUp { .. } => true,
            Announcement::PortDown { .. } | Announcement::LuDeregister { .. } => entry.sent.is_none(),
            Announcement::LuRegister(_) | Announcement::LuActive(_) => false,
            // The record stays as it is, so every life of the peer has to know.
            Announcement::LuGivenUp { .. } => {
                entry.sent = None;
                true
            }
        });
        for object in self.objects.keys().cloned().collect::<Vec<_>>() {
            self.send(cx, &object);
        }
    }

    pub fn tick(&mut self, cx: &mut Context<'_>, up: bool) {
        if std::mem::take(&mut self.unsent) {
            let due =
                |(object, entry): (&Object, &Entry)| (!entry.failed && entry.sent.is_none()).then(|| object.clone());
            for object in self.objects.iter().filter_map(due).collect::<Vec<_>>() {
                self.send(cx, &object);
            }
        }
        if cx.ours {
            let given_up = |(object, entry): (&Object, &Entry)| {
                (is_given_up(&entry.announcement) && entry.sent.is_none()).then(|| object.clone())
            };
            for object in self.objects.iter().filter_map(given_up).collect::<Vec<_>>() {
                self.send(cx, &object);
            }
        }
        let now = cx.now;
        let late = |(object, entry): (&Object, &Entry)| {
            let (at, wait) = entry.retry?;
            (up && now >= at).then(|| (object.clone(), (wait * 2).min(cx.config.registration_max)))
        };
        for (object, wait) in self.ports().filter_map(late).collect::<Vec<_>>() {
            self.send(cx, &object);
            if let Some(entry) = self.objects.get_mut(&object) {
                entry.retry = Some((cx.now + wait, wait));
            }
        }
        self.end_round(cx);
    }

    /// STATUS for a registration.
    pub fn answered(&mut self, cx: &mut Context<'_>, id: u64, accepted: bool) {
        let found = self
            .ports()
            .find(|(_, entry)| entry.id == id)
            .map(|(object, _)| object.clone());
        let Some(Object::Port(port)) = found else { return };
        let Some(entry) = self.objects.get_mut(&Object::Port(port.clone())) else {
            return;
        };
        if !matches!(entry.announcement, Announcement::PortUp { .. }) {
            return;
        }
        if !accepted {
            log::warn!("pppt: the peer refused port {port}; asked again later");
            return;
        }
        entry.retry = None;
        entry.accepted = true;
        cx.out.push(Output::Event(PeerEvent::PortAccepted { port }));
    }

    pub fn send_failed(&mut self, id: u64) {
        if let Some(entry) = self.objects.values_mut().find(|entry| entry.id == id) {
            // Ports are sent again by their timer, the rest with the next round.
            entry.sent = None;
            entry.failed = true;
        }
    }

    /// The peer is gone, or another one: it has accepted nothing.
    pub fn forget_acceptance(&mut self) {
        self.round = None;
        for entry in self.objects.values_mut() {
            entry.accepted = false;
            entry.retry = None;
        }
    }

    pub fn is_waiting(&self) -> bool {
        self.round.is_some() || self.unsent || self.ports().any(|(_, entry)| entry.retry.is_some())
    }

    fn send(&mut self, cx: &mut Context<'_>, object: &Object) {
        let Some(entry) = self.objects.get_mut(object) else {
            return;
        };
        if is_given_up(&entry.announcement) && !cx.ours {
            // An original peer would delete the LU. With the next tick after the peer is known to be one of ours.
            return;
        }
        let mut message = Message::new(entry.id, body(&entry.announcement));
        if let Some((sent, ends)) = &mut self.round {
            if is_withdrawal(&entry.announcement) {
                sent.remove(object);
            } else {
                sent.insert(object.clone());
                message.extensions.sync = Some(Sync::More);
            }
            *ends = cx.now + cx.config.round;
        }
        entry.sent = Some(cx.now);
        entry.failed = false;
        if matches!(entry.announcement, Announcement::PortUp { .. }) {
            entry.retry = Some((cx.now + cx.config.registration, cx.config.registration));
        }
        cx.out.push(Output::Send(Class::Control, message));
    }

    fn end_round(&mut self, cx: &mut Context<'_>) {
        let Some((sent, ends)) = &self.round else { return };
        if cx.now < *ends {
            return;
        }
        if cx.capabilities.has(Capabilities::SWEEP) {
            // On an ECHO and not on the last REGISTER_LUN: the round of a node without LUs ends too.
            let mut message = Message::new(cx.ids.next(), Body::EchoRequest(Vec::new()));
            message.extensions.sync = Some(Sync::Last {
                objects: u32::try_from(sent.len()).ok(),
            });
            cx.out.push(Output::Send(Class::Control, message));
        }
        self.round = None;
    }
}

fn object_of(announcement: &Announcement) -> Object {
    match announcement {
        Announcement::PortUp { port, .. } | Announcement::PortDown { port } => Object::Port(port.clone()),
        Announcement::LuRegister(lu) | Announcement::LuActive(lu) => Object::Lu(lu.guid),
        Announcement::LuDeregister { guid } | Announcement::LuGivenUp { guid, .. } => Object::Lu(*guid),
    }
}

fn is_given_up(announcement: &Announcement) -> bool {
    matches!(announcement, Announcement::LuGivenUp { .. })
}

fn is_withdrawal(announcement: &Announcement) -> bool {
    matches!(
        announcement,
        Announcement::PortDown { .. } | Announcement::LuDeregister { .. } | Announcement::LuGivenUp { .. }
    )
}

fn body(announcement: &Announcement) -> Body {
    match announcement {
        Announcement::PortUp { port, rtpid } => Body::RegisterPort {
            port: port_id(port),
            rtpid: *rtpid,
            cb_arg: Vec::new(),
        },
        Announcement::PortDown { port } => Body::DeregisterPort {
            port: port_id(port),
            cb_arg: Vec::new(),
        },
        Announcement::LuRegister(lu) => Body::RegisterLun(active_lun(lu)),
        Announcement::LuActive(lu) => Body::LunActive(active_lun(lu)),
        Announcement::LuDeregister { guid } => Body::DeregisterLun(Lun {
            guid: *guid,
            provider: DISK_PROVIDER.to_vec(),
            cb_arg: Vec::new(),
            generation: None,
            access_state: None,
            non_optimized: None,
        }),
        Announcement::LuGivenUp { guid, generation } => Body::DeregisterLun(Lun {
            guid: *guid,
            provider: DISK_PROVIDER.to_vec(),
            cb_arg: Vec::new(),
            generation: Some(*generation),
            access_state: Some(AccessState::Standby as u8),
            non_optimized: None,
        }),
    }
}

fn active_lun(lu: &AnnouncedLu) -> Lun {
    // An original receiver copies the name as a C string: without its NUL it overruns its buffer.
    let cb_arg = [lu.name.as_bytes(), b"\0"].concat();
    Lun {
        guid: lu.guid,
        provider: DISK_PROVIDER.to_vec(),
        cb_arg,
        generation: Some(lu.generation),
        access_state: Some(AccessState::Active as u8),
        non_optimized: Some(lu.non_optimized),
    }
}

/// The protocol of a port from its name: `wwn.` is FC, the rest iSCSI, the only ports of this system.
pub(super) fn port_id(port: &DevId) -> PortId {
    let protocol = if port.as_bytes().starts_with(b"wwn.") { 0 } else { 5 };
    PortId::new(protocol, port.clone())
}
