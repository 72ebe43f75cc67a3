//! Claims, loads and renewals: the shell around the ownership rules.

use crate::checker::Verdict;
use crate::node::Unit;
use crate::rules::Rule;
use crate::world::World;
use std::time::Duration;
use stmf::framework::PeerView;
use stmf::framework::alua::machine::{Event, ImportFailure};
use stmf::framework::alua::ownership::{self, Claim, Decision, Fence, Found, RENEWAL, Record, Renewal, Sighting};
use stmf::types::{Guid, NodeId, Status};

impl World {
    /// The record still names this node's claim; `false` when it cannot be read.
    pub fn still_ours(&self, n: usize) -> bool {
        let unit = self.nodes[n].unit.as_ref();
        unit.is_none_or(|unit| !self.stalled(n) && unit.claim.holds(&self.store.record()))
    }

    // --- renewal -----------------------------------------------------------------------------------------------------

    pub fn renew(&mut self, n: usize) -> Verdict {
        let Some(unit) = &self.nodes[n].unit else { return Ok(()) };
        if unit.lost || self.stalled(n) || self.now < self.nodes[n].next_renewal {
            return Ok(());
        }
        self.nodes[n].next_renewal = self.now + RENEWAL;
        if self.renewed(n) {
            let now = self.now;
            self.nodes[n].unit.as_mut().expect("checked above").fence.renewed = now;
            return Ok(());
        }
        self.nodes[n].unit.as_mut().expect("checked above").lost = true;
        self.count("ownership lost");
        self.feed(n, Event::OwnershipLost)
    }

    /// Renews the lease: in the record, or in the lease file of the directory.
    fn renewed(&mut self, n: usize) -> bool {
        let unit = self.nodes[n].unit.as_ref().expect("only an open unit is renewed");
        let (claim, lapsed) = (unit.claim, unit.fence.lapsed(self.now));
        let blind = self.broken(Rule::RenewalChecks);
        if !self.store.has_lock(n) && !blind {
            return false;
        }
        if !self.store.leases_in_directory {
            return match ownership::renew(&claim, &self.store.record(), 0) {
                Renewal::Write(record) => {
                    self.store.write_record(&record);
                    true
                }
                Renewal::Lost if blind => {
                    self.store.write_record(&self.record_of(n, claim.generation));
                    true
                }
                Renewal::Lost => false,
            };
        }
        let lease_claim = Claim { generation: 0, ..claim };
        let Renewal::Write(lease) = ownership::renew(&lease_claim, &self.store.lease(n), 0) else {
            return false;
        };
        self.store.write_lease(n, &lease);
        // The lease says that the owner lives, not what it owns.
        blind || !lapsed || self.broken(Rule::RecordAfterLapse) || claim.holds(&self.store.record())
    }

    fn record_of(&self, n: usize, generation: u64) -> Record {
        let index = u8::try_from(n).expect("two nodes");
        let node = NodeId::new(index).expect("0 or 1");
        let lease = Record::lease_file(self.nodes[n].id, self.nodes[n].incarnation, node);
        Record {
            guid: Guid([0x60; 16]),
            lease_in_directory: self.store.leases_in_directory,
            generation,
            ..lease
        }
    }

    // --- claim -------------------------------------------------------------------------------------------------------

    pub fn claim(&mut self, n: usize) -> Verdict {
        let boot = self.nodes[n].import.as_ref().is_some_and(|import| import.boot);
        let blind = self.broken(Rule::ClaimDecides) || boot && self.broken(Rule::BootClaims);
        let import = self.nodes[n].import.as_ref().expect("a claim belongs to an import");
        if let Some(found) = import.previous {
            // Who has lost his lock cannot write any more.
            return match self.store.has_lock(n) || blind {
                true => self.write_claim(n, found),
                false => self.import_failed(n, ImportFailure::Refused),
            };
        }
        if !self.store.try_lock(n) && !blind {
            self.count("lock refused");
            return self.import_failed(n, ImportFailure::Refused);
        }
        let latest = self.look();
        let peer = self.peer_view(n);
        let import = self.nodes[n].import.as_mut().expect("a claim belongs to an import");
        let first = *import.first.get_or_insert(latest);
        let word = matches!(latest.record, Found::Valid(record) if !record.released
            && record.owner != self.nodes[n].id && peer.given_up == Some(record.generation));
        if word {
            self.count("claimed what the peer gave up");
        }
        match self.decide(n, &peer, &first, &latest) {
            Decision::Refuse if !blind => {
                self.count("claim refused");
                self.import_failed(n, ImportFailure::Refused)
            }
            Decision::WaitAndWatch { .. } if !blind => {
                self.count("claim watched");
                self.nodes[n].job_due = self.now + Duration::from_secs(1);
                Ok(())
            }
            _ => {
                let import = self.nodes[n].import.as_mut().expect("a claim belongs to an import");
                import.previous = Some(latest.record);
                // Look and write are one to other nodes only because of the lock.
                if self.store.shared_locks {
                    Ok(())
                } else {
                    self.write_claim(n, latest.record)
                }
            }
        }
    }

    fn look(&self) -> Sighting {
        let record = self.store.record();
        let lease = match record {
            Found::Valid(record) if record.lease_in_directory => {
                let owner = (0..2)
                    .find(|n| self.nodes[*n].id == record.owner)
                    .expect("two installations");
                Some(self.store.lease(owner)).filter(|lease| *lease != Found::Blank)
            }
            _ => None,
        };
        let at = self.now;
        Sighting { record, lease, at }
    }

    fn write_claim(&mut self, n: usize, found: Found) -> Verdict {
        let record = Record::claimed(self.record_of(n, 0), &found);
        if self.store.leases_in_directory {
            let counter = match self.store.lease(n) {
                Found::Valid(lease) => lease.counter + 1,
                _ => 1,
            };
            let guid = Guid([0; 16]);
            let lease = Record {
                counter,
                guid,
                lease_in_directory: false,
                ..self.record_of(n, 0)
            };
            self.store.write_lease(n, &lease);
        }
        self.store.write_record(&record);
        let (now, node) = (self.now, &mut self.nodes[n]);
        node.unit = Some(Unit {
            claim: record.claim(),
            fence: Fence {
                renewed: now,
                lease: record.lease(),
            },
            reservation: 0,
            lost: false,
        });
        node.next_renewal = now + RENEWAL;
        node.job.pop_front();
        Ok(())
    }

    fn decide(&self, n: usize, peer: &PeerView, first: &Sighting, latest: &Sighting) -> Decision {
        let decision = ownership::decide(&self.nodes[n].id, peer, first, latest);
        let watched = latest.at >= first.at + Duration::from_secs(15);
        match decision {
            Decision::WaitAndWatch { .. } if self.broken(Rule::TakeoverWait) => Decision::Grant,
            Decision::WaitAndWatch { .. }
                if self.broken(Rule::SaysIsOldNews) && peer.says.is_some() && peer.reachable =>
            {
                Decision::Grant
            }
            Decision::Refuse if self.broken(Rule::LeaseMovement) && !peer.reachable => {
                if watched {
                    Decision::Grant
                } else {
                    Decision::WaitAndWatch { until: latest.at }
                }
            }
            decision => decision,
        }
    }

    pub fn load(&mut self, n: usize) -> Verdict {
        let import = self.nodes[n].import.as_ref().expect("a load belongs to an import");
        let previous = import.previous.expect("the claim is written");
        let unit = self.nodes[n].unit.as_ref().expect("claimed");
        let (generation, ours) = (unit.claim.generation, unit.claim.holds(&self.store.record()));
        if !ours && !self.broken(Rule::ClaimDecides) && !self.broken(Rule::BootClaims) {
            self.close(n);
            return self.import_failed(n, ImportFailure::Refused);
        }
        if std::mem::take(&mut self.nodes[n].load_fails) {
            self.count("load failed");
            self.store.restore_record(&previous);
            let reservation = self.checker.reservation;
            self.close(n);
            self.checker.reservation = reservation;
            return self.import_failed(n, ImportFailure::Failed(Status::DataFileName));
        }
        let planned = matches!(previous, Found::Valid(record) if record.handover_valid());
        let reservation = match self.store.handover {
            Some((_, state)) if self.broken(Rule::HandoverGeneration) => state,
            Some((generation, state)) if planned && generation == previous.generation() => state,
            _ => 0,
        };
        self.checker.loaded(reservation, planned)?;
        // Not before: a claim that is undone leaves a hanging owner what it has.
        self.forsake(1 - n);
        let node = &mut self.nodes[n];
        node.unit.as_mut().expect("claimed").reservation = reservation;
        node.job.clear();
        node.import = None;
        if !self.broken(Rule::InvalidateCaches) {
            self.nodes[n].cache = Default::default();
        }
        self.count("imported");
        self.feed(n, Event::ImportOk { generation })
    }

    fn import_failed(&mut self, n: usize, why: ImportFailure) -> Verdict {
        self.store.unlock(n);
        self.nodes[n].job.clear();
        self.nodes[n].import = None;
        self.feed(n, Event::ImportFailed(why))
    }
}
