//! Defaults (`cli.md` 4.8).

use super::*;
use crate::iscsi::admin::{Auth, DefaultsChange};
use std::net::SocketAddr;

/// Default port of a RADIUS server.
const RADIUS_PORT: u16 = 1812;
/// Default port of an iSNS server.
const ISNS_PORT: u16 = 3205;

fn auth(text: &str) -> Result<Auth, Failure> {
    let wrong = || {
        let wrong = "must be none, chap or radius";
        properties("global", &[("auth".to_owned(), wrong.to_owned())])
    };
    Auth::parse(text).ok_or_else(wrong)
}

fn server(property: &str, text: &str, port: u16) -> Result<SocketAddr, Failure> {
    let wrong = || properties("global", &[(property.to_owned(), "invalid address".to_owned())]);
    group::address(text, port).ok_or_else(wrong)
}

fn isns_servers(list: &str) -> Result<Vec<SocketAddr>, Failure> {
    match list {
        "none" => Ok(Vec::new()),
        list => list.split(',').map(|text| server(text, text, ISNS_PORT)).collect(),
    }
}

pub fn modify(parsed: &Parsed, service: &dyn Service) -> Result<(), Failure> {
    if parsed.options.iter().all(|(letter, _)| is_added(*letter)) && parsed.secret.is_none() {
        return Err(failure("Error, no properties specified", EINVAL));
    }
    let asked = Change::Defaults(DefaultsChange {
        auth: parsed.value('a').map(auth).transpose()?,
        radius_server: match parsed.value('r') {
            None => Set::Keep,
            Some("none") => Set::Clear,
            Some(text) => Set::To(server("radiusserver", text, RADIUS_PORT)?),
        },
        radius_secret: parsed.secret.clone(),
        // The parser has checked the value.
        isns: parsed.value('i').map(|value| value.starts_with('e')),
        isns_servers: parsed.value('I').map(isns_servers).transpose()?,
    });
    let modified = change(parsed, service, asked, UNSTORABLE, |refusal| match refusal {
        Refusal::Properties(list) => Some(properties("global", list)),
        _ => None,
    });
    modified.map(drop)
}

pub fn list(parsed: &Parsed, service: &dyn Service, console: &mut Console<'_>) -> Result<(), Failure> {
    let defaults = listing(parsed, service)?.defaults;
    let isns = if defaults.isns { "enabled" } else { "disabled" };
    let rows = [
        ("alias:", or_none(defaults.alias.as_deref().unwrap_or(""))),
        ("auth:", or_none(defaults.auth.map_or("", Auth::name))),
        (
            "radiusserver:",
            or_none(defaults.radius_server.as_deref().unwrap_or("")),
        ),
        ("radiussecret:", set_or_unset(defaults.radius_secret).to_owned()),
        ("isns:", isns.to_owned()),
        ("isnsserver:", or_none(&defaults.isns_servers.join(","))),
    ];
    if parsed.has('p') {
        let values: Vec<&str> = rows.iter().map(|(_, value)| value.as_str()).collect();
        console.line(values.join("\t"));
        return Ok(());
    }
    console.line("iSCSI Target Default Properties:");
    console.line("");
    for (label, value) in &rows {
        console.line(format_args!("{label:<15}\t{value}"));
    }
    Ok(())
}
