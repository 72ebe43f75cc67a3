//! The persist method (`libstmf-api.md` 1.8, 3.3): this process's own, if it has one, goes before the service's.

use super::process::Process;
use super::{send, unexpected};
use crate::service::{Request, Response};
use crate::types::{PersistMethod, Status};

/// `stmfSetPersistMethod(method, B_FALSE)`: all calls of this process from now on.
pub fn set_persist_method(method: PersistMethod) {
    Process::current().set_persist(Some(method));
}

/// `stmfSetPersistMethod(method, B_TRUE)`: `PersistType` when the service cannot store it; the process's own method is then
/// what it was, also when that is none.
pub fn set_service_persist_method(method: PersistMethod) -> Result<(), Status> {
    let process = Process::current();
    let before = process.persist();
    process.set_persist(Some(method));
    match send(&Request::SetPersistMethod(method), &[]) {
        Ok(Response::Done) => Ok(()),
        other => {
            process.set_persist(before);
            log::debug!("persist method of the service: {other:?}");
            Err(Status::PersistType)
        }
    }
}

/// The service's method; `PersistType` when it cannot be told.
pub fn service_persist_method() -> Result<PersistMethod, Status> {
    let answer = match send(&Request::GetPersistMethod, &[]) {
        Ok(Response::PersistMethod(method)) => Ok(method),
        Ok(other) => unexpected(other),
        Err(status) => Err(status),
    };
    answer.map_err(|status| {
        log::debug!("persist method of the service: {status}");
        Status::PersistType
    })
}

/// The method in force for this process; a service that cannot be asked stores.
pub fn persist_method() -> PersistMethod {
    let own = Process::current().persist();
    own.unwrap_or_else(|| service_persist_method().unwrap_or(PersistMethod::Store))
}
