//! Images of the peer's ports (`alua-proxy.md` 5.3).

use super::*;

impl Active {
    pub(in super::super) fn register(&mut self, cx: &mut Context<'_>, id: u64, port: PortId, rtpid: u16) {
        if rtpid == 0 || rtpid > 510 {
            log::error!(
                "pppt: the peer's port {} has relative target port identifier {rtpid}; refused",
                port.ident
            );
            return cx.status(0, id, codes::INVALID_ARG);
        }
        let full = self.images.len() >= MAX_IMAGES;
        match self.images.get_mut(&port.ident) {
            None if full => {
                log::error!(
                    "pppt: the peer has more than {MAX_IMAGES} ports; {} refused",
                    port.ident
                );
                cx.status(0, id, codes::BUSY);
            }
            None => {
                let image = Image {
                    protocol: port.protocol,
                    rtpid,
                    phase: Phase::Registering,
                    removal: None,
                    answers: Vec::new(),
                    again: None,
                    registrations: vec![id],
                };
                self.images.insert(port.ident.clone(), image);
                cx.out.push(Output::RegisterImage {
                    port: port.ident,
                    protocol: port.protocol,
                    rtpid,
                });
            }
            Some(image) if image.phase == Phase::Removing => image.again = Some((rtpid, id)),
            Some(image) if image.phase == Phase::Registering => image.registrations.push(id),
            Some(image) if image.rtpid == rtpid => {
                cx.status(0, id, codes::ALREADY);
                cx.out.push(Output::Event(PeerEvent::PortUp {
                    port: port.ident,
                    rtpid,
                }));
            }
            Some(image) => {
                image.again = Some((rtpid, id));
                self.remove_image(cx, &port.ident);
            }
        }
    }

    pub(in super::super) fn image_registered(
        &mut self,
        cx: &mut Context<'_>,
        port: &DevId,
        result: Result<(), Status>,
    ) {
        let Some(image) = self.images.get_mut(port) else { return };
        let answers = std::mem::take(&mut image.registrations);
        let code = match result {
            Ok(()) => codes::SUCCESS,
            Err(status) => {
                log::error!("pppt: port {port} of the peer could not be registered: {status}");
                codes::INVALID_ARG
            }
        };
        if result.is_ok() {
            if image.phase == Phase::Registering {
                image.phase = Phase::Offline;
            }
            let rtpid = image.rtpid;
            cx.out.push(Output::Event(PeerEvent::PortUp {
                port: port.clone(),
                rtpid,
            }));
        } else {
            self.images.remove(port);
        }
        for id in answers {
            cx.status(0, id, code);
        }
    }

    /// The framework wants the image online (it serves at once) or offline (its sessions end first).
    pub(in super::super) fn image_wanted(&mut self, cx: &mut Context<'_>, port: &DevId, online: bool) {
        let Some(image) = self.images.get_mut(port) else { return };
        if image.phase == Phase::Removing {
            // Nothing is served; the framework's view has to settle before it can be removed.
            cx.out.push(Output::ImageChanged {
                port: port.clone(),
                online,
            });
            return;
        }
        if online {
            image.phase = Phase::Online;
            cx.out.push(Output::ImageChanged {
                port: port.clone(),
                online: true,
            });
            return;
        }
        image.phase = Phase::Offline;
        if !self.close_sessions_of(cx, port) {
            cx.out.push(Output::ImageChanged {
                port: port.clone(),
                online: false,
            });
        }
    }

    pub(in super::super) fn deregister(&mut self, cx: &mut Context<'_>, id: u64, port: &DevId) {
        match self.images.get_mut(port) {
            None => cx.status(1, id, codes::NOT_FOUND),
            Some(image) => {
                image.again = None;
                image.answers.push(id);
                // Only a withdrawal makes the port gone for the framework; the ports of a peer that merely cannot be
                // reached stay in REPORT TARGET PORT GROUPS (7.3).
                cx.out.push(Output::Event(PeerEvent::PortDown { port: port.clone() }));
                self.remove_image(cx, port);
            }
        }
    }

    pub(in super::super) fn image_removed(&mut self, cx: &mut Context<'_>, port: &DevId, result: Result<(), Status>) {
        let Some(image) = self.images.get_mut(port) else { return };
        if let Err(status) = result {
            log::warn!("pppt: the image of port {port} could not be removed yet: {status}");
            image.removal = Some(cx.now + cx.config.deregistration);
            return;
        }
        let Some(image) = self.images.remove(port) else { return };
        for id in image.answers {
            cx.status(1, id, codes::SUCCESS);
        }
        if let Some((rtpid, id)) = image.again {
            self.register(cx, id, PortId::new(image.protocol, port.clone()), rtpid);
        }
    }

    /// The door is gone: so is all that came through it.
    pub(in super::super) fn clear(&mut self, cx: &mut Context<'_>) {
        let ports: Vec<DevId> = self.images.keys().cloned().collect();
        for port in ports {
            if let Some(image) = self.images.get_mut(&port) {
                image.again = None;
                image.answers.clear();
            }
            self.remove_image(cx, &port);
        }
        self.end_sessions(cx);
        self.generations.clear();
        self.ended.clear();
    }

    pub(super) fn remove_image(&mut self, cx: &mut Context<'_>, port: &DevId) {
        let Some(image) = self.images.get_mut(port) else { return };
        if image.phase == Phase::Removing {
            return;
        }
        image.phase = Phase::Removing;
        if !self.close_sessions_of(cx, port) {
            self.ask_removal(cx, port);
        }
    }

    pub(super) fn ask_removal(&mut self, cx: &mut Context<'_>, port: &DevId) {
        if let Some(image) = self.images.get_mut(port) {
            image.removal = None;
            cx.out.push(Output::RemoveImage(port.clone()));
        }
    }
}
