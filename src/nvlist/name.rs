use std::fmt;

/// Bytes of a name that is kept in place. The longest of a message between the nodes has 30.
const SHORT: usize = 30;

/// The name of a pair. A message has dozens of them, so short ones take no memory of their own.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Name {
    /// Length and bytes, zeros behind them.
    Short(u8, [u8; SHORT]),
    Long(Box<str>),
}

impl Name {
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Name::Short(length, bytes) => &bytes[..usize::from(*length)],
            Name::Long(text) => text.as_bytes(),
        }
    }

    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).expect("made of a str")
    }
}

impl From<&str> for Name {
    fn from(text: &str) -> Name {
        let mut bytes = [0; SHORT];
        match (bytes.get_mut(..text.len()), u8::try_from(text.len())) {
            (Some(place), Ok(length)) => {
                place.copy_from_slice(text.as_bytes());
                Name::Short(length, bytes)
            }
            _ => Name::Long(text.into()),
        }
    }
}

impl PartialEq<str> for Name {
    fn eq(&self, text: &str) -> bool {
        self.as_bytes() == text.as_bytes()
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_length() {
        for text in [
            "",
            "a",
            "icsc_task_expected_xfer_length",
            &"long".repeat(100),
            "ä\u{1f600}",
        ] {
            let name = Name::from(text);
            assert!(name == *text && name != *"other" && name.as_str() == text);
            assert_eq!(name.clone(), name);
            assert_ne!(name, Name::from("a\0"));
            assert_eq!(format!("{name:?}"), format!("{text:?}"));
        }
        assert_eq!(size_of::<Name>(), SHORT + 2);
    }
}
