//! What one client knows of a session: the fold of what its feed showed. Says what does not fit.

use std::collections::BTreeMap;

use protocol::delta::Delta;
use protocol::event::{Event, EventRecord, ItemAppended};
use protocol::ids::{ItemId, Seq, SessionId};
use protocol::item::{Item, ItemBody, ItemStatus};
use protocol::session::SessionSnapshot;
use session::state::SessionState;

use crate::disk::SimDisk;

/// With so many that waited, some deltas may have been left out.
const MANY_ENTRIES: usize = 256;

/// A client's picture.
pub(crate) struct View {
    /// The events it saw, folded.
    pub(crate) state: SessionState,
    /// Texts of items in progress, with what is not durable.
    texts: BTreeMap<ItemId, Text>,
    /// Whether deltas may be missing among what comes now: they are not repeated to who comes back, and left out for
    /// who is slow.
    is_behind: bool,
    /// Events that it missed and that have not come yet.
    missed: usize,
    /// Whether the message before held many.
    was_many: bool,
}

#[derive(Default)]
struct Text {
    text: String,
    has_hole: bool,
}

impl View {
    /// What a snapshot shows. It must be what the log says.
    pub(crate) fn of_snapshot(disk: &SimDisk, snapshot: &SessionSnapshot) -> Result<Self, String> {
        let (id, seq) = (snapshot.summary.id, snapshot.summary.seq);
        let fold = disk.look(id, |ledger| ledger.fold_at(seq)).ok_or("a snapshot of no session")?;
        let expected = fold.snapshot(0, snapshot.turns.len(), snapshot.presence.clone());
        if fold.seq != seq || &expected != snapshot {
            return Err(format!("the snapshot {snapshot:?} is not what the log says: {expected:?}"));
        }
        let items = snapshot.turns.iter().flat_map(|turn| &turn.items);
        let texts = items
            .filter(|item| item.status == ItemStatus::InProgress)
            .map(|item| {
                let text = text_of(item).unwrap_or_default().to_owned();
                (item.id, Text { text, has_hole: false })
            })
            .collect();
        Ok(Self { state: fold, texts, is_behind: false, missed: 0, was_many: false })
    }

    /// So many events that were missed are about to come.
    pub(crate) fn come_back(&mut self, missed: usize) {
        self.missed = missed;
        self.was_many = false;
        self.be_behind(true);
        if missed == 0 {
            self.catch_up();
        }
    }

    /// So many entries come at once; if they are many, they may have been cut into two messages.
    pub(crate) fn batch(&mut self, entries: usize) {
        if self.missed == 0 {
            let are_many = entries > MANY_ENTRIES;
            self.be_behind(are_many || self.was_many);
            self.was_many = are_many;
        }
    }

    /// All that was missed came: texts are complete again.
    fn catch_up(&mut self) {
        self.is_behind = false;
        self.texts.values_mut().for_each(|text| text.has_hole = false);
    }

    /// Takes an event. It is the next one, on disk, and fits what came before.
    pub(crate) fn event(&mut self, disk: &SimDisk, record: &EventRecord) -> Result<(), String> {
        let durable = disk.look(self.state.id, |ledger| ledger.record(record.seq).cloned()).flatten();
        if durable.as_ref() != Some(record) {
            return Err(format!("a client sees {record:?}, and on disk is {durable:?}"));
        }
        self.state.apply(record).map_err(|error| format!("a client sees a gap or a repetition: {error}"))?;
        self.fold(record)?;
        if self.missed > 0 {
            self.missed -= 1;
            if self.missed == 0 {
                self.catch_up();
            }
        }
        Ok(())
    }

    fn fold(&mut self, record: &EventRecord) -> Result<(), String> {
        match &record.event {
            Event::ItemStarted(started) => {
                let has_hole = self.is_behind;
                self.texts.insert(started.item.id, Text { text: String::new(), has_hole });
                Ok(())
            }
            Event::ItemAppended(appended) => self.appended(appended),
            Event::ItemCompleted(completed) => self.completed(&completed.item),
            _ => Ok(()),
        }
    }

    /// Takes a delta. It goes on where the text is, unless some were left out before.
    pub(crate) fn delta(&mut self, delta: &Delta) -> Result<(), String> {
        let Some(known) = self.texts.get_mut(&delta.item_id) else {
            return Err(format!("a delta of item `{}`, which is not in progress", delta.item_id));
        };
        let here = known.text.len() as u64;
        if delta.offset_bytes < here {
            return Err(format!("a delta at {} where the text has {here} bytes", delta.offset_bytes));
        }
        if delta.offset_bytes == here {
            known.text.push_str(&delta.text);
        } else {
            known.has_hole = true;
        }
        Ok(())
    }

    /// The events of the log give the same picture.
    pub(crate) fn compare(&self, disk: &SimDisk) -> Result<(), String> {
        let seq = self.state.seq;
        match disk.look(self.state.id, |ledger| ledger.fold_at(seq)) {
            Some(fold) if fold == self.state => Ok(()),
            other => Err(format!("at {seq} a client has {:?}, and the log {other:?}", self.state)),
        }
    }

    /// The last event it saw.
    pub(crate) fn seq(&self) -> Seq {
        self.state.seq
    }

    /// The session.
    pub(crate) fn id(&self) -> SessionId {
        self.state.id
    }

    fn be_behind(&mut self, is_behind: bool) {
        self.is_behind = is_behind;
        if is_behind {
            self.texts.values_mut().for_each(|text| text.has_hole = true);
        }
    }

    /// A piece of text became durable: what is there already is the same, the rest follows.
    fn appended(&mut self, appended: &ItemAppended) -> Result<(), String> {
        let known = self.texts.entry(appended.item_id).or_default();
        let offset = usize::try_from(appended.offset_bytes).unwrap();
        let Some(overlap) = known.text.get(offset..) else {
            return Err(format!("a durable piece at {offset} where the text has {} bytes", known.text.len()));
        };
        if appended.text.starts_with(overlap) {
            known.text.truncate(offset);
            known.text.push_str(&appended.text);
        } else if !overlap.starts_with(&appended.text) {
            return Err(format!("a text was {overlap:?} and is {:?}", appended.text));
        }
        Ok(())
    }

    /// A completed item holds what its pieces added up to.
    fn completed(&mut self, item: &Item) -> Result<(), String> {
        let Some(Text { text, has_hole }) = self.texts.remove(&item.id) else { return Ok(()) };
        let Some(whole) = text_of(item) else { return Ok(()) };
        let fits = match item.status {
            // Notes are kept without spaces around them, and not longer than they may be.
            ItemStatus::Completed if matches!(item.body, ItemBody::Compaction(_)) => true,
            ItemStatus::Completed if !has_hole => whole == text,
            ItemStatus::Completed => whole.starts_with(&text),
            // After a crash only what was durable is left.
            _ => whole.starts_with(&text) || text.starts_with(whole),
        };
        if fits { Ok(()) } else { Err(format!("item `{}` grew to {text:?} and has {whole:?}", item.id)) }
    }
}

/// The text that deltas of an item add up to.
fn text_of(item: &Item) -> Option<&str> {
    match &item.body {
        ItemBody::AgentMessage(message) => Some(&message.text),
        ItemBody::Reasoning(reasoning) => Some(&reasoning.summary),
        ItemBody::Compaction(compaction) => Some(&compaction.summary),
        ItemBody::Command(command) if item.status == ItemStatus::InProgress => Some(&command.output_so_far),
        ItemBody::Command(command) => command.outcome.as_ref().map(|outcome| outcome.output.head.as_str()),
        ItemBody::UserMessage(_)
        | ItemBody::FileChange(_)
        | ItemBody::ToolCall(_)
        | ItemBody::Plan(_)
        | ItemBody::Notice(_)
        | ItemBody::WebSearch(_)
        | ItemBody::Agent(_)
        | ItemBody::Review(_)
        | ItemBody::Unknown(_) => None,
    }
}
