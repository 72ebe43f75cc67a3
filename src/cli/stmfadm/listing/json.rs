//! The elements of `list-lu --json` (`cli.md` 10.1), which `status --json` adds to (10.2).

use crate::cli::document::set;
use crate::cli::text::state_lower;
use crate::cli::{Console, Service};
use crate::framework::{AccessReport, LuInfo};
use crate::types::{AccessState, Guid};
use serde::Serialize;

/// What a standby node cannot tell.
const STORED: [&str; 10] = [
    "data_file",
    "meta_file",
    "size",
    "block_size",
    "management_url",
    "vendor_id",
    "product_id",
    "serial",
    "write_protect",
    "writeback_cache",
];

/// An LU; `None` is `null`: not set, or not known.
#[derive(Debug, Default, Serialize)]
pub struct Lu {
    guid: String,
    status: &'static str,
    provider: Option<String>,
    alias: Option<String>,
    view_entry_count: Option<usize>,
    data_file: Option<String>,
    meta_file: Option<String>,
    size: Option<u64>,
    block_size: Option<u32>,
    management_url: Option<String>,
    vendor_id: Option<String>,
    product_id: Option<String>,
    serial: Option<String>,
    write_protect: Option<bool>,
    writeback_cache: Option<bool>,
    access_state: Option<&'static str>,
    unavailable: Vec<&'static str>,
}

/// Reads an LU and adds it to the list; failures are told as in the list for people.
pub fn lu(guid: Guid, service: &dyn Service, console: &mut Console<'_>, list: &mut Vec<Lu>) -> u8 {
    let Some(info) = super::info(guid, service, console) else {
        return 1;
    };
    let mut lu = Lu::new(&info, service.view_list(guid).ok().map(|views| views.len()));
    let mut exit = 0;
    if info.state.is_some() {
        match super::resource(guid, service, console) {
            Some(report) => lu.fill(&report),
            None => exit = 1,
        }
    }
    list.push(lu);
    exit
}

impl Lu {
    /// What every LU has.
    pub fn new(info: &LuInfo, view_entry_count: Option<usize>) -> Lu {
        Lu {
            guid: info.guid.to_string(),
            status: info.state.map_or("unregistered", state_lower),
            provider: set(&info.provider).map(str::to_owned),
            alias: set(&info.alias).map(str::to_owned),
            view_entry_count,
            ..Lu::default()
        }
    }

    /// The peer has told its size.
    pub fn know_size(&mut self, size: u64) {
        self.size = Some(size);
        self.unavailable.retain(|key| *key != "size");
    }

    /// What a loaded LU has.
    pub fn fill(&mut self, report: &AccessReport) {
        let properties = &report.properties;
        self.access_state = Some(access(report.access));
        if report.access != AccessState::Active {
            self.unavailable = STORED.to_vec();
            return;
        }
        let text = |text: &Option<String>| text.as_deref().and_then(set).map(str::to_owned);
        let trimmed = |text: &Option<String>| text.as_deref().map(str::trim_end).and_then(set).map(str::to_owned);
        self.data_file = text(&properties.data_file);
        self.meta_file = super::separate_meta(properties).map(str::to_owned);
        self.size = properties.size;
        self.block_size = properties.block_size;
        self.management_url = text(&properties.mgmt_url);
        self.vendor_id = trimmed(&properties.vendor);
        self.product_id = trimmed(&properties.product);
        self.serial = text(&properties.serial);
        self.write_protect = properties.write_protect;
        self.writeback_cache = properties.write_cache_disable.map(|disabled| !disabled);
    }
}

/// Access states have both ends in transition.
fn access(access: AccessState) -> &'static str {
    match access {
        AccessState::Active => "active",
        AccessState::Standby => "standby",
        AccessState::TransitionToStandby => "active-to-standby",
        AccessState::TransitionToActive => "standby-to-active",
    }
}
