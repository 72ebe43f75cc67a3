//! Which view entry is in the way.

use crate::cli::console::Subject;
use crate::cli::{Service, lu_name, values};
use crate::framework::ViewEntry;
use crate::types::{GroupName, Guid};

/// `view entry exists`: the entry of the same LU that is for the same initiators and targets.
pub fn overlap(subject: &Subject, service: &dyn Service) -> Option<String> {
    let guid = lu_name::parse(subject.invocation.operand(), service).ok()?;
    let entries = service.view_list(guid).ok()?;
    let entry = entries.iter().find(|entry| overlaps(subject, entry))?;
    Some(format!("{} is for the same initiators and targets", words(entry)))
}

/// `LUN already in use`: the entry of another LU that has it.
pub fn lun_user(subject: &Subject, service: &dyn Service) -> Option<String> {
    let lun = values::lun(subject.invocation.value('n')?)?;
    let has = |guid: Guid| {
        let entries = service.view_list(guid).ok()?;
        let entry = entries
            .into_iter()
            .find(|entry| entry.lun == lun && overlaps(subject, entry))?;
        Some((guid, entry))
    };
    let (guid, entry) = service.lu_list().ok()?.into_iter().find_map(has)?;
    Some(format!("logical unit {guid} has it: {}", words(&entry)))
}

/// `group is in use by existing view entry`: the first LU with such an entry.
pub fn group_user(subject: &Subject, group: &str, service: &dyn Service) -> Option<String> {
    let host = subject.subcommand == "delete-hg";
    let names = |entry: &ViewEntry| {
        let named = if host { &entry.host_group } else { &entry.target_group };
        named.as_ref().is_some_and(|name| name.as_str() == group)
    };
    let user = |guid: Guid| {
        let entries = service.view_list(guid).ok()?;
        entries.into_iter().find(names).map(|entry| (guid, entry))
    };
    let (guid, entry) = service.lu_list().ok()?.into_iter().find_map(user)?;
    Some(format!("by logical unit {guid}: {}", words(&entry)))
}

/// As the service compares the entry that was to be added (`cli.md` 2.10).
fn overlaps(subject: &Subject, entry: &ViewEntry) -> bool {
    let alike = |asked: Option<&str>, has: &Option<GroupName>| match (asked, has) {
        (None, _) | (_, None) => true,
        (Some(asked), Some(has)) => asked == has.as_str(),
    };
    alike(subject.invocation.value('h'), &entry.host_group) && alike(subject.invocation.value('t'), &entry.target_group)
}

fn words(entry: &ViewEntry) -> String {
    let group = |name: &Option<GroupName>| name.as_ref().map_or("All".to_owned(), ToString::to_string);
    format!(
        "view entry {} (host group {}, target group {}, LUN {})",
        entry.index,
        group(&entry.host_group),
        group(&entry.target_group),
        entry.lun.get()
    )
}
