//! Log lines of the library and the daemons: the `log` facade in front of syslog or standard error (`libstmf-api.md` 1.10).

use log::{Level, LevelFilter, Log, Metadata, Record};
use std::ffi::CString;
use std::io::Write;
use std::sync::OnceLock;

/// Where lines go.
enum Sink {
    Syslog,
    Stderr(String),
}

struct Logger {
    sink: Sink,
}

static LOGGER: OnceLock<Logger> = OnceLock::new();

/// Lines go to syslog, facility daemon, with the identification and the process id. Used by the daemons.
pub fn init_syslog(ident: &str, level: LevelFilter) {
    static IDENT: OnceLock<CString> = OnceLock::new();
    let ident = IDENT.get_or_init(|| CString::new(ident).unwrap_or_default());
    // SAFETY: openlog keeps the pointer; IDENT lives as long as the process.
    unsafe { libc::openlog(ident.as_ptr(), libc::LOG_PID, libc::LOG_DAEMON) };
    init(Sink::Syslog, level);
}

/// Lines go to standard error as `IDENT: message`. Used by programs in the foreground.
pub fn init_stderr(ident: &str, level: LevelFilter) {
    init(Sink::Stderr(ident.to_owned()), level);
}

/// For the library inside somebody's program: syslog as that program opened it, unless it brought a logger of its own
/// (a Rust program). Nothing is ever written to its standard streams.
pub fn init_library() {
    init(Sink::Syslog, LevelFilter::Info);
}

/// The first call wins.
fn init(sink: Sink, level: LevelFilter) {
    if log::set_logger(LOGGER.get_or_init(|| Logger { sink })).is_ok() {
        log::set_max_level(level);
    }
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("stmf")
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let text = record.args().to_string().replace('\0', "\\0");
        match &self.sink {
            Sink::Stderr(ident) => {
                // One write, so that lines of several processes do not mix. With nobody to read it the line is lost.
                let _ = std::io::stderr().write_all(format!("{ident}: {text}\n").as_bytes());
            }
            Sink::Syslog => {
                let text = CString::new(text).unwrap_or_default();
                // SAFETY: the format takes one string; both strings end in NUL.
                unsafe { libc::syslog(priority(record.level()), c"%s".as_ptr(), text.as_ptr()) };
            }
        }
    }

    fn flush(&self) {}
}

const fn priority(level: Level) -> libc::c_int {
    match level {
        Level::Error => libc::LOG_ERR,
        Level::Warn => libc::LOG_WARNING,
        Level::Info => libc::LOG_INFO,
        Level::Debug | Level::Trace => libc::LOG_DEBUG,
    }
}
