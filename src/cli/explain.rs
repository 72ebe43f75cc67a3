//! `--explain` (`cli.md` 10.7): the line behind an error, which may be as thin as `data file error`. It is found out after the
//! failure, by looking: at the file, at what the service has. What cannot be said with reason is not said.
#![forbid(unsafe_code)]

mod close;
mod store;
mod view;

use super::console::Subject;
use super::text::printable;
use super::{Console, Service, lu_name};
use crate::framework::GroupKind;
use crate::types::Status;

/// The property names of an LU.
const PROPERTIES: [&str; 12] = [
    "alias", "blk", "guid", "host-id", "meta", "mgmt-url", "oui", "pid", "serial", "vid", "wcd", "wp",
];

/// Is `--explain` among the words before a `--`?
pub fn asked(arguments: &[String]) -> bool {
    arguments
        .iter()
        .take_while(|word| *word != "--")
        .any(|word| word == "--explain")
}

/// The name that may have been meant.
pub fn offer<'a>(typed: &str, names: impl IntoIterator<Item = &'a str>, console: &mut Console<'_>) {
    if let Some(name) = close::closest(typed, names) {
        tell(&meant(name), console);
    }
}

/// What is behind the errors of the command that has just ended.
pub fn failures(service: &dyn Service, console: &mut Console<'_>) {
    let prefix = format!("{}: ", console.tool());
    for complaint in console.take_complaints() {
        let message = complaint.strip_prefix(&prefix).unwrap_or(&complaint);
        if let Some(text) = detail(console.subject(), message, service) {
            tell(&text, console);
        }
    }
}

fn tell(text: &str, console: &mut Console<'_>) {
    let line = format!("{}: detail: {}\n", console.tool(), printable(text));
    console.error_text(line);
}

fn meant(name: &str) -> String {
    format!("did you mean {name}?")
}

/// What is behind an error line, without the tool's name; `None`: there is nothing to add.
pub fn detail(subject: &Subject, message: &str, service: &dyn Service) -> Option<String> {
    let message = message.trim_end_matches(['!', '\n']);
    if let Some(name) = message.strip_prefix("invalid property specified: ") {
        return close::closest(&name.to_ascii_lowercase(), PROPERTIES).map(meant);
    }
    if let Some(rest) = message.strip_prefix("unable to set ") {
        return rest.split(':').next().and_then(property).map(str::to_owned);
    }
    if let Some((_, number)) = message
        .rsplit_once(": ")
        .filter(|(before, _)| before.starts_with("could not set property") || *before == "unknown error")
    {
        let status = Status::ALL.iter().find(|status| status.code().to_string() == number);
        return status.map(|status| format!("{number} is: {status}"));
    }
    if let Some(text) = iscsi(message, service) {
        return Some(text);
    }
    let (about, reason) = match message.rsplit_once(": ") {
        Some((about, reason)) => (about, reason),
        None => ("", message),
    };
    match reason {
        "data file error"
        | "meta file error"
        | "could not create meta file"
        | "file size invalid"
        | "unknown error" => store::detail(subject, reason),
        "permission denied" => {
            store::detail(subject, reason).or_else(|| Some("root and the group of stmfd's door may do this".to_owned()))
        }
        "invalid block size" => Some("a block size is a power of two, 512 to 32768".to_owned()),
        "STMF service not found" => Some("stmfd does not answer: systemctl status stmfd.service".to_owned()),
        "STMF service version incorrect" => {
            Some("the stored configuration is of another version, or damaged: see the log of stmfd".to_owned())
        }
        "resource busy" => Some("another command is at work on it, or commands of hosts still run".to_owned()),
        "cannot modify while in standby mode" => Some("it can be changed on the node where it is active".to_owned()),
        "STMF target must be offline" => Some("stmfadm offline-target takes it offline".to_owned()),
        "unrecognized device id" => Some(format!(
            "{about}: must be iqn.NAME, or eui. or wwn. and 16 hexadecimal digits"
        )),
        "in use" => about.strip_prefix("filename ").and_then(|path| {
            let guid = lu_name::parse(&format!("file:{path}"), service).ok()?;
            Some(format!("{path} is the store of logical unit {guid}"))
        }),
        "must be 32 hexadecimal digits" | "must be 32 hexadecimal digits long" => {
            let name = format!("alias:{about}");
            lu_name::parse(&name, service).ok().map(|_| meant(&name))
        }
        "view entry exists" => view::overlap(subject, service),
        "LUN already in use" => view::lun_user(subject, service),
        "group is in use by existing view entry" => view::group_user(subject, about, service),
        "invalid host group" => group(subject.invocation.value('h')?, GroupKind::Host, service),
        "invalid target group" => group(subject.invocation.value('t')?, GroupKind::Target, service),
        "already exists" => member(subject, about, service),
        "not found" => missing(subject, about, service),
        _ => None,
    }
}

/// The form of an LU property.
fn property(name: &str) -> Option<&'static str> {
    Some(match name.to_ascii_lowercase().as_str() {
        "alias" => "alias has up to 255 bytes",
        "blk" => "blk is a decimal number, a power of two from 512 to 32768",
        "guid" => "guid has 32 hexadecimal digits",
        "host-id" => "host-id has 8 hexadecimal digits that are not all zero",
        "meta" => "meta is the absolute path of a file",
        "mgmt-url" => "mgmt-url has up to 1023 bytes",
        "oui" => "oui has 6 hexadecimal digits that are not all zero",
        "pid" => "pid has up to 16 bytes",
        "serial" => "serial has up to 252 bytes",
        "vid" => "vid has up to 8 bytes",
        "wcd" | "wp" => "the value is true or false",
        _ => return None,
    })
}

fn group(typed: &str, kind: GroupKind, service: &dyn Service) -> Option<String> {
    let names = service.group_list(kind).ok()?;
    close::closest(typed, names.iter().map(|name| name.as_str())).map(meant)
}

/// Of the groups that a subcommand is about.
fn kind(subcommand: &str) -> Option<GroupKind> {
    if subcommand.contains("-hg") {
        return Some(GroupKind::Host);
    }
    subcommand.contains("-tg").then_some(GroupKind::Target)
}

/// The group that has a member already.
fn member(subject: &Subject, about: &str, service: &dyn Service) -> Option<String> {
    let kind = kind(subject.subcommand).filter(|_| subject.subcommand.ends_with("-member"))?;
    let member = super::values::device_id(about)?;
    let names = service.group_list(kind).ok()?;
    let holds = |name: &&crate::types::GroupName| {
        let members = service.group_members(kind, (*name).clone());
        members.is_ok_and(|members| members.contains(&member))
    };
    let holder = names.iter().find(holds)?;
    Some(format!("{about} is a member of {} {holder}", kind.word()))
}

/// What may have been meant instead of an object that does not exist.
fn missing(subject: &Subject, about: &str, service: &dyn Service) -> Option<String> {
    if let Some(kind) = kind(subject.subcommand) {
        return group(about, kind, service);
    }
    if subject.subcommand.ends_with("-target") {
        let targets: Vec<String> = service.target_list().ok()?.iter().map(ToString::to_string).collect();
        return close::closest(about, targets.iter().map(String::as_str)).map(meant);
    }
    let guids: Vec<String> = service.lu_list().ok()?.iter().map(ToString::to_string).collect();
    let typed = about.to_ascii_uppercase();
    close::closest(&typed, guids.iter().map(String::as_str)).map(meant)
}

/// The lines of `itadm`.
fn iscsi(message: &str, service: &dyn Service) -> Option<String> {
    let between = |before: &str, after: &str| message.strip_prefix(before)?.strip_suffix(after);
    if let Some(typed) = between("Target ", " not found") {
        let names = service.iscsi_listing().ok()?.targets;
        return close::closest(typed, names.iter().map(|it| it.name.as_str())).map(meant);
    }
    let group = between("Invalid tpg-tag ", ", tag not defined")
        .or_else(|| between("Invalid tpg-name ", ": not defined"))
        .or_else(|| between("Target portal group ", " does not exist"));
    if let Some(typed) = group {
        let names = service.iscsi_listing().ok()?.groups;
        return close::closest(typed, names.iter().map(|it| it.name.as_str())).map(meant);
    }
    let portal = between("Portal ", " already in use")?;
    let groups = service.iscsi_listing().ok()?.groups;
    let holds = |text: String| text == portal || text.rsplit_once(':').is_some_and(|(address, _)| address == portal);
    let holder = groups
        .iter()
        .find(|group| group.portals.iter().any(|address| holds(address.to_string())))?;
    Some(format!("it belongs to portal group {}", holder.name))
}

#[cfg(test)]
mod tests;
