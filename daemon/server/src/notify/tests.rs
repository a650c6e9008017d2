//! What is told of which events, and that a program hears it.

use std::path::Path;

use protocol::event::{ItemChanged, QuestionAsked, TurnEnded};
use protocol::ids::{ClientId, ItemId, Timestamp};
use protocol::item::{AgentMessage, Item, ItemStatus};
use protocol::model::Usage;
use protocol::question::Question;
use protocol::session::{Environment, SessionCreateParams, SessionStatus};
use protocol::turn::{Actor, InterruptReason};
use store::{Durability, StoreOptions};
use tempfile::TempDir;

use super::*;
use crate::settings;

async fn watched(scratch: &TempDir) -> (Watched, Notices) {
    let options = StoreOptions {
        database: scratch.path().join("skein.db"),
        blobs: scratch.path().join("blobs"),
        durability: Durability::Process,
        blob_cap_bytes: 1,
    };
    watch(Store::open(options).await.expect("store"))
}

fn append(cwd: &Path, session: SessionId, events: impl IntoIterator<Item = Event>) -> Append {
    let params = SessionCreateParams { cwd: cwd.to_owned(), ..SessionCreateParams::default() };
    let settings = settings::of_new_session(&config::Settings::default(), &params, &Environment::new())
        .expect("settings");
    let records = events.into_iter().zip(1..).map(|(event, seq)| EventRecord {
        seq: Seq(seq),
        at: Timestamp(0),
        request_id: None,
        event,
    });
    let records: Vec<_> = records.collect();
    let summary = SessionSummary {
        id: session,
        title: Some("A title".into()),
        status: SessionStatus::Idle,
        created_at: Timestamp(0),
        updated_at: Timestamp(0),
        seq: Seq(records.len() as u64),
        turn_count: 1,
        usage: Usage::default(),
        settings,
        agent: None,
        background: Vec::new(),
    };
    Append { session, records, summary: Some(summary), spent: Vec::new() }
}

fn said(turn_id: TurnId, text: &str) -> Event {
    let item = Item {
        id: ItemId::generate(),
        turn_id,
        step: 0,
        status: ItemStatus::Completed,
        started_at: Timestamp(0),
        completed_at: None,
        called_by: None,
        body: ItemBody::AgentMessage(AgentMessage { text: text.into() }),
    };
    Event::ItemCompleted(ItemChanged { item })
}

fn ended(turn_id: TurnId, outcome: TurnOutcome) -> Event {
    Event::TurnEnded(TurnEnded { turn_id, outcome, usage: Usage::default(), cost: None, duration_ms: 1 })
}

fn interrupted(actor: Option<Actor>) -> TurnOutcome {
    TurnOutcome::Interrupted { reason: InterruptReason::DaemonStopped, actor }
}

#[tokio::test]
async fn the_end_of_a_turn_is_told_with_its_last_words() {
    let scratch = tempfile::tempdir().expect("scratch");
    let (watched, _notices) = watched(&scratch).await;
    let (session, turn) = (SessionId::generate(), TurnId::generate());
    let cwd = std::fs::canonicalize(scratch.path()).expect("real");
    let long = "ä".repeat(10 * MAX_TEXT);
    let earlier = append(&cwd, session, [said(turn, "First."), said(turn, &long)]);
    assert_eq!(watched.notices(&earlier), []);
    let told = watched.notices(&append(&cwd, session, [ended(turn, TurnOutcome::Completed)]));
    let [notice] = &told[..] else { panic!("one notice: {told:?}") };
    let json = serde_json::to_value(notice).expect("json");
    assert_eq!(
        json,
        serde_json::json!({
            "type": "turn-ended",
            "sessionId": session,
            "turnId": turn,
            "cwd": cwd,
            "title": "A title",
            "outcome": "completed",
            "lastMessage": format!("{}…", "ä".repeat(MAX_TEXT)),
        })
    );
    let next = watched.notices(&append(&cwd, session, [ended(turn, TurnOutcome::Completed)]));
    assert_eq!(next[0].last_message, None, "what was said belongs to one turn");
}

#[tokio::test]
async fn a_turn_that_a_person_stopped_is_no_news() {
    let scratch = tempfile::tempdir().expect("scratch");
    let (watched, _notices) = watched(&scratch).await;
    let (session, turn) = (SessionId::generate(), TurnId::generate());
    let actor = Actor { client_id: ClientId::generate(), name: "me".into() };
    let tell = |outcome| watched.notices(&append(scratch.path(), session, [ended(turn, outcome)]));
    assert_eq!(tell(interrupted(Some(actor))), []);
    assert_eq!(tell(interrupted(None))[0].kind, Kind::TurnEnded);
    let failure = TurnFailure::ModelStopped { reason: "max_output_tokens".into() };
    let failed = &tell(TurnOutcome::Failed { failure })[0];
    assert_eq!((failed.kind, failed.reason.as_deref()), (Kind::TurnFailed, Some("max_output_tokens")));
}

#[tokio::test]
async fn a_question_is_told_with_what_it_is_about_once_it_is_in_the_log() {
    let scratch = tempfile::tempdir().expect("scratch");
    let (watched, mut notices) = watched(&scratch).await;
    let kind = QuestionKind::Command {
        command: "rm -r 'build'".into(),
        argv: vec!["rm".into()],
        cwd: "/".into(),
        is_escalated: true,
        justification: None,
        refusals: Vec::new(),
        proposed_rule: None,
    };
    let question = Question {
        id: QuestionId::generate(),
        turn_id: TurnId::generate(),
        item_id: ItemId::generate(),
        asked_at: Timestamp(0),
        kind,
        reason: "It leaves the sandbox".into(),
    };
    let asked = append(
        scratch.path(),
        SessionId::generate(),
        [Event::QuestionAsked(QuestionAsked { question: question.clone(), has_begun: false })],
    );
    let gap =
        Append { records: vec![EventRecord { seq: Seq(7), ..asked.records[0].clone() }], ..asked.clone() };
    watched.append(gap).await.expect_err("not the next one");
    watched.append(asked).await.expect("append");
    let notice = notices.0.recv().await.expect("a notice");
    assert_eq!((notice.kind, notice.question_id), (Kind::QuestionAsked, Some(question.id)));
    assert_eq!(notice.question.as_deref(), Some("rm -r 'build'"));
    assert_eq!(notice.reason.as_deref(), Some("It leaves the sandbox"));
    assert!(notices.0.try_recv().is_err(), "what is not in the log is not told");
}
