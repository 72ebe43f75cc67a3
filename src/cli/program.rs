//! From a process to a tool: arguments, streams, exit status.
#![forbid(unsafe_code)]

use super::colour::Environment;
use super::{Console, Daemon, Service};
use crate::client;
use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::process::ExitCode;

/// A tool: arguments after `argv[0]`, who answers, where output goes; returns the exit status.
pub type ToolMain = fn(&[String], &dyn Service, &mut Console<'_>) -> u8;

/// Runs a tool as this process.
pub fn run(main: ToolMain) -> ExitCode {
    let mut arguments = std::env::args_os();
    let program = arguments.next().unwrap_or_default().to_string_lossy().into_owned();
    let (mut out, mut err) = (io::stdout(), io::stderr());
    let (terminal, errors_on_terminal) = (out.is_terminal(), err.is_terminal());
    let mut console = Console::new(&program, &mut out, &mut err);
    console.set_terminal(terminal);
    console.set_errors_on_terminal(errors_on_terminal);
    console.set_environment(Environment::read());
    if let Err(error) = client::require_daemon() {
        console.error(error);
        return ExitCode::FAILURE;
    }
    ExitCode::from(run_with(main, arguments, &Daemon, &mut console))
}

/// Names travel to the service as UTF-8, so an argument that is something else could only name another object than the
/// one that was meant: it is refused.
fn run_with(
    main: ToolMain,
    arguments: impl Iterator<Item = OsString>,
    service: &dyn Service,
    console: &mut Console<'_>,
) -> u8 {
    let arguments: Vec<String> = match arguments.map(OsString::into_string).collect() {
        Ok(arguments) => arguments,
        Err(argument) => {
            console.error(format_args!(
                "{}: argument is not valid UTF-8",
                argument.to_string_lossy()
            ));
            return 1;
        }
    };
    let status = main(&arguments, service, console);
    match console
        .output_failure()
        .map(|failure| (failure.kind(), failure.to_string()))
    {
        None => status,
        // The reader has seen enough: nothing to say, but not all was delivered.
        Some((io::ErrorKind::BrokenPipe, _)) => status.max(1),
        Some((_, reason)) => {
            console.error(format_args!("cannot write output: {reason}"));
            status.max(1)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::script::Script;
    use std::io::Write;
    use std::os::unix::ffi::OsStringExt;

    struct Broken(io::ErrorKind);
    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn two_lines(_: &[String], _: &dyn Service, console: &mut Console<'_>) -> u8 {
        console.line("one");
        console.line("two");
        0
    }

    #[test]
    fn a_broken_pipe_is_quiet_and_not_success() {
        let mut err = Vec::new();
        let mut out = Broken(io::ErrorKind::BrokenPipe);
        let status = run_with(
            two_lines,
            std::iter::empty(),
            &Script::new(),
            &mut Console::new("t", &mut out, &mut err),
        );
        assert_eq!((status, err), (1, Vec::new()));
    }

    #[test]
    fn a_full_disk_is_named() {
        let mut err = Vec::new();
        let mut out = Broken(io::ErrorKind::StorageFull);
        let status = run_with(
            two_lines,
            std::iter::empty(),
            &Script::new(),
            &mut Console::new("/sbin/t", &mut out, &mut err),
        );
        assert_eq!(status, 1);
        assert!(String::from_utf8(err).unwrap().starts_with("t: cannot write output: "));
    }

    #[test]
    fn arguments_must_be_utf8() {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let argument = OsString::from_vec(vec![b'a', 0xff]);
        let mut console = Console::new("t", &mut out, &mut err);
        let status = run_with(two_lines, std::iter::once(argument), &Script::new(), &mut console);
        assert_eq!(status, 1);
        assert_eq!(
            String::from_utf8(err).unwrap(),
            "t: a\u{fffd}: argument is not valid UTF-8\n"
        );
        assert!(out.is_empty());
    }
}
