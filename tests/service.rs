//! A service as raw clients see it: whatever bytes and descriptors come, the answer is a response.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use stmf::door::{Credentials, Server};
use stmf::framework::GroupKind;
use stmf::service::{
    Options, PROTOCOL_VERSION, ProxyHandle, Request, Response, Service, TELLING_VERSION, decode_response,
    encode_request,
};
use stmf::types::{GroupName, Guid, LuProperties, Status};

fn me() -> Credentials {
    Credentials {
        pid: nix::unistd::getpid().as_raw(),
        uid: nix::unistd::geteuid().as_raw(),
        gid: nix::unistd::getegid().as_raw(),
    }
}

fn service() -> Arc<Service> {
    Service::start(Options::default()).expect("a volatile service")
}

fn ask(service: &Service, request: Request, descriptors: Vec<OwnedFd>) -> Response {
    let (bytes, back) = service.handle_bytes(&encode_request(&request), descriptors, me());
    assert!(back.is_empty());
    decode_response(&bytes).expect("a response")
}

fn failed(response: &Response) -> Option<Status> {
    match response {
        Response::Failed(status) | Response::ImportFailed(status, _) => Some(*status),
        _ => None,
    }
}

#[test]
fn bytes_that_are_no_request_get_a_response() {
    let service = service();
    let other_version = [TELLING_VERSION + 1, 0, 0];
    for (bytes, status) in [
        (&b""[..], Status::Error),
        (&other_version, Status::ServiceDataVersion),
        (&[PROTOCOL_VERSION], Status::Error),
        (&[TELLING_VERSION, 0, 0], Status::Error),
        (&[PROTOCOL_VERSION, 0xff, 0xff, 0xff], Status::Error),
    ] {
        let (answer, _) = service.handle_bytes(bytes, Vec::new(), me());
        assert_eq!(answer[0], PROTOCOL_VERSION);
        assert_eq!(
            failed(&decode_response(&answer).expect("a response")),
            Some(status),
            "{bytes:?}"
        );
    }
}

#[test]
fn the_caller_decides_what_is_allowed() {
    let service = service();
    let stranger = Credentials {
        uid: me().uid + 4711,
        gid: 4711,
        ..me()
    };
    let create = Request::GroupCreate(GroupKind::Host, GroupName::new(b"g").expect("a name"));
    let (answer, _) = service.handle_bytes(&encode_request(&create), Vec::new(), stranger);
    assert_eq!(
        failed(&decode_response(&answer).expect("a response")),
        Some(Status::Perm)
    );
    let groups = ask(&service, Request::GroupList(GroupKind::Host), Vec::new());
    assert!(
        matches!(groups, Response::Groups(g) if g.is_empty()),
        "a refused call has no effect"
    );
}

#[test]
fn arguments_that_the_library_would_not_send() {
    let service = service();
    let long = LuProperties {
        data_file: Some("/".repeat(5000)),
        ..LuProperties::default()
    };
    for (request, status) in [
        (Request::LuCreate(Box::new(long)), Status::InvalidPropSize),
        (Request::LuCreate(Box::default()), Status::MissingPropVal),
        (Request::LuImport("a\0b".to_owned()), Status::MetaFileName),
        (Request::LuImport("/".repeat(5000)), Status::MetaFileName),
        (Request::SetAlua { enabled: true, node: 2 }, Status::InvalidArg),
        (Request::InitProxyDoor, Status::Error),
        (Request::PostProxyMsg(ProxyHandle(1), vec![1]), Status::PostMsgFailed),
        (Request::LuResource(Guid([0x60; 16])), Status::NotFound),
        (Request::IscsiListing, Status::ServiceNotFound),
    ] {
        let what = format!("{request:.60?}");
        assert_eq!(failed(&ask(&service, request, Vec::new())), Some(status), "{what}");
    }
    // Unknown handles have no effect.
    assert!(matches!(
        ask(&service, Request::DestroyProxyDoor(ProxyHandle(1)), Vec::new()),
        Response::Done
    ));
}

#[test]
fn a_door_goes_when_its_life_line_hangs_up() {
    let service = service();
    let door = Server::create(0, |_| stmf::door::Reply::default()).expect("a door");
    let copy = || door.descriptor().try_clone_to_owned().expect("a copy");
    let install = |life_line: UnixStream| ask(&service, Request::InitProxyDoor, vec![life_line.into(), copy()]);

    let (mine, theirs) = UnixStream::pair().expect("a pair");
    let Response::Proxy(first) = install(theirs) else {
        panic!("not installed")
    };
    let (_other, theirs) = UnixStream::pair().expect("a pair");
    assert_eq!(failed(&install(theirs)), Some(Status::DoorInstalled));

    // The next installation does not depend on how fast the service notices.
    drop(mine);
    let (_mine, theirs) = UnixStream::pair().expect("a pair");
    let Response::Proxy(second) = install(theirs) else {
        panic!("not installed")
    };
    assert_ne!(first, second);
    let post = ask(&service, Request::PostProxyMsg(first, vec![1]), Vec::new());
    assert_eq!(failed(&post), Some(Status::PostMsgFailed));
    ask(&service, Request::DestroyProxyDoor(first), Vec::new());
    let (_other, theirs) = UnixStream::pair().expect("a pair");
    assert_eq!(
        failed(&install(theirs)),
        Some(Status::DoorInstalled),
        "an old handle has no effect"
    );
    ask(&service, Request::DestroyProxyDoor(second), Vec::new());
    let (_last, theirs) = UnixStream::pair().expect("a pair");
    assert!(matches!(install(theirs), Response::Proxy(_)));
    service.stop();
}
