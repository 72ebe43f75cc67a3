//! A node with one target and one disk LU, in this process.

use std::net::SocketAddr;
use std::sync::Arc;
use stmf::disk;
use stmf::framework::{Framework, LuProvider, ViewRequest};
use stmf::iscsi::{Config, Provider};
use stmf::store::Store;
use stmf::types::{DevId, LuProperties, NodeId};
use tempfile::TempDir;

pub const TARGET: &str = "iqn.2026-11.example:disk";
pub const BLOCK: usize = 512;
pub const SIZE: u64 = 64 << 20;

pub struct Node {
    pub framework: Arc<Framework>,
    pub provider: Provider,
    pub address: SocketAddr,
    _directory: TempDir,
}

impl Node {
    pub fn start() -> Node {
        Node::with(Config {
            portals: vec!["127.0.0.1:0".parse().unwrap()],
            ..Config::default()
        })
    }

    pub fn with(config: Config) -> Node {
        let node = NodeId::new(0).unwrap();
        let provider = disk::Provider::new(disk::Config::new([7; 16], 1, Arc::new(move || node)));
        Node::on(Arc::new(provider), config)
    }

    pub fn on(disks: Arc<dyn LuProvider>, config: Config) -> Node {
        let directory = tempfile::tempdir().unwrap();
        let framework = Framework::new(Store::volatile());
        framework.register_lu_provider(disks);
        framework.load().unwrap();
        framework.online().unwrap();
        let provider = Provider::new(&framework, config).unwrap();
        provider.start().unwrap();
        assert_eq!(provider.create_target(Some(TARGET), Some("a disk")).unwrap(), TARGET);
        let path = directory.path().join("lu");
        std::fs::File::create(&path).unwrap();
        let properties = LuProperties {
            data_file: Some(path.to_str().unwrap().into()),
            size: Some(SIZE),
            ..LuProperties::default()
        };
        let guid = framework.lu_create(&properties).unwrap();
        let everywhere = ViewRequest {
            host_group: None,
            target_group: None,
            lun: None,
        };
        framework.view_add(&guid, &everywhere).unwrap();
        let address = provider.portals()[0];
        let node = Node {
            framework,
            provider,
            address,
            _directory: directory,
        };
        wait(|| node.online(TARGET));
        node
    }

    pub fn online(&self, name: &str) -> bool {
        self.provider
            .listing()
            .targets
            .iter()
            .any(|target| target.name == name && target.online == Some(true))
    }

    pub fn sessions(&self) -> usize {
        self.framework
            .port_nexuses(&DevId::new(TARGET.as_bytes()).unwrap())
            .unwrap()
            .len()
    }

    pub fn url(&self, lun: u32) -> String {
        format!("iscsi://{}/{TARGET}/{lun}", self.address)
    }
}

/// Waits until something is so; fails after a generous time.
pub fn wait(mut condition: impl FnMut() -> bool) {
    for _ in 0..3000 {
        if condition() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("it never came true");
}
