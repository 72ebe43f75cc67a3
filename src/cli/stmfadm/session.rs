//! `list-session`, which is new (`cli.md` 10.10): who is logged in where, and which LUs he sees.

use crate::cli::command_line::{Invocation, JSON};
use crate::cli::document::{self, set};
use crate::cli::text::{common_failure, or_dash, printable};
use crate::cli::{Console, Service, local_time};
use crate::framework::SessionReport;
use serde::Serialize;

/// `list-session`.
pub fn list(invocation: &Invocation, service: &dyn Service, console: &mut Console<'_>) -> u8 {
    let json = invocation.has(JSON);
    let (sessions, exit) = match service.session_list() {
        Ok(sessions) => (sessions, 0),
        Err(status) => {
            console.fail(status, common_failure(status).unwrap_or("unknown error"));
            (Vec::new(), 1)
        }
    };
    if json {
        let data: Vec<Session> = sessions.iter().map(Session::from).collect();
        document::print("list-session", data, service, console);
        return exit;
    }
    for session in &sessions {
        show(session, console);
    }
    exit
}

fn show(session: &SessionReport, console: &mut Console<'_>) {
    console.line(format_args!("Initiator: {}", printable(&session.initiator.to_string())));
    for (label, value) in [
        ("Alias", or_dash(&session.alias)),
        ("Target", printable(&session.target.to_string())),
        ("Logged in since", local_time::text(session.created)),
        ("Logical Units", session.lus.len().to_string()),
    ] {
        console.line(format_args!("    {label:<18}: {value}"));
    }
    for (lun, guid) in &session.lus {
        console.line(format_args!("        LUN {:<5}: {guid}", lun.get()));
    }
}

/// An element of `list-session --json`.
#[derive(Serialize)]
struct Session {
    initiator: String,
    alias: Option<String>,
    target: String,
    since: Option<String>,
    lus: Vec<Mapped>,
}

#[derive(Serialize)]
struct Mapped {
    lun: u16,
    guid: String,
}

impl From<&SessionReport> for Session {
    fn from(session: &SessionReport) -> Session {
        let mapped = session.lus.iter().map(|(lun, guid)| Mapped {
            lun: lun.get(),
            guid: guid.to_string(),
        });
        Session {
            initiator: session.initiator.to_string(),
            alias: set(&session.alias).map(str::to_owned),
            target: session.target.to_string(),
            since: document::utc(session.created),
            lus: mapped.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::script::{Script, ran, run};
    use crate::cli::stmfadm;
    use crate::types::{DevId, Lun, Status};

    #[test]
    fn sessions_and_what_they_see() {
        let session = SessionReport {
            initiator: DevId::new(b"iqn.1993-08.org.debian:01:h").unwrap(),
            alias: String::new(),
            target: DevId::new(b"iqn.2010-08.org.illumos:02:t").unwrap(),
            created: 0,
            lus: vec![(
                Lun::new(5).unwrap(),
                "600144F0C73ABF00000065A1B2C30001".parse().unwrap(),
            )],
        };
        let script = Script::new().ok("session_list()", vec![session.clone()]);
        let out = format!(
            "Initiator: iqn.1993-08.org.debian:01:h\n    Alias             : -\n    \
             Target            : iqn.2010-08.org.illumos:02:t\n    Logged in since   : {}\n    \
             Logical Units     : 1\n        LUN 5    : 600144F0C73ABF00000065A1B2C30001\n",
            local_time::text(0)
        );
        assert_eq!(run(stmfadm::run, "stmfadm list-session", &script), ran(0, &out, ""));
        let script = Script::new().fail("session_list()", Status::Perm);
        let err = "stmfadm: permission denied\n";
        assert_eq!(run(stmfadm::run, "stmfadm list-session", &script), ran(1, "", err));
    }
}
