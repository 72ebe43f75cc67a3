//! The service actions of PERSISTENT RESERVE OUT (SPC-4 5.13.7 to 5.13.11, `scsi-sbd.md` 2.9.4).

use super::{Action, ItNexus, Kind, MAX_REGISTRATIONS, Out, Registration, State, same_initiator};
use crate::scsi::Sense;
use crate::types::DevId;

/// A unit attention for the nexuses of a registration, never for the one that sent the command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attention {
    /// The code.
    pub sense: Sense,
    /// Whose nexuses.
    pub to: Registration,
}

/// What a command does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The next state.
    pub state: State,
    /// Unit attentions, once the state is in force.
    pub attentions: Vec<Attention>,
    /// PREEMPT AND ABORT: the registrations whose tasks are to be aborted.
    pub aborted: Vec<Registration>,
}

/// Why a command is refused; the state stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// RESERVATION CONFLICT.
    Conflict,
    /// CHECK CONDITION.
    Check(Sense),
}

impl From<Sense> for Refusal {
    fn from(sense: Sense) -> Refusal {
        Refusal::Check(sense)
    }
}

/// Applies a command that `nexus` sent. `port_of` finds a target port by its relative identifier.
pub fn apply(
    state: &State,
    out: &Out,
    nexus: &ItNexus,
    port_of: &dyn Fn(u16) -> Option<DevId>,
) -> Result<Change, Refusal> {
    let mut work = Work {
        state: state.clone(),
        attentions: Vec::new(),
        removed: Vec::new(),
        nexus,
    };
    let me = work.state.find(nexus);
    if let Some(at) = me {
        work.state.bind(at, nexus);
    }
    if let Action::Register | Action::RegisterAndIgnore = out.action {
        work.register(out, me)?;
    } else {
        let me = me.ok_or(Refusal::Conflict)?;
        if work.state.registrations[me].key != out.key {
            return Err(Refusal::Conflict);
        }
        match out.action {
            Action::Reserve => work.reserve(out, me)?,
            Action::Release => work.release(out, me)?,
            Action::Clear => work.clear(),
            Action::Preempt | Action::PreemptAndAbort => work.preempt(out, me)?,
            _ => work.register_and_move(out, me, port_of)?,
        }
    }
    let aborts = out.action == Action::PreemptAndAbort;
    Ok(Change {
        state: work.state,
        attentions: work.attentions,
        aborted: if aborts { work.removed } else { Vec::new() },
    })
}

struct Work<'a> {
    state: State,
    attentions: Vec<Attention>,
    /// Registrations that were preempted.
    removed: Vec<Registration>,
    nexus: &'a ItNexus,
}

/// SCOPE and TYPE of RESERVE and PREEMPT.
fn kind(out: &Out) -> Result<Kind, Sense> {
    Kind::from_scope_type(out.scope_type).ok_or(Sense::INVALID_FIELD_IN_CDB.at_cdb_byte(2))
}

const INVALID_ACTION_KEY: Refusal = Refusal::Check(Sense::INVALID_FIELD_IN_PARAMETER_LIST.at_parameter_byte(8));

impl Work<'_> {
    fn next_generation(&mut self) {
        self.state.generation = self.state.generation.wrapping_add(1);
    }

    /// To every registration, that of the sender excepted.
    fn tell_others(&mut self, sense: Sense) {
        for registration in &self.state.registrations {
            if !registration.is(self.nexus) {
                self.attentions.push(Attention {
                    sense,
                    to: registration.clone(),
                });
            }
        }
    }

    fn register(&mut self, out: &Out, me: Option<usize>) -> Result<(), Refusal> {
        let compares = out.action == Action::Register;
        match me {
            None if compares && out.key != 0 => return Err(Refusal::Conflict),
            None if out.action_key == 0 => return Ok(()),
            None => self.add(out)?,
            Some(me) if compares && self.state.registrations[me].key != out.key => return Err(Refusal::Conflict),
            Some(_) if out.spec_i_pt => {
                return Err(Sense::INVALID_FIELD_IN_PARAMETER_LIST.at_parameter_byte(20).into());
            }
            Some(me) if out.action_key != 0 => self.state.registrations[me].key = out.action_key,
            Some(me) => self.unregister(me),
        }
        self.state.aptpl = out.aptpl;
        self.next_generation();
        Ok(())
    }

    /// Registers the sender and those that it names: all or nobody.
    fn add(&mut self, out: &Out) -> Result<(), Refusal> {
        let sender = std::iter::once(&self.nexus.initiator);
        for initiator in sender.chain(&out.initiators) {
            let registration = Registration {
                key: out.action_key,
                initiator: initiator.clone(),
                port: self.nexus.port.clone(),
                all_ports: out.all_ports,
                holder: false,
            };
            let same = |r: &Registration| {
                (r.all_ports || registration.all_ports || r.port == registration.port)
                    && same_initiator(&r.initiator, initiator)
            };
            let named = !std::ptr::eq(initiator, &raw const self.nexus.initiator);
            if named && self.state.registrations.iter().any(same) {
                return Err(Sense::INVALID_FIELD_IN_PARAMETER_LIST.at_parameter_byte(24).into());
            }
            if self.state.registrations.len() >= MAX_REGISTRATIONS {
                return Err(Sense::INSUFFICIENT_REGISTRATION_RESOURCES.into());
            }
            self.state.registrations.push(registration);
        }
        Ok(())
    }

    fn unregister(&mut self, me: usize) {
        let held = self.state.holds(me);
        self.state.registrations.remove(me);
        match self.state.reserved {
            Some(kind) if kind.all_registrants() => self.forget_without_registrants(),
            Some(kind) if held => {
                self.state.reserved = None;
                if kind.for_registrants() {
                    self.tell_others(Sense::RESERVATIONS_RELEASED);
                }
            }
            _ => {}
        }
    }

    /// An all-registrants reservation ends with its last registrant.
    fn forget_without_registrants(&mut self) {
        if self.state.registrations.is_empty() {
            self.state.reserved = None;
        }
    }

    fn reserve(&mut self, out: &Out, me: usize) -> Result<(), Refusal> {
        let kind = kind(out)?;
        match self.state.reserved {
            Some(present) if present == kind && self.state.holds(me) => Ok(()),
            Some(_) => Err(Refusal::Conflict),
            None => {
                self.hold(kind, me);
                Ok(())
            }
        }
    }

    fn hold(&mut self, kind: Kind, me: usize) {
        self.state.reserved = Some(kind);
        for (at, registration) in self.state.registrations.iter_mut().enumerate() {
            registration.holder = at == me && !kind.all_registrants();
        }
    }

    fn release(&mut self, out: &Out, me: usize) -> Result<(), Refusal> {
        let Some(present) = self.state.reserved.filter(|_| self.state.holds(me)) else {
            return Ok(());
        };
        if out.scope_type != present as u8 {
            return Err(Sense::INVALID_RELEASE.into());
        }
        self.state.reserved = None;
        self.state.registrations.iter_mut().for_each(|r| r.holder = false);
        if present.for_registrants() {
            self.tell_others(Sense::RESERVATIONS_RELEASED);
        }
        Ok(())
    }

    fn clear(&mut self) {
        self.tell_others(Sense::RESERVATIONS_PREEMPTED);
        self.state.registrations.clear();
        self.state.reserved = None;
        self.next_generation();
    }

    fn preempt(&mut self, out: &Out, me: usize) -> Result<(), Refusal> {
        let kind = kind(out)?;
        let key = out.action_key;
        let holder = self.state.registrations.iter().find(|r| r.holder);
        match self.state.reserved {
            Some(present) if present.all_registrants() && key == 0 => {
                self.take(kind, me, |_| true, Some(present));
            }
            _ if key == 0 => return Err(INVALID_ACTION_KEY),
            Some(present) if holder.is_some_and(|r| r.key == key) => {
                self.take(kind, me, |r| r.key == key, Some(present));
            }
            // Registrations only; the sender's own too if it has that key (SPC-4 5.13.11.2.5).
            _ => {
                if !self.remove(|_, r| r.key == key) {
                    return Err(Refusal::Conflict);
                }
                self.forget_without_registrants();
            }
        }
        self.next_generation();
        Ok(())
    }

    /// The sender takes the reservation over from those for whom `from` holds.
    fn take(&mut self, kind: Kind, me: usize, from: impl Fn(&Registration) -> bool, before: Option<Kind>) {
        let mine = self.state.registrations[me].clone();
        self.remove(|at, r| at != me && from(r));
        let me = self.state.registrations.iter().position(|r| *r == mine);
        self.hold(kind, me.expect("the sender's registration was kept"));
        if before.is_some_and(|before| before != kind && before.for_registrants()) {
            self.tell_others(Sense::RESERVATIONS_RELEASED);
        }
    }

    /// Removes registrations by preemption and tells their nexuses. False when there were none.
    fn remove(&mut self, which: impl Fn(usize, &Registration) -> bool) -> bool {
        let (removed, kept): (Vec<_>, Vec<_>) = std::mem::take(&mut self.state.registrations)
            .into_iter()
            .enumerate()
            .partition(|(at, registration)| which(*at, registration));
        self.state.registrations = kept.into_iter().map(|(_, r)| r).collect();
        let removed: Vec<Registration> = removed.into_iter().map(|(_, r)| r).collect();
        for registration in &removed {
            if !registration.is(self.nexus) {
                self.attentions.push(Attention {
                    sense: Sense::REGISTRATIONS_PREEMPTED,
                    to: registration.clone(),
                });
            }
        }
        let any = !removed.is_empty();
        self.removed.extend(removed);
        any
    }

    fn register_and_move(
        &mut self,
        out: &Out,
        me: usize,
        port_of: &dyn Fn(u16) -> Option<DevId>,
    ) -> Result<(), Refusal> {
        let target = out.target.as_ref().ok_or(Sense::PARAMETER_LIST_LENGTH)?;
        let kind = self.state.reserved.filter(|_| self.state.holds(me));
        let kind = kind.filter(|kind| !kind.all_registrants()).ok_or(Refusal::Conflict)?;
        if out.action_key == 0 {
            return Err(INVALID_ACTION_KEY);
        }
        let port = port_of(target.rtpid).ok_or(Sense::INVALID_FIELD_IN_PARAMETER_LIST.at_parameter_byte(18))?;
        let to = ItNexus {
            initiator: target.initiator.clone(),
            port,
        };
        let at = self.state.find(&to);
        let sender = same_initiator(&to.initiator, &self.nexus.initiator) && to.port == self.nexus.port;
        if sender || at == Some(me) {
            return Err(Sense::INVALID_FIELD_IN_PARAMETER_LIST.at_parameter_byte(24).into());
        }
        let at = match at {
            Some(at) => at,
            None if self.state.registrations.len() >= MAX_REGISTRATIONS => {
                return Err(Sense::INSUFFICIENT_REGISTRATION_RESOURCES.into());
            }
            None => {
                self.state.registrations.push(Registration {
                    key: 0,
                    initiator: to.initiator,
                    port: to.port,
                    all_ports: false,
                    holder: false,
                });
                self.state.registrations.len() - 1
            }
        };
        self.state.registrations[at].key = out.action_key;
        self.hold(kind, at);
        if target.unregister {
            self.state.registrations.remove(me);
        }
        self.state.aptpl = out.aptpl;
        self.next_generation();
        Ok(())
    }
}
