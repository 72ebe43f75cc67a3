//! Puts the rooms of one node together: store, framework, disk provider, proxy, iSCSI ports.

use super::proxy_doors::ProxyDoors;
use crate::disk;
use crate::framework::Framework;
use crate::iscsi;
use crate::iscsi::directory::Patience;
use crate::proxy::{self, Proxy};
use crate::store::{Change, Store, StoreError};
use crate::types::{NodeId, Status};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

/// How a service is to run.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Where the configuration is kept; `None`: nowhere, it is gone with the service.
    pub state_dir: Option<PathBuf>,
    /// Addresses that the iSCSI target listens on.
    pub iscsi_portals: Vec<SocketAddr>,
    /// False: no iSCSI target provider at all, whatever the portals.
    pub serve_iscsi: bool,
    /// How long iSCSI initiators may keep the target waiting.
    pub patience: Patience,
    /// The group that owns the control door; its members may use the service (`libstmf-api.md` 1.6).
    pub door_group: Option<u32>,
    /// Everybody else may make the calls that change nothing.
    pub read_by_all: bool,
}

/// Why a service did not start. Nothing of it is left behind.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// The configuration store could not be opened or written.
    Store(StoreError),
    /// A part of the service refused; which, and why.
    Part(&'static str, Status),
    /// A part of the service got no thread, socket or other resource.
    Resource(&'static str, io::Error),
    /// The iSCSI target provider could not serve: a portal in use, targets that cannot be restored.
    Iscsi(iscsi::StartError),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Store(error) => write!(f, "configuration store: {error}"),
            StartError::Part(part, status) => write!(f, "{part}: {status}"),
            StartError::Resource(part, error) => write!(f, "{part}: {error}"),
            StartError::Iscsi(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            StartError::Store(error) => Some(error),
            StartError::Part(_, status) => Some(status),
            StartError::Resource(_, error) => Some(error),
            StartError::Iscsi(error) => Some(error),
        }
    }
}

impl From<StoreError> for StartError {
    fn from(error: StoreError) -> Self {
        StartError::Store(error)
    }
}

impl StartError {
    /// What a call into an embedded service that cannot start fails with.
    pub const fn status(&self) -> Status {
        match self {
            StartError::Store(StoreError::Locked(_)) => Status::Busy,
            StartError::Store(StoreError::Version(_)) => Status::ServiceDataVersion,
            StartError::Store(StoreError::Failed(_)) | StartError::Resource(..) | StartError::Iscsi(_) => Status::Error,
            StartError::Part(_, status) => *status,
        }
    }
}

/// One node: everything that a request can reach.
pub struct Service {
    pub(super) framework: Arc<Framework>,
    pub(super) doors: Arc<ProxyDoors>,
    iscsi: Option<iscsi::Provider>,
    pub(super) door_group: Option<u32>,
    pub(super) read_by_all: bool,
}

impl Service {
    /// Opens the store, restores the configuration, and brings the service online.
    pub fn start(options: Options) -> Result<Arc<Service>, StartError> {
        let store = match &options.state_dir {
            Some(directory) => Store::open(directory)?,
            None => Store::volatile(),
        };
        let installation = installation_id(&store)?;
        let incarnation =
            getrandom::u64().map_err(|error| StoreError::Failed(format!("no random numbers: {error}")))?;
        let framework = Framework::new(store);
        // Weak, as the framework owns the provider.
        let node = Arc::downgrade(&framework);
        let node = move || node.upgrade().map_or(FIRST_NODE, |framework| framework.alua().1);
        let disks = disk::Config::new(installation, incarnation, Arc::new(node));
        framework.register_lu_provider(Arc::new(disk::Provider::new(disks)));
        let proxy = Proxy::new(&framework, proxy::Config::default())
            .map_err(|error| StartError::Resource("proxy port provider", error))?;
        framework.set_peer_link(proxy.clone());
        framework
            .load()
            .map_err(|status| StartError::Part("loading the configuration", status))?;
        let iscsi = serve(&framework, &options).inspect_err(|_| framework.shutdown())?;
        Ok(Arc::new(Service {
            framework,
            doors: ProxyDoors::new(proxy),
            iscsi,
            door_group: options.door_group,
            read_by_all: options.read_by_all,
        }))
    }

    /// The framework, for programs that host the service.
    pub fn framework(&self) -> &Arc<Framework> {
        &self.framework
    }

    /// Clean stop: sessions end, every LU is flushed and given up so that the peer may take it at once. The configuration
    /// stays.
    pub fn stop(&self) {
        if let Some(iscsi) = &self.iscsi {
            iscsi.stop();
        }
        self.framework.shutdown();
        self.doors.destroy_any();
    }

    /// The iSCSI target provider; `ServiceNotFound` in a service that runs without.
    pub(super) fn iscsi(&self) -> Result<&iscsi::Provider, Status> {
        self.iscsi.as_ref().ok_or(Status::ServiceNotFound)
    }
}

/// Before ALUA mode was ever enabled.
const FIRST_NODE: NodeId = NodeId::new(0).expect("0 is a node");

/// Restores the targets, goes online, with everything else in place.
fn serve(framework: &Arc<Framework>, options: &Options) -> Result<Option<iscsi::Provider>, StartError> {
    let iscsi = if options.serve_iscsi {
        let config = iscsi::Config {
            portals: options.iscsi_portals.clone(),
            patience: options.patience,
            ..iscsi::Config::default()
        };
        let provider = iscsi::Provider::new(framework, config)
            .map_err(|error| StartError::Resource("iSCSI target provider", error))?;
        provider.start().map_err(StartError::Iscsi)?;
        Some(provider)
    } else {
        None
    };
    framework
        .online()
        .map_err(|status| StartError::Part("going online", status))?;
    Ok(iscsi)
}

const INSTALLATION_ID: &str = "installation-id";

/// The 16 random bytes that name this installation in ownership records (`alua-proxy.md` 6.6). Made at the first start and
/// never changed: a node that changed it would not know its own LUs again.
fn installation_id(store: &Store) -> Result<[u8; 16], StartError> {
    let settings = store.load()?.settings;
    match settings.into_iter().find(|(key, _)| key == INSTALLATION_ID) {
        Some((_, text)) => parse_id(&text).ok_or_else(|| {
            StoreError::Failed(format!(
                "setting {INSTALLATION_ID}: '{text}' is not 32 hexadecimal digits"
            ))
            .into()
        }),
        None => {
            let mut id = [0; 16];
            getrandom::fill(&mut id).map_err(|error| StoreError::Failed(format!("no random numbers: {error}")))?;
            store.commit(&[Change::PutSetting {
                key: INSTALLATION_ID.to_owned(),
                value: format!("{:032x}", u128::from_be_bytes(id)),
            }])?;
            Ok(id)
        }
    }
}

fn parse_id(text: &str) -> Option<[u8; 16]> {
    let well_formed = text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
    let number = u128::from_str_radix(text, 16).ok()?;
    well_formed.then(|| number.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn installation_ids_are_32_digits() {
        assert_eq!(
            parse_id("000102030405060708090a0b0c0d0e0f"),
            Some(core::array::from_fn(|i| i as u8))
        );
        for bad in [
            "",
            "+00102030405060708090a0b0c0d0e0f",
            "000102030405060708090a0b0c0d0e0",
            "x",
        ] {
            assert_eq!(parse_id(bad), None, "{bad}");
        }
    }

    #[test]
    fn start_errors_have_the_statuses_of_the_api() {
        let locked = StartError::from(StoreError::Locked(Some(42)));
        assert_eq!(locked.status(), Status::Busy);
        assert_eq!(locked.to_string(), "configuration store: in use by process 42");
        assert_eq!(
            StartError::from(StoreError::Version(9)).status(),
            Status::ServiceDataVersion
        );
    }
}
