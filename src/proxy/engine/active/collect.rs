//! Writes that the peer forwards (`alua-proxy.md` 7.7, 8.5): whether they may still happen, and their data.

use super::*;
use crate::framework::forwarded_by_default;

impl Active {
    /// A command whose session is open. What changes the medium has to prove that nothing has overtaken it.
    pub(super) fn admit(&mut self, cx: &mut Context<'_>, cmd: ScsiCmd, own: &Announcer) {
        if self.aborted.iter().any(|(id, _)| *id == cmd.task) {
            return cx.status(4, cmd.task, codes::ABORTED);
        }
        let given_out = cmd.token.and_then(|token| cx.tokens.issued(token));
        if !may_happen(cx, &cmd, given_out, own) {
            return self.answer(cx, &cmd, Outcome::status(ScsiStatus::Busy));
        }
        match cmd.total.map(|total| total as usize) {
            Some(total) if cmd.function == 0 && total > cmd.data.len() => self.begin_collecting(cx, cmd, total),
            _ => self.start(cx, cmd, given_out),
        }
    }

    fn begin_collecting(&mut self, cx: &mut Context<'_>, mut cmd: ScsiCmd, total: usize) {
        let under_way: usize = self.collections().map(|collection| collection.total).sum();
        if under_way + total > cx.config.collecting {
            return cx.status(4, cmd.task, codes::BUSY);
        }
        let (id, session, guid) = (cmd.task, cmd.session, cmd.guid);
        let asked = cmd.data.len();
        cmd.data.resize(total, 0);
        let collection = Collection {
            cmd,
            total,
            asked,
            wanted: BTreeMap::new(),
            fresh: Duration::ZERO,
            deadline: cx.now + cx.config.command,
        };
        let task = Task {
            session,
            guid,
            expected: Expected::default(),
            sent: 0,
            progress: Progress::Collecting(Box::new(collection)),
        };
        self.tasks.insert(id, task);
        self.ask_for_more(cx, id);
    }

    fn collections(&self) -> impl Iterator<Item = &Collection> {
        self.tasks.values().filter_map(|task| match &task.progress {
            Progress::Collecting(collection) => Some(&**collection),
            _ => None,
        })
    }

    fn ask_for_more(&mut self, cx: &mut Context<'_>, id: u64) {
        let Some(Task {
            session,
            progress: Progress::Collecting(collection),
            ..
        }) = self.tasks.get_mut(&id)
        else {
            return;
        };
        while collection.asked < collection.total && collection.wanted.len() < cx.config.window {
            let (offset, length) = (
                collection.asked,
                cx.config.piece.min(collection.total - collection.asked),
            );
            collection.wanted.insert(offset, (length, cx.now));
            collection.asked += length;
            let r2t = Body::R2t {
                task: id,
                session: *session,
                offset: u32::try_from(offset).expect("below a 32-bit total"),
                length: u32::try_from(length).expect("a piece"),
            };
            cx.send(Class::Answer, 0, r2t);
        }
    }

    /// True for data of a write that this node collects.
    pub(in super::super) fn collects(&self, data: &ScsiData) -> bool {
        self.tasks.get(&data.task).is_some_and(|task| {
            matches!(task.progress, Progress::Collecting(_)) && (task.session, task.guid) == (data.session, data.guid)
        })
    }

    /// A piece; with the last one the command starts.
    pub(in super::super) fn collect(&mut self, cx: &mut Context<'_>, data: ScsiData, own: &Announcer) {
        let Some(Progress::Collecting(collection)) = self.tasks.get_mut(&data.task).map(|task| &mut task.progress)
        else {
            return;
        };
        let offset = data.offset.map_or(usize::MAX, |offset| offset as usize);
        match collection.wanted.get(&offset) {
            Some((length, _)) if *length == data.data.len() => {}
            // Repeated, or never asked for.
            _ => return,
        }
        let (_, asked) = collection.wanted.remove(&offset).expect("found above");
        collection.cmd.data[offset..offset + data.data.len()].copy_from_slice(&data.data);
        collection.fresh = collection.fresh.max(asked);
        collection.deadline = cx.now + cx.config.command;
        if collection.asked < collection.total || !collection.wanted.is_empty() {
            return self.ask_for_more(cx, data.task);
        }
        let Some(Progress::Collecting(collection)) = self.tasks.remove(&data.task).map(|task| task.progress) else {
            return;
        };
        match may_happen(cx, &collection.cmd, Some(collection.fresh), own) {
            true => self.start(cx, collection.cmd, Some(collection.fresh)),
            false => self.answer(cx, &collection.cmd, Outcome::status(ScsiStatus::Busy)),
        }
    }

    pub(super) fn give_up_collecting(&mut self, cx: &mut Context<'_>) {
        let late: Vec<u64> = self
            .tasks
            .iter()
            .filter(|(_, task)| matches!(&task.progress, Progress::Collecting(c) if cx.now >= c.deadline))
            .map(|(id, _)| *id)
            .collect();
        for id in late {
            log::warn!("pppt: the data of write {id:#x} does not come; dropped");
            self.data_lost(cx, id);
        }
    }
}

/// A write happens under the generation that the peer knew, and only while the peer has not told its host that it does
/// not: `proof` is a moment at which the peer still had it. So a retried write is not overtaken by its first copy (7.7).
fn may_happen(cx: &Context<'_>, cmd: &ScsiCmd, proof: Option<Duration>, own: &Announcer) -> bool {
    let generation = own.generation(&cmd.guid);
    let fresh = proof.is_some_and(|at| cx.now.saturating_sub(at) < cx.config.write_life);
    if cmd.function != 0 || cmd.cdb.is_empty() || forwarded_by_default(&cmd.cdb) {
        return (fresh || cmd.token.is_none()) && (cmd.generation.is_none() || cmd.generation == generation);
    }
    fresh && cmd.generation.is_some() && cmd.generation == generation
}
