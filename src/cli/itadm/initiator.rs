//! Initiator contexts (`cli.md` 4.7).

use super::*;
use crate::cli::text::printable;
use crate::iscsi::admin::{InitiatorChange, InitiatorInfo};

pub fn create(parsed: &Parsed, service: &dyn Service) -> Result<(), Failure> {
    let name = parsed.operand();
    stored_name(name)?;
    // Stored as typed.
    let asked = Change::CreateInitiator {
        name: name.to_owned(),
        change: settings(parsed)?,
    };
    let created = change(parsed, service, asked, "Error creating initiator", |refusal| {
        Some(match refusal {
            Refusal::Exists(_) => failure(format!("Initiator {name} already exists"), EINVAL),
            Refusal::Name(..) => failure(format!("Invalid iSCSI name {name}"), EFAULT),
            Refusal::Properties(list) => properties("initiator", list),
            _ => return None,
        })
    });
    created.map(drop)
}

pub fn modify(parsed: &Parsed, service: &dyn Service) -> Result<(), Failure> {
    let name = parsed.operand();
    let asked = Change::ModifyInitiator {
        name: name.to_owned(),
        change: settings(parsed)?,
    };
    let modified = change(parsed, service, asked, UNSTORABLE, |refusal| {
        Some(match refusal {
            Refusal::NotFound(_) => failure(format!("Error, initiator {name} not found"), ENOENT),
            Refusal::Properties(list) => properties("initiator", list),
            _ => return None,
        })
    });
    modified.map(drop)
}

fn settings(parsed: &Parsed) -> Result<InitiatorChange, Failure> {
    Ok(InitiatorChange {
        chap_user: chap_user(parsed, "initiator", "chapuser")?,
        secret: parsed.secret.clone(),
    })
}

pub fn delete(parsed: &Parsed, service: &dyn Service) -> Result<(), Failure> {
    let name = parsed.operand().to_owned();
    let line = format!("Initiator {name} not found");
    let asked = Change::DeleteInitiator { name };
    let deleted = change(parsed, service, asked, UNSTORABLE, |refusal| {
        matches!(refusal, Refusal::NotFound(_)).then(|| failure(line, EPERM))
    });
    deleted.map(drop)
}

/// All, or the one that is named.
pub fn wanted(parsed: &Parsed, mut initiators: Vec<InitiatorInfo>) -> Result<Vec<InitiatorInfo>, Failure> {
    if let Some(name) = parsed.operands.first() {
        initiators.retain(|initiator| initiator.name.eq_ignore_ascii_case(name));
        if initiators.is_empty() {
            return Err(not_found(format!("Initiator {name} not found!")));
        }
    }
    Ok(initiators)
}

/// `-v` adds nothing.
pub fn list(parsed: &Parsed, service: &dyn Service, console: &mut Console<'_>) -> Result<(), Failure> {
    let initiators = wanted(parsed, listing(parsed, service)?.initiators)?;
    let parsable = parsed.has('p');
    if !parsable && !initiators.is_empty() {
        console.line(format_args!(
            "{:<61}{:<10}{:<7}",
            "INITIATOR NAME", "CHAPUSER", "SECRET"
        ));
    }
    for initiator in &initiators {
        let name = printable(&initiator.name);
        let user = or_none(initiator.chap_user.as_deref().unwrap_or(""));
        let secret = set_or_unset(initiator.secret);
        if parsable {
            console.line(format_args!("{name}\t{user}\t{secret}"));
            continue;
        }
        let name_tab = if name.len() > 60 { "\t" } else { "" };
        let user_tab = if user.len() >= 15 { "\t" } else { "" };
        console.line(format_args!("{name:<61}{name_tab}{user:<15}{user_tab}{secret:<4}"));
    }
    Ok(())
}
