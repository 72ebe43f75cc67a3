//! What may stand where on a command line of `stmfadm`, for completion.

use crate::cli::Service;
use crate::cli::completion::{Place, guids, texts};
use crate::cli::values::group_name;
use crate::framework::GroupKind;

const CREATE: [&str; 14] = [
    "alias=",
    "blk=",
    "guid=",
    "host-id=",
    "meta=",
    "mgmt-url=",
    "oui=",
    "pid=",
    "serial=",
    "vid=",
    "wcd=true",
    "wcd=false",
    "wp=true",
    "wp=false",
];
const MODIFY: [&str; 6] = ["alias=", "mgmt-url=", "wcd=true", "wcd=false", "wp=true", "wp=false"];

/// Nothing where a file is wanted, or anything.
pub fn values(place: &Place<'_>, service: &dyn Service) -> Vec<String> {
    let groups = |kind| texts(service.group_list(kind));
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    match (place.option, place.subcommand) {
        (Some("lu-prop"), "create-lu") => CREATE.map(str::to_owned).to_vec(),
        (Some("lu-prop"), _) => MODIFY.map(str::to_owned).to_vec(),
        (Some("lu-name"), _) => guids(place, service),
        (Some("host-group"), _) => groups(GroupKind::Host),
        (Some("target-group"), _) => groups(GroupKind::Target),
        (Some("group-name"), "add-hg-member" | "remove-hg-member") => groups(GroupKind::Host),
        (Some("group-name"), _) => groups(GroupKind::Target),
        (Some("prealloc"), _) => words(&["none", "metadata", "full"]),
        (Some("progress"), _) => words(&["always", "never", "json"]),
        (Some("to"), _) => words(&["peer"]),
        (Some("format"), _) => words(&["prometheus"]),
        (Some("node"), _) => words(&["local", "peer", "all"]),
        (Some(_), _) => Vec::new(),
        (None, "modify-lu") if place.has_flag('f', "file") => Vec::new(),
        (
            None,
            "add-view" | "modify-lu" | "delete-lu" | "list-lu" | "online-lu" | "offline-lu" | "status" | "move-lu",
        ) => guids(place, service),
        (None, "delete-hg" | "list-hg") => groups(GroupKind::Host),
        (None, "delete-tg" | "list-tg") => groups(GroupKind::Target),
        (None, "remove-hg-member") => members(GroupKind::Host, place, service),
        (None, "remove-tg-member") => members(GroupKind::Target, place, service),
        (None, "add-tg-member" | "list-target" | "online-target" | "offline-target") => texts(service.target_list()),
        (None, "list-view" | "remove-view") => views(place, service),
        (None, "list-map") => initiators(service),
        (None, _) => Vec::new(),
    }
}

fn members(kind: GroupKind, place: &Place<'_>, service: &dyn Service) -> Vec<String> {
    match place.given('g', "group-name").and_then(group_name) {
        Some(name) => texts(service.group_members(kind, name)),
        None => Vec::new(),
    }
}

/// Those that are in a host group.
fn initiators(service: &dyn Service) -> Vec<String> {
    let groups = service.group_list(GroupKind::Host).unwrap_or_default();
    let members = groups
        .into_iter()
        .map(|name| texts(service.group_members(GroupKind::Host, name)));
    members.flatten().collect()
}

fn views(place: &Place<'_>, service: &dyn Service) -> Vec<String> {
    let guid = place.given('l', "lu-name").and_then(|text| text.parse().ok());
    let views = guid.map(|guid| service.view_list(guid).unwrap_or_default());
    let views = views.unwrap_or_default();
    views.iter().map(|view| view.index.to_string()).collect()
}
