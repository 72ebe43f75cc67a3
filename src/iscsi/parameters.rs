//! Operational parameters and how each is negotiated (RFC 7143 13, `iscsi-target.md` 5.4).

use super::text::{Pair, boolean, number, yes_no};

/// MaxRecvDataSegmentLength that this target declares.
pub const RECEIVE_MAX: u32 = 262_144;
/// The default of MaxRecvDataSegmentLength, in force for both sides until declared, and during login.
pub const RECEIVE_DEFAULT: u32 = 8192;
/// Cap of MaxBurstLength.
const BURST_CAP: u32 = 1_048_576;
/// Cap of FirstBurstLength.
const FIRST_BURST_CAP: u32 = 262_144;
/// Cap of MaxOutstandingR2T.
const R2T_CAP: u32 = 8;
/// Lowest DefaultTime2Wait.
const TIME2WAIT: u32 = 2;
/// Highest DefaultTime2Retain: how long a session is kept without a connection.
const TIME2RETAIN: u32 = 20;
/// Connections a session may have.
const CONNECTIONS: u32 = 8;
/// Legal range of every length parameter.
const LENGTHS: std::ops::RangeInclusive<u64> = 512..=16_777_215;

/// The values in force on a connection and its session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameters {
    /// HeaderDigest=CRC32C.
    pub header_digest: bool,
    /// DataDigest=CRC32C.
    pub data_digest: bool,
    /// InitialR2T: no unsolicited Data-Out.
    pub initial_r2t: bool,
    /// ImmediateData.
    pub immediate_data: bool,
    /// The initiator's MaxRecvDataSegmentLength: the longest segment we may send.
    pub send_max: u32,
    /// Our MaxRecvDataSegmentLength, as declared.
    pub receive_max: u32,
    /// MaxBurstLength.
    pub max_burst: u32,
    /// FirstBurstLength.
    pub first_burst: u32,
    /// MaxOutstandingR2T.
    pub max_r2t: u32,
    /// MaxConnections of the session.
    pub max_connections: u32,
    /// DefaultTime2Wait, seconds.
    pub time2wait: u32,
    /// DefaultTime2Retain, seconds.
    pub time2retain: u32,
}

impl Default for Parameters {
    /// The defaults of RFC 7143 13.
    fn default() -> Parameters {
        Parameters {
            header_digest: false,
            data_digest: false,
            initial_r2t: true,
            immediate_data: true,
            send_max: RECEIVE_DEFAULT,
            receive_max: RECEIVE_DEFAULT,
            max_burst: 262_144,
            first_burst: 65_536,
            max_r2t: 1,
            max_connections: 1,
            time2wait: 2,
            time2retain: 20,
        }
    }
}

/// The answer to one offered key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// A value.
    Value(String),
    /// The initiator declared; nothing is answered.
    Declared,
    /// Not a key of this table.
    Unknown,
}

/// Keys that only the leading login of a session negotiates (LO in RFC 7143 13).
pub fn is_leading_only(key: &str) -> bool {
    let keys = [
        "MaxConnections",
        "InitialR2T",
        "ImmediateData",
        "MaxBurstLength",
        "FirstBurstLength",
        "DefaultTime2Wait",
        "DefaultTime2Retain",
        "MaxOutstandingR2T",
        "DataPDUInOrder",
        "DataSequenceInOrder",
        "ErrorRecoveryLevel",
    ];
    keys.contains(&key)
}

impl Parameters {
    /// What holds on an added connection: its own digests and segment lengths, and the rest of the session.
    pub fn in_session(&self, session: &Parameters) -> Parameters {
        Parameters {
            header_digest: self.header_digest,
            data_digest: self.data_digest,
            send_max: self.send_max,
            receive_max: self.receive_max,
            ..session.clone()
        }
    }

    /// Takes one operational key of the initiator's.
    pub fn offer(&mut self, pair: &Pair<'_>) -> Answer {
        let value = pair.value;
        // The initiator's answer to something we declared.
        if matches!(value, "NotUnderstood" | "Reject" | "Irrelevant") {
            return Answer::Declared;
        }
        match pair.key {
            "HeaderDigest" => digest(value, &mut self.header_digest),
            "DataDigest" => digest(value, &mut self.data_digest),
            "MaxConnections" => least(value, 1..=65535, CONNECTIONS, &mut self.max_connections),
            // The result is the OR of both sides; ours is No.
            "InitialR2T" => logic(value, &mut self.initial_r2t, |offer| offer),
            "ImmediateData" => logic(value, &mut self.immediate_data, |offer| offer),
            "MaxRecvDataSegmentLength" => match number(value).filter(|n| LENGTHS.contains(n)) {
                Some(n) => {
                    self.send_max = narrow(n);
                    Answer::Declared
                }
                None => reject(),
            },
            "MaxBurstLength" => least(value, LENGTHS, BURST_CAP, &mut self.max_burst),
            "FirstBurstLength" => least(
                value,
                LENGTHS,
                FIRST_BURST_CAP.min(self.max_burst),
                &mut self.first_burst,
            ),
            "DefaultTime2Wait" => match number(value).filter(|n| *n <= 3600) {
                Some(n) => {
                    self.time2wait = narrow(n).max(TIME2WAIT);
                    Answer::Value(self.time2wait.to_string())
                }
                None => reject(),
            },
            "DefaultTime2Retain" => least(value, 0..=3600, TIME2RETAIN, &mut self.time2retain),
            "MaxOutstandingR2T" => least(value, 1..=65535, R2T_CAP, &mut self.max_r2t),
            "DataPDUInOrder" | "DataSequenceInOrder" => logic(value, &mut true, |_| true),
            "ErrorRecoveryLevel" => least(value, 0..=2, 0, &mut 0),
            "IFMarker" | "OFMarker" => logic(value, &mut false, |_| false),
            "IFMarkInt" | "OFMarkInt" => Answer::Value("Irrelevant".into()),
            _ => Answer::Unknown,
        }
    }
}

fn reject() -> Answer {
    Answer::Value("Reject".into())
}

/// Every number has passed a range check that ends below 2^24.
fn narrow(n: u64) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// The first entry of the initiator's list that is known (RFC 7143 13.1).
fn digest(list: &str, value: &mut bool) -> Answer {
    for item in list.split(',') {
        let crc = item.eq_ignore_ascii_case("CRC32C");
        if crc || item.eq_ignore_ascii_case("None") {
            *value = crc;
            return Answer::Value(if crc { "CRC32C" } else { "None" }.into());
        }
    }
    reject()
}

fn logic(value: &str, result: &mut bool, decide: impl FnOnce(bool) -> bool) -> Answer {
    match boolean(value) {
        Some(offer) => {
            *result = decide(offer);
            Answer::Value(yes_no(*result).into())
        }
        None => reject(),
    }
}

fn least(value: &str, range: std::ops::RangeInclusive<u64>, cap: u32, result: &mut u32) -> Answer {
    match number(value).filter(|n| range.contains(n)) {
        Some(n) => {
            *result = narrow(n).min(cap);
            Answer::Value(result.to_string())
        }
        None => reject(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn answer(key: &str, value: &str) -> (Parameters, Option<String>) {
        let mut parameters = Parameters::default();
        let answer = match parameters.offer(&Pair { key, value }) {
            Answer::Value(value) => Some(value),
            Answer::Declared | Answer::Unknown => None,
        };
        (parameters, answer)
    }

    #[test]
    fn every_key_has_its_result_function() {
        for (key, offer, result) in [
            ("HeaderDigest", "None", "None"),
            ("HeaderDigest", "x-other,CRC32C,None", "CRC32C"),
            ("DataDigest", "x-other", "Reject"),
            ("MaxConnections", "8", "8"),
            ("MaxConnections", "32", "8"),
            ("MaxConnections", "0", "Reject"),
            ("InitialR2T", "No", "No"),
            ("InitialR2T", "Yes", "Yes"),
            ("ImmediateData", "No", "No"),
            ("ImmediateData", "maybe", "Reject"),
            ("MaxBurstLength", "16776192", "1048576"),
            ("MaxBurstLength", "4096", "4096"),
            ("MaxBurstLength", "511", "Reject"),
            ("FirstBurstLength", "16776192", "262144"),
            ("DefaultTime2Wait", "0", "2"),
            ("DefaultTime2Wait", "5", "5"),
            ("DefaultTime2Retain", "60", "20"),
            ("DefaultTime2Retain", "0", "0"),
            ("MaxOutstandingR2T", "16", "8"),
            ("MaxOutstandingR2T", "0", "Reject"),
            ("DataPDUInOrder", "No", "Yes"),
            ("DataSequenceInOrder", "No", "Yes"),
            ("ErrorRecoveryLevel", "2", "0"),
            ("IFMarker", "Yes", "No"),
            ("OFMarkInt", "1~2", "Irrelevant"),
        ] {
            assert_eq!(answer(key, offer).1.as_deref(), Some(result), "{key}={offer}");
        }
    }

    #[test]
    fn a_declaration_is_not_answered() {
        let (parameters, answer) = answer("MaxRecvDataSegmentLength", "131072");
        assert_eq!((parameters.send_max, answer), (131_072, None));
    }

    #[test]
    fn a_rejected_offer_leaves_the_default() {
        assert_eq!(answer("MaxBurstLength", "1").0, Parameters::default());
    }

    #[test]
    fn first_burst_never_exceeds_max_burst() {
        let mut parameters = Parameters::default();
        parameters.offer(&Pair {
            key: "MaxBurstLength",
            value: "8192",
        });
        parameters.offer(&Pair {
            key: "FirstBurstLength",
            value: "65536",
        });
        assert_eq!(parameters.first_burst, 8192);
    }

    proptest! {
        #[test]
        fn negotiated_values_stay_legal(key in "MaxRecvDataSegmentLength|MaxBurstLength|FirstBurstLength|MaxOutstandingR2T",
            value in "[0-9a-fx~,-]{0,12}") {
            let (p, _) = answer(&key, &value);
            prop_assert!((512..=16_777_215).contains(&p.send_max));
            prop_assert!((512..=BURST_CAP).contains(&p.max_burst));
            prop_assert!((512..=FIRST_BURST_CAP).contains(&p.first_burst));
            prop_assert!((1..=R2T_CAP).contains(&p.max_r2t));
        }
    }
}
