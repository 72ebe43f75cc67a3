//! The peer's sessions (`alua-proxy.md` 3.8, 5.6).

use super::*;

impl Active {
    pub(in super::super) fn nexus_opened(
        &mut self,
        cx: &mut Context<'_>,
        id: u64,
        result: Result<(), Status>,
        own: &Announcer,
    ) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        match (result, std::mem::replace(&mut session.nexus, Nexus::Open)) {
            (Ok(()), Nexus::Opening { waiting, .. }) => {
                for cmd in waiting {
                    self.admit(cx, cmd, own);
                }
            }
            (Ok(()), _) => {
                // Ended while it was being opened.
                session.nexus = Nexus::Closing;
                cx.out.push(Output::CloseNexus(id));
            }
            (Err(status), nexus) => {
                log::warn!(
                    "pppt: no session for {} on the image of {}: {status}",
                    session.initiator,
                    session.port
                );
                let code = if status == Status::Busy {
                    codes::BAD_STATE
                } else {
                    codes::INVALID_ARG
                };
                self.sessions.remove(&id);
                if let Nexus::Opening { waiting, .. } = nexus {
                    waiting.iter().for_each(|cmd| cx.status(4, cmd.task, code));
                }
                self.session_gone(cx);
            }
        }
    }

    pub(in super::super) fn nexus_closed(&mut self, cx: &mut Context<'_>, id: u64) {
        self.sessions.remove(&id);
        self.session_gone(cx);
    }

    pub(in super::super) fn destroy_session(&mut self, cx: &mut Context<'_>, id: u64) {
        self.ended.push_back((id, cx.now));
        if self.ended.len() > REMEMBERED_SESSIONS {
            self.ended.pop_front();
        }
        self.close_session(cx, id);
    }

    pub(in super::super) fn end_sessions(&mut self, cx: &mut Context<'_>) {
        for id in self.sessions.keys().copied().collect::<Vec<_>>() {
            self.close_session(cx, id);
        }
    }

    /// True when there are sessions to wait for.
    pub(super) fn close_sessions_of(&mut self, cx: &mut Context<'_>, port: &DevId) -> bool {
        let of_port = |(id, session): (&u64, &Session)| (session.port == *port).then_some(*id);
        for id in self.sessions.iter().filter_map(of_port).collect::<Vec<_>>() {
            self.close_session(cx, id);
        }
        self.sessions.values().any(|session| session.port == *port)
    }

    fn close_session(&mut self, cx: &mut Context<'_>, id: u64) {
        // Commands that still run end with TASK ABORTED through the framework; those that only move data end here.
        let sending = |(task, state): (&u64, &Task)| {
            (state.session == id && !matches!(state.progress, Progress::Running)).then_some(*task)
        };
        for task in self.tasks.iter().filter_map(sending).collect::<Vec<_>>() {
            self.tasks.remove(&task);
        }
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        match std::mem::replace(&mut session.nexus, Nexus::Closing) {
            Nexus::Open => cx.out.push(Output::CloseNexus(id)),
            Nexus::Closing => {}
            Nexus::Opening { asked, waiting } => {
                waiting.iter().for_each(|cmd| cx.status(4, cmd.task, codes::NOT_FOUND));
                if !asked {
                    self.sessions.remove(&id);
                }
            }
        }
    }

    /// A session has ended: what waited for that may go on.
    fn session_gone(&mut self, cx: &mut Context<'_>) {
        let ready: Vec<u64> = self
            .sessions
            .iter()
            .filter(|(id, session)| {
                matches!(session.nexus, Nexus::Opening { asked: false, .. }) && !self.has_older(**id, session)
            })
            .map(|(id, _)| *id)
            .collect();
        for id in ready {
            self.ask_nexus(cx, id);
        }
        let empty: Vec<(DevId, Phase)> = self
            .images
            .iter()
            .filter(|(port, _)| !self.sessions.values().any(|session| session.port == **port))
            .map(|(port, image)| (port.clone(), image.phase))
            .collect();
        for (port, phase) in empty {
            match phase {
                Phase::Removing => self.ask_removal(cx, &port),
                Phase::Offline => cx.out.push(Output::ImageChanged { port, online: false }),
                Phase::Registering | Phase::Online => {}
            }
        }
    }

    fn has_older(&self, id: u64, session: &Session) -> bool {
        self.sessions.iter().any(|(other, older)| {
            *other < id && older.port == session.port && older.transport_id == session.transport_id
        })
    }

    fn ask_nexus(&mut self, cx: &mut Context<'_>, id: u64) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        if let Nexus::Opening { asked, .. } = &mut session.nexus {
            *asked = true;
            cx.out.push(Output::OpenNexus {
                session: id,
                port: session.port.clone(),
                initiator: session.initiator.clone(),
                transport_id: session.transport_id.clone(),
            });
        }
    }

    /// Makes the session of a command; the code why not.
    pub(super) fn open_session(&mut self, cx: &mut Context<'_>, cmd: Box<ScsiCmd>) -> Result<(), (u64, u64)> {
        let id = cmd.session;
        let task = cmd.task;
        match self.images.get(&cmd.target.ident).map(|image| image.phase) {
            Some(Phase::Online) => {}
            Some(_) => return Err((task, codes::BAD_STATE)),
            None => return Err((task, codes::NOT_FOUND)),
        }
        if self.sessions.len() >= MAX_SESSIONS {
            return Err((task, codes::BUSY));
        }
        let session = Session {
            port: cmd.target.ident.clone(),
            initiator: cmd.initiator.ident.clone(),
            transport_id: cmd.remote.0.clone(),
            nexus: Nexus::Opening {
                asked: false,
                waiting: vec![*cmd],
            },
        };
        let rivals: Vec<u64> = self
            .sessions
            .iter()
            .filter(|(_, other)| other.port == session.port && other.transport_id == session.transport_id)
            .map(|(other, _)| *other)
            .collect();
        // Ids grow; a lower one is of a session that was replaced (3.8).
        if rivals.iter().any(|other| *other > id) {
            return Err((task, codes::INVALID_ARG));
        }
        self.sessions.insert(id, session);
        rivals.iter().for_each(|other| self.close_session(cx, *other));
        if self
            .sessions
            .get(&id)
            .is_some_and(|session| !self.has_older(id, session))
        {
            self.ask_nexus(cx, id);
        }
        Ok(())
    }
}
