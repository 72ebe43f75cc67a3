//! Creating, importing and deleting LUs (`cli.md` 2.6, 2.7).

use super::{DIGITS_LONG, backing_file, scan};
use crate::cli::command_line::{DRY_RUN, Invocation, JSON, SCAN, VERIFY};
use crate::cli::patience::Patience;
use crate::cli::text::{common_failure, failures};
use crate::cli::{Console, Service, lu_name, lu_property, values};
use crate::types::{Guid, LuProperties, Status};

/// `create-lu`.
pub fn create(invocation: &Invocation, service: &dyn Service, console: &mut Console<'_>) -> u8 {
    let file = invocation.operand();
    let prepared = properties(invocation).and_then(|properties| {
        let prepared = backing_file::prepare(invocation, &properties, console)?;
        Ok((properties, prepared))
    });
    let (properties, prepared) = match prepared {
        Ok(prepared) => prepared,
        Err(message) => return report("created", Err(message), console),
    };
    let created = service.lu_create(properties);
    let exit = report(
        "created",
        created.map_err(|status| store_failure(status, file)),
        console,
    );
    match (prepared, created) {
        (Some(prepared), Ok(_)) => prepared.keep(),
        // A service that died in the middle may have made the LU: its file must not go.
        (Some(prepared), Err(Status::Error)) if !invocation.has(DRY_RUN) => {
            console.complain(format_args!("{file}: stays, as it may be in use"));
            prepared.keep();
        }
        (Some(prepared), Err(_)) => prepared.undo(),
        (None, _) => {}
    }
    exit
}

/// `import-lu`.
pub fn import(invocation: &Invocation, service: &dyn Service, console: &mut Console<'_>) -> u8 {
    if invocation.has(SCAN) {
        return scan::scan(invocation, service, console);
    }
    let file = invocation.operand();
    let verified = if invocation.has(VERIFY) && !invocation.has(DRY_RUN) {
        verify(file, invocation, service)
    } else {
        Ok(())
    };
    let imported = verified.and_then(|()| service.lu_import(file));
    let result = imported.map_err(|(status, _)| store_failure(status, file));
    report("imported", result, console)
}

/// Metadata, size and ownership are looked at, and nothing is touched when one of them is not as it should be.
fn verify(file: &str, invocation: &Invocation, service: &dyn Service) -> Result<(), (Status, Option<Guid>)> {
    service.tell(true);
    let possible = service.lu_import(file);
    service.told();
    // As it was.
    if invocation.has(JSON) {
        service.tell(false);
    }
    possible.map(drop)
}

fn report(done: &str, result: Result<Guid, String>, console: &mut Console<'_>) -> u8 {
    match result {
        Ok(guid) => {
            console.line(format_args!("Logical unit {done}: {guid}"));
            0
        }
        Err(message) => {
            console.error(message);
            1
        }
    }
}

/// Options in the order given; the first bad one ends it.
fn properties(invocation: &Invocation) -> Result<LuProperties, String> {
    let mut properties = LuProperties::default();
    for (letter, value) in &invocation.options {
        match letter {
            'p' => lu_property::apply(value, &mut properties).map_err(|error| error.to_string())?,
            's' => properties.size = Some(values::size(value).ok_or("s: size param invalid")?),
            _ => {}
        }
    }
    let file = invocation.operand();
    if file.len() > lu_property::MAX_PATH {
        return Err("could not set filename".to_owned());
    }
    properties.data_file = Some(file.to_owned());
    Ok(properties)
}

/// What the service said about a backing store.
fn store_failure(status: Status, file: &str) -> String {
    let line = match status {
        Status::FileInUse | Status::FileAlready => return format!("filename {file}: in use"),
        Status::GuidInUse => "guid in use",
        Status::DataFileName => "data file error",
        Status::MetaFileName => "meta file error",
        Status::MetaCreation => "could not create meta file",
        Status::FileSizeInvalid => "file size invalid",
        Status::SizeOutOfRange => "invalid size",
        Status::InvalidBlkSize | Status::InvalidBlockSize => "invalid block size",
        Status::WriteCacheSet => "could not set write cache",
        Status::Busy | Status::LuBusy => "resource busy",
        other => common_failure(other).unwrap_or("unknown error"),
    };
    line.to_owned()
}

/// `delete-lu`: each operand by itself; the exit status is the number of error lines.
pub fn delete(invocation: &Invocation, service: &dyn Service, console: &mut Console<'_>) -> u8 {
    let patience = match Patience::asked(invocation) {
        Ok(patience) => patience,
        Err(message) => {
            console.error(message);
            return 1;
        }
    };
    let mut failed = 0;
    for operand in &invocation.operands {
        let result = match lu_name::parse(operand, service) {
            Ok(guid) => delete_one(guid, invocation.has('k'), patience, service),
            Err(wrong) => Err(wrong.line(operand, DIGITS_LONG)),
        };
        if let Err(message) = result {
            console.error(message);
            failed += 1;
        }
    }
    failures(failed)
}

/// First the LU, then its views: those of an LU that could not be unloaded are kept (`cli.md` D-05). An LU that is not
/// loaded but has views counts as found (D-27).
fn delete_one(guid: Guid, keep_views: bool, mut patience: Patience, service: &dyn Service) -> Result<(), String> {
    let loaded = match patience.ask(service, || service.lu_delete(guid)) {
        Ok(()) => true,
        Err(Status::NotFound) => false,
        Err(Status::Busy | Status::LuBusy) => return Err("resource busy".to_owned()),
        Err(other) => return Err(common_failure(other).unwrap_or("unknown error").to_owned()),
    };
    if loaded && keep_views {
        return Ok(());
    }
    let views_failed = |status| match common_failure(status) {
        Some(line) => line.to_owned(),
        None => "unable to remove view entries\n".to_owned(),
    };
    let views = service.view_list(guid).or_else(|status| match status {
        Status::NotFound => Ok(Vec::new()),
        other => Err(views_failed(other)),
    })?;
    if !loaded && views.is_empty() {
        return Err(format!("{guid:x}: not found"));
    }
    if keep_views {
        return Ok(());
    }
    for view in views {
        match service.view_remove(guid, view.index) {
            // Somebody else was faster; it is gone all the same.
            Ok(()) | Err(Status::NotFound) => {}
            Err(status) => return Err(views_failed(status)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::cli::script::{Ran, Script, ran, run};
    use crate::cli::stmfadm;
    use crate::framework::ViewEntry;
    use crate::types::{Guid, LuProperties, Lun, Status};

    const GUID: &str = "600144F0C73ABF00000065A1B2C30001";
    const LOWER: &str = "600144f0c73abf00000065a1b2c30001";

    fn guid() -> Guid {
        GUID.parse().unwrap()
    }

    fn stmfadm(line: &str, script: &Script) -> Ran {
        run(stmfadm::run, &format!("stmfadm {line}"), script)
    }

    fn create_call(file: &str) -> String {
        let properties = LuProperties {
            data_file: Some(file.into()),
            ..LuProperties::default()
        };
        format!("lu_create({properties:?})")
    }

    #[test]
    fn creates() {
        let properties = LuProperties {
            alias: Some("archive".into()),
            block_size: Some(4096),
            size: Some(2_199_023_255_552),
            data_file: Some("/srv/lu/archive.img".into()),
            ..LuProperties::default()
        };
        let script = Script::new().ok(&format!("lu_create({properties:?})"), guid());
        assert_eq!(
            stmfadm(
                "create-lu -p alias=archive -p blk=4096 -s 2t /srv/lu/archive.img",
                &script
            ),
            ran(0, &format!("Logical unit created: {GUID}\n"), "")
        );
    }

    #[test]
    fn create_refuses_bad_options_in_order() {
        let none = Script::new();
        for (line, err) in [
            ("-p alias", "stmfadm: alias: invalid property specifier - prop=val\n\n"),
            ("-p colour=red", "stmfadm: invalid property specified: colour\n"),
            ("-p blk=big -s x", "stmfadm: unable to set blk: bad format\n"),
            ("-s -5m -p blk=big", "stmfadm: s: size param invalid\n"),
        ] {
            assert_eq!(stmfadm(&format!("create-lu {line} /srv/lu/a"), &none), ran(1, "", err));
        }
        let long = format!("create-lu /{}", "x".repeat(4095));
        assert_eq!(stmfadm(&long, &none), ran(1, "", "stmfadm: could not set filename\n"));
    }

    #[test]
    fn store_failures() {
        for (status, line) in [
            (Status::FileInUse, "filename /a: in use"),
            (Status::GuidInUse, "guid in use"),
            (Status::DataFileName, "data file error"),
            (Status::MetaFileName, "meta file error"),
            (Status::MetaCreation, "could not create meta file"),
            (Status::FileSizeInvalid, "file size invalid"),
            (Status::SizeOutOfRange, "invalid size"),
            (Status::InvalidBlkSize, "invalid block size"),
            (Status::WriteCacheSet, "could not set write cache"),
            (Status::Busy, "resource busy"),
            (Status::LuBusy, "resource busy"),
            (Status::Perm, "permission denied"),
            (Status::Error, "unknown error"),
            (Status::AccessStateSet, "unknown error"),
            (Status::ServiceNotFound, "STMF service not found"),
        ] {
            let line = format!("stmfadm: {line}\n");
            let script = Script::new().fail(&create_call("/a"), status);
            assert_eq!(stmfadm("create-lu /a", &script), ran(1, "", &line));
            let script = Script::new().fail("lu_import(\"/a\")", status);
            assert_eq!(stmfadm("import-lu /a", &script), ran(1, "", &line));
        }
    }

    #[test]
    fn imports() {
        let script = Script::new().ok("lu_import(\"/srv/lu/archive.img\")", guid());
        let out = format!("Logical unit imported: {GUID}\n");
        assert_eq!(stmfadm("import-lu /srv/lu/archive.img", &script), ran(0, &out, ""));
    }

    fn view(index: u32) -> ViewEntry {
        ViewEntry {
            index,
            host_group: None,
            target_group: None,
            lun: Lun::new(0).unwrap(),
        }
    }

    #[test]
    fn deletes_the_lu_and_its_views() {
        let (delete, views) = (format!("lu_delete({GUID})"), format!("view_list({GUID})"));
        let remove = |n| format!("view_remove({GUID}, {n})");
        let both = || vec![view(0), view(2)];
        let script = Script::new()
            .ok(&delete, ())
            .ok(&views, both())
            .ok(&remove(0), ())
            .ok(&remove(2), ());
        assert_eq!(stmfadm(&format!("delete-lu {LOWER}"), &script), ran(0, "", ""));
        let script = Script::new().ok(&delete, ());
        assert_eq!(stmfadm(&format!("delete-lu -k {GUID}"), &script), ran(0, "", ""));
        // Not loaded, but with views: found.
        let script = Script::new()
            .fail(&delete, Status::NotFound)
            .ok(&views, both())
            .ok(&remove(0), ())
            .ok(&remove(2), ());
        assert_eq!(stmfadm(&format!("delete-lu {GUID}"), &script), ran(0, "", ""));
        let script = Script::new().fail(&delete, Status::NotFound).ok(&views, both());
        assert_eq!(stmfadm(&format!("delete-lu -k {GUID}"), &script), ran(0, "", ""));
        let script = Script::new()
            .ok(&delete, ())
            .ok(&views, both())
            .fail(&remove(0), Status::NotFound)
            .ok(&remove(2), ());
        assert_eq!(stmfadm(&format!("delete-lu {GUID}"), &script), ran(0, "", ""));
    }

    #[test]
    fn delete_failures_are_counted() {
        let (delete, views) = (format!("lu_delete({GUID})"), format!("view_list({GUID})"));
        for flag in ["", "-k "] {
            let script = Script::new()
                .fail(&delete, Status::NotFound)
                .ok(&views, Vec::<ViewEntry>::new());
            let err = format!("stmfadm: 60: must be 32 hexadecimal digits long\nstmfadm: {LOWER}: not found\n");
            assert_eq!(
                stmfadm(&format!("delete-lu {flag}60 {GUID}"), &script),
                ran(2, "", &err)
            );
        }
        // An LU that stays keeps its views.
        for (status, line) in [
            (Status::Busy, "stmfadm: resource busy\n"),
            (Status::LuBusy, "stmfadm: resource busy\n"),
            (Status::InvalidArg, "stmfadm: unknown error\n"),
            (Status::Perm, "stmfadm: permission denied\n"),
        ] {
            let script = Script::new().fail(&delete, status);
            assert_eq!(stmfadm(&format!("delete-lu {GUID}"), &script), ran(1, "", line));
        }
        let script = Script::new().ok(&delete, ()).fail(&views, Status::Busy);
        let err = "stmfadm: unable to remove view entries\n\n";
        assert_eq!(stmfadm(&format!("delete-lu {GUID}"), &script), ran(1, "", err));
    }
}
