//! What happens in a session, as updates for the editor: each piece told once, however it came. Pure; knows
//! nothing of connections.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;

use protocol::context::Compaction;
use protocol::delta::Delta;
use protocol::ids::{ClientId, ItemId, TurnId};
use protocol::item::{Command, Item, ItemBody, ItemStatus, NoticeLevel, Plan, PlanStepStatus, UserMessage};
use protocol::turn::{InputPart, Turn};
use view::{escape, words};

use crate::schema::content::Block;
use crate::schema::update::{
    Chunk, CompactionStatus, PlanEntry, Priority, Severity, StepStatus, ToolCall, ToolContent, Update,
};
use crate::terminal::{self, OutputForm};
use crate::tool;

/// Most bytes that are shown of the output of a command that runs.
const LIVE_OUTPUT_BYTES: usize = 8 * 1024;

/// Whether the editor knows what its own person said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Echo {
    /// It has just sent it.
    Others,
    /// It is told all there was.
    All,
}

/// How notices are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoticeForm {
    /// As what they are.
    Notice,
    /// As thoughts, by an editor that knows no notices.
    Thought,
}

/// How it is told that a session is compacted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CompactionForm {
    /// As what it is.
    Compaction,
    /// As a notice, once it is over.
    Notice,
}

/// What was told so far of the turns that run.
#[derive(Debug)]
pub(crate) struct Story {
    cwd: PathBuf,
    notices: NoticeForm,
    compactions: CompactionForm,
    output: OutputForm,
    /// Connections of ours.
    own: Vec<ClientId>,
    told: HashMap<ItemId, Told>,
    /// Commands that printed something that was not told yet.
    printing: BTreeSet<ItemId>,
}

#[derive(Debug)]
struct Told {
    turn: TurnId,
    what: Piece,
}

#[derive(Debug)]
enum Piece {
    /// So many bytes of a text.
    Text { speaker: Speaker, bytes: u64 },
    /// A call of a tool; of a command, its last output, or in a terminal what is not shown yet, and whether it was told
    /// that it has ended.
    Call { item: Box<Item>, bytes: u64, output: String, has_ended: bool },
    /// All of it, or nothing is to be told.
    Whole,
}

#[derive(Clone, Copy, Debug)]
enum Speaker {
    Agent,
    Thought,
}

impl Story {
    pub(crate) fn new(
        cwd: PathBuf,
        notices: NoticeForm,
        compactions: CompactionForm,
        output: OutputForm,
    ) -> Self {
        let (own, told, printing) = (Vec::new(), HashMap::new(), BTreeSet::new());
        Self { cwd, notices, compactions, output, own, told, printing }
    }

    /// What comes over this connection is said by the editor's own person.
    pub(crate) fn is_own(&mut self, client: ClientId) {
        if !self.own.contains(&client) {
            self.own.push(client);
        }
    }

    /// Whether a client is a connection of ours.
    pub(crate) fn owns(&self, client: ClientId) -> bool {
        self.own.contains(&client)
    }

    /// Tells of a turn as far as it is.
    pub(crate) fn turn(&mut self, turn: &Turn) -> Vec<Update> {
        let mut updates = Vec::new();
        for item in &turn.items {
            updates.extend(self.item(item, Echo::All));
        }
        if turn.outcome.is_some() {
            self.end(turn.id);
        }
        updates
    }

    /// Tells of an item as it is now.
    pub(crate) fn item(&mut self, item: &Item, echo: Echo) -> Vec<Update> {
        match &item.body {
            ItemBody::AgentMessage(message) => {
                let mut updates = self.text(item, Speaker::Agent, &message.text);
                if item.status == ItemStatus::Discarded && !message.text.is_empty() {
                    let text = "\n\n*(The answer broke off here; the model starts it again.)*\n\n";
                    updates.push(chunk(Speaker::Agent, item.id, text));
                }
                updates
            }
            ItemBody::Reasoning(reasoning) => self.text(item, Speaker::Thought, &reasoning.summary),
            ItemBody::Command(_) | ItemBody::FileChange(_) | ItemBody::ToolCall(_) | ItemBody::Review(_) => {
                self.call(item)
            }
            ItemBody::UserMessage(message) if self.is_new(item) => self.said(item, message, echo),
            ItemBody::Plan(plan) if item.status == ItemStatus::Completed && self.is_new(item) => {
                vec![entries(plan)]
            }
            ItemBody::WebSearch(search) if self.is_new(item) => {
                vec![self.notice(&NoticeLevel::Information, &words::web_search(search))]
            }
            ItemBody::Notice(notice) if self.is_new(item) => {
                vec![self.notice(&notice.level, &notice.text)]
            }
            ItemBody::Agent(report) if self.is_new(item) => {
                vec![self.notice(&NoticeLevel::Information, &words::agent(report))]
            }
            ItemBody::Compaction(body) if self.compactions == CompactionForm::Compaction => {
                self.is_new(item);
                vec![compaction(item, body)]
            }
            ItemBody::Compaction(compaction)
                if item.status != ItemStatus::InProgress && self.is_new(item) =>
            {
                vec![self.notice(&NoticeLevel::Information, &words::compaction(compaction, &item.status))]
            }
            ItemBody::UserMessage(_)
            | ItemBody::Plan(_)
            | ItemBody::Notice(_)
            | ItemBody::WebSearch(_)
            | ItemBody::Compaction(_)
            | ItemBody::Agent(_)
            | ItemBody::Unknown(_) => Vec::new(),
        }
    }

    /// Tells of a piece of text. What a command prints is told by `printed`.
    pub(crate) fn grow(&mut self, delta: &Delta) -> Option<Update> {
        let told = self.told.get_mut(&delta.item_id)?;
        match &mut told.what {
            Piece::Text { speaker, bytes } => {
                let new = unknown(delta.offset_bytes, &delta.text, *bytes)?;
                *bytes += new.len() as u64;
                Some(chunk(*speaker, delta.item_id, new))
            }
            Piece::Call { bytes, output, .. } => {
                // What was left out on the way is not waited for: what is newest is of more use.
                if let Some(missed) = delta.offset_bytes.checked_sub(*bytes).filter(|missed| *missed > 0) {
                    output.push_str("\n…\n");
                    *bytes += missed;
                }
                let new = unknown(delta.offset_bytes, &delta.text, *bytes)?;
                *bytes += new.len() as u64;
                output.push_str(new);
                keep_tail(output);
                self.printing.insert(delta.item_id);
                None
            }
            Piece::Whole => None,
        }
    }

    /// Whether commands have printed what was not told.
    pub(crate) fn is_printing(&self) -> bool {
        !self.printing.is_empty()
    }

    /// Tells what commands printed since the last time.
    pub(crate) fn printed(&mut self) -> Vec<Update> {
        let mut updates = Vec::new();
        for id in std::mem::take(&mut self.printing) {
            let Some(Told { what: Piece::Call { output, .. }, .. }) = self.told.get_mut(&id) else {
                continue;
            };
            updates.push(Update::ToolCallChanged(match self.output {
                OutputForm::Text => tool::printing(id.to_string(), output),
                OutputForm::Terminal => {
                    let meta = terminal::grown(&id.to_string(), &std::mem::take(output), None);
                    ToolCall { tool_call_id: id.to_string(), meta, ..ToolCall::default() }
                }
            }));
        }
        updates
    }

    /// The call of an item that runs or waits.
    pub(crate) fn running(&self, item: ItemId) -> Option<ToolCall> {
        match &self.told.get(&item)?.what {
            Piece::Call { item, .. } => Some(self.shown(item, tool::call(item, &self.cwd)?)),
            Piece::Text { .. } | Piece::Whole => None,
        }
    }

    /// Something that the person should know.
    pub(crate) fn notice(&self, level: &NoticeLevel, text: &str) -> Update {
        let text = escape::prose(text);
        match self.notices {
            NoticeForm::Notice => {
                let severity = match level {
                    NoticeLevel::Warning => Severity::Warning,
                    NoticeLevel::Information | NoticeLevel::Unknown(_) => Severity::Info,
                };
                let (title, rest) = text.split_once('\n').unwrap_or((&text, ""));
                let title = if title.is_empty() { "Notice" } else { title };
                let description = (!rest.trim().is_empty()).then(|| rest.to_owned());
                Update::Notice { severity, title: title.to_owned(), description }
            }
            NoticeForm::Thought => {
                let content = Block::text(format!("{text}\n"));
                Update::AgentThoughtChunk(Chunk { content, message_id: None })
            }
        }
    }

    /// A turn ended: nothing more comes of it.
    pub(crate) fn end(&mut self, turn: TurnId) {
        self.told.retain(|_, told| told.turn != turn);
        let told = &self.told;
        self.printing.retain(|id| told.contains_key(id));
    }

    /// Notes that an item is told as a whole; whether it was not before.
    fn is_new(&mut self, item: &Item) -> bool {
        let told = Told { turn: item.turn_id, what: Piece::Whole };
        self.told.insert(item.id, told).is_none()
    }

    fn text(&mut self, item: &Item, speaker: Speaker, text: &str) -> Vec<Update> {
        let first = Told { turn: item.turn_id, what: Piece::Text { speaker, bytes: 0 } };
        let told = self.told.entry(item.id).or_insert(first);
        let Piece::Text { bytes, .. } = &mut told.what else { return Vec::new() };
        let Some(new) = unknown(0, text, *bytes) else { return Vec::new() };
        *bytes += new.len() as u64;
        vec![chunk(speaker, item.id, new)]
    }

    fn call(&mut self, item: &Item) -> Vec<Update> {
        let Some(call) = tool::call(item, &self.cwd) else { return Vec::new() };
        let mut call = self.shown(item, call);
        self.printing.remove(&item.id);
        let before = self.told.remove(&item.id).map(|told| told.what);
        let is_new = before.is_none();
        let (mut bytes, mut output, mut has_ended) = match before {
            Some(Piece::Call { bytes, output, has_ended, .. }) => (bytes, output, has_ended),
            Some(Piece::Text { .. } | Piece::Whole) | None => (0, String::new(), false),
        };
        let mut after = None;
        match (self.output, command(item)) {
            (OutputForm::Terminal, Some(command)) => {
                let id = call.tool_call_id.clone();
                match &command.outcome {
                    Some(outcome) => output += &terminal::rest(&outcome.output, bytes),
                    None => output += unknown(0, &command.output_so_far, bytes).unwrap_or_default(),
                }
                bytes = bytes.max(match &command.outcome {
                    Some(outcome) => outcome.output.total_bytes,
                    None => command.output_so_far.len() as u64,
                });
                let ended = command.outcome.as_ref().filter(|_| !has_ended);
                let grown = terminal::grown(&id, &std::mem::take(&mut output), ended);
                has_ended |= ended.is_some();
                if is_new {
                    // A terminal is opened by the call, and grows by what comes after it.
                    call.meta = Some(terminal::opened(&id, &command.cwd));
                    let grown = grown.map(|meta| ToolCall {
                        tool_call_id: id,
                        meta: Some(meta),
                        ..ToolCall::default()
                    });
                    after = grown.map(Update::ToolCallChanged);
                } else {
                    call.meta = grown;
                }
            }
            (OutputForm::Terminal | OutputForm::Text, command) => {
                output = command.map(|command| command.output_so_far.clone()).unwrap_or_default();
                bytes = output.len() as u64;
            }
        }
        let what = Piece::Call { item: Box::new(item.clone()), bytes, output, has_ended };
        self.told.insert(item.id, Told { turn: item.turn_id, what });
        let update = if is_new { Update::ToolCall(call) } else { Update::ToolCallChanged(call) };
        std::iter::once(update).chain(after).collect()
    }

    /// A call as this editor shows it.
    fn shown(&self, item: &Item, call: ToolCall) -> ToolCall {
        match (self.output, command(item)) {
            (OutputForm::Terminal, Some(command)) => terminal::shown(call, tool::beside_output(command)),
            (OutputForm::Terminal | OutputForm::Text, _) => call,
        }
    }

    fn said(&self, item: &Item, message: &UserMessage, echo: Echo) -> Vec<Update> {
        if echo == Echo::Others && self.owns(message.actor.client_id) {
            return Vec::new();
        }
        let chunk = |content| {
            let message_id = Some(item.id.to_string());
            Update::UserMessageChunk(Chunk { content, message_id })
        };
        let block = |part: &InputPart| match part {
            InputPart::Text { text } => Block::text(text.as_str()),
            InputPart::Image { media_type, data } => {
                Block::Image { data: data.clone(), mime_type: media_type.clone() }
            }
            InputPart::StoredImage { media_type, .. } => Block::text(format!("(an image, {media_type})")),
            InputPart::Skill { name, .. } => Block::text(format!("(the skill `{name}`)")),
            InputPart::Resource { server, uri, .. } => {
                Block::text(format!("(what the MCP server `{server}` has at `{uri}`)"))
            }
            InputPart::Unknown(_) => Block::text("(something that this version does not know)"),
        };
        message.content.iter().map(block).map(chunk).collect()
    }
}

/// What a call is to show while a person is asked about it: its own content, then why.
pub(crate) fn asked(call: Option<ToolCall>, item: ItemId, why: Vec<ToolContent>) -> ToolCall {
    let call = call.unwrap_or_else(|| ToolCall { tool_call_id: item.to_string(), ..ToolCall::default() });
    let content = call.content.unwrap_or_default().into_iter().chain(why).collect();
    ToolCall { content: Some(content), ..call }
}

fn chunk(speaker: Speaker, item: ItemId, text: &str) -> Update {
    let chunk = Chunk { content: Block::text(escape::prose(text)), message_id: Some(item.to_string()) };
    match speaker {
        Speaker::Agent => Update::AgentMessageChunk(chunk),
        Speaker::Thought => Update::AgentThoughtChunk(chunk),
    }
}

fn entries(plan: &Plan) -> Update {
    let status = |status: &PlanStepStatus| match status {
        PlanStepStatus::Pending | PlanStepStatus::Unknown(_) => StepStatus::Pending,
        PlanStepStatus::InProgress => StepStatus::InProgress,
        PlanStepStatus::Completed => StepStatus::Completed,
    };
    let entries = plan.steps.iter().map(|step| PlanEntry {
        content: escape::prose(&step.text).into_owned(),
        priority: Priority::Medium,
        status: status(&step.status),
    });
    Update::Plan { entries: entries.collect() }
}

fn command(item: &Item) -> Option<&Command> {
    if let ItemBody::Command(command) = &item.body { Some(command) } else { None }
}

/// What of a piece was not told, if it goes on where the told text ends.
fn unknown(offset: u64, text: &str, told: u64) -> Option<&str> {
    let known = usize::try_from(told.checked_sub(offset)?).ok()?;
    text.get(known..).filter(|new| !new.is_empty())
}

fn keep_tail(text: &mut String) {
    // Twice as much may gather, so that not every piece moves the whole.
    if text.len() > 2 * LIVE_OUTPUT_BYTES {
        let cut = text.ceil_char_boundary(text.len() - LIVE_OUTPUT_BYTES);
        text.drain(..cut);
    }
}

/// How far a compaction is, with the notes that came of it.
fn compaction(item: &Item, body: &Compaction) -> Update {
    let (status, error) = match &item.status {
        ItemStatus::InProgress => (CompactionStatus::InProgress, None),
        ItemStatus::Completed => (CompactionStatus::Completed, None),
        ItemStatus::Interrupted => (CompactionStatus::Cancelled, None),
        ItemStatus::Declined | ItemStatus::Failed | ItemStatus::Discarded | ItemStatus::Unknown(_) => (
            CompactionStatus::Failed,
            Some(escape::prose(&words::compaction(body, &item.status)).into_owned()),
        ),
    };
    let is_done = status == CompactionStatus::Completed && !body.summary.is_empty();
    let summary =
        is_done.then(|| Block::text(escape::prose(&body.summary).into_owned())).into_iter().collect();
    Update::Compaction { compaction_id: item.id.to_string(), status, summary, error }
}

#[cfg(test)]
mod tests {
    use protocol::context::CompactionReason;
    use protocol::ids::Timestamp;
    use protocol::item::{AgentMessage, Notice};
    use protocol::turn::Actor;
    use serde_json::json;

    use super::*;

    fn story() -> Story {
        Story::new("/repo".into(), NoticeForm::Thought, CompactionForm::Notice, OutputForm::Text)
    }

    fn item(id: ItemId, status: ItemStatus, body: ItemBody) -> Item {
        let turn_id = TurnId::generate();
        Item {
            id,
            turn_id,
            step: 0,
            status,
            started_at: Timestamp(0),
            completed_at: None,
            called_by: None,
            body,
        }
    }

    fn message(id: ItemId, status: ItemStatus, text: &str) -> Item {
        item(id, status, ItemBody::AgentMessage(AgentMessage { text: text.to_owned() }))
    }

    fn texts(updates: impl IntoIterator<Item = Update>) -> String {
        let text = |update| match update {
            Update::AgentMessageChunk(Chunk { content: Block::Text { text }, .. }) => text,
            other => panic!("{other:?}"),
        };
        updates.into_iter().map(text).collect()
    }

    fn delta(item_id: ItemId, offset_bytes: u64, text: &str) -> Delta {
        Delta { item_id, offset_bytes, text: text.to_owned() }
    }

    #[test]
    fn each_byte_of_a_message_is_told_once() {
        let (mut story, id) = (story(), ItemId::generate());
        let mut told = texts(story.item(&message(id, ItemStatus::InProgress, "a"), Echo::Others));
        told += &texts(story.grow(&delta(id, 0, "ab")));
        assert_eq!(story.grow(&delta(id, 9, "left out before")), None);
        told += &texts(story.grow(&delta(id, 2, "c")));
        told += &texts(story.item(&message(id, ItemStatus::Completed, "abcde"), Echo::Others));
        told += &texts(story.item(&message(id, ItemStatus::Completed, "abcde"), Echo::Others));
        assert_eq!(told, "abcde");
    }

    #[test]
    fn a_message_that_broke_off_is_told_so() {
        let (mut story, id) = (story(), ItemId::generate());
        let told = texts(story.item(&message(id, ItemStatus::Discarded, "half"), Echo::Others));
        assert!(told.starts_with("half") && told.contains("broke off"), "{told}");
    }

    #[test]
    fn what_the_editor_said_itself_is_not_echoed_but_in_a_replay() {
        let client_id = ClientId::generate();
        let said = |client_id| UserMessage {
            content: vec![InputPart::Text { text: "hello".to_owned() }],
            actor: Actor { client_id, name: "x".to_owned() },
            is_steer: false,
        };
        let item_of =
            |client| item(ItemId::generate(), ItemStatus::Completed, ItemBody::UserMessage(said(client)));
        let mut story = story();
        story.is_own(client_id);
        assert_eq!(story.item(&item_of(client_id), Echo::Others), []);
        assert_eq!(story.item(&item_of(client_id), Echo::All).len(), 1);
        let others = item_of(ClientId::generate());
        assert_eq!(story.item(&others, Echo::Others).len(), 1);
        assert_eq!(story.item(&others, Echo::Others), [], "and once");
    }

    #[test]
    fn a_compaction_is_one_where_that_is_known() {
        let id = ItemId::generate();
        let body = Compaction {
            reason: CompactionReason::Full,
            instructions: None,
            tokens_before: None,
            summary: "The notes.".to_owned(),
            carried: String::new(),
            opaque: Vec::new(),
            message: None,
        };
        let compacted = |status| item(id, status, ItemBody::Compaction(body.clone()));
        let mut story =
            Story::new("/repo".into(), NoticeForm::Notice, CompactionForm::Compaction, OutputForm::Text);
        let told: Vec<_> = [ItemStatus::InProgress, ItemStatus::Completed]
            .into_iter()
            .flat_map(|status| story.item(&compacted(status), Echo::Others))
            .map(|update| serde_json::to_value(update).unwrap())
            .collect();
        let begun =
            json!({"sessionUpdate": "compaction_update", "compactionId": id, "status": "in_progress"});
        let summary = json!([{"type": "text", "text": "The notes."}]);
        let done = json!({"sessionUpdate": "compaction_update", "compactionId": id, "status": "completed",
            "summary": summary});
        assert_eq!(told, [begun, done]);
    }

    #[test]
    fn notices_are_thoughts_where_notices_are_not_known() {
        let notice = || Notice { level: NoticeLevel::Warning, text: "Weak\nVery.".to_owned(), context: None };
        let item = item(ItemId::generate(), ItemStatus::Completed, ItemBody::Notice(notice()));
        assert!(matches!(story().item(&item, Echo::Others).as_slice(), [Update::AgentThoughtChunk(_)]));
        let mut story =
            Story::new("/repo".into(), NoticeForm::Notice, CompactionForm::Notice, OutputForm::Text);
        let expected = Update::Notice {
            severity: Severity::Warning,
            title: "Weak".to_owned(),
            description: Some("Very.".to_owned()),
        };
        assert_eq!(story.item(&item, Echo::Others), [expected]);
    }
}
