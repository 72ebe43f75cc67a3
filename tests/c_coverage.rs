//! Every status that `c-tests/statuses.tsv` promises of a function is seen by a C program, and no other; the same for the errors of
//! doors. What was seen where is `docs/c-api-coverage.md`; `UPDATE_COVERAGE=1 cargo test --test c_coverage` rewrites it.

#[path = "common/c.rs"]
mod c;
#[path = "common/c_runs.rs"]
mod c_runs;

use c::{Bench, Daemon, PROGRAMS, root, text};
use c_runs::{Place, Run, run_circumstances};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;

const SUCCESS: &str = "SUCCESS";
const NONE: &str = "none";

/// So that each program runs as each compiler makes it.
fn compiler(place: Place) -> &'static str {
    match place {
        Place::Process => "gcc",
        Place::Daemon => "clang",
    }
}

/// One promise of the table.
struct Row {
    section: String,
    when: String,
    /// Why no program can see it.
    unseen: Option<String>,
}

/// Function, then status, then what the table says. Sets (`@…`) stand for their rows.
type Table = BTreeMap<String, BTreeMap<String, Vec<Row>>>;

fn read_table() -> Table {
    let text = fs::read_to_string(root().join("c-tests/statuses.tsv")).expect("statuses.tsv");
    let lines: Vec<Vec<&str>> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split('\t').collect())
        .collect();
    let mut table = Table::new();
    for line in lines.iter().filter(|line| !line[0].starts_with('@')) {
        assert!((4..=5).contains(&line.len()), "statuses.tsv: {line:?}");
        for function in line[0].split(' ') {
            expand(&lines, line, table.entry(function.to_owned()).or_default());
        }
    }
    table
}

fn expand(lines: &[Vec<&str>], line: &[&str], statuses: &mut BTreeMap<String, Vec<Row>>) {
    if line[2].starts_with('@') {
        let set = lines.iter().filter(|other| other[0] == line[2]);
        assert!(set.clone().count() > 0, "statuses.tsv: {} is not defined", line[2]);
        return set.for_each(|row| expand(lines, row, statuses));
    }
    statuses.entry(line[2].to_owned()).or_default().push(Row {
        section: line[1].to_owned(),
        when: line[3].to_owned(),
        unseen: line.get(4).map(|why| (*why).to_owned()),
    });
}

/// Statuses of the header, as the table writes them, by number.
fn status_names(header: &str) -> BTreeMap<u32, String> {
    let defines = header.lines().filter_map(|line| {
        let (name, number) = line.strip_prefix("#define STMF_")?.split_once(' ')?;
        let name = match name {
            "STATUS_SUCCESS" => SUCCESS,
            "STATUS_ERROR" => name,
            _ => name.strip_prefix("ERROR_")?,
        };
        Some((number.parse().ok()?, name.to_owned()))
    });
    defines.collect()
}

/// Functions of doors return what they make or take; only their errors are in the table.
fn has_success(function: &str, statuses: &BTreeMap<String, Vec<Row>>) -> bool {
    function.starts_with("stmf") && !statuses.contains_key(NONE)
}

/// Functions of the library that the header declares.
fn declared(header: &str) -> BTreeSet<&str> {
    let lines = header.lines().filter_map(|line| {
        let rest = line.strip_prefix("int ").or_else(|| line.strip_prefix("void "))?;
        Some(rest.split_once('(')?.0).filter(|name| name.starts_with("stmf"))
    });
    lines.collect()
}

/// What programs have seen: function, status, place, program.
type Seen = BTreeMap<(String, String), BTreeSet<(Place, String)>>;

struct Runner<'a> {
    bench: &'a Bench,
    names: BTreeMap<u32, String>,
    seen: Seen,
}

impl Runner<'_> {
    fn run(&mut self, run: &Run) {
        let (place, program) = (run.place, run.program);
        let notes = self.bench.path("notes");
        fs::write(&notes, "").expect("notes");
        // For a program that becomes another user.
        fs::set_permissions(&notes, fs::Permissions::from_mode(0o666)).expect("mode");
        let mut command = self
            .bench
            .command(self.bench.path(&format!("{program}-{}", compiler(place))), run.endpoint);
        command
            .args(run.arguments)
            .env("STMF_COVERAGE", &notes)
            .envs(run.variables.iter().map(|(name, value)| (name, value)));
        if program == "door" {
            // It ends at the first thing that is wrong.
            let output = command.output().expect("door starts");
            assert!(output.status.success(), "{command:?}: {}", text(&output));
        } else {
            self.bench.check(command);
        }
        for line in fs::read_to_string(&notes).expect("notes").lines() {
            let (function, status) = line.split_once(' ').expect("function and status");
            // What the opt-ins of the header redirect.
            let function = match (program, function) {
                ("compat", "stmfSetAluaState") => "stmfSetAluaState32",
                ("compat", "stmfGetAluaState") => "stmfGetAluaState32",
                ("compat", "stmfGetViewEntryList") => "stmfGetViewEntryListNotFound",
                _ => function,
            };
            let status = match status.strip_prefix("0x") {
                Some(number) => {
                    let (number, cause) = number.split_at(4);
                    let name = &self.names[&u32::from_str_radix(number, 16).expect("a status")];
                    format!("{name}{cause}")
                }
                None => status.to_owned(),
            };
            let key = (function.to_owned(), status);
            self.seen.entry(key).or_default().insert((place, program.to_owned()));
        }
    }
}

fn run_programs(bench: &Bench, names: BTreeMap<u32, String>) -> Seen {
    for program in PROGRAMS
        .into_iter()
        .chain(["no_service", "every", "faults", "busy", "door"])
    {
        bench.compile(compiler(Place::Process), program);
        bench.compile(compiler(Place::Daemon), program);
    }
    let mut runner = Runner {
        bench,
        names,
        seen: Seen::new(),
    };
    let daemon = Daemon::start(bench.directory.path());
    for program in PROGRAMS {
        runner.run(&Run::plain(Place::Process, "embedded", program));
        runner.run(&Run::plain(Place::Daemon, &daemon.endpoint(), program));
    }
    runner.run(&Run::plain(Place::Process, "embedded", "door"));
    run_circumstances(bench, &daemon, |run| runner.run(run));
    daemon.stop();
    runner.seen
}

fn programs(seen: Option<&BTreeSet<(Place, String)>>, place: Place) -> String {
    let here = seen.into_iter().flatten().filter(|(at, _)| *at == place);
    here.map(|(_, program)| program.as_str()).collect::<Vec<_>>().join(", ")
}

fn document(table: &Table, seen: &Seen) -> String {
    let mut text = String::from(
        "# Statuses of the C API, errors of the doors, and the programs that see them\n\n\
         Generated from `c-tests/statuses.tsv`: `UPDATE_COVERAGE=1 cargo test --test c_coverage`. Sections are those of the specification\n\
         of the API. A program runs with a framework in its own process, against `stmfd`, or both; CI fails when one of these statuses\n\
         is seen by no program, and when a program sees another. A word behind a status is one of its causes.\n\n\
         | function | status | section | in the process | `stmfd` |\n|---|---|---|---|---|\n",
    );
    let mut unseen = BTreeMap::<(&str, &str), BTreeSet<&str>>::new();
    for (function, statuses) in table {
        let success = has_success(function, statuses).then_some((SUCCESS, None)).into_iter();
        let rows = success.chain(statuses.iter().map(|(status, rows)| (status.as_str(), Some(rows))));
        for (status, rows) in rows {
            let section = rows.map_or("", |rows| rows[0].section.as_str());
            let at = seen.get(&(function.clone(), status.to_owned()));
            if let (None, Some(why)) = (at, rows.and_then(|rows| rows[0].unseen.as_deref())) {
                unseen.entry((status, why)).or_default().insert(function);
                continue;
            }
            let (process, daemon) = (programs(at, Place::Process), programs(at, Place::Daemon));
            let status = status.replace(':', ": ");
            text += &format!("| `{function}` | {status} | {section} | {process} | {daemon} |\n");
        }
    }
    text += "\n## What no program can see\n\n| status | functions | why |\n|---|---|---|\n";
    for ((status, why), functions) in unseen {
        let functions = if functions.len() > 5 {
            format!("{} that load the configuration", functions.len())
        } else {
            let named: Vec<String> = functions.iter().map(|name| format!("`{name}`")).collect();
            named.join(", ")
        };
        text += &format!("| {status} | {functions} | {why} |\n");
    }
    text
}

#[test]
fn every_status_of_the_contract_is_seen_and_no_other() {
    let header = fs::read_to_string(root().join("include/libstmf.h")).expect("libstmf.h");
    let table = read_table();
    let listed = table.keys().map(String::as_str);
    let listed: BTreeSet<&str> = listed.filter(|name| name.starts_with("stmf")).collect();
    assert_eq!(declared(&header), listed, "functions of the header and of statuses.tsv");
    let names = status_names(&header);
    let known: BTreeSet<&str> = names.values().map(String::as_str).chain([NONE]).collect();
    let bench = Bench::new();
    let seen = run_programs(&bench, names.clone());

    let mut wrong = Vec::new();
    for (function, statuses) in &table {
        let success = has_success(function, statuses).then_some(SUCCESS);
        for status in statuses.keys().map(String::as_str).chain(success) {
            let errno = status.starts_with('E') && !function.starts_with("stmf");
            let name = status.split(':').next().unwrap_or_default();
            assert!(known.contains(name) || errno, "{function}: {status} is no status");
            let reason = statuses
                .get(status)
                .is_some_and(|rows| rows.iter().all(|row| row.unseen.is_some()));
            let found = seen.contains_key(&(function.clone(), status.to_owned()));
            if found == reason {
                let what = if found {
                    "is seen, although a reason says it cannot be"
                } else {
                    "is never seen"
                };
                wrong.push(format!("{function}: {status} {what}"));
            }
        }
    }
    for ((function, status), programs) in &seen {
        let promised = table.get(function).is_some_and(|statuses| {
            let of_a_cause = statuses
                .keys()
                .any(|row| row.split_once(':').is_some_and(|(name, _)| name == status));
            statuses.contains_key(status) || of_a_cause || status == SUCCESS
        });
        if table.contains_key(function) && !promised {
            let programs: Vec<&str> = programs.iter().map(|(_, program)| program.as_str()).collect();
            wrong.push(format!(
                "{function}: {status} is not in the table, seen by {}",
                programs.join(", ")
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    for (function, rows) in table.iter().flat_map(|(f, s)| s.values().map(move |rows| (f, rows))) {
        let told = rows
            .iter()
            .all(|row| !row.when.is_empty() || function == "stmfFreeMemory" || function == "stmfDestroyProxyDoor");
        assert!(told, "{function}: a status without its reason");
    }

    let text = document(&table, &seen);
    let path = root().join("docs/c-api-coverage.md");
    if std::env::var_os("UPDATE_COVERAGE").is_some() {
        fs::write(&path, &text).expect("docs/c-api-coverage.md");
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == text,
        "docs/c-api-coverage.md is stale: UPDATE_COVERAGE=1 cargo test --test c_coverage"
    );
}
