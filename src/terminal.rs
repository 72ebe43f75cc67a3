//! The controlling terminal while a screen is shown on it again and again.

use crate::signals::{self, Termination};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

/// End of text: Ctrl-C while signals of the terminal are off.
const INTERRUPT: u8 = 3;
/// Between two looks at signals and at the size.
const LOOK: Duration = Duration::from_millis(100);
/// What is assumed of a terminal that does not tell.
const SIZE: (usize, usize) = (100, 24);

/// What has happened meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// Nothing; time is up.
    None,
    /// `q` or Ctrl-C, or the terminal is gone, or the process is to end.
    Leave,
    /// It has another size.
    Resized,
}

/// A terminal that neither echoes nor waits for whole lines. Restored when dropped; a termination signal waits until then.
pub struct Terminal {
    file: File,
    before: Termios,
    signals: Option<Termination>,
}

impl Terminal {
    /// `None`: there is none, or it does not do as it is told.
    pub fn open() -> Option<Terminal> {
        let file = File::options().read(true).write(true).open("/dev/tty").ok()?;
        let before = tcgetattr(&file).ok()?;
        let signals = signals::hold_termination().ok();
        let mut silent = before.clone();
        silent
            .local_flags
            .remove(LocalFlags::ECHO | LocalFlags::ICANON | LocalFlags::ISIG);
        let terminal = Terminal { file, before, signals };
        tcsetattr(&terminal.file, SetArg::TCSANOW, &silent).ok()?;
        Some(terminal)
    }

    /// To the alternate screen, without a cursor.
    pub fn enter(&self) -> &'static str {
        "\u{1b}[?1049h\u{1b}[?25l"
    }

    /// Back to what was there before.
    pub fn leave(&self) -> &'static str {
        "\u{1b}[?25h\u{1b}[?1049l"
    }

    /// Columns and rows.
    pub fn size(&self) -> (usize, usize) {
        let mut size = libc::winsize {
            ws_row: 0,
            ws_col: 0,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        // SAFETY: the request writes one winsize, and this is one.
        let told = unsafe { libc::ioctl(self.file.as_raw_fd(), libc::TIOCGWINSZ, &raw mut size) };
        match (told, size.ws_col, size.ws_row) {
            (0, 1.., 1..) => (usize::from(size.ws_col), usize::from(size.ws_row)),
            _ => SIZE,
        }
    }

    /// Waits so long, or until something happens.
    pub fn wait(&self, time: Duration) -> Key {
        let (end, size) = (Instant::now() + time, self.size());
        loop {
            if self.signals.as_ref().is_some_and(Termination::pending) {
                return Key::Leave;
            }
            if self.size() != size {
                return Key::Resized;
            }
            let left = end.saturating_duration_since(Instant::now()).min(LOOK);
            if left.is_zero() {
                return Key::None;
            }
            let mut keys = [PollFd::new(self.file.as_fd(), PollFlags::POLLIN)];
            let timeout = PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::ZERO);
            if poll(&mut keys, timeout).is_ok_and(|count| count > 0) {
                let mut byte = [0];
                match (&self.file).read(&mut byte) {
                    Ok(1) if !matches!(byte[0], b'q' | b'Q' | INTERRUPT) => {}
                    _ => return Key::Leave,
                }
            }
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Nobody is left to tell when the terminal is gone.
        let _ = tcsetattr(&self.file, SetArg::TCSANOW, &self.before);
        if let Some(signals) = self.signals.take() {
            signals.unblock();
        }
    }
}
