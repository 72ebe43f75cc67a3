//! Targets (`cli.md` 4.5).

use super::*;
use crate::cli::text::{or_dash, printable};
use crate::iscsi::admin::{Auth, DefaultsInfo, TargetChange, TargetInfo};

const DEFAULT: &str = "default";

pub fn create(parsed: &Parsed, service: &dyn Service, console: &mut Console<'_>) -> Result<(), Failure> {
    let typed = parsed.value('n');
    let settings = TargetChange {
        name: typed.map(stored_name).transpose()?,
        ..settings(parsed, |tpg| {
            failure(format!("Invalid tpg-tag {tpg}, tag not defined"), EPERM)
        })?
    };
    let what = "Error creating target";
    let created = change(parsed, service, Change::CreateTarget(settings), what, |refusal| {
        Some(match (refusal, typed) {
            (Refusal::Exists(_), Some(name)) => failure(format!("iSCSI target {name} already configured"), EEXIST),
            (Refusal::Name(..), Some(name)) => failure(format!("Invalid iSCSI name {name}"), EFAULT),
            (Refusal::TooMany(count), _) => failure(format!("Maximum of {count} iSCSI targets"), E2BIG),
            (Refusal::NoGroup(tpg), _) => failure(format!("Invalid tpg-tag {tpg}, tag not defined"), EPERM),
            (refusal, _) => return common(refusal),
        })
    })?;
    console.line(format_args!("Target {created} successfully created"));
    Ok(())
}

pub fn modify(parsed: &Parsed, service: &dyn Service, console: &mut Console<'_>) -> Result<(), Failure> {
    let typed = parsed.operand();
    let new = parsed.value('n');
    let invalid = |name: &str| failure(format!("Invalid iSCSI name {name}"), EPERM);
    let undefined = |tpg: &str| failure(format!("Invalid tpg-name {tpg}: not defined"), EPERM);
    let settings = TargetChange {
        name: new
            .map(|name| values::node_name(name).map_err(|_| invalid(name)))
            .transpose()?,
        ..settings(parsed, undefined)?
    };
    let asked = Change::ModifyTarget {
        name: typed.to_owned(),
        change: settings,
    };
    let modified = change(parsed, service, asked, UNSTORABLE, |refusal| {
        Some(match (refusal, new) {
            (Refusal::NotFound(_) | Refusal::Name(..), _) => failure(format!("Target {typed} not found"), EINVAL),
            (Refusal::Exists(_), Some(new)) => failure(format!("A target with name {new} already exists"), EPERM),
            (Refusal::NoGroup(tpg), _) => undefined(tpg),
            (refusal, _) => return common(refusal),
        })
    })?;
    console.line(format_args!("Target {modified} successfully modified"));
    Ok(())
}

/// Lines that both have.
fn common(refusal: &Refusal) -> Option<Failure> {
    Some(match refusal {
        Refusal::GroupTwice(tpg) => failure(
            format!("Could not add target portal group tag {tpg}: File exists"),
            EEXIST,
        ),
        Refusal::NoTag => failure("Error, no portal tag available", E2BIG),
        Refusal::Properties(list) => properties("target", list),
        _ => return None,
    })
}

/// The options, without `-n`.
fn settings(parsed: &Parsed, undefined: impl Fn(&str) -> Failure) -> Result<TargetChange, Failure> {
    let auth = match parsed.value('a') {
        None => Set::Keep,
        Some(DEFAULT) => Set::Clear,
        Some(value) => Set::To(Auth::parse(value).ok_or_else(|| {
            let wrong = "must be none, chap, radius or default";
            properties("target", &[(value.to_owned(), wrong.to_owned())])
        })?),
    };
    let groups = match parsed.value('t') {
        None => None,
        Some(DEFAULT) => Some(Vec::new()),
        Some(list) => Some(list.split(',').map(str::to_owned).collect()),
    };
    // A group may have this name, but not here.
    if groups.iter().flatten().any(|group| group == DEFAULT) {
        return Err(undefined(DEFAULT));
    }
    Ok(TargetChange {
        name: None,
        alias: text_or_none(parsed, 'l'),
        auth,
        chap_user: chap_user(parsed, "target", "targetchapuser")?,
        secret: parsed.secret.clone(),
        groups,
    })
}

pub fn delete(parsed: &Parsed, service: &dyn Service) -> Result<(), Failure> {
    let typed = parsed.operand();
    let asked = Change::DeleteTarget {
        name: typed.to_owned(),
        force: parsed.has('f'),
    };
    let deleted = change(parsed, service, asked, "Error deleting target", |refusal| {
        Some(match refusal {
            Refusal::NotFound(_) | Refusal::Name(..) => failure(format!("Target {typed} not found"), EPERM),
            Refusal::Busy(_) | Refusal::Failed(Status::Busy | Status::TgOnline) => failure(
                format!("The target is online or busy. Use the -f (force) option, or 'stmfadm offline-target {typed}'"),
                EBUSY,
            ),
            _ => return None,
        })
    });
    deleted.map(drop)
}

/// With no target configured nothing is printed, not even the heading.
pub fn list(parsed: &Parsed, service: &dyn Service, console: &mut Console<'_>) -> Result<(), Failure> {
    let Listing { targets, defaults, .. } = listing(parsed, service)?;
    let targets = wanted(parsed, targets)?;
    let (parsable, verbose) = (parsed.has('p'), parsed.has('v'));
    if !parsable && !targets.is_empty() {
        console.line(format_args!("{:<61}{:<9}{:<9}", "TARGET NAME", "STATE", "SESSIONS"));
    }
    for target in &targets {
        let details = verbose.then(|| details(target, &defaults));
        if parsable {
            let mut row = format!(
                "{}\t{}\t{}",
                printable(&target.name),
                state_word(target),
                target.sessions
            );
            for (_, value) in details.iter().flatten() {
                row.push('\t');
                row.push_str(value);
            }
            console.line(row);
        } else {
            show(target, console);
            for (label, value) in details.iter().flatten() {
                console.line(format_args!("\t{label:<20}\t{value}"));
            }
        }
    }
    Ok(())
}

/// All, or the one that is named.
pub fn wanted(parsed: &Parsed, mut targets: Vec<TargetInfo>) -> Result<Vec<TargetInfo>, Failure> {
    if let Some(name) = parsed.operands.first() {
        targets.retain(|target| target.name.eq_ignore_ascii_case(name));
        if targets.is_empty() {
            return Err(not_found(format!("Target {name} not found!")));
        }
    }
    Ok(targets)
}

fn state_word(target: &TargetInfo) -> &'static str {
    match target.online {
        Some(true) => "online",
        Some(false) => "offline",
        None => "-",
    }
}

/// Label and value of the five lines of `-v`.
fn details(target: &TargetInfo, defaults: &DefaultsInfo) -> [(&'static str, String); 5] {
    let alias = target.alias.as_deref().or(defaults.alias.as_deref());
    // Without `(defaults)` the space stays (`cli.md` 4.5).
    let auth = match (target.auth, defaults.auth) {
        (Some(auth), _) => format!("{} ", auth.name()),
        (None, auth) => format!("{} (defaults)", auth.unwrap_or(Auth::None).name()),
    };
    let tags: Vec<String> = target
        .groups
        .iter()
        .map(|(group, tag)| format!("{} = {tag}", printable(group)))
        .collect();
    let tags = if tags.is_empty() {
        DEFAULT.to_owned()
    } else {
        tags.join(",")
    };
    [
        ("alias:", or_dash(alias.unwrap_or(""))),
        ("auth:", auth),
        ("targetchapuser:", or_dash(target.chap_user.as_deref().unwrap_or(""))),
        ("targetchapsecret:", set_or_unset(target.secret).to_owned()),
        ("tpg-tags:", tags),
    ]
}

fn show(target: &TargetInfo, console: &mut Console<'_>) {
    let name = printable(&target.name);
    let tab = if name.len() > 60 { "\t" } else { "" };
    let state = format!("{:<9}", state_word(target));
    console.line(format_args!(
        "{name:<61}{tab}{}{:<9}",
        console.state(&state),
        target.sessions
    ));
}
