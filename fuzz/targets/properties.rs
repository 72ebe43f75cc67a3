//! Texts of properties and names as callers of the C API give them (`src/client`, `src/types`): nothing panics, and what is taken
//! comes back as a text that is taken again.
#![no_main]
use stmf::client::{LuProperty, LuResource, devid_from_iscsi_name, lu_change, parse_size};
use stmf::types::{DevId, GroupName, Guid, ProviderName};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((&number, text)) = bytes.split_first() else { return };
    let number = u32::from(number % 20);
    // As a C string has it.
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    let mut resource = LuResource::default();
    if resource.set(number, text).is_ok()
        && let Ok(value) = resource.get(number)
    {
        let mut again = LuResource::default();
        // An empty URL is none; the vendor and the product come back in the width of their fields.
        again.set(number, value.as_bytes()).expect("it came from here");
        assert_eq!(again.get(number).as_ref(), Ok(&value), "{:?}", LuProperty::from_number(number));
    }
    if let Ok(change) = lu_change(number, text) {
        assert_eq!(change.check(), Ok(()), "the service would refuse it");
    }
    let _ = parse_size(text);
    if let Ok(devid) = devid_from_iscsi_name(text) {
        assert_eq!(devid.as_bytes(), text);
    }
    if let Ok(devid) = DevId::new(text) {
        assert_eq!(devid.as_bytes(), text);
    }
    if let Ok(name) = GroupName::new(text) {
        assert_eq!(name.as_str().as_bytes(), text);
    }
    let _ = ProviderName::new(text);
    if let Ok(Ok(guid)) = std::str::from_utf8(text).map(str::parse::<Guid>) {
        assert_eq!(guid.to_string().parse(), Ok(guid));
    }
});
