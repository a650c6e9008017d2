//! Samples of `session/*`, the feed included.

use protocol::agent::AgentOrigin;
use protocol::context::{ModelContext, SessionCompactParams, SessionCompactResult};
use protocol::delta::{Delta, FeedBatch, FeedEntry, Lagged, SessionFeed};
use protocol::error::{ErrorCode, ProtocolError};
use protocol::event::{Event, EventRecord, ItemChanged};
use protocol::ids::Seq;
use protocol::item::{AgentMessage, ItemBody};
use protocol::model::{ReasoningEffort, ReasoningSummary};
use protocol::profile::{ApprovalPolicy, NetworkAccess, SandboxMode};
use protocol::session::{
    AfterCrash, Attachment, BackgroundCommand, ClientRole, Done, ModelPrice, Presence, QueuedInput,
    SessionAttachParams, SessionCreateParams, SessionCreateResult, SessionEndCommandParams,
    SessionFocusParams, SessionForkParams, SessionListParams, SessionListResult, SessionReadParams,
    SessionRef, SessionSettings, SessionSnapshot, SessionStatus, SessionSummary, SessionUpdateParams,
    SessionUpdateResult, SettingOverride, SettingsOverrides,
};
use protocol::turn::{Budget, InputPart, Turn, TurnLimits, TurnOutcome};

use super::{
    Sample, actor, at, client_id, item, item_id, queued_id, request_id, sample, session_id, small, spending,
    turn_id, usage,
};

pub(super) fn samples() -> Vec<Sample> {
    let named = SessionRef { session_id: session_id(), request_id: None };
    let mut samples = vec![
        sample(
            "session.create.params",
            &SessionCreateParams {
                session_id: Some(session_id()),
                cwd: "/repo".into(),
                additional_roots: vec!["/data".into()],
                title: Some("Mend the test".to_owned()),
                overrides: SettingsOverrides {
                    permissions: None,
                    profile: Some("careful".to_owned()),
                    values: vec![SettingOverride {
                        key: "sandbox_workspace_write.network_access".to_owned(),
                        value: "true".to_owned(),
                    }],
                    model: Some("gpt-5.5".to_owned()),
                    sandbox: Some(SandboxMode::WorkspaceWrite),
                    approval: Some(ApprovalPolicy::Never),
                },
                is_ephemeral: false,
                is_detached: true,
            },
        ),
        sample(
            "session.create.result",
            &SessionCreateResult { summary: summary(), warnings: vec![small::problem()] },
        ),
        sample(
            "session.list.params",
            &SessionListParams {
                cwd: Some("/repo".into()),
                with_archived: false,
                only_active: true,
                with_agents: true,
                limit: Some(50),
                updated_before: Some(at(9)),
            },
        ),
        sample("session.list.result", &SessionListResult { sessions: vec![summary()] }),
        sample(
            "session.read.params",
            &SessionReadParams { session_id: session_id(), skip_turns: 20, limit: Some(20) },
        ),
        sample("session.read.result", &snapshot()),
        sample(
            "session.attach.params",
            &SessionAttachParams {
                session_id: session_id(),
                since: Some(Seq(12)),
                can_answer: true,
                role: ClientRole::Driver,
            },
        ),
        sample("session.attach.result", &7_163_502_985_482_147_u64),
        sample(
            "session.update.params",
            &SessionUpdateParams {
                session_id: session_id(),
                title: Some("Mend both tests".to_owned()),
                overrides: SettingsOverrides {
                    model: Some("gpt-5.5".to_owned()),
                    ..SettingsOverrides::default()
                },
                unarchive: false,
                request_id: Some(request_id()),
            },
        ),
        sample(
            "session.update.result",
            &SessionUpdateResult { summary: summary(), warnings: vec![small::problem()] },
        ),
        sample(
            "session.endCommand.params",
            &SessionEndCommandParams {
                session_id: session_id(),
                process_id: 1,
                request_id: Some(request_id()),
            },
        ),
        sample("session.endCommand.result", &Done {}),
        sample(
            "session.fork.params",
            &SessionForkParams {
                session_id: session_id(),
                turn_id: Some(turn_id()),
                new_session_id: Some(session_id()),
                title: Some("Another way".to_owned()),
            },
        ),
        sample(
            "session.fork.result",
            &SessionCreateResult { summary: summary(), warnings: vec![small::problem()] },
        ),
        sample(
            "session.compact.params",
            &SessionCompactParams {
                session_id: session_id(),
                instructions: Some("Dwell on the parser.".to_owned()),
                request_id: Some(request_id()),
            },
        ),
        sample("session.compact.result", &SessionCompactResult { turn_id: turn_id() }),
        sample("session.archive.params", &named),
        sample("session.archive.result", &Done {}),
        sample("session.delete.params", &named),
        sample("session.delete.result", &Done {}),
        sample("session.takeOver.params", &named),
        sample("session.takeOver.result", &Done {}),
        sample("session.release.params", &named),
        sample("session.release.result", &Done {}),
        sample("session.focus.params", &SessionFocusParams { session_id: session_id(), is_focused: true }),
        sample("session.focus.result", &Done {}),
    ];
    samples.extend(feed().map(|(variant, feed)| sample(format!("session.feed.{variant}"), &feed)));
    samples
}

fn feed() -> [(&'static str, SessionFeed); 4] {
    let message = ItemBody::AgentMessage(AgentMessage { text: "The test passes now.".to_owned() });
    let event = Event::ItemCompleted(ItemChanged { item: item(message) });
    let entries = vec![
        FeedEntry::Delta(Delta { item_id: item_id(), offset_bytes: 8, text: " passes now.".to_owned() }),
        FeedEntry::Event(EventRecord { seq: Seq(13), at: at(4), request_id: None, event }),
        FeedEntry::Presence(presence()),
        FeedEntry::Budget(spending::budget_use()),
    ];
    let closed = ProtocolError::new(ErrorCode::NotFound, "The session was deleted");
    [
        ("snapshot", SessionFeed::Snapshot(Box::new(snapshot()))),
        ("batch", SessionFeed::Batch(FeedBatch { entries })),
        ("lagged", SessionFeed::Lagged(Lagged { from: Seq(13), to: Seq(240) })),
        ("closed", SessionFeed::Closed(closed)),
    ]
}

fn snapshot() -> SessionSnapshot {
    let message = ItemBody::AgentMessage(AgentMessage { text: "The test passes now.".to_owned() });
    SessionSnapshot {
        summary: summary(),
        turns: vec![Turn {
            id: turn_id(),
            actor: actor(),
            started_at: at(2),
            ended_at: Some(at(5)),
            outcome: Some(TurnOutcome::Completed),
            usage: usage(),
            cost: Some(0.0042),
            is_rewound: false,
            items: vec![item(message)],
        }],
        earlier_turns: 3,
        questions: vec![small::question()],
        queue: vec![queued()],
        presence: presence(),
        context_tokens: Some(52_000),
    }
}

fn presence() -> Presence {
    let attachment = Attachment {
        actor: actor(),
        version: "0.1.0".to_owned(),
        role: ClientRole::Driver,
        can_answer: true,
        attached_at: at(1),
        is_focused: false,
    };
    let background = BackgroundCommand {
        process_id: 1,
        command: "npm run watch".to_owned(),
        is_escalated: false,
        started_at: at(1),
    };
    Presence { attached: vec![attachment], sole_driver: Some(client_id()), background: vec![background] }
}

pub(super) fn summary() -> SessionSummary {
    SessionSummary {
        id: session_id(),
        title: Some("Mend the test".to_owned()),
        status: SessionStatus::Running { turn_id: turn_id() },
        created_at: at(0),
        updated_at: at(5),
        seq: Seq(12),
        turn_count: 4,
        usage: usage(),
        settings: settings(),
        agent: Some(agent_origin()),
        background: presence().background,
    }
}

pub(super) fn agent_origin() -> AgentOrigin {
    AgentOrigin {
        parent: session_id(),
        item_id: item_id(),
        root: session_id(),
        depth: 1,
        name: "tests".to_owned(),
    }
}

pub(super) fn settings() -> SessionSettings {
    SessionSettings {
        cwd: "/repo".into(),
        additional_roots: vec!["/data".into()],
        provider: "openai".to_owned(),
        model: "gpt-5.5".to_owned(),
        reasoning_effort: Some(ReasoningEffort::High),
        reasoning_summary: Some(ReasoningSummary::Auto),
        developer_instructions: Some("Speak plainly.".to_owned()),
        sandbox: SandboxMode::WorkspaceWrite,
        network: NetworkAccess::Off,
        approval: ApprovalPolicy::OnRequest,
        is_tmp_writable: true,
        permissions: None,
        budget: Budget {
            providers: [("openai".to_owned(), TurnLimits { max_cost: Some(5.0), ..TurnLimits::default() })]
                .into(),
            ..Budget::default()
        },
        limits: limits(),
        price: Some(ModelPrice { input: 1.25, cached_input: 0.125, cache_write_input: None, output: 10.0 }),
        is_ephemeral: false,
        after_crash: AfterCrash::Continue,
        question_timeout_ms: Some(3_600_000),
        model_context: ModelContext {
            window_tokens: Some(400_000),
            compact_at_tokens: Some(320_000),
            has_images: Some(true),
        },
    }
}

pub(super) fn limits() -> TurnLimits {
    TurnLimits {
        deadline_ms: Some(600_000),
        max_time_ms: Some(300_000),
        max_tokens: Some(1_000_000),
        max_cost: Some(2.5),
        max_tool_calls: Some(200),
    }
}

pub(super) fn queued() -> QueuedInput {
    QueuedInput {
        id: queued_id(),
        input: vec![InputPart::Text { text: "Then update the changelog".to_owned() }],
        actor: actor(),
        queued_at: at(4),
    }
}
