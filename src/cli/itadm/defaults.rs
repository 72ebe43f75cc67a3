//! Defaults (`cli.md` 4.8).

use super::*;
use crate::iscsi::admin::Auth;

pub fn modify(parsed: &Parsed, service: &dyn Service) -> Result<(), Failure> {
    let Some(auth) = parsed.value('a') else {
        return Err(failure("Error, no properties specified", EINVAL));
    };
    let wrong = || {
        let wrong = "must be none, chap or radius";
        properties("global", &[("auth".to_owned(), wrong.to_owned())])
    };
    let asked = Change::DefaultAuth(Auth::parse(auth).ok_or_else(wrong)?);
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
