//! What a fork has of a log, and what it has not.

use protocol::event::{InputQueued, ItemChanged, QuestionAsked, SessionCreated, TurnEnded};
use protocol::ids::{ClientId, ItemId, QueuedId};
use protocol::item::{Item, ItemBody, ItemStatus, UserMessage};
use protocol::model::Usage;
use protocol::question::{Question, QuestionKind};
use protocol::rewind::{RewindScope, SessionRewound};
use protocol::session::QueuedInput;
use protocol::turn::{Actor, InputPart, TurnLimits, TurnOutcome};

use super::*;

struct Log(Vec<EventRecord>);

fn actor() -> Actor {
    Actor { client_id: ClientId(uuid::Uuid::nil()), name: "test".into() }
}

fn settings() -> SessionSettings {
    serde_json::from_value(serde_json::json!({
        "cwd": "/repo", "provider": "p", "model": "m", "sandbox": "read-only", "approval": "never",
        "isTmpWritable": true,
    }))
    .unwrap()
}

fn id() -> SessionId {
    SessionId(uuid::Uuid::nil())
}

impl Log {
    fn new() -> Self {
        let mut log = Self(Vec::new());
        let created = SessionCreated {
            actor: actor(),
            title: Some("one".into()),
            settings: settings(),
            instructions: Vec::new(),
            agent: None,
        };
        log.push(Event::SessionCreated(created));
        log
    }

    fn push(&mut self, event: Event) {
        let number = self.0.len() as u64 + 1;
        let (seq, at) = (Seq(number), Timestamp(number));
        self.0.push(EventRecord { seq, at, request_id: None, event });
    }

    /// A turn in which somebody says something with an image and allows something for the session.
    fn turn(&mut self, is_over: bool) -> TurnId {
        let (turn_id, question_id) = (TurnId::generate(), QuestionId::generate());
        let queued_id = Some(QueuedId::generate());
        let limits = TurnLimits::default();
        let actor = actor();
        self.push(Event::TurnStarted(TurnStarted {
            turn_id,
            actor: actor.clone(),
            limits,
            output_schema: None,
            queued_id,
        }));
        let image = InputPart::StoredImage { media_type: "image/png".into(), blob: BlobId("b1".into()) };
        let body = ItemBody::UserMessage(UserMessage {
            content: vec![image],
            actor: actor.clone(),
            is_steer: false,
        });
        let item = Item {
            id: ItemId::generate(),
            turn_id,
            step: 0,
            status: ItemStatus::Completed,
            started_at: Timestamp(0),
            completed_at: Some(Timestamp(0)),
            called_by: None,
            body,
        };
        let item_id = item.id;
        self.push(Event::ItemStarted(ItemChanged { item: item.clone() }));
        self.push(Event::ItemCompleted(ItemChanged { item }));
        let question = Question {
            id: question_id,
            turn_id,
            item_id,
            asked_at: Timestamp(0),
            kind: QuestionKind::FileChange { patch: "+a".into() },
            reason: "it".into(),
        };
        self.push(Event::QuestionAsked(QuestionAsked { question, has_begun: false }));
        let decision = Decision::Allow { scope: GrantScope::Session };
        let answer = Answer { decision, actor, answered_at: Timestamp(0) };
        self.push(Event::QuestionAnswered(QuestionAnswered { question_id, answer }));
        if is_over {
            let (usage, outcome) = (Usage::default(), TurnOutcome::Completed);
            self.push(Event::TurnEnded(TurnEnded { turn_id, outcome, usage, cost: None, duration_ms: 1 }));
        }
        turn_id
    }

    /// The turns of the fork, as they are folded from its own log.
    fn forked(&self, until: Option<TurnId>) -> (Vec<TurnId>, SessionState) {
        let fork = fork(id(), &self.0, until).unwrap();
        let mut records = vec![self.0[0].clone()];
        records.extend(fork.records(Seq(2)));
        let state = SessionState::fold(id(), &records).unwrap();
        (state.turns.iter().map(|turn| turn.id).collect(), state)
    }
}

#[test]
fn a_fork_has_the_turns_that_are_over_up_to_a_place() {
    let mut log = Log::new();
    let (one, two) = (log.turn(true), log.turn(true));
    let running = log.turn(false);
    assert_eq!(log.forked(None).0, [one, two]);
    assert_eq!(log.forked(Some(one)).0, [one]);
    let refused = |turn| fork(id(), &log.0, Some(turn)).unwrap_err().code;
    assert_eq!(refused(running), ErrorCode::Conflict);
    assert_eq!(refused(TurnId::generate()), ErrorCode::NotFound);
}

#[test]
fn leaves_and_what_waits_stay_behind() {
    let mut log = Log::new();
    log.turn(true);
    let queued = QueuedInput {
        id: QueuedId::generate(),
        input: vec![InputPart::Text { text: "later".into() }],
        actor: actor(),
        queued_at: Timestamp(0),
    };
    log.push(Event::InputQueued(InputQueued { queued }));
    let whole = SessionState::fold(id(), &log.0).unwrap();
    let (_, state) = log.forked(None);
    assert_ne!(whole.grants, crate::grants::Grants::default(), "there is a leave to be left behind");
    assert_eq!(state.grants, crate::grants::Grants::default());
    assert!(state.queue.is_empty() && state.questions.is_empty() && state.running.is_none());
    assert_eq!(state.turns, whole.turns, "what was said and done is the same");
}

#[test]
fn what_was_taken_back_is_not_there_and_payloads_are_named() {
    let mut log = Log::new();
    let (one, two) = (log.turn(true), log.turn(true));
    let (scope, turns) = (RewindScope::Chat, vec![two]);
    let rewound = SessionRewound { actor: actor(), scope, turns, undoes: None, count: 0, changes: None };
    log.push(Event::SessionRewound(rewound));
    assert_eq!(log.forked(None).0, [one]);
    assert_eq!(fork(id(), &log.0, Some(two)).unwrap_err().code, ErrorCode::Conflict);
    let fork = fork(id(), &log.0, None).unwrap();
    assert_eq!(fork.blobs, BTreeSet::from([BlobId("b1".into())]));
    assert_eq!(fork.title.as_deref(), Some("one"));
}

#[test]
fn tools_of_clients_are_there_too_and_their_clients_alone_answer() {
    let mut log = Log::new();
    let tool = protocol::client_tool::ClientTool {
        name: "tab".into(),
        description: "Opens a tab".into(),
        schema: serde_json::json!({"type": "object"}),
        is_read_only: true,
    };
    log.push(Event::ClientToolsRegistered(protocol::client_tool::ClientToolsRegistered {
        actor: actor(),
        tools: vec![tool.clone()],
        timeout_ms: 1_000,
    }));
    log.turn(true);
    let (_, state) = log.forked(None);
    let tools: Vec<_> = state.client_tools.iter().map(|known| (&known.tool, &known.owner)).collect();
    assert_eq!(tools, [(&tool, &actor())]);
}
