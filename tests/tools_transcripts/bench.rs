//! A service of its own for each transcript, which can be told to fail.

use crate::transcript::{Case, Outcome};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use stmf::door;
use stmf::framework::{ConfigState, ObjectState};
use stmf::service::{Options, Response, Service, decode_request, decode_telling, encode_response, encode_told};
use stmf::types::{AccessState, Status};

/// What to do to requests of this name.
#[derive(Debug, Clone)]
struct Rule {
    request: String,
    effect: Effect,
}

#[derive(Debug, Clone, Copy)]
enum Effect {
    /// Not run; answered so.
    Fail(Status),
    /// Not run, and said to be done.
    Done,
    /// Run, and the object is said to be in this state.
    State(ObjectState),
    /// Run, and the LU is said to be in this access state.
    Access(AccessState),
    /// Run, and the configuration is said to be in this state.
    Config(ConfigState),
    /// Run, and the provider is said to have this name.
    Provider(&'static str),
}

type Rules = Arc<Mutex<Vec<Rule>>>;

/// Service, door and a directory to work in.
pub struct Bench {
    rules: Rules,
    directory: tempfile::TempDir,
    door: PathBuf,
    server: door::Server,
    service: Arc<Service>,
}

impl Bench {
    pub fn start() -> Bench {
        let directory = tempfile::tempdir().unwrap();
        let state = tempfile::tempdir_in(directory.path()).unwrap().keep();
        let service = Service::start(Options {
            iscsi_portals: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))],
            serve_iscsi: true,
            state_dir: Some(state.clone()),
            ..Options::default()
        })
        .unwrap();
        let rules = Rules::default();
        let server = {
            let (service, rules) = (service.clone(), rules.clone());
            door::Server::create(0, move |call| {
                let telling = decode_telling(call.data).map(Result::unwrap);
                let request = match &telling {
                    Some((_, call)) => call.request.clone(),
                    None => decode_request(call.data).unwrap().request,
                };
                let name = format!("{request:?}");
                let rule = rules
                    .lock()
                    .unwrap()
                    .iter()
                    .rev()
                    .find(|rule| applies(rule, &name))
                    .cloned();
                let caller = call.caller;
                let rule = rule.map(|rule| rule.effect);
                let instead = match rule {
                    Some(Effect::Fail(status)) => Some(Response::Failed(status)),
                    Some(Effect::Done) if name.starts_with("MoveLu") => Some(Response::Moved(Ok(()))),
                    Some(Effect::Done) => Some(Response::Done),
                    _ => None,
                };
                let data = match (instead, telling) {
                    (Some(response), None) => encode_response(&response),
                    (Some(response), Some(_)) => encode_told(&response.into()),
                    (None, Some((rehearsal, call))) => encode_told(&service.tell(rehearsal, call, caller)),
                    (None, None) => {
                        encode_response(&amend(service.dispatch(request, call.descriptors, caller).0, rule))
                    }
                };
                door::Reply {
                    data,
                    descriptors: Vec::new(),
                }
            })
            .unwrap()
        };
        let door = state.join("door");
        server.attach(&door, 0o600).unwrap();
        Bench {
            rules,
            directory,
            door,
            server,
            service,
        }
    }

    pub fn run(&self, case: &Case) -> Outcome {
        for directive in &case.directives {
            self.obey(directive);
        }
        let programs = Path::new(env!("CARGO_BIN_EXE_stmfadm")).parent().unwrap();
        let helpers = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools_transcripts");
        let directory = self.directory.path().to_str().unwrap();
        let mut command = Command::new("sh");
        command
            .args(["-c", &case.command])
            .current_dir(directory)
            .env_clear()
            .env(
                "PATH",
                format!(
                    "{}:{}:/usr/bin:/bin:/usr/sbin:/sbin",
                    programs.display(),
                    helpers.display()
                ),
            )
            .env("DIR", directory)
            .env("STMF_ENDPOINT", format!("daemon:{}", self.door.display()))
            // Decimal comma, other names of months (`cli.md` 1.11, 12.5).
            .envs([("LC_ALL", "de_DE.UTF-8"), ("LANG", "de_DE.UTF-8"), ("TZ", "UTC")])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let output = command.output().unwrap();
        // A temporary directory has another name each time.
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().replace(directory, "/DIR");
        Outcome {
            out: text(output.stdout),
            err: text(output.stderr),
            status: output.status.code().unwrap_or(-1),
        }
    }

    fn obey(&self, directive: &str) {
        let words: Vec<&str> = directive.split(' ').collect();
        let (request, effect) = match words[..] {
            ["clear"] => return self.rules.lock().unwrap().clear(),
            ["offline"] => return self.service.framework().offline().unwrap(),
            ["online"] => return self.service.framework().online().unwrap(),
            ["fail", request, status] => (request, Effect::Fail(by_name(Status::ALL, status))),
            ["done", request] => (request, Effect::Done),
            ["state", request, state] => {
                use ObjectState::{Offline, Offlining, Online, Onlining};
                (
                    request,
                    Effect::State(by_name(&[Offline, Offlining, Online, Onlining], state)),
                )
            }
            ["access", state] => {
                use AccessState::{Active, Standby, TransitionToActive, TransitionToStandby};
                let all = [Active, Standby, TransitionToActive, TransitionToStandby];
                ("LuResource", Effect::Access(by_name(&all, state)))
            }
            ["config", state] => {
                use ConfigState::{Init, InitDone, None};
                ("GetState", Effect::Config(by_name(&[None, Init, InitDone], state)))
            }
            ["provider", "none"] => ("LuInfo", Effect::Provider("")),
            ["provider", "other"] => ("LuInfo", Effect::Provider("other")),
            _ => panic!("no such directive: {directive}"),
        };
        self.rules.lock().unwrap().push(Rule {
            request: request.to_owned(),
            effect,
        });
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.server.revoke();
        self.service.stop();
    }
}

fn applies(rule: &Rule, request: &str) -> bool {
    let rest = request.strip_prefix(rule.request.as_str());
    rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric()))
}

fn by_name<T: Copy + std::fmt::Debug>(all: &[T], name: &str) -> T {
    let found = all.iter().find(|one| format!("{one:?}") == name);
    *found.unwrap_or_else(|| panic!("unknown: {name}"))
}

fn amend(response: Response, effect: Option<Effect>) -> Response {
    match (response, effect) {
        (Response::Lu(mut lu), Some(Effect::State(state))) => {
            lu.state = Some(state);
            Response::Lu(lu)
        }
        (Response::Lu(mut lu), Some(Effect::Provider(name))) => {
            lu.provider = name.to_owned();
            Response::Lu(lu)
        }
        (Response::Target(mut target), Some(Effect::State(state))) => {
            target.state = state;
            Response::Target(target)
        }
        (Response::State(mut service), Some(Effect::State(state))) => {
            service.operational = state;
            Response::State(service)
        }
        (Response::State(mut service), Some(Effect::Config(state))) => {
            service.config = state;
            Response::State(service)
        }
        (Response::Resource(mut report), Some(Effect::Access(access))) => {
            report.access = access;
            Response::Resource(report)
        }
        (response, _) => response,
    }
}
