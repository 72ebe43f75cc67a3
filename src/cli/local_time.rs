//! Local time for listings; wraps localtime_r(3), because the zone database is the C library's.

use std::mem::MaybeUninit;

/// 24 characters as asctime(3) in the C locale, local zone: `Tue Mar  4 08:15:09 2025` (`cli.md` 2.8); `unknown` when the
/// time cannot be told.
pub fn text(seconds_since_1970: u64) -> String {
    const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let name = |names: &[&'static str], index: i32| usize::try_from(index).ok().and_then(|i| names.get(i).copied());
    let told = broken_down(seconds_since_1970).and_then(|time| {
        let (day, month) = (name(&DAYS, time.tm_wday)?, name(&MONTHS, time.tm_mon)?);
        let year = time.tm_year.checked_add(1900)?;
        let (hour, minute, second) = (time.tm_hour, time.tm_min, time.tm_sec);
        Some(format!(
            "{day} {month} {:2} {hour:02}:{minute:02}:{second:02} {year}",
            time.tm_mday
        ))
    });
    match told {
        Some(text) if seconds_since_1970 != 0 => text,
        _ => "unknown".to_owned(),
    }
}

fn broken_down(seconds: u64) -> Option<libc::tm> {
    let seconds = libc::time_t::try_from(seconds).ok()?;
    let mut time = MaybeUninit::<libc::tm>::uninit();
    // SAFETY: both pointers are valid for the call; the result is read only when the call says that it was written.
    unsafe {
        if libc::localtime_r(&raw const seconds, time.as_mut_ptr()).is_null() {
            return None;
        }
        Some(time.assume_init())
    }
}

#[cfg(test)]
mod tests {
    use super::text;

    /// The zone is the machine's, so only the form is fixed here.
    #[test]
    fn form() {
        let told = text(1_741_075_200);
        assert_eq!(told.len(), 24, "{told}");
        assert!(told.ends_with(" 2025"), "{told}");
        assert_eq!(&told[3..8], " Mar ", "{told}");
        assert_eq!(text(u64::MAX), "unknown");
        assert_eq!(text(0), "unknown");
    }
}
