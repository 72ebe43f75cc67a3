use super::*;
use crate::types::Secret;

fn secret(text: &str) -> Secret {
    Secret::new(text.into()).unwrap()
}

const CHALLENGE: [u8; chap::CHALLENGE] = [9; chap::CHALLENGE];

fn demands_chap(target_secret: bool) -> Security {
    Security::new(AuthPolicy::Chap(Box::new(ChapPolicy {
        user: "0xuser".into(),
        verifier: Verifier::Secret(Some(secret("initiator secret"))),
        target: "iqn.2026-11.example:t".into(),
        target_user: "target".into(),
        target_secret: target_secret.then(|| secret("target secret")),
        identifier: 200,
        challenge: CHALLENGE,
    })))
}

type Result = std::result::Result<(String, bool), LoginStatus>;

fn ask(security: &mut Security, keys: &[(&str, &str)], transit: bool) -> Result {
    let pairs: Vec<Pair<'_>> = keys.iter().map(|&(key, value)| Pair { key, value }).collect();
    let (answers, granted) = security.request(&pairs, transit)?;
    let text: Vec<String> = answers.iter().map(|(key, value)| format!("{key}={value}")).collect();
    Ok((text.join(" "), granted))
}

/// Up to the challenge.
fn challenged(algorithms: &str, target_secret: bool) -> Security {
    let mut security = demands_chap(target_secret);
    let answer = ask(&mut security, &[("AuthMethod", "None,CHAP")], true);
    assert_eq!(answer, Ok(("AuthMethod=CHAP".into(), false)));
    let (answer, granted) = ask(&mut security, &[("CHAP_A", algorithms)], false).unwrap();
    assert!(answer.ends_with(" CHAP_I=200 CHAP_C=0x09090909090909090909090909090909") && !granted);
    security
}

fn response(algorithm: Algorithm, secret_text: &str) -> String {
    chap::encode(&algorithm.response(200, &secret(secret_text), &CHALLENGE))
}

const FAILED: Result = Err(LoginStatus::AUTHENTICATION_FAILED);

#[test]
fn without_authentication_none_is_chosen_or_the_stage_skipped() {
    let mut security = Security::new(AuthPolicy::None);
    assert!(security.proved());
    let answer = ask(&mut security, &[("AuthMethod", "CHAP,None")], true);
    assert_eq!(answer, Ok(("AuthMethod=None".into(), true)));
}

#[test]
fn only_chap_is_refused_where_none_is_needed() {
    let mut security = Security::new(AuthPolicy::None);
    let answer = ask(&mut security, &[("AuthMethod", "CHAP")], false);
    assert_eq!(answer, Ok(("AuthMethod=Reject".into(), false)));
    assert_eq!(ask(&mut security, &[], true), FAILED);
    assert!(!security.proved());
    let mut security = Security::new(AuthPolicy::None);
    let answer = ask(&mut security, &[("CHAP_A", "5")], false);
    assert_eq!(answer, Err(LoginStatus::INVALID_REQUEST));
}

#[test]
fn one_way_with_every_algorithm() {
    for (list, algorithm) in [
        ("5", Algorithm::Md5),
        ("8,6,5", Algorithm::Sha1),
        ("7", Algorithm::Sha256),
    ] {
        let mut security = challenged(list, false);
        let right = response(algorithm, "initiator secret");
        let keys = [("CHAP_N", "0xuser"), ("CHAP_R", right.as_str())];
        assert_eq!(ask(&mut security, &keys, true), Ok((String::new(), true)));
        assert!(security.proved());
    }
}

#[test]
fn wrong_responses_fail() {
    let right = response(Algorithm::Md5, "initiator secret");
    let wrong = response(Algorithm::Md5, "initiator secreT");
    let sha1 = response(Algorithm::Sha1, "initiator secret");
    for (user, response) in [
        ("0xuser", wrong.as_str()),
        ("0xuser", sha1.as_str()),
        ("0xuser", ""),
        ("0xuser", "0x"),
        ("0xuser", &right[..32]),
        ("0XUSER", right.as_str()),
        ("", right.as_str()),
    ] {
        let mut security = challenged("5", false);
        let keys = [("CHAP_N", user), ("CHAP_R", response)];
        assert_eq!(ask(&mut security, &keys, true), FAILED, "{user} {response}");
        assert!(!security.proved());
    }
    let mut security = challenged("5", false);
    assert_eq!(
        ask(&mut security, &[("CHAP_R", &right)], true),
        Err(LoginStatus::MISSING_PARAMETER)
    );
}

#[test]
fn nobody_passes_without_the_exchange() {
    // None, or nothing, again and again.
    let mut security = demands_chap(false);
    assert_eq!(ask(&mut security, &[("AuthMethod", "None")], true), FAILED);
    let mut security = demands_chap(false);
    assert_eq!(ask(&mut security, &[], true), Ok(("AuthMethod=CHAP".into(), false)));
    assert_eq!(ask(&mut security, &[], true), FAILED);
    let mut security = challenged("5", false);
    assert_eq!(ask(&mut security, &[], true), FAILED);
    // Out of order.
    let right = response(Algorithm::Md5, "initiator secret");
    let answer = [("CHAP_N", "0xuser"), ("CHAP_R", right.as_str())];
    for keys in [&answer[..], &[("CHAP_A", "5")], &[("KRB_AP_REQ", "x")]] {
        assert_eq!(
            ask(&mut demands_chap(false), keys, true),
            Err(LoginStatus::INVALID_REQUEST)
        );
    }
    // No algorithm in common.
    for list in ["56", "", "8"] {
        let mut security = demands_chap(false);
        ask(&mut security, &[("AuthMethod", "CHAP")], false).unwrap();
        assert!(!security.failed());
        assert_eq!(
            ask(&mut security, &[("CHAP_A", list)], false),
            Ok(("CHAP_A=Reject".into(), false)),
            "{list}"
        );
        assert!(security.failed() && !security.proved());
    }
}

#[test]
fn a_proposal_may_be_answered() {
    let mut security = demands_chap(false);
    ask(&mut security, &[], false).unwrap();
    assert_eq!(
        ask(&mut security, &[("AuthMethod", "CHAP")], false),
        Ok((String::new(), false))
    );
    assert!(ask(&mut security, &[("CHAP_A", "5")], false).is_ok());
    let mut security = demands_chap(false);
    ask(&mut security, &[], false).unwrap();
    assert_eq!(ask(&mut security, &[("AuthMethod", "Reject")], false), FAILED);
}

#[test]
fn an_initiator_without_a_secret_fails_at_once() {
    let mut policy = ChapPolicy {
        user: "u".into(),
        verifier: Verifier::Secret(None),
        target: String::new(),
        target_user: "t".into(),
        target_secret: None,
        identifier: 0,
        challenge: CHALLENGE,
    };
    policy.user.clear();
    let mut security = Security::new(AuthPolicy::Chap(Box::new(policy)));
    assert_eq!(ask(&mut security, &[("AuthMethod", "CHAP")], false), FAILED);
}

#[test]
fn mutual() {
    let right = response(Algorithm::Md5, "initiator secret");
    let with = |identifier: &'static str, challenge: &'static str| {
        vec![
            ("CHAP_N", "0xuser"),
            ("CHAP_R", right.as_str()),
            ("CHAP_I", identifier),
            ("CHAP_C", challenge),
        ]
    };
    let mut security = challenged("5", true);
    let ours = chap::encode(&Algorithm::Md5.response(3, &secret("target secret"), &[1, 2]));
    assert_eq!(
        ask(&mut security, &with("3", "0bAQI="), true),
        Ok((format!("CHAP_N=target CHAP_R={ours}"), true))
    );
    // No secret of the target; our challenge reflected; no identifier.
    let ours = "0x09090909090909090909090909090909";
    for (target_secret, identifier, challenge) in [
        (false, "3", "0x0102"),
        (true, "3", ours),
        (true, "256", "0x0102"),
        (true, "3", "none"),
    ] {
        let mut security = challenged("5", target_secret);
        assert_eq!(ask(&mut security, &with(identifier, challenge), true), FAILED);
        assert!(!security.proved());
    }
    for missing in [2, 3] {
        let mut keys = with("3", "0x0102");
        keys.remove(missing);
        let result = ask(&mut challenged("5", true), &keys, true);
        assert_eq!(result, Err(LoginStatus::MISSING_PARAMETER));
    }
}
