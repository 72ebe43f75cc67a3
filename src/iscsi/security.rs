//! The SecurityNegotiation stage (RFC 7143 12.1, `iscsi-target.md` chapter 13): AuthMethod None, and CHAP one-way and mutual.
//!
//! What must stay true: a target that demands CHAP lets a login leave the stage only after a right response.

use super::chap::{self, Algorithm};
use super::directory::{AuthPolicy, ChapPolicy, LoginStatus, Verifier};
use super::radius::Question;
use super::text::Pair;
use subtle::ConstantTimeEq;

/// Bytes of an MD5 response.
const MD5_LENGTH: usize = 16;

/// Keys of this stage.
pub fn is_security_key(key: &str) -> bool {
    key == "AuthMethod" || key.starts_with("CHAP_") || key.starts_with("KRB_") || key.starts_with("SRP_")
}

/// How far the exchange is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// Nothing was said.
    Start,
    /// The target has proposed CHAP.
    Proposed,
    /// CHAP is agreed.
    Chosen,
    /// The challenge is sent.
    Challenged(Algorithm),
    /// Somebody else is asked whether the response is right.
    Asking,
    /// Nothing more to prove.
    Done,
    /// The initiator offered only other methods.
    Refused,
    /// It knows none of our algorithms: the login ends with this answer.
    Failed,
}

/// Progress of authentication on one connection.
#[derive(Debug)]
pub struct Security {
    policy: AuthPolicy,
    progress: Progress,
    asked: Option<Question>,
    /// CHAP_I and CHAP_C of the initiator, to be answered when its own response was right.
    mutual: Option<(Option<String>, Option<String>)>,
}

/// Keys and values to be answered.
pub type Answers = Vec<(&'static str, String)>;

impl Security {
    /// Nothing is proved yet.
    pub fn new(policy: AuthPolicy) -> Security {
        Security {
            policy,
            progress: Progress::Start,
            asked: None,
            mutual: None,
        }
    }

    /// Takes the security keys of one request of the stage; `transit`: the request wants to leave it. Gives the answers,
    /// and whether it may.
    pub fn request(&mut self, pairs: &[Pair<'_>], transit: bool) -> Result<(Answers, bool), LoginStatus> {
        let before = self.progress;
        let answers = match &self.policy {
            AuthPolicy::None => self.without(pairs)?,
            AuthPolicy::Chap(policy) => {
                let (answers, progress, question) = chap(policy, self.progress, pairs)?;
                self.progress = progress;
                if question.is_some() {
                    let own = |key| value(pairs, key).map(str::to_owned);
                    self.mutual = Some((own("CHAP_I"), own("CHAP_C")));
                    self.asked = question;
                    return Ok((answers, transit));
                }
                answers
            }
        };
        // Who does not go on with the exchange shall not leave the stage by asking again.
        if transit && !self.proved() && (self.progress == before || self.progress == Progress::Refused) {
            return Err(LoginStatus::AUTHENTICATION_FAILED);
        }
        Ok((answers, transit && self.proved()))
    }

    /// What the RADIUS server is to be asked now; [`Security::verified`] follows.
    pub fn question(&mut self) -> Option<Question> {
        self.asked.take()
    }

    /// The response was right. Gives what is left to be answered.
    pub fn verified(&mut self) -> Result<Answers, LoginStatus> {
        let (AuthPolicy::Chap(policy), Progress::Asking, Some((identifier, challenge))) =
            (&self.policy, self.progress, self.mutual.take())
        else {
            return Err(LoginStatus::INVALID_REQUEST);
        };
        self.progress = Progress::Done;
        prove(policy, Algorithm::Md5, identifier.as_deref(), challenge.as_deref())
    }

    /// Does the login end with what was answered last?
    pub fn failed(&self) -> bool {
        self.progress == Progress::Failed
    }

    /// May the login be in a later stage?
    pub fn proved(&self) -> bool {
        match self.policy {
            AuthPolicy::None => self.progress != Progress::Refused,
            AuthPolicy::Chap(_) => self.progress == Progress::Done,
        }
    }

    fn without(&mut self, pairs: &[Pair<'_>]) -> Result<Answers, LoginStatus> {
        let mut answers = Vec::new();
        for pair in pairs {
            // A key of a method that was not chosen.
            if pair.key != "AuthMethod" {
                return Err(LoginStatus::INVALID_REQUEST);
            }
            let none = offers(pair.value, "None");
            self.progress = if none { Progress::Done } else { Progress::Refused };
            answers.push(("AuthMethod", if none { "None" } else { "Reject" }.to_owned()));
        }
        Ok(answers)
    }
}

fn offers(list: &str, method: &str) -> bool {
    list.split(',').any(|item| item.eq_ignore_ascii_case(method))
}

fn value<'a>(pairs: &[Pair<'a>], key: &str) -> Option<&'a str> {
    pairs.iter().find(|pair| pair.key == key).map(|pair| pair.value)
}

/// One request of a CHAP exchange.
fn chap(
    policy: &ChapPolicy,
    mut progress: Progress,
    pairs: &[Pair<'_>],
) -> Result<(Answers, Progress, Option<Question>), LoginStatus> {
    let known = ["AuthMethod", "CHAP_A", "CHAP_N", "CHAP_R", "CHAP_I", "CHAP_C"];
    if policy.verifier == Verifier::Secret(None) {
        return Err(LoginStatus::AUTHENTICATION_FAILED);
    }
    if pairs.iter().any(|pair| !known.contains(&pair.key)) {
        return Err(LoginStatus::INVALID_REQUEST);
    }
    let mut answers = Vec::new();
    match (value(pairs, "AuthMethod"), progress) {
        (Some(list), Progress::Start) if offers(list, "CHAP") => {
            answers.push(("AuthMethod", "CHAP".to_owned()));
            progress = Progress::Chosen;
        }
        (Some(_), Progress::Start) => {
            answers.push(("AuthMethod", "Reject".to_owned()));
            progress = Progress::Refused;
        }
        // The answer to our proposal is not answered.
        (Some(list), Progress::Proposed) if offers(list, "CHAP") => progress = Progress::Chosen,
        (Some(_), Progress::Proposed) => return Err(LoginStatus::AUTHENTICATION_FAILED),
        (Some(_), _) => return Err(LoginStatus::INVALID_REQUEST),
        (None, Progress::Start) if pairs.is_empty() => {
            answers.push(("AuthMethod", "CHAP".to_owned()));
            progress = Progress::Proposed;
        }
        (None, _) => {}
    }
    if let Some(list) = value(pairs, "CHAP_A") {
        if !matches!(progress, Progress::Proposed | Progress::Chosen) {
            return Err(LoginStatus::INVALID_REQUEST);
        }
        let algorithm = match policy.verifier {
            Verifier::Secret(_) => Algorithm::choose(list),
            // RADIUS has CHAP with MD5 only (RFC 2865 2.2).
            Verifier::Radius => list.split(',').find(|item| *item == "5").map(|_| Algorithm::Md5),
        };
        let Some(algorithm) = algorithm else {
            answers.push(("CHAP_A", "Reject".to_owned()));
            return Ok((answers, Progress::Failed, None));
        };
        answers.push(("CHAP_A", algorithm.number().to_string()));
        answers.push(("CHAP_I", policy.identifier.to_string()));
        answers.push(("CHAP_C", chap::encode(&policy.challenge)));
        return Ok((answers, Progress::Challenged(algorithm), None));
    }
    if !pairs.iter().any(|pair| pair.key.starts_with("CHAP_")) {
        return Ok((answers, progress, None));
    }
    let Progress::Challenged(algorithm) = progress else {
        return Err(LoginStatus::INVALID_REQUEST);
    };
    if let Some(question) = verify(policy, algorithm, pairs)? {
        return Ok((answers, Progress::Asking, Some(question)));
    }
    let answers = prove(policy, algorithm, value(pairs, "CHAP_I"), value(pairs, "CHAP_C"))?;
    Ok((answers, Progress::Done, None))
}

/// The initiator's response to our challenge; or what is to be asked about it.
fn verify(policy: &ChapPolicy, algorithm: Algorithm, pairs: &[Pair<'_>]) -> Result<Option<Question>, LoginStatus> {
    let (Some(user), Some(response)) = (value(pairs, "CHAP_N"), value(pairs, "CHAP_R")) else {
        return Err(LoginStatus::MISSING_PARAMETER);
    };
    let failed = Err(LoginStatus::AUTHENTICATION_FAILED);
    let Some(response) = chap::decode(response) else {
        return failed;
    };
    match &policy.verifier {
        Verifier::Radius if response.len() == MD5_LENGTH => Ok(Some(Question {
            user: user.to_owned(),
            identifier: policy.identifier,
            challenge: policy.challenge.to_vec(),
            response,
            target: policy.target.clone(),
        })),
        Verifier::Secret(Some(secret)) => {
            let right = algorithm.verify(&response, policy.identifier, secret, &policy.challenge);
            if user == policy.user && right { Ok(None) } else { failed }
        }
        Verifier::Radius | Verifier::Secret(None) => failed,
    }
}

/// Our response to the initiator's challenge, if it sent one.
fn prove(
    policy: &ChapPolicy,
    algorithm: Algorithm,
    identifier: Option<&str>,
    challenge: Option<&str>,
) -> Result<Answers, LoginStatus> {
    let (identifier, challenge) = match (identifier, challenge) {
        (None, None) => return Ok(Vec::new()),
        (Some(identifier), Some(challenge)) => (identifier, challenge),
        _ => return Err(LoginStatus::MISSING_PARAMETER),
    };
    let failed = LoginStatus::AUTHENTICATION_FAILED;
    let identifier = super::text::number(identifier).and_then(|number| u8::try_from(number).ok());
    let (identifier, challenge) = identifier.zip(chap::decode(challenge)).ok_or(failed)?;
    // Our own challenge sent back would make us tell the response that is asked of the initiator (RFC 7143 9.2.1).
    if challenge.ct_eq(&policy.challenge).into() {
        return Err(failed);
    }
    let secret = policy.target_secret.as_ref().ok_or(failed)?;
    let response = algorithm.response(identifier, secret, &challenge);
    Ok(vec![
        ("CHAP_N", policy.target_user.clone()),
        ("CHAP_R", chap::encode(&response)),
    ])
}

#[cfg(test)]
#[path = "security_tests.rs"]
mod tests;
