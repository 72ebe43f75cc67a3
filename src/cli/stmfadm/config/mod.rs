//! `export-config`, and `import-config` or `apply-config`: the whole configuration of the node as one JSON file
//! (`docs/config-format.md`).

mod current;
mod difference;
mod document;
mod file;
mod plan;
mod wanted;

use crate::cli::command_line::{DRY_RUN, Invocation};
use crate::cli::text::{printable, reason};
use crate::cli::{Console, Service};
use document::Document;
pub use document::VERSION;

/// The file is all there is to be.
pub const EXACT: char = '\u{e011}';
/// The values of CHAP secrets too.
pub const WITH_SECRETS: char = '\u{e012}';

/// `export-config [--with-secrets] [FILE]`: to standard output, or in the place of a file.
pub fn export(invocation: &Invocation, service: &dyn Service, console: &mut Console<'_>) -> u8 {
    match write(invocation, service, console) {
        Ok(()) => 0,
        Err(message) => {
            console.error(message);
            1
        }
    }
}

fn write(invocation: &Invocation, service: &dyn Service, console: &mut Console<'_>) -> Result<(), String> {
    let path = match &invocation.operands[..] {
        [] => "-",
        [path] => path,
        _ => return Err("export-config accepts only a single operand".to_owned()),
    };
    let current = current::read(service)?;
    for note in &current.notes {
        console.note(printable(note));
    }
    let document = match invocation.has(WITH_SECRETS) {
        true => current.document,
        false => current.document.without_secrets(),
    };
    match path {
        "-" => console.text(document.print()),
        path => {
            file::replace(path, document.print().as_bytes()).map_err(|error| format!("{path}: {}", reason(&error)))?
        }
    }
    Ok(())
}

/// `import-config [--dry-run] [--exact] FILE`: shows what changes, then changes it.
pub fn import(invocation: &Invocation, service: &dyn Service, console: &mut Console<'_>) -> u8 {
    match read(invocation, service, console) {
        Ok(()) => 0,
        Err(messages) => {
            messages.iter().for_each(|message| console.error(printable(message)));
            1
        }
    }
}

fn read(invocation: &Invocation, service: &dyn Service, console: &mut Console<'_>) -> Result<(), Vec<String>> {
    let one = |message: String| vec![message];
    let path = invocation.operand();
    let within = |error: String| vec![format!("{path}: {error}")];
    let bytes = file::read(path).map_err(|error| within(reason(&error)))?;
    let document = Document::parse(&bytes).map_err(within)?;
    let current = current::read(service).map_err(one)?;
    let wanted = wanted::merge(&current.document, document, invocation.has(EXACT));
    let problems = wanted::problems(&current, &wanted);
    if !problems.is_empty() {
        return Err(problems);
    }
    let plan = plan::plan(&current, &wanted).map_err(one)?;
    for line in difference::difference(&current.document, &wanted) {
        console.line(line);
    }
    for note in &plan.notes {
        console.note(printable(note));
    }
    if invocation.has(DRY_RUN) {
        return Ok(());
    }
    apply(&plan.steps, service)
}

/// Step by step. A step that fails is the last one: what was done stays, and the same file can be imported again.
fn apply(steps: &[plan::Step], service: &dyn Service) -> Result<(), Vec<String>> {
    for (done, step) in steps.iter().enumerate() {
        if let Err(reason) = step.run(service) {
            let mut messages = vec![format!("{step}: {reason}")];
            messages.push(format!("{done} of {} changes were made:", steps.len()));
            messages.extend(steps[..done].iter().map(|step| format!("    {step}")));
            return Err(messages);
        }
    }
    Ok(())
}

/// For fuzzing: no document panics on its way from a file to the steps of an import, onto a node that has nothing and onto one that
/// has just that. What is read is written and read the same way again.
#[cfg(any(test, fuzzing))]
pub fn fuzz_import(bytes: &[u8]) {
    let Ok(document) = Document::parse(bytes) else { return };
    assert_eq!(Document::parse(document.print().as_bytes()).as_ref(), Ok(&document));
    let node = |document| current::Current {
        document,
        iscsi: Some(Default::default()),
        ..current::Current::default()
    };
    let bare = Document {
        settings: Some(Default::default()),
        host_groups: Some(Vec::new()),
        target_groups: Some(Vec::new()),
        logical_units: Some(Vec::new()),
        views: Some(Vec::new()),
        provider_data: Some(Vec::new()),
        iscsi: Some(Default::default()),
        ..Document::default()
    };
    for current in [node(bare), node(document.clone())] {
        for exact in [false, true] {
            let wanted = wanted::merge(&current.document, document.clone(), exact);
            if wanted::problems(&current, &wanted).is_empty() {
                // An iSCSI section that cannot be is refused here.
                let _ = plan::plan(&current, &wanted);
                difference::difference(&current.document, &wanted);
            }
        }
    }
}

#[cfg(test)]
mod tests;
