//! Colour (`cli.md` 10.5): whether words are painted, and how. It adds SGR sequences around words and changes nothing else;
//! what the original subcommands print stays without, unless the user asks for it.
#![forbid(unsafe_code)]

use std::fmt;

/// What the environment says, read once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Environment {
    /// `NO_COLOR` is set and not empty.
    pub none: bool,
    /// `CLICOLOR_FORCE` is set, not empty and not `0`.
    pub force: bool,
    /// `TERM=dumb`.
    pub dumb: bool,
    /// `STMF_COLOR=auto`: the original subcommands too, on a terminal.
    pub originals: bool,
}

impl Environment {
    /// Of this process.
    pub fn read() -> Environment {
        let value = |name| std::env::var_os(name).unwrap_or_default();
        let force = value("CLICOLOR_FORCE");
        Environment {
            none: !value("NO_COLOR").is_empty(),
            force: !force.is_empty() && force != "0",
            dumb: value("TERM") == "dumb",
            originals: value("STMF_COLOR") == "auto",
        }
    }

    /// Are words painted? `asked` is the argument of `--color`; `new`: the subcommand is none of the original's.
    pub fn paints(self, asked: Option<&str>, new: bool, terminal: bool) -> Result<bool, String> {
        match asked {
            Some("always") => Ok(true),
            Some("never") => Ok(false),
            Some("auto") => Ok(self.force || terminal && !self.dumb),
            Some(other) => Err(format!("{other}: color must be auto, always or never")),
            None if self.none => Ok(false),
            None if new => Ok(self.force || terminal && !self.dumb),
            None => Ok(self.originals && terminal && !self.dumb),
        }
    }
}

/// What a word means; the word itself is always there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tone {
    Good,
    Moving,
    Bad,
}

fn tone(word: &str) -> Option<Tone> {
    Some(match word.trim().to_ascii_lowercase().as_str() {
        "online" | "active" | "initialized" | "reachable" => Tone::Good,
        "onlining" | "offlining" | "initializing" | "active->standby" | "standby->active" | "active-to-standby"
        | "standby-to-active" => Tone::Moving,
        "offline" | "unregistered" | "not loaded" | "unreachable" | "no-door" | "uninitialized" => Tone::Bad,
        _ => return None,
    })
}

/// A word that tells a state, padded or not; painted when that is wanted and it has a colour.
pub struct Painted<'a> {
    text: &'a str,
    tone: Option<Tone>,
}

impl<'a> Painted<'a> {
    /// By its meaning.
    pub fn state(text: &'a str, paints: bool) -> Painted<'a> {
        Painted {
            text,
            tone: tone(text).filter(|_| paints),
        }
    }

    /// What is worth a look.
    pub fn condition(text: &'a str, critical: bool, paints: bool) -> Painted<'a> {
        let tone = if critical { Tone::Bad } else { Tone::Moving };
        Painted {
            text,
            tone: Some(tone).filter(|_| paints),
        }
    }
}

impl fmt::Display for Painted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let colour = match self.tone {
            None => return f.write_str(self.text),
            Some(Tone::Good) => 32,
            Some(Tone::Moving) => 33,
            Some(Tone::Bad) => 31,
        };
        // Spaces that pad a column stay outside.
        let word = self.text.trim();
        let start = self.text.len() - self.text.trim_start().len();
        let (before, after) = (&self.text[..start], &self.text[start + word.len()..]);
        write!(f, "{before}\u{1b}[{colour}m{word}\u{1b}[0m{after}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_painted() {
        let plain = Environment::default();
        let (new, old, terminal, pipe) = (true, false, true, false);
        let on = |environment: Environment, asked, new, terminal| environment.paints(asked, new, terminal).unwrap();
        assert!(on(plain, None, new, terminal) && !on(plain, None, new, pipe));
        assert!(
            !on(plain, None, old, terminal),
            "scripts run the original subcommands on terminals"
        );
        assert!(on(plain, Some("auto"), old, terminal) && !on(plain, Some("auto"), old, pipe));
        assert!(on(plain, Some("always"), old, pipe) && !on(plain, Some("never"), new, terminal));
        assert!(plain.paints(Some("red"), new, terminal).is_err());

        let none = Environment {
            none: true,
            force: true,
            ..plain
        };
        assert!(!on(none, None, new, terminal) && on(none, Some("always"), new, terminal));
        let force = Environment { force: true, ..plain };
        assert!(on(force, None, new, pipe) && !on(force, None, old, terminal));
        let dumb = Environment {
            dumb: true,
            originals: true,
            ..plain
        };
        assert!(!on(dumb, None, new, terminal) && !on(dumb, None, old, terminal));
        let wish = Environment {
            originals: true,
            ..plain
        };
        assert!(on(wish, None, old, terminal) && !on(wish, None, old, pipe));
    }

    #[test]
    fn only_sequences_are_added() {
        let shown = |text: &str| Painted::state(text, true).to_string();
        assert_eq!(shown("Online"), "\u{1b}[32mOnline\u{1b}[0m");
        assert_eq!(shown("offline  "), "\u{1b}[31moffline\u{1b}[0m  ");
        assert_eq!(shown(" Active->Standby"), " \u{1b}[33mActive->Standby\u{1b}[0m");
        for plain in ["-", "Standby", "unknown", "", "  "] {
            assert_eq!(shown(plain), plain);
        }
        assert_eq!(Painted::state("Online", false).to_string(), "Online");
    }
}
