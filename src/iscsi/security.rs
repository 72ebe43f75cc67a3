//! The SecurityNegotiation stage (`iscsi-target.md` chapter 13). Only AuthMethod=None for now: a further method is one
//! more variant of [`AuthPolicy`] and its exchange here.

use super::directory::{AuthPolicy, LoginStatus};
use super::text::Pair;

/// Keys of this stage.
pub fn is_security_key(key: &str) -> bool {
    key == "AuthMethod" || key.starts_with("CHAP_") || key.starts_with("KRB_") || key.starts_with("SRP_")
}

/// Progress of authentication on one connection.
#[derive(Debug)]
pub struct Security {
    policy: AuthPolicy,
    refused: bool,
}

impl Security {
    /// Nothing is proved yet.
    pub fn new(policy: AuthPolicy) -> Security {
        Security { policy, refused: false }
    }

    /// Takes one security key; the value to be answered under the same key.
    pub fn offer(&mut self, pair: &Pair<'_>) -> Result<String, LoginStatus> {
        match (self.policy, pair.key) {
            (AuthPolicy::None, "AuthMethod") => {
                let none = pair.value.split(',').any(|method| method.eq_ignore_ascii_case("None"));
                self.refused = !none;
                Ok(if none { "None" } else { "Reject" }.into())
            }
            // A key of a method that was not chosen.
            (AuthPolicy::None, _) => Err(LoginStatus::INVALID_REQUEST),
        }
    }

    /// May the login leave the stage (or skip it)?
    pub fn satisfied(&self) -> Result<bool, LoginStatus> {
        match self.policy {
            AuthPolicy::None if self.refused => Err(LoginStatus::AUTHENTICATION_FAILED),
            AuthPolicy::None => Ok(true),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(value: &str) -> (Security, String) {
        let mut security = Security::new(AuthPolicy::None);
        let answer = security
            .offer(&Pair {
                key: "AuthMethod",
                value,
            })
            .unwrap();
        (security, answer)
    }

    #[test]
    fn none_is_chosen_from_a_list() {
        let (security, answer) = offer("CHAP,None");
        assert_eq!((answer.as_str(), security.satisfied()), ("None", Ok(true)));
    }

    #[test]
    fn only_chap_is_refused_and_the_login_fails() {
        let (security, answer) = offer("CHAP");
        assert_eq!(
            (answer.as_str(), security.satisfied()),
            ("Reject", Err(LoginStatus::AUTHENTICATION_FAILED))
        );
    }

    #[test]
    fn the_stage_may_be_skipped() {
        assert_eq!(Security::new(AuthPolicy::None).satisfied(), Ok(true));
    }

    #[test]
    fn keys_of_another_method_are_out_of_sequence() {
        let mut security = Security::new(AuthPolicy::None);
        let result = security.offer(&Pair {
            key: "CHAP_A",
            value: "5",
        });
        assert_eq!(result, Err(LoginStatus::INVALID_REQUEST));
    }
}
