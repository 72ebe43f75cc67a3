//! The people and the cluster software: right orders, wrong orders, and the proof that things can be put right.

use crate::checker::Verdict;
use crate::rules::Rule;
use crate::world::World;
use std::time::Duration;
use stmf::framework::alua::machine::{Event, LuState};
use stmf::types::AccessState;

const IMPORT: Event = Event::Import { own_path: true };

/// A failover in several steps.
#[derive(Debug, Clone, Copy)]
pub enum Plan {
    /// `stmfLuStandby` was called on the other node; when it succeeds: import here.
    ImportAfterStandby(usize),
    /// The other node is cut off: import here as soon as it counts as unreachable.
    Alone(usize),
    /// The other node is powered off and stays so until the import here has ended.
    Fenced(usize),
}

impl World {
    pub fn operators(&mut self) -> Verdict {
        let n = self.rng.node();
        if !self.nodes[n].up {
            return Ok(());
        }
        match self.rng.below(2_000) {
            0..8 if self.plan.is_none() => self.planned(n),
            8..10 if self.plan.is_none() => self.fenced(n),
            10..14 => {
                self.count("import in any order");
                self.feed(n, IMPORT)
            }
            14..16 => {
                self.count("standby in any order");
                self.feed(n, Event::LuStandby)
            }
            16..18 => self.import_both(),
            18..20 => {
                self.count("disabled");
                self.disable(n)
            }
            20..32 => self.enable(n),
            32 => {
                self.count("deleted");
                self.feed(n, Event::LocalDelete)
            }
            33 => {
                self.count("standby twice");
                self.feed(n, Event::LuStandby)?;
                self.feed(n, Event::LuStandby)
            }
            34..38 if self.plan.is_none() => self.isolated(n),
            38 if self.nodes.iter().all(|node| node.up) => {
                self.count("enabled both");
                self.enable(0)?;
                self.enable(1)
            }
            _ => Ok(()),
        }
    }

    fn import_both(&mut self) -> Verdict {
        self.count("imported on both");
        (0..2)
            .filter(|n| self.nodes[*n].up)
            .collect::<Vec<_>>()
            .into_iter()
            .try_for_each(|n| self.feed(n, IMPORT))
    }

    fn planned(&mut self, to: usize) -> Verdict {
        let from = 1 - to;
        if !self.nodes[from].up {
            return Ok(());
        }
        self.nodes[from].last_reply = None;
        self.plan = Some(Plan::ImportAfterStandby(to));
        self.feed(from, Event::LuStandby)
    }

    /// Power fence, then `aluaadm fenced`, then the import.
    fn fenced(&mut self, to: usize) -> Verdict {
        if self.nodes[1 - to].up {
            self.crash(1 - to);
        }
        self.count("fenced");
        self.nodes[to].fenced = true;
        self.plan = Some(Plan::Fenced(to));
        self.feed(to, IMPORT)
    }

    /// The other node is cut off; it lives, or it cannot reach its disk or its processor. The import goes ahead without a fence.
    fn isolated(&mut self, to: usize) -> Verdict {
        let until = self.now + Duration::from_secs(14) + self.rng.ms(60_000);
        self.busy(1 - to)?;
        self.partitioned = true;
        self.channel.clear();
        match self.rng.below(3) {
            0 => self.nodes[1 - to].stalled_until = until,
            1 => self.nodes[1 - to].frozen_until = until,
            _ => self.count("cut off alive"),
        }
        self.count("isolated");
        self.plan = Some(Plan::Alone(to));
        Ok(())
    }

    pub fn follow_plan(&mut self) -> Verdict {
        match self.plan {
            Some(Plan::ImportAfterStandby(to)) => {
                let from = &self.nodes[1 - to];
                match from.last_reply {
                    None if from.up && from.state != LuState::Absent => return Ok(()),
                    Some(Ok(())) if self.nodes[to].up => {
                        self.count("planned failover");
                        self.plan = None;
                        return self.feed(to, IMPORT);
                    }
                    _ => {}
                }
            }
            Some(Plan::Fenced(to)) => {
                let importing = matches!(
                    self.nodes[to].state,
                    LuState::Building { .. } | LuState::Activating { .. }
                );
                if importing && self.nodes[to].up {
                    return Ok(());
                }
                // The declaration is about this import: afterwards the other node may come back at any time.
                if !self.broken(Rule::FencedIsCleared) {
                    self.nodes[to].fenced = false;
                }
            }
            Some(Plan::Alone(to)) => {
                if self.nodes[to].peer_up && self.partitioned {
                    return Ok(());
                }
                self.plan = None;
                return if self.nodes[to].up {
                    self.feed(to, IMPORT)
                } else {
                    Ok(())
                };
            }
            None => return Ok(()),
        }
        self.plan = None;
        Ok(())
    }

    /// I5, then I3: everything is repaired and enabled again; then the LU goes where the operator wants it.
    pub fn settle(&mut self) -> Verdict {
        self.quiet = true;
        self.partitioned = false;
        self.plan = None;
        for n in 0..2 {
            (self.nodes[n].flush_fails, self.nodes[n].load_fails) = (false, false);
            self.nodes[n].stalled_until = self.now;
            self.nodes[n].frozen_until = self.now;
            // Both nodes get their power back.
            self.nodes[n].fenced &= self.broken(Rule::FencedIsCleared);
            if !self.nodes[n].up {
                self.restart(n)?;
            }
        }
        self.run_for(60)?;
        self.enable(0)?;
        self.enable(1)?;
        self.run_for(20)?;
        self.rest("I5: after re-enable")?;
        let n = self.rng.node();
        self.feed(1 - n, Event::LuStandby)?;
        self.run_for(5)?;
        self.feed(n, IMPORT)?;
        self.run_for(30)?;
        self.rest("I3: after a failover")?;
        if !self.nodes[n].active() {
            return Err(format!(
                "I3: node {n} is {:?} after an import that had to succeed",
                self.nodes[n].state
            ));
        }
        self.count("settled");
        self.quiet = false;
        Ok(())
    }

    /// The table of 6.7 after all messages have arrived.
    fn rest(&self, when: &str) -> Verdict {
        let states = [self.nodes[0].access(), self.nodes[1].access()];
        let (active, standby) = (Some(AccessState::Active), Some(AccessState::Standby));
        let good = match states {
            [a, b] if a == active => b == standby,
            [a, b] if b == active => a == standby,
            [a, b] => ![a, b].contains(&Some(AccessState::TransitionToActive)),
        };
        if good {
            Ok(())
        } else {
            Err(format!("{when}: {states:?}"))
        }
    }

    fn run_for(&mut self, seconds: u64) -> Verdict {
        let end = self.now + Duration::from_secs(seconds);
        while self.now < end {
            self.step()?;
        }
        Ok(())
    }
}
