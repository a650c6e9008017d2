//! One request of a session: sends it, waits as long as the settings say, and answers what the server asks meanwhile.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rmcp::model::{
    CallToolRequest, CallToolRequestParams, CallToolResult, ClientRequest, GetPromptRequest,
    GetPromptRequestParams, GetPromptResult, InputRequest, InputRequiredResult, InputResponses, JsonObject,
    ReadResourceRequest, ReadResourceRequestParams, ReadResourceResult, ServerResult,
};
use rmcp::service::{Peer, PeerRequestOptions, RoleClient, ServiceError};
use rmcp::transport::DynamicTransportError;
use rmcp::transport::streamable_http_client::InsufficientScopeError;
use serde_json::Value;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tools::belongings::Belongings;
use tools::tool::{Asker, NobodyToAsk, RunContext};

use crate::error::McpError;
use crate::handler::{Caller, Handler, elicit};
use crate::sampling::sample;
use crate::server::Live;
use crate::text;

/// However much a server says meanwhile, a call ends after so long.
const LONGEST: Duration = Duration::from_secs(60 * 60);
/// How often a server may ask for more before it answers.
const MAX_ROUNDS: usize = 8;
/// Bytes of a server's error.
const MAX_MESSAGE: usize = 4 * 1024;

/// Who waits for an answer, and how long.
pub(crate) struct Waiting {
    /// How long the server may be silent.
    within: Duration,
    asker: Arc<dyn Asker>,
    session: Arc<Belongings>,
    progress: mpsc::Sender<String>,
    cancel: CancellationToken,
}

impl Waiting {
    /// For a tool of a session that runs.
    pub(crate) fn of(context: &RunContext, within: Duration) -> Self {
        Self {
            within,
            asker: Arc::clone(&context.asker),
            session: Arc::clone(&context.belongings),
            progress: context.progress.clone(),
            cancel: context.cancel.clone(),
        }
    }

    /// For somebody who asks beside any session: there is nobody whom the server could ask something.
    pub(crate) fn of_nobody(within: Duration) -> Self {
        Self::of_person(within, Arc::new(NobodyToAsk))
    }

    /// For a person, beside any session.
    pub(crate) fn of_person(within: Duration, asker: Arc<dyn Asker>) -> Self {
        Self {
            within,
            asker,
            session: Arc::default(),
            progress: mpsc::channel(1).0,
            cancel: CancellationToken::new(),
        }
    }
}

/// What a server asked for, and what it wants to hear again with it.
struct Given {
    responses: InputResponses,
    state: Option<String>,
}

/// Calls a tool. Dropping the future forgets it; the server is told only if it was cancelled.
///
/// # Errors
/// `CallTimeout`, `Gone`, `Refused`, `Nonsense`, `NoAnswer`, `Interrupted`.
pub(crate) async fn call(
    live: &Live,
    tool: String,
    arguments: JsonObject,
    waiting: Waiting,
) -> Result<CallToolResult, McpError> {
    let params = CallToolRequestParams::new(tool).with_arguments(arguments);
    let request = |given: Option<Given>| {
        let mut params = params.clone();
        if let Some(Given { responses, state }) = given {
            (params.input_responses, params.request_state) = (Some(responses), state);
        }
        ClientRequest::CallToolRequest(CallToolRequest::new(params))
    };
    match exchange(live, waiting, request).await? {
        ServerResult::CallToolResult(result) => Ok(result),
        // An empty result is one without content.
        ServerResult::EmptyResult(_) => Ok(CallToolResult::success(Vec::new())),
        _ => Err(nonsense(&live.handler, "it is no result of a tool")),
    }
}

/// Reads a resource. Dropping the future forgets it.
///
/// # Errors
/// As of a call.
pub(crate) async fn read(live: &Live, uri: String, waiting: Waiting) -> Result<ReadResourceResult, McpError> {
    let params = ReadResourceRequestParams::new(uri);
    let request = |given: Option<Given>| {
        let mut params = params.clone();
        if let Some(Given { responses, state }) = given {
            (params.input_responses, params.request_state) = (Some(responses), state);
        }
        ClientRequest::ReadResourceRequest(ReadResourceRequest::new(params))
    };
    match exchange(live, waiting, request).await? {
        ServerResult::ReadResourceResult(result) => Ok(result),
        _ => Err(nonsense(&live.handler, "it is no resource")),
    }
}

/// Asks for a prompt. Dropping the future forgets it.
///
/// # Errors
/// As of a call.
pub(crate) async fn prompt(
    live: &Live,
    params: GetPromptRequestParams,
    waiting: Waiting,
) -> Result<GetPromptResult, McpError> {
    let request = |given: Option<Given>| {
        let mut params = params.clone();
        if let Some(Given { responses, state }) = given {
            (params.input_responses, params.request_state) = (Some(responses), state);
        }
        ClientRequest::GetPromptRequest(GetPromptRequest::new(params))
    };
    match exchange(live, waiting, request).await? {
        ServerResult::GetPromptResult(result) => Ok(result),
        _ => Err(nonsense(&live.handler, "it is no prompt")),
    }
}

/// Asks until the server does not ask back any more.
async fn exchange(
    live: &Live,
    waiting: Waiting,
    request: impl Fn(Option<Given>) -> ClientRequest,
) -> Result<ServerResult, McpError> {
    let Waiting { within, asker, session, progress, cancel } = waiting;
    let handler = &live.handler;
    let until = Instant::now() + LONGEST;
    let ended = CancellationToken::new();
    // What the server asked for this call goes no further than the call.
    let _ended = ended.clone().drop_guard();
    let caller = Caller {
        asker,
        session,
        progress,
        heard: Arc::new(Notify::new()),
        asking: Arc::new(AtomicU32::new(0)),
        samples: Arc::new(AtomicU32::new(0)),
        ended,
        token: None,
    };
    let mut given = None;
    for _ in 0..MAX_ROUNDS {
        match round(&live.peer, handler, request(given), caller.clone(), within, until, &cancel).await? {
            ServerResult::InputRequiredResult(required) => {
                let responses = tokio::select! {
                    answers = answers(handler, &caller, &required) => answers?,
                    () = cancel.cancelled() => return Err(McpError::Interrupted),
                };
                given = Some(Given { responses, state: required.request_state });
            }
            result => return Ok(result),
        }
    }
    Err(nonsense(handler, &format!("it asked {MAX_ROUNDS} times before it answered")))
}

async fn round(
    peer: &Peer<RoleClient>,
    handler: &Handler,
    request: ClientRequest,
    caller: Caller,
    within: Duration,
    until: Instant,
    cancel: &CancellationToken,
) -> Result<ServerResult, McpError> {
    let (heard, asking) = (Arc::clone(&caller.heard), Arc::clone(&caller.asking));
    // It ends with this round, in whichever way.
    let call = handler.calls.begin(caller);
    let sending = peer.send_request_with_option(request, PeerRequestOptions::no_options());
    let mut handle = tokio::select! {
        sent = sending => sent.map_err(|error| failed(handler, within, error))?,
        () = cancel.cancelled() => return Err(McpError::Interrupted),
        () = tokio::time::sleep(within) => return Err(timeout(handler, within)),
    };
    call.name(handle.progress_token.clone());
    let mut silent_until = Instant::now() + within;
    let reason = loop {
        let heard = pin!(heard.notified());
        tokio::select! {
            biased;
            answer = &mut handle.rx => {
                return match answer {
                    Ok(answer) => answer.map_err(|error| failed(handler, within, error)),
                    Err(_) => Err(McpError::Gone { server: handler.server.clone() }),
                };
            }
            () = cancel.cancelled() => break McpError::Interrupted,
            () = heard => silent_until = Instant::now() + within,
            () = sleep_until(silent_until.min(until)) => {
                if asking.load(Ordering::Relaxed) == 0 || Instant::now() >= until {
                    break timeout(handler, within);
                }
                silent_until = Instant::now() + within;
            }
        }
    };
    // A server that does not even take this is not waited for.
    let cancelling = handle.cancel(Some(reason.to_string()));
    if tokio::time::timeout(Duration::from_secs(1), cancelling).await.is_err() {
        tracing::debug!(server = handler.server, "an MCP server does not hear that a call is given up");
    }
    Err(reason)
}

/// Answers what a server asks before it goes on.
async fn answers(
    handler: &Handler,
    caller: &Caller,
    required: &InputRequiredResult,
) -> Result<InputResponses, McpError> {
    let mut answers = InputResponses::new();
    for (key, asked) in required.input_requests.iter().flatten() {
        let answer = match asked {
            InputRequest::Elicitation(request) => {
                serde_json::to_value(elicit(&handler.server, &*caller.asker, request.params.clone()).await)
            }
            InputRequest::ListRoots(_) => serde_json::to_value(handler.roots.list()),
            InputRequest::CreateMessage(request) if handler.has_sampling => {
                let answer = sample(&handler.server, caller, request.params.clone()).await;
                serde_json::to_value(
                    answer.map_err(|reason| McpError::NoAnswer { server: handler.server.clone(), reason })?,
                )
            }
            // What we did not offer is not answered.
            _ => continue,
        };
        answers.insert(key.clone(), answer.unwrap_or(Value::Null));
    }
    Ok(answers)
}

fn timeout(handler: &Handler, within: Duration) -> McpError {
    McpError::CallTimeout { server: handler.server.clone(), within }
}

fn nonsense(handler: &Handler, reason: &str) -> McpError {
    McpError::Nonsense { server: handler.server.clone(), reason: reason.to_owned() }
}

/// What came of a request in our words.
pub(crate) fn failed(handler: &Handler, within: Duration, error: ServiceError) -> McpError {
    let server = handler.server.clone();
    if error.is_authorization_required() {
        return McpError::LoginRequired { server };
    }
    if let ServiceError::TransportSend(error) = &error
        && let Some(error) = wants_more(&server, error)
    {
        return error;
    }
    match error {
        ServiceError::McpError(error) => {
            McpError::Refused { server, message: text::short(&error.message, MAX_MESSAGE) }
        }
        ServiceError::TransportClosed => McpError::Gone { server },
        ServiceError::Timeout { .. } => McpError::CallTimeout { server, within },
        other => McpError::Nonsense { server, reason: text::short(&other.to_string(), MAX_MESSAGE) },
    }
}

/// That a server wants more leave, if that is what it says.
pub(crate) fn wants_more(server: &str, error: &DynamicTransportError) -> Option<McpError> {
    let mut cause = Some(error.error.as_ref() as &(dyn std::error::Error + 'static));
    while let Some(error) = cause {
        if let Some(refused) = error.downcast_ref::<InsufficientScopeError>() {
            let is_scope = |c: char| c.is_ascii_graphic() && !matches!(c, '`' | '"' | '\'' | '$' | '\\');
            let named = refused.required_scope.as_deref().unwrap_or_default().split_whitespace();
            let named: Vec<_> = named.filter(|scope| scope.chars().all(is_scope)).take(16).collect();
            let (server, scopes) = (server.to_owned(), text::line(&named.join(","), 400));
            return Some(match scopes.is_empty() {
                true => McpError::LoginRequired { server },
                false => McpError::MoreLeave { server, scopes },
            });
        }
        cause = error.source();
    }
    None
}
