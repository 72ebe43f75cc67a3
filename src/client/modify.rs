//! Changes of LU properties from texts (`libstmf-api.md` 3.9, 4).
#![forbid(unsafe_code)]

use super::resource::{LuProperty, boolean, limited};
use super::{parse_size, send, state, unexpected};
use crate::service::{Request, Response};
use crate::types::{Guid, LuChange, LuProperties, Status};

/// A property, numbered as `STMF_LU_PROP_…`, and its new value: `InvalidProp` for one that does not change during the life
/// of an LU, then the errors of `stmfSetLuProp`.
pub fn lu_change(number: u32, text: &[u8]) -> Result<LuChange, Status> {
    match LuProperty::from_number(number) {
        Some(LuProperty::Alias) => Ok(LuChange::Alias(limited(text, LuProperties::MAX_ALIAS)?)),
        Some(LuProperty::Size) => Ok(LuChange::Size(parse_size(text).ok_or(Status::InvalidArg)?)),
        Some(LuProperty::MgmtUrl) => {
            let url = limited(text, LuProperties::MAX_URL)?;
            Ok(LuChange::MgmtUrl(Some(url).filter(|url| !url.is_empty())))
        }
        Some(LuProperty::WriteProtect) => Ok(LuChange::WriteProtect(boolean(text)?)),
        Some(LuProperty::WriteCacheDisable) => Ok(LuChange::WriteCacheDisable(boolean(text)?)),
        _ => Err(Status::InvalidProp),
    }
}

/// `stmfModifyLu`.
pub fn lu_modify(guid: Guid, change: LuChange) -> Result<(), Status> {
    done(Request::LuModify(guid, change))
}

/// `stmfModifyLuByFname`. Paths of the configuration are UTF-8: another path names no LU, which is found out after the
/// service was reached.
pub fn lu_modify_file(path: &[u8], change: LuChange) -> Result<(), Status> {
    match std::str::from_utf8(path) {
        Ok(path) => done(Request::LuModifyFile(path.to_owned(), change)),
        Err(_) => Err(state().err().unwrap_or(Status::MetaFileName)),
    }
}

fn done(request: Request) -> Result<(), Status> {
    match send(&request, &[])? {
        Response::Done => Ok(()),
        other => unexpected(other),
    }
}

/// `stmfSetGlobalLuProp`: the management URL is the only such property, else `InvalidProp`; empty removes it.
pub fn set_global_lu_property(number: u32, text: &[u8]) -> Result<(), Status> {
    check_global(number)?;
    let url = limited(text, LuProperties::MAX_URL)?;
    done(Request::SetMgmtUrl(Some(url).filter(|url| !url.is_empty())))
}

/// `stmfGetGlobalLuProp`; `NoProp` when it is not set.
pub fn global_lu_property(number: u32) -> Result<String, Status> {
    check_global(number)?;
    match send(&Request::GetMgmtUrl, &[])? {
        Response::MgmtUrl(url) => url.ok_or(Status::NoProp),
        other => unexpected(other),
    }
}

fn check_global(number: u32) -> Result<(), Status> {
    match LuProperty::from_number(number) {
        Some(LuProperty::MgmtUrl) => Ok(()),
        _ => Err(Status::InvalidProp),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_five_properties_change() {
        let change = |property: LuProperty, text: &str| lu_change(property as u32, text.as_bytes());
        assert_eq!(change(LuProperty::Alias, "a"), Ok(LuChange::Alias("a".to_owned())));
        assert_eq!(change(LuProperty::Size, "1m"), Ok(LuChange::Size(1 << 20)));
        assert_eq!(change(LuProperty::MgmtUrl, ""), Ok(LuChange::MgmtUrl(None)));
        assert_eq!(
            change(LuProperty::WriteProtect, "TRUE"),
            Ok(LuChange::WriteProtect(true))
        );
        let cache = change(LuProperty::WriteCacheDisable, "false");
        assert_eq!(cache, Ok(LuChange::WriteCacheDisable(false)));
        assert_eq!(change(LuProperty::Size, "x"), Err(Status::InvalidArg));
        assert_eq!(change(LuProperty::WriteProtect, "on"), Err(Status::InvalidArg));
        assert_eq!(
            change(LuProperty::Alias, &"x".repeat(256)),
            Err(Status::InvalidPropSize)
        );
        assert_eq!(
            change(LuProperty::MgmtUrl, &"x".repeat(1024)),
            Err(Status::InvalidPropSize)
        );
        for fixed in (0..20).filter(|n| ![1, 7, 9, 10, 11].contains(n)) {
            assert_eq!(lu_change(fixed, b"1"), Err(Status::InvalidProp), "{fixed}");
        }
    }
}
