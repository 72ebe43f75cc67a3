//! The name of an LU on a command line: its GUID, or `alias:NAME` or `file:PATH`, which no GUID looks like (`cli.md` 10.10).
#![forbid(unsafe_code)]

use super::Service;
use crate::types::{Guid, Status};

/// Why a text names no LU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoLu {
    /// It is none of the forms.
    Malformed,
    /// No LU is called so.
    NotFound,
    /// Several LUs are.
    Several(usize),
    /// The service does not tell.
    Refused(Status),
}

impl NoLu {
    /// The reason; `malformed` is the subcommand's own text for what is no GUID (`cli.md` D-25).
    pub fn text(self, malformed: &str) -> String {
        match self {
            NoLu::Malformed => malformed.to_owned(),
            NoLu::NotFound => "not found".to_owned(),
            NoLu::Several(count) => format!("is the name of {count} logical units"),
            NoLu::Refused(status) => super::text::common_failure(status)
                .unwrap_or("unknown error")
                .to_owned(),
        }
    }

    /// The error line behind the tool's name: what the service refuses belongs to no operand (`cli.md` 1.7).
    pub fn line(self, operand: &str, malformed: &str) -> String {
        match self {
            NoLu::Refused(_) => self.text(malformed),
            _ => format!("{operand}: {}", self.text(malformed)),
        }
    }

    /// The nearest status.
    pub fn status(self) -> Status {
        match self {
            NoLu::Malformed | NoLu::Several(_) => Status::InvalidArg,
            NoLu::NotFound => Status::NotFound,
            NoLu::Refused(status) => status,
        }
    }
}

/// The LU of this name. Aliases are compared exactly; a file is the data file or the separate metadata file of an LU that is
/// active on this node.
pub fn parse(text: &str, service: &dyn Service) -> Result<Guid, NoLu> {
    if let Some(alias) = text.strip_prefix("alias:") {
        return only(service, |guid| {
            Ok(service.lu_info(guid)?.alias == alias && !alias.is_empty())
        });
    }
    if let Some(path) = text.strip_prefix("file:") {
        return only(service, |guid| {
            let properties = service.lu_resource(guid)?.properties;
            let files = [&properties.data_file, &properties.meta_file];
            Ok(files.iter().any(|file| file.as_deref() == Some(path)) && !path.is_empty())
        });
    }
    text.parse().map_err(|_| NoLu::Malformed)
}

fn only(service: &dyn Service, fits: impl Fn(Guid) -> Result<bool, Status>) -> Result<Guid, NoLu> {
    let mut found = Vec::new();
    for guid in service.lu_list().map_err(NoLu::Refused)? {
        match fits(guid) {
            Ok(true) => found.push(guid),
            // Not loaded, or gone meanwhile.
            Ok(false) | Err(Status::NotFound) => {}
            Err(status) => return Err(NoLu::Refused(status)),
        }
    }
    match found[..] {
        [guid] => Ok(guid),
        [] => Err(NoLu::NotFound),
        _ => Err(NoLu::Several(found.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::script::Script;
    use crate::framework::{AccessReport, LuInfo, ObjectState};
    use crate::types::{AccessState, LuProperties};

    const ONE: &str = "600144F0C73ABF00000065A1B2C30001";
    const TWO: &str = "600144F0C73ABF00000065A1B2D70002";

    fn guid(text: &str) -> Guid {
        text.parse().unwrap()
    }

    fn info(name: &str, alias: &str) -> LuInfo {
        LuInfo {
            guid: guid(name),
            state: Some(ObjectState::Online),
            provider: "sbd".into(),
            alias: alias.into(),
            vendor: *b"SUN     ",
            product: *b"COMSTAR         ",
            revision: *b"1.0 ",
        }
    }

    fn two(first: &str, second: &str) -> Script {
        Script::new()
            .ok("lu_list()", vec![guid(ONE), guid(TWO)])
            .ok(&format!("lu_info({ONE})"), info(ONE, first))
            .ok(&format!("lu_info({TWO})"), info(TWO, second))
    }

    #[test]
    fn aliases() {
        assert_eq!(parse("alias:b c", &two("a", "b c")), Ok(guid(TWO)));
        assert_eq!(parse("alias:A", &two("a", "b")), Err(NoLu::NotFound));
        assert_eq!(parse("alias:", &two("", "b")), Err(NoLu::NotFound));
        assert_eq!(parse("alias:a", &two("a", "a")), Err(NoLu::Several(2)));
        let refused = Script::new().fail("lu_list()", Status::ServiceNotFound);
        assert_eq!(parse("alias:a", &refused), Err(NoLu::Refused(Status::ServiceNotFound)));
    }

    #[test]
    fn files_of_active_units() {
        let file = |data: &str, meta: Option<&str>| AccessReport {
            access: AccessState::Active,
            properties: LuProperties {
                data_file: Some(data.into()),
                meta_file: meta.map(str::to_owned),
                ..LuProperties::default()
            },
        };
        let script = |path: &str| {
            let script = Script::new()
                .ok("lu_list()", vec![guid(ONE), guid(TWO)])
                .fail(&format!("lu_resource({ONE})"), Status::NotFound)
                .ok(&format!("lu_resource({TWO})"), file("/d", Some("/m")));
            parse(path, &script)
        };
        assert_eq!((script("file:/d"), script("file:/m")), (Ok(guid(TWO)), Ok(guid(TWO))));
        assert_eq!(script("file:/x"), Err(NoLu::NotFound));
    }

    #[test]
    fn what_is_no_name_needs_no_service() {
        assert_eq!(parse(ONE, &Script::new()), Ok(guid(ONE)));
        assert_eq!(parse("vm01", &Script::new()), Err(NoLu::Malformed));
        assert_eq!(NoLu::Malformed.text("must be 32"), "must be 32");
    }
}
