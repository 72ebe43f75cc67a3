//! What the node has now, as a document and what else an import must know.

use super::document::*;
use crate::cli::Service;
use crate::cli::text::common_failure;
use crate::framework::{ConfigState, DefaultState as Which, GroupKind, ObjectState, ViewEntry, lu_files};
use crate::iscsi::admin::Listing;
use crate::iscsi::key as iscsi_key;
use crate::nvlist::{Limits, NvList};
use crate::types::{
    AccessState, DevId, Guid, LuProperties, NodeId, PersistMethod, ProviderKey, ProviderKind, ProviderName, Secret,
    Status,
};
use std::collections::{BTreeMap, BTreeSet};

/// The configuration of the node.
#[derive(Debug, Default)]
pub struct Current {
    /// All sections, but `iscsi` where the node serves none. Secrets have their values if the caller may see them.
    pub document: Document,
    /// View entries with their numbers.
    pub views: Vec<(Guid, ViewEntry)>,
    /// LUs of the disk provider.
    pub access: BTreeMap<Guid, AccessState>,
    /// Targets that are not offline.
    pub online: BTreeSet<DevId>,
    /// Data of the iSCSI provider and its token.
    pub iscsi: Option<(NvList, u64)>,
    /// Tokens of other providers.
    pub tokens: BTreeMap<ProviderKey, u64>,
    /// What the document cannot say.
    pub notes: Vec<String>,
}

/// Reads it, object by object. The text tells what could not be read.
pub fn read(service: &dyn Service) -> Result<Current, String> {
    let failed = |what: &str| {
        let what = what.to_owned();
        move |status: Status| match common_failure(status) {
            Some(line) => line.to_owned(),
            None => format!("{what}: {status}"),
        }
    };
    let state = service.state().map_err(failed("state"))?;
    if state.config != ConfigState::InitDone {
        return Err("the configuration of the service is not loaded".to_owned());
    }
    let mut current = Current::default();
    let alua = service.alua().map_err(failed("ALUA state"))?;
    let node = NodeId::new(alua.node).ok_or_else(|| format!("ALUA node {} is not known", alua.node))?;
    current.document = Document {
        format: FORMAT.to_owned(),
        version: VERSION,
        settings: Some(settings(service).map_err(failed("settings"))?),
        alua: Some(Alua {
            enabled: alua.enabled,
            node,
            standby_reads: Some(match service.standby_reads().map_err(failed("ALUA state"))? {
                true => Reads::Forward,
                false => Reads::Refuse,
            }),
        }),
        host_groups: Some(groups(service, GroupKind::Host).map_err(failed("host groups"))?),
        target_groups: Some(groups(service, GroupKind::Target).map_err(failed("target groups"))?),
        ..Document::default()
    };
    lus(service, &mut current).map_err(failed("logical units"))?;
    data(service, &mut current).map_err(failed("provider data"))?;
    for target in service.target_list().map_err(failed("targets"))? {
        match service.target_info(target.clone()) {
            Ok(info) if info.state == ObjectState::Offline => {}
            Ok(_) => drop(current.online.insert(target)),
            Err(Status::NotFound) => {}
            Err(status) => return Err(failed("targets")(status)),
        }
    }
    iscsi(service, &mut current)?;
    Ok(current)
}

fn settings(service: &dyn Service) -> Result<Settings, Status> {
    let state = |which| {
        let online = service.default_state(which)?;
        Ok(Some(if online {
            DefaultState::Online
        } else {
            DefaultState::Offline
        }))
    };
    Ok(Settings {
        default_lu_state: state(Which::Lus)?,
        default_target_state: state(Which::Targets)?,
        management_url: Some(service.mgmt_url()?.unwrap_or_default()),
        persist_method: Some(match service.service_persist_method()? {
            PersistMethod::Store => Persist::Smf,
            PersistMethod::None => Persist::None,
        }),
    })
}

fn groups(service: &dyn Service, kind: GroupKind) -> Result<Vec<Group>, Status> {
    let names = service.group_list(kind)?;
    let group = |name: crate::types::GroupName| {
        let members = service.group_members(kind, name.clone())?;
        let members = members.into_iter().map(Member).collect();
        Ok(Group { name, members })
    };
    names.into_iter().map(group).collect()
}

fn lus(service: &dyn Service, current: &mut Current) -> Result<(), Status> {
    let sbd = ProviderKey {
        kind: ProviderKind::Lu,
        name: ProviderName::new(b"sbd").expect("a provider name"),
    };
    let files = match service.provider_data(sbd) {
        Ok(data) => lu_files(&data.data).ok_or(Status::Error)?,
        Err(Status::NotFound) => BTreeMap::new(),
        Err(status) => return Err(status),
    };
    let (mut lus, mut views) = (Vec::new(), Vec::new());
    for guid in service.lu_list()? {
        for entry in service.view_list(guid)? {
            views.push(View {
                lu: guid,
                lun: entry.lun,
                host_group: entry.host_group.clone(),
                target_group: entry.target_group.clone(),
            });
            current.views.push((guid, entry));
        }
        let info = service.lu_info(guid)?;
        if info.state.is_none() {
            continue;
        }
        let report = match service.lu_resource(guid) {
            Ok(report) => report,
            Err(Status::InvalidArg) => {
                let provider = info.provider;
                current
                    .notes
                    .push(format!("logical unit {guid} of provider {provider} is left out"));
                continue;
            }
            Err(status) => return Err(status),
        };
        current.access.insert(guid, report.access);
        let p = report.properties;
        let path = files
            .get(&guid)
            .cloned()
            .or(p.meta_file.clone())
            .or(p.data_file.clone());
        let Some(file) = path else {
            current
                .notes
                .push(format!("logical unit {guid} has no file here and is left out"));
            continue;
        };
        let policy = service.lu_policy(guid)?;
        let lu = Lu {
            guid,
            file,
            policy: Some(if policy { Policy::NonOptimized } else { Policy::Standby }),
            access: Some(if report.access == AccessState::Active {
                Access::Active
            } else {
                Access::Standby
            }),
            ..Lu::bare(guid)
        };
        lus.push(if report.access == AccessState::Active {
            lu.with(&p)
        } else {
            lu
        });
    }
    current.document.logical_units = Some(lus);
    current.document.views = Some(views);
    Ok(())
}

impl Lu {
    /// An LU of which nothing is known.
    pub fn bare(guid: Guid) -> Lu {
        Lu {
            guid,
            file: String::new(),
            access: None,
            policy: None,
            alias: None,
            size: None,
            block_size: None,
            management_url: None,
            write_protect: None,
            write_cache_disable: None,
            vendor: None,
            product: None,
            serial: None,
        }
    }

    /// With the properties of an Active LU.
    pub fn with(self, properties: &LuProperties) -> Lu {
        Lu {
            alias: properties.alias.clone(),
            size: properties.size,
            block_size: properties.block_size,
            management_url: Some(properties.mgmt_url.clone().unwrap_or_default()),
            write_protect: properties.write_protect,
            write_cache_disable: properties.write_cache_disable,
            vendor: properties.vendor.clone(),
            product: properties.product.clone(),
            serial: properties.serial.clone(),
            ..self
        }
    }
}

/// Data of providers other than the disk provider, whose list is the LUs, and the iSCSI provider.
fn data(service: &dyn Service, current: &mut Current) -> Result<(), Status> {
    let mut list = Vec::new();
    for key in service.provider_data_list()? {
        if key == iscsi_key() || (key.kind == ProviderKind::Lu && key.name.as_str() == "sbd") {
            continue;
        }
        let stored = service.provider_data(key.clone())?;
        list.push(Data {
            provider: key.name.clone(),
            kind: match key.kind {
                ProviderKind::Lu => Kind::Lu,
                ProviderKind::Port => Kind::Port,
            },
            data: stored.data,
        });
        current.tokens.insert(key, stored.token);
    }
    current.document.provider_data = Some(list);
    Ok(())
}

fn iscsi(service: &dyn Service, current: &mut Current) -> Result<(), String> {
    // The token first: what changes after it makes it stale.
    let (data, token) = match service.provider_data(iscsi_key()) {
        Ok(data) => (NvList::unpack(&data.data, &Limits::PROVIDER_DATA), data.token),
        Err(Status::NotFound) => (Ok(NvList::new()), 0),
        Err(status) => return Err(format!("iSCSI configuration: {status}")),
    };
    let listing = match service.iscsi_listing() {
        Ok(listing) => listing,
        Err(Status::ServiceNotFound) => return Ok(()),
        Err(status) => return Err(format!("iSCSI configuration: {status}")),
    };
    let secrets = match service.iscsi_secrets() {
        Ok(secrets) => secrets.into_iter().collect(),
        Err(Status::Perm) => BTreeMap::new(),
        Err(status) => return Err(format!("iSCSI secrets: {status}")),
    };
    let data = data.map_err(|error| format!("iSCSI configuration: {error}"))?;
    current.iscsi = Some((data, token));
    current.document.iscsi = Some(of_listing(listing, &secrets));
    Ok(())
}

/// The listing has the latest object first, a document the oldest.
fn of_listing(listing: Listing, secrets: &BTreeMap<String, Secret>) -> Iscsi {
    let secret = |there: bool, key: String| {
        there.then(|| match secrets.get(&key) {
            Some(secret) => SecretText::Value(secret.clone()),
            None => SecretText::Kept,
        })
    };
    let targets = listing.targets.into_iter().rev().map(|target| Target {
        secret: secret(target.secret, format!("target/{}", target.name)),
        name: target.name,
        alias: target.alias,
        auth: target.auth,
        chap_user: target.chap_user,
        portal_groups: target
            .groups
            .into_iter()
            .rev()
            .map(|(name, tag)| Bound { name, tag })
            .collect(),
    });
    let initiators = listing.initiators.into_iter().rev().map(|initiator| Initiator {
        secret: secret(initiator.secret, format!("initiator/{}", initiator.name)),
        name: initiator.name,
        chap_user: initiator.chap_user,
    });
    let portal_groups = listing.groups.into_iter().rev().map(|group| PortalGroup {
        name: group.name,
        portals: group.portals.into_iter().rev().collect(),
    });
    Iscsi {
        defaults: Some(Defaults {
            alias: listing.defaults.alias,
            auth: listing.defaults.auth,
            radius_server: listing.defaults.radius_server,
            isns: listing.defaults.isns,
            isns_servers: listing.defaults.isns_servers,
        }),
        targets: Some(targets.collect()),
        initiators: Some(initiators.collect()),
        portal_groups: Some(portal_groups.collect()),
    }
}
