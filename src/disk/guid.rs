//! Generation of GUIDs (`libstmf-api.md` 4.5).
#![forbid(unsafe_code)]

use crate::types::{Guid, LuProperties};
use parking_lot::Mutex;
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

const COMPANY_ID: u32 = 0x0000_144f;

/// The first GUID that is not `taken`, `None` when 65536 in a row are.
pub fn generate(properties: &LuProperties, taken: &dyn Fn(&Guid) -> bool) -> Option<Guid> {
    static LAST: Mutex<(u32, u16)> = Mutex::new((0, 0));
    let company = properties.company_id.unwrap_or(COMPANY_ID);
    let host = properties.host_id.map_or_else(host_part, of_host_id);
    (0..=u16::MAX).find_map(|_| {
        let (second, counter) = {
            let mut last = LAST.lock();
            *last = next(*last, seconds());
            *last
        };
        let guid = compose(company, host, second, counter);
        (!taken(&guid)).then_some(guid)
    })
}

/// Time and counter after these: the counter begins with 1 in each second, and no pair comes twice, also when the clock is
/// set back.
fn next(last: (u32, u16), now: u32) -> (u32, u16) {
    match last {
        (second, _) if now > second => (now, 1),
        (second, counter) => (second, counter.wrapping_add(1)),
    }
}

/// Lays the parts out.
fn compose(company: u32, host: [u8; 6], seconds: u32, counter: u16) -> Guid {
    let head = 0x6000_0000 | (company & 0x00ff_ffff) << 4;
    let mut guid = [0; 16];
    guid[..4].copy_from_slice(&head.to_be_bytes());
    guid[4..10].copy_from_slice(&host);
    guid[10..14].copy_from_slice(&seconds.to_be_bytes());
    guid[14..].copy_from_slice(&counter.to_be_bytes());
    Guid(guid)
}

/// The low 32 bits of the time, enough to tell GUIDs of one host apart.
fn seconds() -> u32 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u32::try_from(since.as_secs() & u64::from(u32::MAX)).unwrap_or(0)
}

fn of_host_id(id: u32) -> [u8; 6] {
    let [a, b, c, d] = id.to_be_bytes();
    [a, b, c, d, 0, 0]
}

fn host_part() -> [u8; 6] {
    static HOST: OnceLock<[u8; 6]> = OnceLock::new();
    // Two hosts without any identity must not make the same GUID in the same second.
    let random = || getrandom::u32().unwrap_or_else(|_| std::process::id());
    *HOST.get_or_init(|| ethernet_address().unwrap_or_else(|| of_host_id(host_id().unwrap_or_else(random))))
}

/// Address of the first interface, in name order, that has a non-zero universally administered one.
fn ethernet_address() -> Option<[u8; 6]> {
    const LOCALLY_ADMINISTERED: u8 = 0x02;
    let mut interfaces: Vec<_> = std::fs::read_dir("/sys/class/net").ok()?.flatten().collect();
    interfaces.sort_by_key(std::fs::DirEntry::file_name);
    interfaces
        .iter()
        .filter(|interface| interface.file_name() != "lo")
        .filter_map(|interface| std::fs::read_to_string(interface.path().join("address")).ok())
        .filter_map(|text| parse_address(text.trim()))
        .find(|address| *address != [0; 6] && address[0] & LOCALLY_ADMINISTERED == 0)
}

fn parse_address(text: &str) -> Option<[u8; 6]> {
    let bytes: Option<Vec<u8>> = text.split(':').map(|b| u8::from_str_radix(b, 16).ok()).collect();
    bytes?.try_into().ok()
}

/// `/etc/hostid` as gethostid(3) has it, else the start of the machine id.
fn host_id() -> Option<u32> {
    let configured = std::fs::read("/etc/hostid").ok();
    let configured = configured.and_then(|bytes| bytes.first_chunk().copied());
    let machine = std::fs::read_to_string("/etc/machine-id").unwrap_or_default();
    let machine = || u32::from_str_radix(machine.get(..8)?, 16).ok();
    configured
        .map(u32::from_ne_bytes)
        .or_else(machine)
        .filter(|id| *id != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout() {
        let guid = compose(0x0000_144f, of_host_id(0xc0ff_ee00), 0x5a3c_817e, 1);
        assert_eq!(guid.to_string(), "600144F0C0FFEE0000005A3C817E0001");
        assert_eq!(compose(0xffff_ffff, [0; 6], 0, 0).to_string()[..8], *"6FFFFFF0");
    }

    #[test]
    fn the_counter_begins_with_one_in_each_second() {
        assert_eq!(next((0, 0), 7), (7, 1));
        assert_eq!(next((7, 1), 7), (7, 2));
        assert_eq!(next((7, 2), 8), (8, 1));
        assert_eq!(next((8, 1), 3), (8, 2), "the clock was set back");
    }

    #[test]
    fn taken_ones_are_skipped() {
        let properties = LuProperties::default();
        let first = generate(&properties, &|_| false).unwrap();
        let seen = std::cell::RefCell::new(Vec::new());
        let next = generate(&properties, &|guid| {
            seen.borrow_mut().push(*guid);
            seen.borrow().len() < 3
        });
        assert_eq!(seen.borrow().len(), 3);
        assert!(first != next.unwrap() && first.is_naa6());
        assert_eq!(generate(&properties, &|_| true), None);
    }

    #[test]
    fn addresses() {
        assert_eq!(
            parse_address("00:14:4f:a0:b1:c2"),
            Some([0, 0x14, 0x4f, 0xa0, 0xb1, 0xc2])
        );
        assert_eq!(parse_address(""), None);
        assert_eq!(parse_address("00:00:00:00:00:00:00:00"), None);
    }
}
