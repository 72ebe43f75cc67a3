use super::*;
use proptest::prelude::*;

fn word(n: u32) -> [u8; 4] {
    n.to_be_bytes()
}

/// One pair with every field given, so that tests can break each.
struct RawPair {
    decsize: u32,
    name: Vec<u8>,
    kind: u32,
    nelem: u32,
    value: Vec<u8>,
}

impl RawPair {
    fn u32(name: &str) -> RawPair {
        RawPair {
            decsize: u32::try_from(align8(17 + name.len()) + 8).unwrap(),
            name: name.into(),
            kind: number::UINT32,
            nelem: 1,
            value: vec![0, 0, 0, 7],
        }
    }

    fn list(value: Vec<u8>) -> RawPair {
        RawPair {
            decsize: 24 + 24,
            name: b"l".into(),
            kind: number::NVLIST,
            nelem: 1,
            value,
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut out = word(99).to_vec(); // decoders ignore encsize
        out.extend(word(self.decsize));
        out.extend(word(u32::try_from(self.name.len()).unwrap()));
        out.extend(&self.name);
        out.resize(align4(out.len()), 0);
        out.extend(word(self.kind));
        out.extend(word(self.nelem));
        out.extend(&self.value);
        out
    }
}

fn raw_list(flags: u32, pairs: &[RawPair]) -> Vec<u8> {
    let mut out = [word(0), word(flags)].concat();
    pairs.iter().for_each(|pair| out.extend(pair.bytes()));
    out.extend([0; 8]);
    out
}

fn packed(pairs: &[RawPair]) -> Vec<u8> {
    [vec![1, 1, 0, 0], raw_list(1, pairs)].concat()
}

fn unpack(bytes: &[u8]) -> Result<NvList, DecodeError> {
    NvList::unpack(bytes, &Limits::MESSAGE)
}

#[test]
fn accepts_what_it_must() {
    let plain = packed(&[RawPair::u32("a"), RawPair::u32("b")]);
    let list = unpack(&plain).unwrap();
    assert_eq!(list.get("b"), Some(&Value::UInt32(7)));

    let mut big_endian_sender = plain.clone();
    big_endian_sender[1] = 0;
    assert_eq!(unpack(&big_endian_sender).unwrap(), list);

    let mut unique_name_type = plain.clone();
    unique_name_type[11] = 2;
    assert_eq!(unpack(&unique_name_type).unwrap(), list);

    let mut trailing = plain.clone();
    trailing.resize(plain.len() + Limits::MESSAGE.trailing, 0xee);
    assert_eq!(unpack(&trailing).unwrap(), list);
}

#[test]
fn bytes_may_be_zero_extended_or_sign_extended() {
    for upper in [[0, 0, 0], [0xff, 0xff, 0xff], [1, 2, 3]] {
        let value = [upper.as_slice(), &[0xf0]].concat();
        let scalar = RawPair {
            kind: number::UINT8,
            value: value.clone(),
            ..RawPair::u32("a")
        };
        assert_eq!(unpack(&packed(&[scalar])).unwrap().get("a"), Some(&Value::UInt8(0xf0)));
        let array = RawPair {
            kind: number::UINT8_ARRAY,
            value: [word(1).to_vec(), value].concat(),
            ..RawPair::u32("a")
        };
        assert_eq!(
            unpack(&packed(&[array])).unwrap().get("a"),
            Some(&Value::UInt8Array(vec![0xf0]))
        );
    }
}

#[test]
fn refuses_each_malformed_variant() {
    let good = packed(&[RawPair::u32("a")]);
    let with = |change: fn(&mut RawPair)| {
        let mut pair = RawPair::u32("a");
        change(&mut pair);
        unpack(&packed(&[pair]))
    };
    let patched = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        unpack(&bytes)
    };
    assert_eq!(unpack(&[]), Err(DecodeError::NotXdr));
    assert_eq!(patched(0, 0), Err(DecodeError::NotXdr));
    assert_eq!(patched(7, 1), Err(DecodeError::Version));
    assert_eq!(patched(11, 0), Err(DecodeError::Flags));
    assert_eq!(patched(11, 3), Err(DecodeError::Flags));
    assert_eq!(with(|p| p.decsize += 8), Err(DecodeError::DecSize));
    assert_eq!(with(|p| p.decsize -= 8), Err(DecodeError::DecSize));
    assert_eq!(with(|p| p.nelem = 2), Err(DecodeError::Count));
    assert_eq!(with(|p| p.kind = 77), Err(DecodeError::Type(77)));
    assert_eq!(with(|p| p.name = vec![]), Err(DecodeError::Name));
    assert_eq!(with(|p| p.name = vec![b'n'; 65]), Err(DecodeError::Name));
    assert_eq!(with(|p| p.name = vec![0xff]), Err(DecodeError::Name));
    assert_eq!(with(|p| p.name = b"a\0b".to_vec()), Err(DecodeError::Name));
    assert_eq!(
        with(|p| (p.kind, p.value) = (number::UINT8_ARRAY, [word(2), word(1)].concat())),
        Err(DecodeError::Count)
    );
    assert_eq!(
        with(|p| (p.kind, p.value) = (number::STRING, [word(2).to_vec(), b"a\0\0\0".to_vec()].concat())),
        Err(DecodeError::String)
    );
    assert_eq!(
        with(|p| (p.kind, p.value) = (number::UINT16, vec![0, 1, 0, 0])),
        Err(DecodeError::Range)
    );
    assert_eq!(
        unpack(&packed(&[RawPair::u32("a"), RawPair::u32("a")])),
        Err(DecodeError::Duplicate)
    );

    let mut trailing = good.clone();
    trailing.resize(good.len() + Limits::MESSAGE.trailing + 1, 0);
    assert_eq!(unpack(&trailing), Err(DecodeError::Trailing));

    let many: Vec<RawPair> = (0..65).map(|n| RawPair::u32(&format!("{n}"))).collect();
    assert_eq!(unpack(&packed(&many)), Err(DecodeError::TooManyPairs));
    assert!(unpack(&packed(&many[..64])).is_ok());

    let mut nested = raw_list(1, &[]);
    for _ in 0..3 {
        nested = raw_list(1, &[RawPair::list(nested)]);
    }
    let four_deep = [vec![1, 1, 0, 0], nested.clone()].concat();
    assert!(unpack(&four_deep).is_ok());
    let five_deep = [vec![1, 1, 0, 0], raw_list(1, &[RawPair::list(nested)])].concat();
    assert_eq!(unpack(&five_deep), Err(DecodeError::TooDeep));
    let inner_flag = [vec![1, 1, 0, 0], raw_list(1, &[RawPair::list(raw_list(0, &[]))])].concat();
    assert_eq!(unpack(&inner_flag), Err(DecodeError::Flags));
}

/// Also "missing end marker" and "a pair that overruns the buffer".
#[test]
fn refuses_every_truncation() {
    let whole = packed(&[RawPair::u32("a"), RawPair::list(raw_list(1, &[RawPair::u32("b")]))]);
    for length in 1..whole.len() {
        assert_eq!(unpack(&whole[..length]), Err(DecodeError::Truncated), "{length} bytes");
    }
}

/// A count of 4 billion elements must neither reserve memory nor overflow.
#[test]
fn huge_counts_are_refused_without_reserving() {
    for kind in [
        number::BYTE_ARRAY,
        number::UINT8_ARRAY,
        number::UINT32_ARRAY,
        number::UINT64_ARRAY,
        number::STRING_ARRAY,
    ] {
        let pair = RawPair {
            kind,
            nelem: u32::MAX,
            value: word(u32::MAX).to_vec(),
            ..RawPair::u32("a")
        };
        assert_eq!(unpack(&packed(&[pair])), Err(DecodeError::Truncated), "type {kind}");
    }
}

#[test]
fn a_zero_length_array_has_no_count_word_but_slack() {
    let mut list = NvList::new();
    list.push("a", Value::UInt8Array(vec![]));
    let bytes = list.pack();
    let written = packed(&[RawPair {
        decsize: 24,
        kind: number::UINT8_ARRAY,
        nelem: 0,
        value: vec![],
        ..RawPair::u32("a")
    }]);
    assert_eq!(bytes.len(), written.len() + 4);
    assert_eq!(bytes[16..written.len()], written[16..], "all but encsize");
    assert_eq!(bytes[12..16], word(28), "encsize counts the missing word");
    assert_eq!(unpack(&bytes).unwrap(), list);
    assert_eq!(unpack(&written).unwrap(), list, "slack missing");
}

#[test]
fn the_slack_of_an_inner_list_counts_in_its_encsize() {
    let (mut inner, mut list) = (NvList::new(), NvList::new());
    inner.push("a", Value::UInt32Array(vec![]));
    inner.push("b", Value::UInt64Array(vec![]));
    inner.push("c", Value::StringArray(vec![]));
    list.push("l", Value::List(inner));
    list.push("d", Value::UInt8Array(vec![]));
    let bytes = list.pack();
    let pair = 4 + 8; // header, version and flags
    let [a, b, c, frame] = [24 + 4, 24 + 4, 24, 24 + 8 + 8];
    assert_eq!(bytes[pair..pair + 4], word(frame + a + b + c));
    assert_eq!(
        bytes.len(),
        pair + usize::try_from(frame + a + b + c + 24 + 4 + 8).unwrap()
    );
    assert_eq!(bytes[bytes.len() - 12..], [0; 12], "three words were not written");
    assert_eq!(unpack(&bytes), Ok(list));
}

/// However long the list, and whatever stands between the two.
#[test]
fn a_repeated_name_is_seen_wherever_it_stands() {
    for count in [2, 3, 31, 32, 33, 34, 64] {
        let names: Vec<String> = (0..count).map(|n| format!("icx_{n}")).collect();
        for second in 1..count {
            for first in [0, second / 2, second - 1] {
                let mut pairs: Vec<RawPair> = names.iter().map(|name| RawPair::u32(name)).collect();
                assert!(unpack(&packed(&pairs)).is_ok());
                pairs[second] = RawPair::u32(&names[first]);
                assert_eq!(
                    unpack(&packed(&pairs)),
                    Err(DecodeError::Duplicate),
                    "{first} and {second} of {count}"
                );
            }
        }
    }
}

#[test]
fn a_name_of_an_inner_list_is_free_in_the_outer_one() {
    let inner = RawPair::list(raw_list(1, &[RawPair::u32("a"), RawPair::u32("b")]));
    let list = unpack(&packed(&[RawPair::u32("b"), inner, RawPair::u32("a")])).unwrap();
    let names: Vec<&str> = list.iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["b", "l", "a"]);
    let Some(Value::List(inner)) = list.get("l") else {
        panic!("a list")
    };
    assert_eq!(inner.len(), 2);
}

#[test]
fn names_are_any_utf8() {
    for name in ["\u{1}", "\u{7f}", "\u{80}", "ä", "\u{1f600}"] {
        let list = unpack(&packed(&[RawPair::u32(name)])).unwrap();
        assert_eq!(list.get(name), Some(&Value::UInt32(7)));
    }
}

fn scalar() -> impl Strategy<Value = Value> {
    let text = || proptest::collection::vec(1u8.., 0..20);
    prop_oneof![
        Just(Value::Boolean),
        any::<bool>().prop_map(Value::BooleanValue),
        any::<i8>().prop_map(Value::Int8),
        any::<u8>().prop_map(Value::UInt8),
        any::<i16>().prop_map(Value::Int16),
        any::<u16>().prop_map(Value::UInt16),
        any::<i32>().prop_map(Value::Int32),
        any::<u32>().prop_map(Value::UInt32),
        any::<i64>().prop_map(Value::Int64),
        any::<u64>().prop_map(Value::UInt64),
        text().prop_map(Value::String),
        any::<Vec<u8>>().prop_map(Value::ByteArray),
        any::<Vec<u8>>().prop_map(Value::UInt8Array),
        any::<Vec<u32>>().prop_map(Value::UInt32Array),
        any::<Vec<u64>>().prop_map(Value::UInt64Array),
        proptest::collection::vec(text(), 0..5).prop_map(Value::StringArray),
    ]
}

fn list_of(value: impl Strategy<Value = Value>) -> impl Strategy<Value = NvList> {
    proptest::collection::btree_map("[a-z_]{1,30}", value, 0..8).prop_map(|pairs| {
        let mut list = NvList::new();
        pairs.into_iter().for_each(|(name, value)| list.push(&name, value));
        list
    })
}

fn any_list() -> impl Strategy<Value = NvList> {
    list_of(prop_oneof![4 => scalar(), 1 => list_of(scalar()).prop_map(Value::List)])
}

proptest! {
    #[test]
    fn unpack_undoes_pack(list in any_list()) {
        prop_assert_eq!(unpack(&list.pack()), Ok(list));
    }

    #[test]
    fn no_bytes_panic(bytes in any::<Vec<u8>>()) {
        let _ = unpack(&[&[1, 1, 0, 0], bytes.as_slice()].concat());
    }

    #[test]
    fn no_mutation_panics(list in any_list(), changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
        let mut bytes = list.pack();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(list) = unpack(&bytes) {
            prop_assert_eq!(unpack(&list.pack()), Ok(list), "what was accepted is a list like any other");
        }
    }
}
