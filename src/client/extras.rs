//! Functions that the original never had: waiting for a state, giving LUs up in two phases, many LUs at once.
#![forbid(unsafe_code)]

use super::{send, unexpected};
use crate::framework::Wanted;
use crate::service::{BATCH_MAX, LuOutcome, Request, Response};
use crate::types::{Guid, Status};
use std::time::{Duration, Instant};

/// A wait is asked for in pieces, so that a service never works long for a caller that has gone.
const PIECE: Duration = Duration::from_millis(500);

/// Waits until it is so: `Busy` when patience ends first, `NotFound` when there is no such object then.
pub fn wait_for(wanted: &Wanted, patience: Duration) -> Result<(), Status> {
    let begin = Instant::now();
    loop {
        let left = patience.saturating_sub(begin.elapsed());
        let piece = left.min(PIECE);
        let request = Request::WaitFor(wanted.clone(), milliseconds(piece));
        match send(&request, &[])? {
            Response::Done => return Ok(()),
            Response::Failed(Status::Busy | Status::NotFound) if piece < left => {}
            other => return unexpected(other),
        }
    }
}

/// As `stmfLuStandby`, once the commands that run have ended: `Busy` when some still run after `patience`.
pub fn lu_stand_down(guid: Guid, patience: Duration) -> Result<(), Status> {
    match send(&Request::LuStandDown(guid, milliseconds(patience)), &[])? {
        Response::Done => Ok(()),
        other => unexpected(other),
    }
}

pub(super) fn milliseconds(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}

/// `stmfImportLu` for each file; an answer for each, in order. Paths of the configuration are UTF-8: another one names no LU.
/// Fails when there is nobody to ask.
pub fn lu_import_many(files: &[&[u8]]) -> Result<Vec<LuOutcome>, Status> {
    let known: Vec<Option<String>> = files.iter().map(|file| String::from_utf8(file.to_vec()).ok()).collect();
    let texts: Vec<String> = known.iter().flatten().cloned().collect();
    let mut outcomes = in_pieces(&texts, Request::LuImportMany)?.into_iter();
    let answer = |text: &Option<String>| match text {
        Some(_) => outcomes.next().unwrap_or((Some(Status::Error), None)),
        None => (Some(Status::MetaFileName), None),
    };
    Ok(known.iter().map(answer).collect())
}

/// `stmfLuStandby` for each LU; an answer for each, in order. Fails when there is nobody to ask.
pub fn lu_standby_many(lus: &[Guid]) -> Result<Vec<LuOutcome>, Status> {
    in_pieces(lus, Request::LuStandbyMany)
}

/// A piece after the first that gets no answer fails as a whole: what was done before it must be told.
fn in_pieces<T: Clone>(items: &[T], request: impl Fn(Vec<T>) -> Request) -> Result<Vec<LuOutcome>, Status> {
    if items.is_empty() {
        return super::state().map(|_| Vec::new());
    }
    let mut outcomes = Vec::with_capacity(items.len());
    for piece in items.chunks(BATCH_MAX) {
        let answer = match send(&request(piece.to_vec()), &[]) {
            Ok(Response::LuOutcomes(answer)) if answer.len() == piece.len() => Ok(answer),
            Ok(other) => unexpected(other),
            Err(status) => Err(status),
        };
        match answer {
            Ok(answer) => outcomes.extend(answer),
            Err(status) if outcomes.is_empty() => return Err(status),
            Err(status) => outcomes.extend(piece.iter().map(|_| (Some(status), None))),
        }
    }
    Ok(outcomes)
}
