//! `modify-lu` (`cli.md` 2.7).

use super::DIGITS;
use crate::cli::command_line::Invocation;
use crate::cli::text::common_failure;
use crate::cli::{Console, Service, lu_name, lu_property, values};
use crate::types::{Guid, LuChange, Status};

/// `modify-lu`: each property by itself, in order. The first failure ends it and leaves the earlier ones applied.
pub fn modify(invocation: &Invocation, service: &dyn Service, console: &mut Console<'_>) -> u8 {
    match modify_in_order(invocation, service) {
        Ok(()) => 0,
        Err(message) => {
            console.error(message);
            1
        }
    }
}

fn modify_in_order(invocation: &Invocation, service: &dyn Service) -> Result<(), String> {
    let lu = if invocation.has('f') {
        Lu::File(invocation.operand())
    } else {
        Lu::named(invocation.operand(), service)?
    };
    for (letter, value) in &invocation.options {
        let (name, change) = match letter {
            'p' => lu_property::change(value).map_err(|error| error.to_string())?,
            's' => ("size", size(value)),
            _ => continue,
        };
        change.and_then(|change| lu.modify(change, service)).map_err(|status| {
            let known = match status {
                Status::InvalidProp => Some("invalid property for modify"),
                Status::WriteCacheSet => Some("could not set write cache"),
                Status::AccessStateSet | Status::NoPropStandby => Some("cannot modify while in standby mode"),
                other => failure(other),
            };
            known.map_or_else(|| unknown(name, status), str::to_owned)
        })?;
    }
    Ok(())
}

/// The LU to modify.
#[derive(Debug, Clone, Copy)]
pub enum Lu<'a> {
    /// A registered one.
    Guid(Guid),
    /// By its data file, or its separate metadata file; it need not be registered.
    File(&'a str),
}

impl Lu<'_> {
    /// A registered one by its name; the message when it is none.
    pub fn named(operand: &str, service: &dyn Service) -> Result<Self, String> {
        let guid = lu_name::parse(operand, service).map_err(|wrong| wrong.line(operand, DIGITS))?;
        Ok(Lu::Guid(guid))
    }

    /// Changes one property.
    pub fn modify(self, change: LuChange, service: &dyn Service) -> Result<(), Status> {
        match self {
            Lu::Guid(guid) => service.lu_modify(guid, change),
            Lu::File(path) => service.lu_modify_file(path, change),
        }
    }
}

/// The new size; a text that is none fails as the library would (`cli.md` 2.7).
pub fn size(text: &str) -> Result<LuChange, Status> {
    values::size(text).map(LuChange::Size).ok_or(Status::InvalidArg)
}

/// The lines that `sbdadm modify-lu` has as well (`cli.md` 3.4).
pub fn failure(status: Status) -> Option<&'static str> {
    match status {
        Status::Busy | Status::LuBusy => Some("resource busy"),
        Status::InvalidBlkSize | Status::InvalidBlockSize => Some("invalid block size"),
        Status::GuidInUse => Some("guid in use"),
        Status::MetaFileName => Some("meta file error"),
        Status::DataFileName => Some("data file error"),
        Status::FileSizeInvalid => Some("file size invalid"),
        Status::SizeOutOfRange => Some("invalid size"),
        Status::MetaCreation => Some("could not create meta file"),
        other => common_failure(other),
    }
}

/// The last row: every other failure.
pub fn unknown(name: &str, status: Status) -> String {
    format!("could not set property: {name}: {}", status.code())
}

#[cfg(test)]
mod tests {
    use crate::cli::script::{Ran, Script, ran, run, run_words};
    use crate::cli::stmfadm;
    use crate::types::Status;

    const GUID: &str = "600144F0C73ABF00000065A1B2C30001";

    fn modify(options: &str, script: &Script) -> Ran {
        run(stmfadm::run, &format!("stmfadm modify-lu {options}{GUID}"), script)
    }

    fn alias(text: &str) -> String {
        format!("lu_modify({GUID}, Alias({text:?}))")
    }

    #[test]
    fn silent_when_done() {
        assert_eq!(modify("", &Script::new()), ran(0, "", ""));
        let script = Script::new()
            .ok(&alias("a=b"), ())
            .ok(&format!("lu_modify({GUID}, Size(10737418240))"), ())
            .ok(&format!("lu_modify({GUID}, WriteProtect(true))"), ())
            .ok(&format!("lu_modify({GUID}, WriteCacheDisable(false))"), ())
            .ok(&format!("lu_modify({GUID}, MgmtUrl(None))"), ());
        let line = "-p ALIAS=a=b -s 10GiB -p wp=TRUE -p wcd=false -p mgmt-url= ";
        assert_eq!(modify(line, &script), ran(0, "", ""));
        let script = Script::new().ok("lu_modify_file(\"/srv/a b\", MgmtUrl(Some(\"http://a http://b\")))", ());
        let words = ["modify-lu", "-f", "-p", "mgmt-url=http://a http://b", "/srv/a b"].map(str::to_owned);
        assert_eq!(run_words(stmfadm::run, "stmfadm", &words, &script), ran(0, "", ""));
    }

    #[test]
    fn the_first_failure_ends_it() {
        let script = Script::new().ok(&alias("a"), ()).fail(&alias("b"), Status::LuBusy);
        assert_eq!(
            modify("-p alias=a -p alias=b -p alias=c ", &script),
            ran(1, "", "stmfadm: resource busy\n")
        );
    }

    #[test]
    fn values_that_are_none() {
        let long = format!("-p alias={} ", "x".repeat(256));
        for (line, err) in [
            ("-p colour=red ", "invalid property specified: colour"),
            ("-p alias ", "alias: invalid property specifier- prop=val\n"),
            ("-p WP= ", "WP: invalid property specifier- prop=val\n"),
            ("-p mgmt-url ", "mgmt-url: invalid property specifier- prop=val\n"),
            ("-p vid=ACME ", "invalid property for modify"),
            ("-p blk=big ", "invalid property for modify"),
            ("-p wp=yes ", "could not set property: wp: 32775"),
            ("-s x ", "could not set property: size: 32775"),
            ("-s -5m ", "could not set property: size: 32775"),
            (&long, "could not set property: alias: 32793"),
        ] {
            assert_eq!(modify(line, &Script::new()), ran(1, "", &format!("stmfadm: {err}\n")));
        }
        for bad in ["60", &GUID.replace('6', "g"), "/srv/disk.img"] {
            let result = run(stmfadm::run, &format!("stmfadm modify-lu -s x {bad}"), &Script::new());
            let err = format!("stmfadm: {bad}: must be 32 hexadecimal digits\n");
            assert_eq!(result, ran(1, "", &err));
        }
    }

    #[test]
    fn refusals_of_the_service() {
        for (status, line) in [
            (Status::Busy, "resource busy"),
            (Status::LuBusy, "resource busy"),
            (Status::AccessStateSet, "cannot modify while in standby mode"),
            (Status::NoPropStandby, "cannot modify while in standby mode"),
            (Status::InvalidProp, "invalid property for modify"),
            (Status::InvalidBlkSize, "invalid block size"),
            (Status::GuidInUse, "guid in use"),
            (Status::MetaFileName, "meta file error"),
            (Status::DataFileName, "data file error"),
            (Status::FileSizeInvalid, "file size invalid"),
            (Status::SizeOutOfRange, "invalid size"),
            (Status::MetaCreation, "could not create meta file"),
            (Status::WriteCacheSet, "could not set write cache"),
            (Status::Perm, "permission denied"),
            (Status::ServiceNotFound, "STMF service not found"),
            (Status::ServiceDataVersion, "STMF service version incorrect"),
            (Status::NotFound, "could not set property: alias: 32770"),
            (Status::Error, "could not set property: alias: 32768"),
        ] {
            let script = Script::new().fail(&alias("a"), status);
            let err = format!("stmfadm: {line}\n");
            assert_eq!(modify("-p alias=a ", &script), ran(1, "", &err));
        }
    }
}
