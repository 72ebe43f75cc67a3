//! MODE SENSE(6) and (10) (SPC-4 6.13, 6.14), MODE SELECT(6) and (10) (SPC-4 6.11, 6.12).

use super::super::lu::Lu;
use super::super::sys::Mode;
use super::access::{self, Access, Step};
use super::{Action, Call, Command, Job, any_fields, cut, exact_list};
use crate::framework::Outcome;
use crate::scsi::mode::{self, PageControl, Selection};
use crate::scsi::{Sense, cdb};
use std::fs::File;
use std::io;

pub const COMMANDS: &[Command] = &[
    Command {
        usage: &[0x1a, 0x08, 0xff, 0xff, 0xff, 4],
        service_action: None,
        writes: false,
        medium: false,
        fields: any_fields,
        action: Action::Data(|call| Ok(cut(pages(call, false)?, u32::from(call.cdb[4])))),
    },
    Command {
        usage: &[0x5a, 0x18, 0xff, 0xff, 0, 0, 0, 0xff, 0xff, 4],
        service_action: None,
        writes: false,
        medium: false,
        fields: any_fields,
        action: Action::Data(|call| Ok(cut(pages(call, true)?, u32::from(cdb::be16(call.cdb, 7))))),
    },
    select(&[0x15, 0x11, 0, 0, 0xff, 4], |call| {
        exact_list(call, u32::from(call.cdb[4]))
    }),
    select(&[0x55, 0x11, 0, 0, 0, 0, 0, 0xff, 0xff, 4], |call| {
        exact_list(call, u32::from(cdb::be16(call.cdb, 7)))
    }),
];

const SAVE_PAGES: u8 = 0x01;
const PAGE_FORMAT: u8 = 0x10;

const fn select(usage: &'static [u8], want: fn(&Call<'_>) -> Result<u32, Outcome>) -> Command {
    Command {
        usage,
        service_action: None,
        writes: false,
        medium: false,
        fields: select_fields,
        action: Action::Store { want, run: mode_select },
    }
}

/// PF must be set; SP may be.
fn select_fields(call: &Call<'_>) -> Result<(), Sense> {
    match call.cdb[1] & !SAVE_PAGES {
        PAGE_FORMAT => Ok(()),
        _ => Err(Sense::INVALID_FIELD_IN_CDB.at_cdb_byte(1)),
    }
}

fn mode_select(job: Job) {
    const MODE_SELECT_10: u8 = 0x55;
    let long = job.cdb[0] == MODE_SELECT_10;
    match mode::select(&job.lu.mode_medium(), long, &job.data) {
        Err(sense) => (job.done)(Outcome::check(sense)),
        Ok(selection) => {
            let change = Change {
                selection,
                save: job.cdb[1] & SAVE_PAGES != 0,
                sender: job.nexus.id,
                implied: job.data.len() as u64,
            };
            access::run(job.into_task(), change);
        }
    }
}

struct Change {
    selection: Selection,
    save: bool,
    sender: u64,
    implied: u64,
}

impl Access for Change {
    fn step(self, lu: &Lu, file: &File, mode: Mode) -> Step<Self> {
        if mode != Mode::Wait {
            return Step::Pool(self);
        }
        Step::Done(match self.apply(lu, file) {
            Ok(()) => Outcome::data_out(self.implied),
            Err(error) => {
                log::error!("{}: changing mode parameters: {error}", lu.medium().path());
                Outcome::check(Sense::WRITE_ERROR)
            }
        })
    }
}

impl Change {
    fn apply(&self, lu: &Lu, file: &File) -> io::Result<()> {
        let before = lu.mode_medium();
        let Selection {
            write_cache,
            software_protected,
        } = self.selection;
        if self.save && write_cache != before.write_cache_saved {
            lu.save_write_cache(write_cache)?;
        }
        // In force first, so that no write comes between the flush and the new rule.
        lu.set_mode(write_cache, software_protected);
        if before.write_cache && !write_cache {
            lu.medium().flush(file)?;
        }
        if (before.write_cache, before.software_protected) != (write_cache, software_protected) {
            lu.attention(Sense::MODE_PARAMETERS_CHANGED, &|nexus| nexus.id != self.sender);
        }
        Ok(())
    }
}

fn pages(call: &Call<'_>, long: bool) -> Result<Vec<u8>, Sense> {
    let control = PageControl::from_bits(call.cdb[2] >> 6);
    mode::sense(&call.lu.mode_medium(), long, control, call.cdb[2] & 0x3f, call.cdb[3])
}
