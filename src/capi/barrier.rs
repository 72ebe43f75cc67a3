//! What surrounds every exported function: its symbol version, and the panic barrier.

use crate::types::Status;
use std::ffi::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

/// The symbol version of an exported function. `SUNW_1.1` and `SUNWprivate` are the original's, `STMF_1.0` marks our
/// additions. The nodes themselves are declared in `src/versions.map`.
macro_rules! version {
    ($node:literal, $($name:ident),+ $(,)?) => {
        $(std::arch::global_asm!(concat!(".symver ", stringify!($name), ",", stringify!($name), "@@@", $node));)+
    };
}

/// The body of an exported function: `Result<(), Status>` to a C status; a panic becomes `STMF_STATUS_ERROR`.
macro_rules! barrier {
    ($($body:tt)*) => {
        $crate::capi::barrier::guard(|| -> Result<(), $crate::types::Status> { $($body)* })
    };
}

/// A panic is told to the log: nothing is ever written to the standard error of the program (`libstmf-api.md` 1.10).
fn quiet_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| std::panic::set_hook(Box::new(|panic| log::error!("{panic}"))));
}

pub(super) fn guard(body: impl FnOnce() -> Result<(), Status>) -> c_int {
    if cfg!(not(test)) {
        quiet_panics();
    }
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => super::STMF_STATUS_SUCCESS,
        Ok(Err(status)) => status.code(),
        Err(_) => Status::Error.code(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_become_statuses_and_panics_stop_here() {
        assert_eq!(barrier!(Ok(())), 0);
        assert_eq!(barrier!(Err(Status::NotFound)), 0x8002);
        assert_eq!(guard(|| panic!("on purpose")), 0x8000);
    }
}
