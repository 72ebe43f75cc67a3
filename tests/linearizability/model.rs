//! What one caller alone would see (`libstmf-api.md` 3.4, 3.5, 3.9, 5).

use crate::history::{Op, Outcome};
use std::collections::BTreeMap;
use stmf::types::Status;

/// The small configuration, of which a history of one part changes one part.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Model {
    /// In order of creation, members in order of addition.
    groups: Vec<(u8, Vec<u8>)>,
    /// By GUID and index: host group, LUN.
    views: BTreeMap<(u8, u32), (Option<u8>, u16)>,
    alias: u32,
    online: bool,
    url: Option<u32>,
    data: Option<(u32, Token)>,
    /// No later token is this one or below.
    last_token: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Token {
    Known(u64),
    /// Of a set that was not answered: above this.
    Above(u64),
}

impl Default for Model {
    fn default() -> Model {
        Model {
            groups: Vec::new(),
            views: BTreeMap::new(),
            alias: 0,
            online: true,
            url: None,
            data: None,
            last_token: 0,
        }
    }
}

impl Model {
    /// The configuration after the call, if the call may have this outcome now; without an outcome any will do.
    pub fn step(&self, op: &Op, outcome: Option<&Outcome>) -> Option<Model> {
        let mut next = self.clone();
        if let Op::DataSet(_, value, token) = op {
            return next.set_data(*value, *token, outcome).then_some(next);
        }
        // The LU was on its way; nothing happened.
        if let (Op::LuOnline(..), Some(Outcome::Failed(Status::Busy))) = (op, outcome) {
            return Some(next);
        }
        if let (Op::DataGet(_), Some(Outcome::Data(_, told))) = (op, outcome) {
            next.learn(*told);
        }
        let expected = next.run(op);
        outcome.is_none_or(|outcome| *outcome == expected).then_some(next)
    }

    fn run(&mut self, op: &Op) -> Outcome {
        let result = match op {
            Op::GroupCreate(group) => self.create(*group),
            Op::GroupDelete(group) => self.delete(*group),
            Op::MemberAdd(group, member) => self.add(*group, *member),
            Op::MemberRemove(group, member) => self.remove(*group, *member),
            Op::Members(group) => match self.group(*group) {
                Some(at) => Ok(Outcome::List(self.groups[at].1.clone())),
                None => Err(Status::NotFound),
            },
            Op::ViewAdd(guid, group, lun) => self.add_view(*guid, *group, *lun),
            Op::ViewRemove(guid, index) => match self.views.remove(&(*guid, *index)) {
                Some(_) => Ok(Outcome::Done),
                None => Err(Status::NotFound),
            },
            Op::DataClear(_) => match self.data.take() {
                Some(_) => Ok(Outcome::Done),
                None => Err(Status::NotFound),
            },
            Op::AliasSet(_, alias) => {
                self.alias = *alias;
                Ok(Outcome::Done)
            }
            Op::LuOnline(_, online) => {
                self.online = *online;
                Ok(Outcome::Done)
            }
            Op::UrlSet(url) => {
                self.url = Some(*url);
                Ok(Outcome::Done)
            }
            other => Ok(self.look(other)),
        };
        result.unwrap_or_else(Outcome::Failed)
    }

    fn look(&self, op: &Op) -> Outcome {
        match op {
            Op::GroupList => Outcome::List(self.groups.iter().map(|(group, _)| *group).collect()),
            Op::ViewList(guid) => {
                let mine = self.views.iter().filter(|((of, _), _)| of == guid);
                Outcome::Views(mine.map(|((_, index), (group, lun))| (*index, *group, *lun)).collect())
            }
            Op::GuidList => {
                let mut guids: Vec<u8> = self.views.keys().map(|(guid, _)| *guid).collect();
                guids.dedup();
                Outcome::List(guids)
            }
            Op::AliasGet(_) => Outcome::Value(Some(self.alias)),
            Op::LuState(_) => Outcome::Online(self.online),
            Op::UrlGet => Outcome::Value(self.url),
            Op::DataGet(_) => match self.data {
                Some((value, Token::Known(token))) => Outcome::Data(value, token),
                Some((value, Token::Above(_))) => Outcome::Value(Some(value)),
                None => Outcome::Failed(Status::NotFound),
            },
            other => unreachable!("{other:?} changes something"),
        }
    }

    fn group(&self, group: u8) -> Option<usize> {
        self.groups.iter().position(|(known, _)| *known == group)
    }

    fn create(&mut self, group: u8) -> Result<Outcome, Status> {
        if self.group(group).is_some() {
            return Err(Status::Exists);
        }
        self.groups.push((group, Vec::new()));
        Ok(Outcome::Done)
    }

    fn delete(&mut self, group: u8) -> Result<Outcome, Status> {
        let at = self.group(group).ok_or(Status::NotFound)?;
        if self.views.values().any(|(of, _)| *of == Some(group)) {
            return Err(Status::GroupInUse);
        }
        self.groups.remove(at);
        Ok(Outcome::Done)
    }

    fn add(&mut self, group: u8, member: u8) -> Result<Outcome, Status> {
        let at = self.group(group).ok_or(Status::GroupNotFound)?;
        if self.groups.iter().any(|(_, members)| members.contains(&member)) {
            return Err(Status::Exists);
        }
        self.groups[at].1.push(member);
        Ok(Outcome::Done)
    }

    fn remove(&mut self, group: u8, member: u8) -> Result<Outcome, Status> {
        let at = self.group(group).ok_or(Status::GroupNotFound)?;
        let members = &mut self.groups[at].1;
        let place = members.iter().position(|known| *known == member);
        members.remove(place.ok_or(Status::MemberNotFound)?);
        Ok(Outcome::Done)
    }

    fn add_view(&mut self, guid: u8, group: Option<u8>, lun: Option<u16>) -> Result<Outcome, Status> {
        if group.is_some_and(|group| self.group(group).is_none()) {
            return Err(Status::InvalidHg);
        }
        let overlaps = |other: &Option<u8>| group.is_none() || other.is_none() || *other == group;
        if self
            .views
            .iter()
            .any(|((of, _), (other, _))| *of == guid && overlaps(other))
        {
            return Err(Status::VeConflict);
        }
        let taken = |lun: u16| self.views.values().any(|(other, used)| *used == lun && overlaps(other));
        let lun = match lun {
            Some(lun) if taken(lun) => return Err(Status::LunInUse),
            Some(lun) => lun,
            None => (0..).find(|lun| !taken(*lun)).expect("few entries"),
        };
        let index = (0..).find(|index| !self.views.contains_key(&(guid, *index)));
        let index = index.expect("few entries");
        self.views.insert((guid, index), (group, lun));
        Ok(Outcome::View(index, lun))
    }

    /// True when the outcome is possible.
    fn set_data(&mut self, value: u32, wanted: Option<u64>, outcome: Option<&Outcome>) -> bool {
        let current = match self.data {
            None => Some(0),
            Some((_, Token::Known(token))) => Some(token),
            Some((_, Token::Above(_))) => None,
        };
        match outcome {
            Some(Outcome::Failed(Status::ProvDataStale)) => wanted.is_some_and(|wanted| current != Some(wanted)),
            Some(Outcome::Token(new)) => {
                if let (Some(wanted), None) = (wanted, current) {
                    self.learn(wanted);
                }
                let fits = wanted.is_none_or(|wanted| current.is_none_or(|current| current == wanted));
                let newer = *new > self.last_token;
                self.data = Some((value, Token::Known(*new)));
                self.last_token = self.last_token.max(*new);
                fits && newer
            }
            Some(_) => false,
            None => {
                if wanted.is_none_or(|wanted| current.is_none_or(|current| current == wanted)) {
                    self.data = Some((value, Token::Above(self.last_token)));
                }
                true
            }
        }
    }

    /// The token of a set that was not answered.
    fn learn(&mut self, told: u64) {
        if let Some((value, Token::Above(least))) = self.data
            && told > least
        {
            self.data = Some((value, Token::Known(told)));
            self.last_token = told;
        }
    }
}
