//! Portal groups (`cli.md` 4.6).

use super::*;
use crate::cli::text::printable;
use crate::iscsi::admin::GroupInfo;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The registered port of iSCSI.
const PORT: u16 = 3260;
/// Longest name, bytes.
const NAME_MAX: usize = 255;

pub fn create(parsed: &Parsed, service: &dyn Service) -> Result<(), Failure> {
    let Some((name, typed)) = parsed.operands.split_first() else {
        return Err(failure("Error, no portal addresses specified", EINVAL));
    };
    if name.len() > NAME_MAX {
        let line = format!("Target Portal Group name must be no longer than {NAME_MAX} characters");
        return Err(failure(line, EINVAL));
    }
    if typed.is_empty() {
        return Err(failure("Error, no portal addresses specified", EINVAL));
    }
    const WHAT: &str = "Could not create the target portal group";
    let portals = addresses(typed, |at, text| match at {
        0 => format!("{WHAT}: Invalid argument"),
        _ => format!("Error adding portal {text}: Invalid argument"),
    })?;
    let as_typed = |used: &SocketAddr| as_typed(used, &portals, typed);
    let asked = Change::CreateGroup {
        name: name.clone(),
        portals: portals.clone(),
    };
    let created = change(parsed, service, asked, WHAT, |refusal| {
        Some(match refusal {
            Refusal::Exists(_) => failure(format!("Target Portal Group {name} already exists"), EPERM),
            Refusal::PortalInUse(used) => failure(format!("Portal {} already in use", as_typed(used)), EEXIST),
            Refusal::Name(..) => failure(format!("{WHAT}: Invalid argument"), EINVAL),
            Refusal::TooMany(_) => failure(format!("{WHAT}: Argument list too long"), E2BIG),
            _ => return None,
        })
    });
    created.map(drop)
}

/// All of them; `wrong` has the line for one that is no address.
fn addresses(typed: &[String], wrong: impl Fn(usize, &str) -> String) -> Result<Vec<SocketAddr>, Failure> {
    if let Some(bad) = typed.iter().find(|portal| portal.contains(',')) {
        return Err(failure(format!("Bad portal name {bad}"), EINVAL));
    }
    let numbered = typed.iter().enumerate();
    let parsed = numbered.map(|(at, text)| address(text, PORT).ok_or_else(|| failure(wrong(at, text), EINVAL)));
    parsed.collect()
}

/// A portal as the user wrote it.
fn as_typed(portal: &SocketAddr, portals: &[SocketAddr], typed: &[String]) -> String {
    let at = portals.iter().position(|known| known == portal);
    at.map_or_else(|| portal.to_string(), |at| typed[at].clone())
}

pub fn add_portals(parsed: &Parsed, service: &dyn Service) -> Result<(), Failure> {
    change_portals(parsed, service, "adding", |name, portals| Change::AddPortals {
        name,
        portals,
    })
}

pub fn remove_portals(parsed: &Parsed, service: &dyn Service) -> Result<(), Failure> {
    change_portals(parsed, service, "removing", |name, portals| Change::RemovePortals {
        name,
        portals,
    })
}

fn change_portals(
    parsed: &Parsed,
    service: &dyn Service,
    doing: &str,
    asked: impl FnOnce(String, Vec<SocketAddr>) -> Change,
) -> Result<(), Failure> {
    let Some((name, typed @ [_, ..])) = parsed.operands.split_first() else {
        return Err(failure("Error, no portal addresses specified", EINVAL));
    };
    let portals = addresses(typed, |_, text| {
        format!("Error {doing} portal {text}: Invalid argument")
    })?;
    let asked = asked(name.clone(), portals.clone());
    let changed = change(parsed, service, asked, UNSTORABLE, |refusal| {
        Some(match refusal {
            Refusal::NotFound(_) => failure(format!("Target portal group {name} does not exist"), EPERM),
            Refusal::PortalInUse(used) => failure(
                format!("Portal {} already in use", as_typed(used, &portals, typed)),
                EEXIST,
            ),
            Refusal::NotInGroup(portal) => {
                let portal = as_typed(portal, &portals, typed);
                failure(format!("Portal {portal} is not in target portal group {name}"), ENOENT)
            }
            Refusal::NoPortal => failure(format!("Target portal group {name} needs a portal"), EINVAL),
            Refusal::TooMany(_) => failure(format!("{UNSTORABLE}: Argument list too long"), E2BIG),
            _ => return None,
        })
    });
    changed.map(drop)
}

/// `a.b.c.d[:port]` or `[v6][:port]`, literal addresses only; `port` is the default.
pub fn address(text: &str, port: u16) -> Option<SocketAddr> {
    let (ip, rest): (IpAddr, &str) = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, rest) = rest.split_once(']')?;
            (address.parse::<Ipv6Addr>().ok()?.to_canonical(), rest)
        }
        None => {
            let end = text.find(':').unwrap_or(text.len());
            (text[..end].parse::<Ipv4Addr>().ok()?.into(), &text[end..])
        }
    };
    let given = match rest.strip_prefix(':') {
        Some(digits) => u16::try_from(values::decimal(digits)?).ok()?,
        None if rest.is_empty() => port,
        None => return None,
    };
    Some(SocketAddr::new(ip, given))
}

pub fn delete(parsed: &Parsed, service: &dyn Service) -> Result<(), Failure> {
    let name = parsed.operand();
    let asked = Change::DeleteGroup {
        name: name.to_owned(),
        force: parsed.has('f'),
    };
    let what = "Could not delete target portal group";
    let deleted = change(parsed, service, asked, what, |refusal| {
        Some(match refusal {
            Refusal::Busy(_) => failure(
                "Target portal group associated with one or more targets.  Cannot delete.",
                EBUSY,
            ),
            Refusal::NotFound(_) => failure(format!("Target portal group {name} does not exist"), EPERM),
            _ => return None,
        })
    });
    deleted.map(drop)
}

/// All, or the one that is named.
pub fn wanted(parsed: &Parsed, mut groups: Vec<GroupInfo>) -> Result<Vec<GroupInfo>, Failure> {
    if let Some(name) = parsed.operands.first() {
        groups.retain(|group| group.name == *name);
        if groups.is_empty() {
            return Err(not_found(format!("Target Portal Group {name} not found!\n")));
        }
    }
    Ok(groups)
}

/// Nothing at all is printed when there is none.
pub fn list(parsed: &Parsed, service: &dyn Service, console: &mut Console<'_>) -> Result<(), Failure> {
    let groups = wanted(parsed, listing(parsed, service)?.groups)?;
    let (parsable, verbose) = (parsed.has('p'), parsed.has('v'));
    if !parsable && !groups.is_empty() {
        console.line(format_args!("{:<30}{:<9}", "TARGET PORTAL GROUP", "PORTAL COUNT"));
    }
    for group in &groups {
        let name = printable(&group.name);
        let portals: Vec<String> = group.portals.iter().map(SocketAddr::to_string).collect();
        let (count, portals) = (portals.len(), or_none(&portals.join(",")));
        if parsable {
            let last = if verbose { format!("\t{portals}") } else { String::new() };
            console.line(format_args!("{name}\t{count}{last}"));
            continue;
        }
        let tab = if name.len() > 30 { "\t" } else { "" };
        console.line(format_args!("{name:<30}{tab}{count:<9}"));
        if verbose {
            console.line(format_args!("    portals:\t{portals}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{PORT, address};

    #[test]
    fn portals_are_literal_addresses() {
        for (text, portal_text) in [
            ("192.0.2.1", "192.0.2.1:3260"),
            ("192.0.2.1:0", "192.0.2.1:0"),
            ("[2001:DB8::1]", "[2001:db8::1]:3260"),
            ("[::1]:65535", "[::1]:65535"),
            ("[::ffff:192.0.2.1]", "192.0.2.1:3260"),
        ] {
            assert_eq!(address(text, PORT).map(|p| p.to_string()).as_deref(), Some(portal_text));
        }
        for bad in [
            "",
            "host",
            "192.0.2",
            "192.0.2.1:",
            "192.0.2.1:65536",
            "192.0.2.1:+1",
            "2001:db8::1",
            "[::1",
            "[::1]x",
            "[::1]:",
            "[192.0.2.1]",
            "192.0.2.1:1:1",
        ] {
            assert_eq!(address(bad, PORT), None, "{bad}");
        }
    }
}
