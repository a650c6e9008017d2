//! Samples of events, one of each kind, with place and time.

use protocol::event::{
    BudgetWarned, ConnectionAttempted, Event, EventRecord, InputQueued, ItemAppended, ItemChanged,
    ModelRequested, ModelResponded, ModelRetried, QuestionAnswered, QuestionAsked, QuestionWithdrawn,
    QueuedInputCancelled, QueuedInputChanged, SessionArchived, SessionCreated, SessionUpdated, TurnEnded,
    TurnResumed, TurnStarted, TurnSuspended,
};
use protocol::ids::Seq;
use protocol::item::{AgentMessage, Item, ItemBody, ItemStatus};
use protocol::model::{ProviderFailure, ProviderFailureKind};
use protocol::profile::NetworkProtocol;
use protocol::question::{Answer, Decision};
use protocol::session::{InstructionFile, InstructionKind};
use protocol::turn::{BudgetLevel, InputPart, LimitKind, TurnFailure, TurnOutcome};
use serde_json::json;

use super::{
    Sample, actor, at, client_tools, item, item_id, question_id, queued_id, request_id, rewind, sample,
    session, small, turn_id, usage,
};

pub(super) fn samples() -> Vec<Sample> {
    let events = [
        ("sessionCreated", session_created()),
        ("sessionUpdated", session_updated()),
        ("sessionArchived", Event::SessionArchived(SessionArchived { actor: actor() })),
        ("sessionUnarchived", Event::SessionUnarchived(SessionArchived { actor: actor() })),
        ("inputQueued", Event::InputQueued(InputQueued { queued: session::queued() })),
        ("queuedInputChanged", queued_input_changed()),
        (
            "queuedInputCancelled",
            Event::QueuedInputCancelled(QueuedInputCancelled { queued_id: queued_id(), actor: actor() }),
        ),
        ("turnStarted", turn_started()),
        ("modelRequested", Event::ModelRequested(ModelRequested { turn_id: turn_id(), step: 0 })),
        ("modelRetried", model_retried()),
        (
            "modelResponded",
            Event::ModelResponded(ModelResponded {
                turn_id: turn_id(),
                step: 0,
                usage: usage(),
                asked_by: Some(item_id()),
            }),
        ),
        ("itemStarted", Event::ItemStarted(ItemChanged { item: started() })),
        ("itemAppended", item_appended()),
        ("itemCompleted", Event::ItemCompleted(ItemChanged { item: item(message("The test passes now.")) })),
        (
            "questionAsked",
            Event::QuestionAsked(QuestionAsked { question: small::question(), has_begun: false }),
        ),
        ("questionAnswered", question_answered()),
        ("questionWithdrawn", Event::QuestionWithdrawn(QuestionWithdrawn { question_id: question_id() })),
        ("turnSuspended", Event::TurnSuspended(TurnSuspended { turn_id: turn_id(), is_call_running: true })),
        ("turnResumed", Event::TurnResumed(TurnResumed { turn_id: turn_id(), was_handed_over: true })),
        ("connectionAttempted", connection_attempted()),
        ("budgetWarned", budget_warned()),
        ("turnEnded", turn_ended()),
    ];
    let record = |event| EventRecord { seq: Seq(7), at: at(4), request_id: Some(request_id()), event };
    events
        .into_iter()
        .chain(rewind::events())
        .chain([("clientToolsRegistered", client_tools::event())])
        .map(|(variant, event)| sample(format!("event.{variant}"), &record(event)))
        .collect()
}

fn message(text: &str) -> ItemBody {
    ItemBody::AgentMessage(AgentMessage { text: text.to_owned() })
}

fn started() -> Item {
    Item { status: ItemStatus::InProgress, completed_at: None, ..item(message("")) }
}

fn failure() -> ProviderFailure {
    ProviderFailure {
        provider: "openai".to_owned(),
        kind: ProviderFailureKind::RateLimited,
        status: Some(429),
        message: "Rate limit reached".to_owned(),
    }
}

fn session_created() -> Event {
    Event::SessionCreated(SessionCreated {
        actor: actor(),
        title: Some("Mend the test".to_owned()),
        settings: session::settings(),
        instructions: vec![
            InstructionFile {
                path: "/repo/AGENTS.md".into(),
                text: "Run the tests before you stop.\n".to_owned(),
                is_truncated: false,
                kind: InstructionKind::File,
            },
            InstructionFile {
                path: "/repo".into(),
                text: "- notes: Writes notes. (`/home/me/.config/skein/skills/notes/SKILL.md`)\n".to_owned(),
                is_truncated: false,
                kind: InstructionKind::Skills,
            },
        ],
        agent: Some(session::agent_origin()),
    })
}

fn session_updated() -> Event {
    Event::SessionUpdated(SessionUpdated {
        actor: actor(),
        title: Some("Mend both tests".to_owned()),
        settings: session::settings(),
    })
}

fn queued_input_changed() -> Event {
    Event::QueuedInputChanged(QueuedInputChanged {
        queued_id: queued_id(),
        actor: actor(),
        input: Some(vec![InputPart::Text { text: "Then update the documentation".to_owned() }]),
        position: Some(0),
    })
}

fn turn_started() -> Event {
    Event::TurnStarted(TurnStarted {
        turn_id: turn_id(),
        actor: actor(),
        limits: session::limits(),
        output_schema: Some(json!({"type": "object"})),
        queued_id: Some(queued_id()),
    })
}

fn model_retried() -> Event {
    Event::ModelRetried(ModelRetried {
        usage: Some(super::usage()),
        turn_id: turn_id(),
        attempt: 1,
        max_attempts: 4,
        delay_ms: 2000,
        failure: failure(),
    })
}

fn item_appended() -> Event {
    Event::ItemAppended(ItemAppended { item_id: item_id(), offset_bytes: 0, text: "The test".to_owned() })
}

fn question_answered() -> Event {
    let decision = Decision::Deny { message: Some("Open a pull request instead".to_owned()) };
    let answer = Answer { decision, actor: actor(), answered_at: at(5) };
    Event::QuestionAnswered(QuestionAnswered { question_id: question_id(), answer })
}

fn connection_attempted() -> Event {
    Event::ConnectionAttempted(ConnectionAttempted {
        item_id: item_id(),
        protocol: NetworkProtocol::Https,
        host: "crates.io".to_owned(),
        port: 443,
        is_allowed: true,
        reason: "`*.crates.io` is allowed by the profile `build`".to_owned(),
    })
}

fn budget_warned() -> Event {
    Event::BudgetWarned(BudgetWarned {
        turn_id: turn_id(),
        level: BudgetLevel::Day,
        limit: LimitKind::Cost,
        message: "$4.12 of the day's $5.00 are spent".to_owned(),
    })
}

fn turn_ended() -> Event {
    Event::TurnEnded(TurnEnded {
        turn_id: turn_id(),
        outcome: TurnOutcome::Failed { failure: TurnFailure::Provider(failure()) },
        usage: usage(),
        cost: Some(0.0042),
        duration_ms: 3127,
    })
}
