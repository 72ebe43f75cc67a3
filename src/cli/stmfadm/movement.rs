//! `move-lu`, which is new (`cli.md` 10.10): an LU that is active here is given up, taken over by the peer, and taken back when
//! the peer does not.

use super::DIGITS_LONG;
use crate::cli::command_line::Invocation;
use crate::cli::text::common_failure;
use crate::cli::{Console, Service, lu_name};
use crate::framework::{MoveTrouble, PeerTrouble, Refusal};
use crate::types::Status;
use std::time::Duration;

/// `--to`.
pub const TO: char = '\u{e041}';

/// Commands that run when the LU is to go may take so long.
const PATIENCE: Duration = Duration::from_secs(30);
/// Exit status: the LU may be active on no node.
const LOST: u8 = 3;

/// `move-lu`.
pub fn move_lu(invocation: &Invocation, service: &dyn Service, console: &mut Console<'_>) -> u8 {
    let operand = invocation.operand();
    if let Some(other) = invocation.value(TO).filter(|to| *to != "peer") {
        console.error(format_args!("{other}: a logical unit can be moved to: peer"));
        return 1;
    }
    let guid = match lu_name::parse(operand, service) {
        Ok(guid) => guid,
        Err(wrong) => {
            console.error(wrong.line(operand, DIGITS_LONG));
            return 1;
        }
    };
    let trouble = match service.move_lu(guid, PATIENCE) {
        Ok(Ok(())) => return 0,
        Ok(Err(trouble)) => trouble,
        Err(Status::NotFound) => {
            console.error(format_args!("{operand}: not found"));
            return 1;
        }
        Err(status) => {
            console.error(common_failure(status).unwrap_or("unknown error"));
            return 1;
        }
    };
    console.error(format_args!("{operand}: {}", text(trouble)));
    match trouble {
        MoveTrouble::Lost(..) => LOST,
        _ => 1,
    }
}

fn text(trouble: MoveTrouble) -> String {
    match trouble {
        MoveTrouble::NotActive => "is not active on this node".to_owned(),
        MoveTrouble::NoPeer(why) => format!("stays here: {}", peer(why)),
        MoveTrouble::NotStandbyThere => "stays here: the peer does not have it as standby".to_owned(),
        MoveTrouble::Kept(Status::Busy | Status::LuBusy) => {
            "stays here: commands still run, or another command is at work on it".to_owned()
        }
        MoveTrouble::Kept(status) => format!("stays here: {status}"),
        MoveTrouble::TakenBack(why) => format!("is active here again: {}", peer(why)),
        MoveTrouble::Lost(why, status) => {
            format!(
                "may be active on no node: {}, and it could not be taken back: {status}",
                peer(why)
            )
        }
    }
}

fn peer(trouble: PeerTrouble) -> String {
    match trouble {
        PeerTrouble::NoAnswer => "the peer does not answer, or cannot be asked".to_owned(),
        // All that it tells of a store that it cannot have.
        PeerTrouble::Refused(Refusal::Conflict(Status::AccessStateSet)) => {
            "the peer could not take it over, its log tells why".to_owned()
        }
        PeerTrouble::Refused(Refusal::Conflict(status)) => format!("the peer refused it: {status}"),
        PeerTrouble::Refused(refusal) => refusal.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::script::{Ran, Script, ran, run};
    use crate::cli::stmfadm;

    const GUID: &str = "600144F0C73ABF00000065A1B2C30001";

    fn moved(answer: Result<(), MoveTrouble>) -> Ran {
        let script = Script::new().ok(&format!("move_lu({GUID}, 30s)"), answer);
        run(stmfadm::run, &format!("stmfadm move-lu --to=peer {GUID}"), &script)
    }

    #[test]
    fn each_outcome_is_told() {
        assert_eq!(moved(Ok(())), ran(0, "", ""));
        for (trouble, exit, text) in [
            (MoveTrouble::NotActive, 1, "is not active on this node"),
            (
                MoveTrouble::NoPeer(PeerTrouble::NoAnswer),
                1,
                "stays here: the peer does not answer, or cannot be asked",
            ),
            (
                MoveTrouble::Kept(Status::Busy),
                1,
                "stays here: commands still run, or another command is at work on it",
            ),
            (
                MoveTrouble::TakenBack(PeerTrouble::Refused(Refusal::Conflict(Status::DataFileName))),
                1,
                "is active here again: the peer refused it: data file missing or unusable",
            ),
            (
                MoveTrouble::TakenBack(PeerTrouble::Refused(Refusal::Conflict(Status::AccessStateSet))),
                1,
                "is active here again: the peer could not take it over, its log tells why",
            ),
            (
                MoveTrouble::Lost(PeerTrouble::NoAnswer, Status::Busy),
                3,
                "may be active on no node: the peer does not answer, or cannot be asked, and it could not be taken back: in use \
                 or changing state",
            ),
        ] {
            assert_eq!(
                moved(Err(trouble)),
                ran(exit, "", &format!("stmfadm: {GUID}: {text}\n"))
            );
        }
        let none = Script::new();
        let err = "stmfadm: here: a logical unit can be moved to: peer\n";
        assert_eq!(
            run(stmfadm::run, &format!("stmfadm move-lu --to here {GUID}"), &none),
            ran(1, "", err)
        );
    }
}
