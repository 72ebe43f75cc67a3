//! Secrets from the terminal, from files (`cli.md` 4.4) and from standard input (10.10). They are never shown and never taken from the command line.

use crate::cli::text::reason;
use crate::types::Secret;
use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Read, Write};

/// End of text: what the terminal gives for Ctrl-C while signals are off.
const INTERRUPT: u8 = 3;

/// Why there is no secret.
#[derive(Debug)]
pub enum NoSecret {
    Length,
    /// The two entries differ.
    Differ,
    Terminal(io::Error),
    NoFile(String),
    Open(String, io::Error),
    Read(String, io::Error),
}

impl NoSecret {
    pub fn status(&self) -> u8 {
        match self {
            NoSecret::Length | NoSecret::Differ => 22,
            NoSecret::Terminal(_) => 6,
            NoSecret::NoFile(_) => 9,
            NoSecret::Open(_, error) => super::passed_on(error.raw_os_error().unwrap_or(1)),
            NoSecret::Read(..) => 5,
        }
    }
}

impl fmt::Display for NoSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoSecret::Length => write!(
                f,
                "Secret must be between {} and {} characters",
                Secret::MIN,
                Secret::MAX
            ),
            NoSecret::Differ => f.write_str("Secret validation failed"),
            NoSecret::Terminal(error) => write!(f, "Could not read secret: {}", reason(error)),
            NoSecret::NoFile(path) => write!(f, "Invalid secret file {path}"),
            NoSecret::Open(path, error) => write!(f, "Could not open secret file {path}: {}", reason(error)),
            NoSecret::Read(path, error) => write!(f, "Could not read secret file {path}: {}", reason(error)),
        }
    }
}

/// A whole regular file, one newline at its end dropped.
pub fn read_file(path: &str) -> Result<Secret, NoSecret> {
    let open = |error| NoSecret::Open(path.to_owned(), error);
    // Looked at before it is opened: to open a pipe would wait for its writer.
    if !std::fs::metadata(path).map_err(open)?.is_file() {
        return Err(NoSecret::NoFile(path.to_owned()));
    }
    read(File::open(path).map_err(open)?, |error| {
        NoSecret::Read(path.to_owned(), error)
    })
}

fn read(input: impl Read, failed: impl FnOnce(io::Error) -> NoSecret) -> Result<Secret, NoSecret> {
    let mut bytes = Vec::new();
    input
        .take(Secret::MAX as u64 + 2)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
    }
    Secret::new(bytes).map_err(|_| NoSecret::Length)
}

/// Standard input to its end, one newline dropped; no terminal, which would show what is typed.
pub fn read_stdin() -> Result<Secret, NoSecret> {
    let input = io::stdin();
    if input.is_terminal() {
        return Err(NoSecret::Terminal(io::Error::other("standard input is a terminal")));
    }
    read(input.lock(), NoSecret::Terminal)
}

/// Asks on the controlling terminal for a secret of this kind, twice.
pub fn ask(kind: &str) -> Result<Secret, NoSecret> {
    let open = File::options().read(true).write(true).open("/dev/tty");
    let terminal = open.map_err(NoSecret::Terminal)?;
    let silent = Silent::new(&terminal).map_err(NoSecret::Terminal)?;
    let answer = converse(kind, &mut BufReader::new(&terminal), &mut &terminal);
    drop(silent);
    answer
}

fn converse(kind: &str, input: &mut impl BufRead, output: &mut impl Write) -> Result<Secret, NoSecret> {
    let first = line(input, output, &format!("Enter {kind} secret: ")).map_err(NoSecret::Terminal)?;
    let secret = Secret::new(first).map_err(|_| NoSecret::Length)?;
    let second = line(input, output, "Re-enter secret: ").map_err(NoSecret::Terminal)?;
    match Secret::new(second) {
        Ok(second) if second == secret => Ok(secret),
        _ => Err(NoSecret::Differ),
    }
}

fn line(input: &mut impl BufRead, output: &mut impl Write, prompt: &str) -> io::Result<Vec<u8>> {
    output.write_all(prompt.as_bytes())?;
    output.flush()?;
    let mut bytes = Vec::new();
    let count = input.take(4096).read_until(b'\n', &mut bytes)?;
    // The newline that was typed is not echoed.
    output.write_all(b"\n")?;
    if count == 0 || bytes.contains(&INTERRUPT) {
        return Err(io::ErrorKind::Interrupted.into());
    }
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
    }
    Ok(bytes)
}

/// A terminal without echo, and without signals that would leave it so. Restored when dropped.
struct Silent<'a> {
    terminal: &'a File,
    before: Termios,
}

impl Silent<'_> {
    fn new(terminal: &File) -> io::Result<Silent<'_>> {
        let before = tcgetattr(terminal)?;
        let mut silent = before.clone();
        silent.local_flags.remove(LocalFlags::ECHO | LocalFlags::ISIG);
        tcsetattr(terminal, SetArg::TCSAFLUSH, &silent)?;
        Ok(Silent { terminal, before })
    }
}

impl Drop for Silent<'_> {
    fn drop(&mut self) {
        // Nobody is left to tell when the terminal is gone.
        let _ = tcsetattr(self.terminal, SetArg::TCSAFLUSH, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(text: &str) -> (Result<Secret, String>, String) {
        let mut shown = Vec::new();
        let answer = converse("CHAP", &mut text.as_bytes(), &mut shown);
        (answer.map_err(|why| why.to_string()), String::from_utf8(shown).unwrap())
    }

    #[test]
    fn what_is_typed_twice_is_the_secret() {
        let secret = Secret::new(b"correct horse".to_vec()).unwrap();
        let prompts = "Enter CHAP secret: \nRe-enter secret: \n".to_owned();
        assert_eq!(typed("correct horse\ncorrect horse\n"), (Ok(secret), prompts.clone()));
        let differ = Err("Secret validation failed".to_owned());
        assert_eq!(typed("correct horse\ncorrect hors\n"), (differ, prompts));
        let length = Err("Secret must be between 12 and 255 characters".to_owned());
        assert_eq!(typed("short\n"), (length, "Enter CHAP secret: \n".to_owned()));
        for gone in ["", "correct horse\n", "correct\u{3} horse\n"] {
            assert!(typed(gone).0.unwrap_err().starts_with("Could not read secret: "));
        }
    }

    #[test]
    fn files() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        let name = path.to_str().unwrap();
        let read = || read_file(name).map_err(|why| (why.status(), why.to_string()));
        let missing = format!("Could not open secret file {name}: No such file or directory");
        assert_eq!(read(), Err((2, missing)));
        for (content, length) in [
            ("correct horse\n", 13),
            ("correct horse", 13),
            ("correct horse\n\n", 14),
        ] {
            std::fs::write(&path, content).unwrap();
            assert_eq!(read().unwrap().reveal().len(), length);
        }
        std::fs::write(&path, vec![b'a'; 255]).unwrap();
        assert!(read().is_ok());
        for content in [vec![b'a'; 256], vec![b'a'; 9999], b"short\n".to_vec()] {
            std::fs::write(&path, content).unwrap();
            assert_eq!(
                read(),
                Err((22, "Secret must be between 12 and 255 characters".to_owned()))
            );
        }
        let folder = directory.path().to_str().unwrap();
        let why = read_file(folder).unwrap_err();
        assert_eq!(
            (why.status(), why.to_string()),
            (9, format!("Invalid secret file {folder}"))
        );
    }
}
