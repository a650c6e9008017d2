//! What rmcp calls: tools, resources and prompts.

use std::future::Future;

use client::{ClientError, ConnectOptions, Connection, Said};
use protocol::api::question::QuestionClient;
use protocol::api::session::SessionClient;
use protocol::api::turn::TurnClient;
use protocol::ids::{QuestionId, RequestId, SessionId};
use protocol::profile::SandboxMode;
use protocol::question::{Decision, GrantScope, QuestionListParams};
use protocol::review::answer_schema;
use protocol::session::{SessionCreateParams, SessionListParams, SettingsOverrides};
use protocol::turn::{InputPart, InterruptReason, TurnInterruptParams, TurnLimits, TurnStartParams};
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ElicitRequest, ElicitResult,
    GetPromptRequestParams, GetPromptResponse, GetPromptResult, Implementation, InputRequest,
    InputRequiredResult, ListPromptsResult, ListResourceTemplatesResult, ListResourcesResult,
    ListToolsResult, PaginatedRequestParams, PromptMessage, ReadResourceRequestParams, ReadResourceResponse,
    ReadResourceResult, ResourceContents, Role, ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::{RequestContext, RoleServer};
use rmcp::{ErrorData, ServerHandler};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::desk::Desk;
use crate::report::{Report, SessionList};
use crate::resource::{self, Part};
use crate::tool::{
    AnswerQuestion, ContinueSession, ListSessions, OneSession, Review, Sandbox, StartSession, Verdict,
};
use crate::turn::{self, Asking, Followed, Watch};
use crate::{prompt, question, tool};

const INSTRUCTIONS: &str = "\
Skein runs coding agents in sessions that live in a daemon: they go on when you do not wait for them, and people can \
join them with `skein attach SESSION`. Start one with `start_session`; with `wait: false` it returns at once, and \
`wait_for_session` waits later. When a session is `waiting`, its questions are in the result: ask the person you \
work for, then `answer_question`.";

/// The name of the only thing that a client is asked for in a result that wants input.
const INPUT: &str = "question";

/// The server of one client.
pub struct Skein {
    desk: Desk,
    options: ConnectOptions,
    tools: Vec<Tool>,
}

/// What a tool came to.
enum Answered {
    Report(Box<Report>),
    Sessions(SessionList),
    /// The client's person is to be asked.
    Ask(InputRequiredResult),
    /// It did not work; the client reads why.
    Failed(String),
}

impl Skein {
    pub(crate) fn new(desk: Desk, options: ConnectOptions) -> Self {
        Self { desk, options, tools: tool::all() }
    }

    async fn have_done<T, W>(&self, work: impl FnOnce() -> W + Send + 'static) -> Result<T, ErrorData>
    where
        T: Send + 'static,
        W: Future<Output = T> + 'static,
    {
        self.desk.have_done(work).await.ok_or_else(|| ErrorData::internal_error("The server is ending", None))
    }
}

impl ServerHandler for Skein {
    fn get_info(&self) -> ServerConfig {
        let capabilities =
            ServerCapabilities::builder().enable_tools().enable_resources().enable_prompts().build();
        ServerConfig::new(capabilities)
            .with_server_info(Implementation::new("skein", env!("CARGO_PKG_VERSION")))
            .with_instructions(INSTRUCTIONS)
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(self.tools.clone()))
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        self.tools.iter().find(|tool| tool.name == name).cloned()
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let options = self.options.clone();
        let answered = self.have_done(move || call(options, request, context)).await??;
        let done = |text: String, value: Result<Value, serde_json::Error>| {
            let mut result = CallToolResult::success(vec![ContentBlock::text(text)]);
            result.structured_content = value.ok();
            CallToolResponse::from(result)
        };
        Ok(match answered {
            Answered::Report(report) => done(report.text(), serde_json::to_value(&*report)),
            Answered::Sessions(list) => {
                let lines: Vec<String> = list.sessions.iter().map(line).collect();
                done(lines.join("\n"), serde_json::to_value(&list))
            }
            Answered::Ask(wanted) => wanted.into(),
            Answered::Failed(text) => CallToolResult::error(vec![ContentBlock::text(text)]).into(),
        })
    }

    async fn list_resources(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let options = self.options.clone();
        let listed =
            self.have_done(move || resource::list(options)).await?.map_err(|error| refused(&error))?;
        Ok(ListResourcesResult::with_all_items(listed))
    }

    async fn list_resource_templates(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        Ok(ListResourceTemplatesResult::with_all_items(resource::templates()))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let uri = request.uri;
        let unknown =
            || ErrorData::resource_not_found("There is no such resource", Some(json!({"uri": uri})));
        let (session, part) = resource::named(&uri).ok_or_else(unknown)?;
        let options = self.options.clone();
        let text = self.have_done(move || resource::read(options, session, part)).await?.map_err(
            |error| match error.refusal() {
                Some(refusal) if refusal.code == protocol::error::ErrorCode::NotFound => unknown(),
                Some(_) | None => refused(&error),
            },
        )?;
        let kind = match part {
            Part::Log => "text/markdown",
            Part::Diff => "text/x-diff",
        };
        let contents = ResourceContents::text(text, uri).with_mime_type(kind);
        Ok(ReadResourceResult::new(vec![contents]).into())
    }

    async fn list_prompts(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        Ok(ListPromptsResult::with_all_items(prompt::all()))
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        let arguments = request.arguments.unwrap_or_default();
        let argument = |name: &str| arguments.get(name).and_then(Value::as_str).map(str::to_owned);
        let text = prompt::text(&request.name, argument)
            .ok_or_else(|| ErrorData::invalid_params("There is no such prompt", None))?;
        Ok(GetPromptResult::new(vec![PromptMessage::new_text(Role::User, text)]).into())
    }
}

/// Carries out a call of a tool.
async fn call(
    options: ConnectOptions,
    request: CallToolRequestParams,
    context: RequestContext<RoleServer>,
) -> Result<Answered, ErrorData> {
    let CallToolRequestParams { name, arguments, input_responses, request_state, .. } = request;
    let arguments = Value::Object(arguments.unwrap_or_default());
    let watch = watch(context);
    if let Some(state) = request_state {
        let asked = asked(&state).ok_or_else(|| {
            ErrorData::invalid_params("The state of the request is none that was given", None)
        })?;
        let answer = input_responses.unwrap_or_default().remove(INPUT);
        return told(again(options, asked, answer, watch).await);
    }
    let outcome = match name.as_ref() {
        "start_session" => start(options, read(arguments)?, None, watch).await,
        "continue_session" => proceed(options, read(arguments)?, watch).await,
        "wait_for_session" => match session(&read::<OneSession>(arguments)?) {
            Ok(session) => wait(options, session, watch).await,
            Err(failed) => Ok(Answered::Failed(failed)),
        },
        "read_session" => match session(&read::<OneSession>(arguments)?) {
            Ok(session) => look(options, session).await,
            Err(failed) => Ok(Answered::Failed(failed)),
        },
        "interrupt_session" => match session(&read::<OneSession>(arguments)?) {
            Ok(session) => interrupt(options, session).await,
            Err(failed) => Ok(Answered::Failed(failed)),
        },
        "answer_question" => answer(options, read(arguments)?).await,
        "list_sessions" => list(options, read(arguments)?).await,
        "review" => review(options, read(arguments)?, watch).await,
        _ => return Err(ErrorData::invalid_params("There is no such tool", None)),
    };
    told(outcome)
}

async fn start(
    options: ConnectOptions,
    wanted: StartSession,
    output_schema: Option<Value>,
    watch: Watch,
) -> Result<Answered, ClientError> {
    let sandbox = wanted.sandbox.map(|sandbox| match sandbox {
        Sandbox::ReadOnly => SandboxMode::ReadOnly,
        Sandbox::WorkspaceWrite => SandboxMode::WorkspaceWrite,
    });
    let limits = TurnLimits {
        deadline_ms: wanted.deadline_seconds.map(|seconds| seconds.saturating_mul(1000)),
        max_time_ms: None,
        max_tokens: wanted.max_tokens,
        max_cost: None,
        max_tool_calls: wanted.max_tool_calls,
    };
    let Some(cwd) = wanted.cwd.or_else(|| std::env::current_dir().ok()) else {
        return Ok(Answered::Failed("There is no folder to work in: give `cwd`".to_owned()));
    };
    let mut connection = Connection::open(options).await?;
    let params = SessionCreateParams {
        session_id: Some(SessionId::generate()),
        cwd,
        title: wanted.title,
        overrides: SettingsOverrides { model: wanted.model, sandbox, ..SettingsOverrides::default() },
        is_detached: !wanted.wait,
        ..SessionCreateParams::default()
    };
    let created = connection.call(async |rpc| SessionClient::create(rpc, params.clone()).await).await?;
    let session_id = created.summary.id;
    let params = TurnStartParams {
        session_id,
        input: vec![InputPart::Text { text: wanted.prompt }],
        output_schema,
        limits,
        expected_seq: None,
        request_id: Some(RequestId::generate()),
    };
    if !wanted.wait {
        connection.call(async |rpc| TurnClient::start(rpc, params.clone()).await).await?;
        return turn::read(&mut connection, session_id, None).await.map(reported);
    }
    let mut attached = turn::attach(connection, session_id).await?;
    let started = attached.call(async |rpc| TurnClient::start(rpc, params.clone()).await).await?;
    turn::follow(attached, session_id, Some(Said::Begun(started.turn_id)), watch).await.map(followed)
}

async fn proceed(
    options: ConnectOptions,
    wanted: ContinueSession,
    watch: Watch,
) -> Result<Answered, ClientError> {
    let session_id = match parse(&wanted.session_id) {
        Ok(session) => session,
        Err(failed) => return Ok(Answered::Failed(failed)),
    };
    let params = turn::saying(session_id, wanted.prompt);
    let mut connection = Connection::open(options).await?;
    if !wanted.wait {
        connection.call(async |rpc| TurnClient::enqueue(rpc, params.clone()).await).await?;
        return turn::read(&mut connection, session_id, None).await.map(reported);
    }
    let mut attached = turn::attach(connection, session_id).await?;
    let said = attached.call(async |rpc| TurnClient::enqueue(rpc, params.clone()).await).await?;
    turn::follow(attached, session_id, Said::of(&said), watch).await.map(followed)
}

async fn wait(options: ConnectOptions, session: SessionId, watch: Watch) -> Result<Answered, ClientError> {
    let attached = turn::attach(Connection::open(options).await?, session).await?;
    turn::follow(attached, session, None, watch).await.map(followed)
}

async fn look(options: ConnectOptions, session: SessionId) -> Result<Answered, ClientError> {
    let mut connection = Connection::open(options).await?;
    turn::read(&mut connection, session, None).await.map(reported)
}

async fn interrupt(options: ConnectOptions, session_id: SessionId) -> Result<Answered, ClientError> {
    let mut connection = Connection::open(options).await?;
    let params = TurnInterruptParams {
        session_id,
        expected_turn_id: None,
        reason: InterruptReason::Requested,
        request_id: Some(RequestId::generate()),
    };
    connection.call(async |rpc| TurnClient::interrupt(rpc, params.clone()).await).await?;
    turn::read(&mut connection, session_id, None).await.map(reported)
}

async fn answer(options: ConnectOptions, wanted: AnswerQuestion) -> Result<Answered, ClientError> {
    let Ok(id) = wanted.question_id.parse::<QuestionId>() else {
        return Ok(Answered::Failed(format!("`{}` is no question", wanted.question_id)));
    };
    let decision = match (wanted.decision, wanted.answers, wanted.content) {
        (Some(Verdict::Allow), None, None) => Decision::Allow { scope: GrantScope::Once },
        (Some(Verdict::Deny), None, None) => Decision::Deny { message: wanted.message },
        (None, Some(answers), None) => Decision::Reply { answers },
        (None, None, Some(value)) => Decision::Content { value },
        (Some(_) | None, Some(_) | None, Some(_) | None) => {
            let text = "Give one of `decision`, `answers` and `content`, as the question says";
            return Ok(Answered::Failed(text.to_owned()));
        }
    };
    let mut connection = Connection::open(options).await?;
    let session = turn::answer(&mut connection, id, decision).await?;
    turn::read(&mut connection, session, None).await.map(reported)
}

async fn list(options: ConnectOptions, wanted: ListSessions) -> Result<Answered, ClientError> {
    let mut connection = Connection::open(options).await?;
    let params = SessionListParams {
        cwd: wanted.cwd,
        only_active: wanted.only_active,
        limit: Some(wanted.limit.unwrap_or(20).clamp(1, 100)),
        ..SessionListParams::default()
    };
    let listed = connection.call(async |rpc| SessionClient::list(rpc, params.clone()).await).await?;
    let sessions = listed.sessions.iter().map(Report::of_summary).collect();
    Ok(Answered::Sessions(SessionList { sessions }))
}

async fn review(options: ConnectOptions, wanted: Review, watch: Watch) -> Result<Answered, ClientError> {
    let what = match &wanted.base {
        Some(base) => {
            format!("the changes since `{base}` (`git diff {base}...HEAD`, and what is not committed)")
        }
        None => "what is not committed (`git status`, `git diff HEAD`, and new files)".to_owned(),
    };
    let focus = wanted.focus.map(|focus| format!(" Look in particular at: {focus}")).unwrap_or_default();
    let prompt = format!(
        "Review {what} in this repository. Read the code around each change. Look for what is wrong: bugs, missing \
         cases, broken callers, races, security, tests that can't fail. Leave out matters of taste.{focus}\n\nChange \
         nothing. Answer with one JSON object of the schema that goes with this: `findings`, the worst first, each with \
         `file` (relative to this folder), `startLine` and `endLine` in the new file, `severity` (critical, high, \
         medium or low), `title` in one line, and in `text` what happens, when, and what would mend it; `verdict` \
         (acceptable, or needsWork); `summary` in a sentence or two. If there is nothing, the list is empty."
    );
    let start = StartSession {
        prompt,
        cwd: wanted.cwd,
        title: Some("Review".to_owned()),
        model: None,
        sandbox: Some(Sandbox::ReadOnly),
        wait: wanted.wait,
        max_tokens: None,
        max_tool_calls: None,
        deadline_seconds: None,
    };
    start_boxed(options, start, Some(answer_schema()), watch).await
}

async fn start_boxed(
    options: ConnectOptions,
    wanted: StartSession,
    output_schema: Option<Value>,
    watch: Watch,
) -> Result<Answered, ClientError> {
    Box::pin(start(options, wanted, output_schema, watch)).await
}

/// What was asked, by the state of the request.
fn asked(state: &str) -> Option<(SessionId, QuestionId)> {
    let (session, question) = state.split_once('/')?;
    Some((session.parse().ok()?, question.parse().ok()?))
}

/// The client calls again, after its person was asked.
async fn again(
    options: ConnectOptions,
    (session_id, id): (SessionId, QuestionId),
    answer: Option<Value>,
    watch: Watch,
) -> Result<Answered, ClientError> {
    let mut connection = Connection::open(options.clone()).await?;
    let params = QuestionListParams { session_id: Some(session_id) };
    let listed = connection.call(async |rpc| QuestionClient::list(rpc, params.clone()).await).await?;
    let open = listed.questions.into_iter().find(|open| open.question.id == id);
    let answer = answer.and_then(|answer| serde_json::from_value::<ElicitResult>(answer).ok());
    // One that is not open any more was answered elsewhere.
    if let (Some(open), Some(answer)) = (open, answer)
        && let Some(decision) = question::decision(&open.question.kind, &answer)
    {
        turn::answer(&mut connection, id, decision).await?;
    }
    wait(options, session_id, watch).await
}

fn reported(report: Report) -> Answered {
    Answered::Report(Box::new(report))
}

fn followed(followed: Followed) -> Answered {
    match followed {
        Followed::Report(report) => Answered::Report(report),
        Followed::Ask { session, question, form } => {
            let request = InputRequest::Elicitation(ElicitRequest::new(*form));
            let requests = [(INPUT.to_owned(), request)].into_iter().collect();
            // Who changes it reaches no more than by naming a session and a question themselves.
            let state = format!("{session}/{}", question.id);
            Answered::Ask(InputRequiredResult::new(Some(requests), Some(state)))
        }
    }
}

/// How this client takes part: one of the newer era can't be asked in the middle, it calls again.
fn watch(context: RequestContext<RoleServer>) -> Watch {
    let has_forms =
        context.client_capabilities().is_some_and(|capabilities| capabilities.elicitation.is_some());
    let asking = match (has_forms, context.meta.protocol_version().is_some()) {
        (false, _) => Asking::Never,
        (true, false) => Asking::Direct,
        (true, true) => Asking::Retry,
    };
    Watch { progress: context.meta.get_progress_token(), cancelled: context.ct, peer: context.peer, asking }
}

fn line(report: &Report) -> String {
    let title = report.title.as_deref().unwrap_or("(no title)");
    let title = view::escape::short_line(title, 80);
    format!("{} {:?} {title} in {}", report.session_id, report.status, report.folder)
}

fn session(wanted: &OneSession) -> Result<SessionId, String> {
    parse(&wanted.session_id)
}

fn parse(text: &str) -> Result<SessionId, String> {
    text.parse().map_err(|_| format!("`{}` is no session's id", view::escape::short_line(text, 100)))
}

fn read<T: DeserializeOwned>(arguments: Value) -> Result<T, ErrorData> {
    serde_json::from_value(arguments)
        .map_err(|error| ErrorData::invalid_params(format!("The arguments can't be read: {error}"), None))
}

/// What the daemon refuses is for the client to read, and no error of the protocol.
fn told(outcome: Result<Answered, ClientError>) -> Result<Answered, ErrorData> {
    Ok(outcome.unwrap_or_else(|error| {
        let hint = error.hint().map(|hint| format!("\n{hint}")).unwrap_or_default();
        Answered::Failed(format!("{error}{hint}"))
    }))
}

fn refused(error: &ClientError) -> ErrorData {
    let hint = error.hint().map(|hint| json!({"hint": hint}));
    ErrorData::internal_error(error.to_string(), hint)
}
