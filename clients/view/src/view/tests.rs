//! The fold against a small daemon that makes logs at random: however a client comes to know a session, it shows
//! the same.

use std::path::PathBuf;

use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq, proptest};
use protocol::delta::Delta;
use protocol::event::{
    InputQueued, ItemAppended, ItemChanged, ModelRetried, QuestionAnswered, QuestionAsked, SessionUpdated,
    TurnStarted,
};
use protocol::ids::{ClientId, QueuedId, SessionId};
use protocol::item::{
    AgentMessage, Command, CommandExit, CommandOutcome, CommandOutput, ItemBody, ItemStatus,
};
use protocol::model::{ProviderFailure, ProviderFailureKind, Usage};
use protocol::profile::{ApprovalPolicy, NetworkAccess, SandboxMode};
use protocol::question::{Decision, GrantScope, QuestionKind};
use protocol::session::{AfterCrash, Presence, QueuedInput, SessionSettings, SessionSummary};
use protocol::tool::{CallInput, ToolCall};
use protocol::turn::{Actor, TurnLimits, TurnOutcome};
use uuid::Uuid;

use super::*;
use crate::block::MessageEnd;

/// A session as the daemon has it, and what it sent so far.
pub(super) struct Daemon {
    pub(super) session: SessionSnapshot,
    pub(super) sent: Vec<FeedEntry>,
    /// Durable bytes of the message that grows.
    durable: usize,
    ids: u128,
}

fn actor() -> Actor {
    Actor { client_id: ClientId(Uuid::from_u128(1)), name: "other".to_owned() }
}

fn settings(model: &str) -> SessionSettings {
    SessionSettings {
        cwd: PathBuf::from("/repo"),
        additional_roots: Vec::new(),
        provider: "local".to_owned(),
        model: model.to_owned(),
        reasoning_effort: None,
        reasoning_summary: None,
        developer_instructions: None,
        sandbox: SandboxMode::WorkspaceWrite,
        network: NetworkAccess::Off,
        approval: ApprovalPolicy::OnRequest,
        is_tmp_writable: true,
        permissions: None,
        budget: protocol::turn::Budget::default(),
        limits: TurnLimits::default(),
        price: None,
        is_ephemeral: false,
        after_crash: AfterCrash::Wait,
        question_timeout_ms: None,
        model_context: protocol::context::ModelContext::default(),
    }
}

impl Daemon {
    fn new() -> Self {
        let summary = SessionSummary {
            id: SessionId(Uuid::from_u128(7)),
            title: None,
            status: SessionStatus::Idle,
            created_at: Timestamp(0),
            updated_at: Timestamp(0),
            seq: Seq(1),
            turn_count: 0,
            usage: Usage::default(),
            settings: settings("m"),
            agent: None,
            background: Vec::new(),
        };
        let session = SessionSnapshot {
            summary,
            turns: Vec::new(),
            earlier_turns: 0,
            questions: Vec::new(),
            queue: Vec::new(),
            presence: Presence::default(),
            context_tokens: None,
        };
        Self { session, sent: Vec::new(), durable: 0, ids: 100 }
    }

    fn id(&mut self) -> Uuid {
        self.ids += 1;
        Uuid::from_u128(self.ids)
    }

    fn emit(&mut self, event: Event) {
        let seq = self.session.summary.seq.next();
        self.session.summary.seq = seq;
        self.sent.push(FeedEntry::Event(EventRecord { seq, at: Timestamp(seq.0), request_id: None, event }));
    }

    fn turn(&mut self) -> Option<&mut Turn> {
        self.session.turns.last_mut().filter(|turn| turn.outcome.is_none())
    }

    /// The item that is under way; there is one at a time.
    fn open(&mut self) -> Option<&mut Item> {
        self.turn()?.items.last_mut().filter(|item| item.status == ItemStatus::InProgress)
    }

    fn start_turn(&mut self) {
        let turn_id = TurnId(self.id());
        let at = Timestamp(self.session.summary.seq.next().0);
        self.session.turns.push(Turn {
            id: turn_id,
            actor: actor(),
            started_at: at,
            ended_at: None,
            outcome: None,
            usage: Usage::default(),
            cost: None,
            is_rewound: false,
            items: Vec::new(),
        });
        self.session.summary.status = SessionStatus::Running { turn_id };
        self.emit(Event::TurnStarted(TurnStarted {
            turn_id,
            actor: actor(),
            limits: TurnLimits::default(),
            output_schema: None,
            queued_id: None,
        }));
    }

    fn start_item(&mut self, body: ItemBody) {
        let id = ItemId(self.id());
        let Some(turn) = self.turn() else { return };
        let item = Item {
            id,
            turn_id: turn.id,
            step: 0,
            status: ItemStatus::InProgress,
            started_at: Timestamp(0),
            completed_at: None,
            called_by: None,
            body,
        };
        turn.items.push(item.clone());
        self.durable = 0;
        self.emit(Event::ItemStarted(ItemChanged { item }));
    }

    fn grow(&mut self, text: &str) {
        let Some(Item { id, body: ItemBody::AgentMessage(message), .. }) = self.open() else { return };
        let delta = Delta { item_id: *id, offset_bytes: message.text.len() as u64, text: text.to_owned() };
        message.text.push_str(text);
        self.sent.push(FeedEntry::Delta(delta));
    }

    fn save(&mut self) {
        let durable = self.durable;
        let Some(Item { id, body: ItemBody::AgentMessage(message), .. }) = self.open() else { return };
        let text = message.text[durable..].to_owned();
        let appended = ItemAppended { item_id: *id, offset_bytes: durable as u64, text };
        self.durable += appended.text.len();
        self.emit(Event::ItemAppended(appended));
    }

    fn complete(&mut self, status: ItemStatus) {
        let Some(item) = self.open() else { return };
        item.status = status;
        item.completed_at = Some(Timestamp(9));
        if let ItemBody::Command(command) = &mut item.body {
            command.outcome = Some(CommandOutcome {
                exit: CommandExit::Code { code: 0 },
                duration_ms: 1,
                output: CommandOutput::default(),
                refusals: Vec::new(),
            });
        }
        let item = item.clone();
        self.emit(Event::ItemCompleted(ItemChanged { item }));
    }

    fn ask(&mut self) {
        let id = QuestionId(self.id());
        let Some(item) = self.open() else { return };
        let question = Question {
            id,
            turn_id: item.turn_id,
            item_id: item.id,
            asked_at: Timestamp(0),
            kind: QuestionKind::FileChange { patch: String::new() },
            reason: String::new(),
        };
        self.session.summary.status = SessionStatus::Waiting { turn_id: question.turn_id };
        self.session.questions.push(question.clone());
        self.emit(Event::QuestionAsked(QuestionAsked { question, has_begun: false }));
    }

    fn answer(&mut self) {
        let Some(question) = self.session.questions.pop() else { return };
        let decision = Decision::Allow { scope: GrantScope::Once };
        let answer = Answer { decision, actor: actor(), answered_at: Timestamp(0) };
        self.emit(Event::QuestionAnswered(QuestionAnswered { question_id: question.id, answer }));
    }

    fn retry(&mut self) {
        let Some(turn) = self.turn() else { return };
        let failure = ProviderFailure {
            provider: "local".to_owned(),
            kind: ProviderFailureKind::Cut,
            status: None,
            message: String::new(),
        };
        let turn_id = turn.id;
        let retried =
            ModelRetried { turn_id, attempt: 1, max_attempts: 2, delay_ms: 1, failure, usage: None };
        self.emit(Event::ModelRetried(retried));
    }

    fn end_turn(&mut self) {
        self.complete(ItemStatus::Interrupted);
        while !self.session.questions.is_empty() {
            self.answer();
        }
        let at = Timestamp(self.session.summary.seq.next().0);
        let Some(turn) = self.turn() else { return };
        turn.outcome = Some(TurnOutcome::Completed);
        turn.ended_at = Some(at);
        let ended = TurnEnded {
            turn_id: turn.id,
            outcome: TurnOutcome::Completed,
            usage: Usage::default(),
            cost: None,
            duration_ms: at.since(turn.started_at),
        };
        self.session.summary.status = SessionStatus::Idle;
        self.emit(Event::TurnEnded(ended));
    }

    fn enqueue(&mut self) {
        let id = QueuedId(self.id());
        let queued = QueuedInput { id, input: Vec::new(), actor: actor(), queued_at: Timestamp(0) };
        self.session.queue.push(queued.clone());
        self.emit(Event::InputQueued(InputQueued { queued }));
    }

    fn update(&mut self, model: &str) {
        self.session.summary.settings = settings(model);
        self.emit(Event::SessionUpdated(SessionUpdated {
            actor: actor(),
            title: None,
            settings: settings(model),
        }));
    }

    /// Something happens.
    fn step(&mut self, choice: u8) {
        const TEXTS: [&str; 8] = ["word ", "\n", "\n\n", "```\n", "- item\n", "é日", "code;\n", "**b** "];
        match choice % 16 {
            0 if self.turn().is_none() => self.start_turn(),
            1 => self.end_turn(),
            2 if self.open().is_none() => self.start_item(command()),
            3 | 4 if self.open().is_none() => {
                self.start_item(ItemBody::AgentMessage(AgentMessage { text: String::new() }));
            }
            5..=9 => {
                self.grow(&TEXTS[usize::from(choice / 16 % 8)].repeat(1 + usize::from(choice / 128) * 300))
            }
            10 => self.save(),
            11 => self.complete(if choice > 200 { ItemStatus::Discarded } else { ItemStatus::Completed }),
            12 => self.ask(),
            13 => self.answer(),
            14 => self.retry(),
            15 if choice > 128 => self.enqueue(),
            15 => self.update(if choice > 64 { "m" } else { "n" }),
            _ => {}
        }
    }
}

fn command() -> ItemBody {
    ItemBody::Command(Command {
        call: ToolCall {
            call_id: "1".to_owned(),
            name: "shell".to_owned(),
            input: CallInput::Json("{}".to_owned()),
        },
        command: "ls".to_owned(),
        argv: Vec::new(),
        cwd: PathBuf::from("/"),
        is_escalated: false,
        justification: None,
        has_terminal: false,
        process_id: None,
        timeout_ms: None,
        output_so_far: String::new(),
        outcome: None,
        message: None,
    })
}

/// What a person reads of items and ends of turns, pieces of messages put together.
pub(super) fn read(blocks: impl IntoIterator<Item = Block>) -> Vec<String> {
    let mut lines: Vec<(Option<ItemId>, String)> = Vec::new();
    for block in blocks {
        let id = block.item_id();
        match block.body {
            BlockBody::Message(message) => {
                let end = if message.end == MessageEnd::BrokenOff { "✗" } else { "" };
                match lines.last_mut() {
                    Some((last, text)) if *last == id => {
                        // Where it is cut counts as well.
                        text.push('‖');
                        text.push_str(&message.text);
                        text.push_str(end);
                    }
                    Some(_) | None => lines.push((id, format!("{}{end}", message.text))),
                }
            }
            BlockBody::Item(item) => lines.push((id, format!("{item:?}"))),
            BlockBody::Ended(ended) => lines.push((None, format!("{ended:?}"))),
            BlockBody::Earlier { .. }
            | BlockBody::Retried(_)
            | BlockBody::Warned(_)
            | BlockBody::Updated { .. }
            | BlockBody::Suspended
            | BlockBody::Resumed { .. } => {}
        }
    }
    lines.into_iter().map(|(_, text)| text).collect()
}

pub(super) fn everything(mut handed: Vec<Block>, view: &mut View) -> Vec<String> {
    handed.extend(view.take_finished());
    handed.extend(view.live().cloned());
    read(handed)
}

fn choices() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..120).prop_map(|mut choices| {
        choices.insert(0, 0);
        choices
    })
}

/// A daemon, and its session as it was after each step.
pub(super) fn run(choices: &[u8]) -> (Daemon, Vec<(usize, SessionSnapshot)>) {
    let mut daemon = Daemon::new();
    let mut history = vec![(0, daemon.session.clone())];
    for choice in choices {
        daemon.step(*choice);
        history.push((daemon.sent.len(), daemon.session.clone()));
    }
    (daemon, history)
}

pub(super) fn started(history: &[(usize, SessionSnapshot)]) -> View {
    let mut view = View::new();
    view.snapshot(history[0].1.clone());
    view
}

proptest! {
    #[test]
    fn a_snapshot_and_the_rest_show_what_the_whole_log_shows(choices in choices(), at in any::<proptest::sample::Index>()) {
        let (daemon, history) = run(&choices);
        let mut whole = started(&history);
        for entry in &daemon.sent {
            whole.apply(entry.clone());
        }
        let (sent, snapshot) = &history[at.index(history.len())];
        let mut late = View::new();
        late.snapshot(snapshot.clone());
        for entry in &daemon.sent[*sent..] {
            late.apply(entry.clone());
        }
        prop_assert_eq!(late.status(), whole.status());
        prop_assert_eq!(late.questions(), whole.questions());
        prop_assert_eq!(everything(Vec::new(), &mut late), everything(Vec::new(), &mut whole));
    }

    #[test]
    fn attaching_again_with_overlap_shows_nothing_twice(choices in choices(), takes in choices(), from in any::<proptest::sample::Index>(), at in any::<proptest::sample::Index>()) {
        let (daemon, history) = run(&choices);
        let (sent, snapshot) = &history[at.index(history.len())];
        let back = from.index(sent + 1);
        let mut view = started(&history);
        let mut handed = Vec::new();
        let mut take = takes.iter().cycle();
        // The same entries come again, then a snapshot, then entries that it contains.
        let parts = [&daemon.sent[..*sent], &daemon.sent[back..*sent]];
        for entry in parts.into_iter().flatten() {
            view.apply(entry.clone());
            if take.next().is_some_and(|take| take % 3 == 0) {
                handed.extend(view.take_finished());
            }
        }
        view.snapshot(snapshot.clone());
        for entry in &daemon.sent[back..] {
            view.apply(entry.clone());
            if take.next().is_some_and(|take| take % 3 == 0) {
                handed.extend(view.take_finished());
            }
        }
        let mut whole = started(&history);
        for entry in &daemon.sent {
            whole.apply(entry.clone());
        }
        prop_assert_eq!(view.status(), whole.status());
        prop_assert_eq!(everything(handed, &mut view), everything(Vec::new(), &mut whole));
    }

    #[test]
    fn what_was_handed_out_of_ended_turns_is_forgotten(choices in choices()) {
        let mut daemon = Daemon::new();
        let mut view = View::new();
        view.snapshot(daemon.session.clone());
        for choice in choices.into_iter().chain([1]) {
            let sent = daemon.sent.len();
            daemon.step(choice);
            for entry in &daemon.sent[sent..] {
                view.apply(entry.clone());
            }
            view.take_finished();
        }
        prop_assert!(view.live.is_empty() && view.finished.is_empty());
        prop_assert!(view.handed.items.is_empty());
    }
}

#[test]
fn the_answer_stands_at_what_was_asked_about() {
    let (daemon, history) = run(&[0, 2, 12, 13, 11]);
    let mut view = started(&history);
    for entry in daemon.sent {
        view.apply(entry);
    }
    let blocks = view.take_finished();
    let answer = blocks[0].answer.as_ref().unwrap();
    assert_eq!(answer.actor.name, "other");
}

#[test]
fn a_running_command_keeps_the_end_of_its_output() {
    let (daemon, history) = run(&[0, 2]);
    let mut view = started(&history);
    for entry in daemon.sent {
        view.apply(entry);
    }
    let item_id = view.live().next().and_then(Block::item_id).unwrap();
    for at in 0..1000_u64 {
        let text = format!("{at:0>99}\n");
        view.apply(FeedEntry::Delta(Delta { item_id, offset_bytes: at * 100, text }));
    }
    let BlockBody::Item(item) = &view.live().next().unwrap().body else { panic!("no item") };
    let ItemBody::Command(command) = &item.body else { panic!("no command") };
    assert!(command.output_so_far.ends_with("999\n") && command.output_so_far.len() <= 20_000);
}

#[test]
fn a_larger_page_brings_nothing_from_before_what_was_shown() {
    let mut daemon = Daemon::new();
    daemon.start_turn();
    daemon.end_turn();
    daemon.start_turn();
    daemon.start_item(ItemBody::AgentMessage(AgentMessage { text: "One.\n\nTwo".to_owned() }));
    let mut small = daemon.session.clone();
    small.turns.remove(0);
    small.earlier_turns = 1;
    let mut view = View::new();
    view.snapshot(small);
    assert!(view.take_finished().len() > 1, "part of the turn is shown");
    let shown = view.live().count();
    view.snapshot(daemon.session);
    assert!(view.take_finished().is_empty());
    assert_eq!(view.live().count(), shown, "the older turn does not come after the newer one");
}

#[test]
fn a_paragraph_without_an_end_does_not_pile_up() {
    let (daemon, history) = run(&[0, 3]);
    let mut view = started(&history);
    for entry in daemon.sent {
        view.apply(entry);
    }
    let item_id = view.live().next().and_then(Block::item_id).unwrap();
    let mut handed = Vec::new();
    for at in 0..20_000_u64 {
        view.apply(FeedEntry::Delta(Delta { item_id, offset_bytes: at * 5, text: "word ".to_owned() }));
        handed.extend(view.take_finished());
        let BlockBody::Message(message) = &view.live().next().unwrap().body else { panic!("no message") };
        assert!(message.text.len() < 10_000);
    }
    assert_eq!(everything(handed, &mut view).last().unwrap().replace('‖', "").len(), 100_000);
}
