//! A session that decides, without an actor: what it was told, and the words for what follows.

pub(crate) use std::collections::VecDeque;
pub(crate) use std::time::Duration;

pub(crate) use model::event::StopReason;
pub(crate) use protocol::event::{Event, EventRecord, SessionCreated};
pub(crate) use protocol::ids::{ClientId, ItemId, QuestionId, RequestId, Seq, SessionId, Timestamp, TurnId};
pub(crate) use protocol::item::{
    Command, CommandExit, CommandOutcome, CommandOutput, Item, ItemBody, ItemStatus, OtherToolCall,
};
pub(crate) use protocol::model::{ProviderFailure, ProviderFailureKind, Usage};
pub(crate) use protocol::profile::{ApprovalPolicy, NetworkAccess, SandboxMode};
pub(crate) use protocol::question::{Decision, GrantScope};
pub(crate) use protocol::session::{AfterCrash, ModelPrice, SessionSettings};
pub(crate) use protocol::tool::{CallInput, ToolCall};
pub(crate) use protocol::turn::{Actor, InputPart, InterruptReason, TurnFailure, TurnLimits, TurnOutcome};
pub(crate) use protocol::usage::Spending;
pub(crate) use tools::belongings::Standing;

pub(crate) use crate::effect::{Effect, Reply};
pub(crate) use crate::hooks::{HookAnswer, HookCall, HookPoint, HookPoints, HookVerdict};
pub(crate) use crate::input::{Answer, Input, Request};
pub(crate) use crate::moment::{Moment, Rules};
pub(crate) use crate::state::SessionState;
pub(crate) use crate::turn::step::step;

/// A session without a store, a model or tools.
pub(crate) struct Bench {
    pub(crate) state: SessionState,
    pub(crate) clock: u64,
    pub(crate) is_answerable: bool,
    pub(crate) today: Spending,
    pub(crate) provider_today: Spending,
    /// What the others of its tree spent.
    pub(crate) beside: Spending,
    pub(crate) spent_so_far: Usage,
    pub(crate) hooks: HookPoints,
    /// How it stands with the process that a request is about.
    pub(crate) process: Standing,
    pub(crate) asked: Vec<HookCall>,
}

pub(crate) fn settings() -> SessionSettings {
    SessionSettings {
        cwd: "/repo".into(),
        additional_roots: Vec::new(),
        provider: "p".into(),
        model: "m".into(),
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

pub(crate) fn actor() -> Actor {
    Actor { client_id: ClientId(uuid::Uuid::nil()), name: "test".into() }
}

pub(crate) fn text(text: &str) -> Vec<InputPart> {
    vec![InputPart::Text { text: text.into() }]
}

pub(crate) fn shell(command: &str, is_escalated: bool) -> (ToolCall, ItemBody) {
    let call = ToolCall {
        call_id: "c".into(),
        name: "shell".into(),
        input: CallInput::Json(format!("{{\"command\":\"{command}\",\"escalate\":{is_escalated}}}")),
    };
    let body = ItemBody::Command(Command {
        call: call.clone(),
        command: command.into(),
        argv: vec!["/bin/bash".into(), "-c".into(), command.into()],
        cwd: "/repo".into(),
        is_escalated,
        justification: None,
        has_terminal: false,
        process_id: None,
        timeout_ms: None,
        output_so_far: String::new(),
        outcome: None,
        message: None,
    });
    (call, body)
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(settings())
    }

    pub(crate) fn with(settings: SessionSettings) -> Self {
        let instructions = Vec::new();
        let created = SessionCreated { actor: actor(), title: None, settings, instructions, agent: None };
        let record = EventRecord {
            seq: Seq(1),
            at: Timestamp(0),
            request_id: None,
            event: Event::SessionCreated(created),
        };
        let id = SessionId(uuid::Uuid::nil());
        Self {
            state: SessionState::create(id, &record).expect("state"),
            clock: 0,
            is_answerable: false,
            today: Spending::default(),
            provider_today: Spending::default(),
            beside: Spending::default(),
            spent_so_far: Usage::default(),
            hooks: HookPoints::default(),
            process: Standing::Unknown,
            asked: Vec::new(),
        }
    }

    /// As of now.
    pub(crate) fn moment(&self) -> Moment {
        let mut moment = Moment::new(Timestamp(self.clock), Rules::default(), self.clock);
        moment.is_answerable = self.is_answerable;
        moment.today = self.today;
        moment.provider_today = self.provider_today;
        moment.beside = self.beside;
        moment.spent_so_far = self.spent_so_far;
        moment.hooks = self.hooks.clone();
        moment.process = self.process.clone();
        moment.reads = std::sync::Arc::new(["read_file".to_owned()].into());
        moment
    }

    /// Takes an input and all that follows at once, as the actor does.
    pub(crate) fn take(&mut self, input: Input) -> String {
        self.clock += 1;
        let mut moment = self.moment();
        let mut words = Vec::new();
        let mut request_id = input.request_id();
        let mut open = VecDeque::from([input]);
        while let Some(input) = open.pop_front() {
            if let Input::HooksAnswered { call, answer, .. } = &input {
                self.state.end_hooks(call, answer);
            }
            for effect in step(&self.state, input, &mut moment) {
                match &effect {
                    Effect::Append(events) => {
                        for event in events {
                            words.push(event_word(event));
                            let seq = self.state.seq.next();
                            let record = EventRecord { seq, at: moment.at, request_id, event: event.clone() };
                            self.state.apply(&record).expect("the next event fits");
                        }
                    }
                    Effect::Publish(delta) => self.state.grow(delta),
                    Effect::Continue => open.push_back(Input::Continue),
                    Effect::Reply(_) => request_id = None,
                    Effect::RunTool { item_id } => self.state.begin(*item_id),
                    Effect::Remember { request_id, reply } => self.state.remember(*request_id, reply.clone()),
                    Effect::RunHooks(call) => {
                        self.state.begin_hooks(call);
                        self.asked.push(call.clone());
                    }
                    Effect::CallModel
                    | Effect::Compact { .. }
                    | Effect::AnswerTool { .. }
                    | Effect::CancelWork
                    | Effect::AllowAlways(_)
                    | Effect::EndCommand { .. }
                    | Effect::Restore(_)
                    | Effect::StartQuestionTimer { .. }
                    | Effect::StartDeadline { .. } => {}
                }
                words.extend(effect_word(&effect));
            }
        }
        words.join(" ")
    }

    pub(crate) fn request(&mut self, request: Request) -> String {
        self.take(Input::Request { actor: actor(), request_id: None, request })
    }

    pub(crate) fn start(&mut self, input: &str) -> String {
        self.start_with(input, TurnLimits::default())
    }

    pub(crate) fn start_with(&mut self, input: &str, limits: TurnLimits) -> String {
        self.request(Request::Start { input: text(input), output_schema: None, limits, expected_seq: None })
    }

    pub(crate) fn model(&mut self, event: Answer) -> String {
        let turn_id = self.turn_id();
        self.take(Input::Model { turn_id, event })
    }

    pub(crate) fn says(&mut self, text: &str) -> String {
        self.model(Answer::Message { item_id: ItemId::generate(), text: text.into() })
    }

    pub(crate) fn calls(&mut self, command: &str) -> ItemId {
        self.calls_with(shell(command, false))
    }

    pub(crate) fn calls_with(&mut self, (call, body): (ToolCall, ItemBody)) -> ItemId {
        let item_id = ItemId::generate();
        let made = self.model(Answer::Call { item_id, call, prepared: Ok(Box::new(body)) });
        assert_eq!(made, "+itemStarted(command)");
        item_id
    }

    /// The model calls a tool that changes nothing.
    pub(crate) fn reads(&mut self, path: &str) -> ItemId {
        let item_id = ItemId::generate();
        let call = ToolCall {
            call_id: path.into(),
            name: "read_file".into(),
            input: CallInput::Json(format!("{{\"path\":\"{path}\"}}")),
        };
        let body = ItemBody::ToolCall(OtherToolCall::new(call.clone()));
        let made = self.model(Answer::Call { item_id, call, prepared: Ok(Box::new(body)) });
        assert_eq!(made, "+itemStarted(toolCall)");
        item_id
    }

    /// A tool that changes nothing ends with this output.
    pub(crate) fn read_ends(&mut self, item_id: ItemId, output: &str) -> String {
        let Some(ItemBody::ToolCall(mut other)) = self.state.item(item_id).map(|item| item.body.clone())
        else {
            panic!("no call");
        };
        other.output = Some(output.into());
        let (status, body) = (ItemStatus::Completed, ItemBody::ToolCall(other));
        self.take(Input::ToolEnded { item_id, status, body })
    }

    pub(crate) fn completes(&mut self) -> String {
        self.completes_with(Usage { input_tokens: 90, output_tokens: 10, ..Usage::default() })
    }

    pub(crate) fn completes_with(&mut self, usage: Usage) -> String {
        self.model(Answer::Completed { usage, stop: StopReason::Finished })
    }

    /// The running tool ends with this output.
    pub(crate) fn tool_ends(&mut self, item_id: ItemId, output: &str) -> String {
        let Some(ItemBody::Command(mut command)) = self.state.item(item_id).map(|item| item.body.clone())
        else {
            panic!("no command");
        };
        let output = CommandOutput {
            head: output.into(),
            total_bytes: output.len() as u64,
            ..CommandOutput::default()
        };
        let duration_ms = self.clock;
        command.outcome = Some(CommandOutcome {
            exit: CommandExit::Code { code: 0 },
            duration_ms,
            output,
            refusals: Vec::new(),
        });
        self.take(Input::ToolEnded {
            item_id,
            status: ItemStatus::Completed,
            body: ItemBody::Command(command),
        })
    }

    pub(crate) fn turn_id(&self) -> TurnId {
        self.state.turns.last().map_or_else(TurnId::generate, |turn| turn.id)
    }

    pub(crate) fn question(&self) -> QuestionId {
        self.state.questions[0].id
    }

    pub(crate) fn item(&self, id: ItemId) -> &Item {
        let items = self.state.turns.iter().flat_map(|turn| &turn.items);
        items.rev().find(|item| item.id == id).expect("item")
    }

    pub(crate) fn outcome(&self) -> &TurnOutcome {
        self.state.turns.last().and_then(|turn| turn.outcome.as_ref()).expect("outcome")
    }
}

pub(crate) fn event_word(event: &Event) -> String {
    let json = serde_json::to_value(event).expect("json");
    let kind = json["type"].as_str().unwrap_or("?");
    let item = json.get("item").map(|item| {
        let kind = item["body"]["type"].as_str().unwrap_or("?");
        match item["status"].as_str() {
            Some("inProgress" | "completed") | None => format!("({kind})"),
            Some(status) => format!("({kind} {status})"),
        }
    });
    let outcome = json.get("outcome").map(|outcome| format!("({})", outcome["type"].as_str().unwrap_or("?")));
    format!("+{kind}{}{}", item.unwrap_or_default(), outcome.unwrap_or_default())
}

pub(crate) fn effect_word(effect: &Effect) -> Option<String> {
    match effect {
        Effect::Append(_) | Effect::Continue => None,
        Effect::Publish(delta) => Some(format!("~{}@{}", delta.text, delta.offset_bytes)),
        Effect::Reply(Ok(reply)) => Some(format!(
            "={}",
            match reply {
                Reply::Started { .. } => "started".to_owned(),
                Reply::Steered { .. } => "steered".to_owned(),
                Reply::Queued { position, .. } => format!("queued{position}"),
                Reply::Interrupted { turn_id } => {
                    if turn_id.is_some() { "interrupted".to_owned() } else { "nothing".to_owned() }
                }
                Reply::Answered { .. } => "answered".to_owned(),
                Reply::Done => "done".to_owned(),
            }
        )),
        Effect::Reply(Err(error)) => Some(format!("!{:?}", error.code)),
        Effect::CallModel => Some("callModel".into()),
        Effect::Compact { .. } => Some("compact".into()),
        Effect::RunTool { .. } => Some("runTool".into()),
        Effect::RunHooks(_) => Some("askHooks".into()),
        Effect::CancelWork => Some("cancelWork".into()),
        Effect::StartDeadline { after_ms, .. } => Some(format!("deadline{after_ms}")),
        Effect::StartQuestionTimer { after_ms, .. } => Some(format!("timer{after_ms}")),
        Effect::AllowAlways(_) => Some("rule".into()),
        Effect::EndCommand { process_id, by } => Some(format!("end{process_id}({by})")),
        Effect::Restore(_) => Some("restore".into()),
        Effect::AnswerTool { decision: Decision::Allow { .. }, .. } => Some("toolAllowed".into()),
        Effect::AnswerTool { decision: Decision::Deny { .. }, .. } => Some("toolDenied".into()),
        Effect::AnswerTool { .. } => Some("toolAnswered".into()),
        Effect::Remember { .. } => Some("remembered".into()),
    }
}

pub(crate) const BEGUN: &str = "+turnStarted +itemCompleted(userMessage) +modelRequested callModel";
