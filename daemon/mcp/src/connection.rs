//! A connection to a server: a program that is started, or streamable HTTP. Ends with what it was made of.

use std::collections::HashMap;
use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use config::McpTransport;
use http::{HeaderName, HeaderValue};
use policy::profile::unrestricted;
use rmcp::model::ProtocolVersion;
use rmcp::service::{
    ClientInitializeError, ClientLifecycleMode, ClientServiceExt, RoleClient, RunningService,
};
use rmcp::transport::async_rw::AsyncRwTransport;
use rmcp::transport::streamable_http_client::{
    StreamableHttpClientTransport, StreamableHttpClientTransportConfig,
};
use sandbox::{CommandRequest, Interception, Launcher, Output, Process, Proxy, Stdin, Tail};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio_util::task::AbortOnDropHandle;

use crate::call::wants_more;
use crate::error::McpError;
use crate::handler::Handler;
use crate::recipe::Recipe;
use crate::sign_in::account::Account;
use crate::sign_in::client::SignedIn;
use crate::{text, tls};

/// The longest message of a server.
const MAX_LINE: usize = 16 * 1024 * 1024;
/// Bytes that are kept of what a server says of itself.
const MAX_TAIL: usize = 2 * 1024;
/// Bytes of a reason.
const MAX_REASON: usize = 1024;
/// How long the end of what a program said may take to come, once it has ended.
const LAST_WORDS: Duration = Duration::from_millis(500);
const CONNECTING: Duration = Duration::from_secs(10);

/// A connection. Dropping it ends the program.
pub(crate) struct Connection {
    pub(crate) service: RunningService<RoleClient, Handler>,
    pub(crate) program: Option<Program>,
}

/// A program that is the server.
pub(crate) struct Program {
    process: Process,
    tail: Arc<Tail>,
    reading: AbortOnDropHandle<()>,
}

impl Program {
    /// Ends it and all that it started; what it said last of itself.
    pub(crate) async fn end(mut self) -> String {
        self.process.kill();
        if let Err(error) = self.process.wait().await {
            tracing::debug!(%error, "an MCP server did not end as it should");
        }
        if tokio::time::timeout(LAST_WORDS, self.reading).await.is_err() {
            tracing::debug!("an MCP server's last words did not come to an end");
        }
        text::line(&self.tail.text(), MAX_REASON)
    }
}

/// Connects, and agrees on a revision of the protocol. Dropping the future ends what was started.
///
/// # Errors
/// `Start`, `LoginRequired`, `SignIn`.
pub(crate) async fn connect(
    recipe: &Recipe,
    launcher: &Launcher,
    account: Option<&Arc<Account>>,
    handler: Handler,
) -> Result<Connection, McpError> {
    if let Some(guard) = recipe.guard.clone() {
        let may_start = tokio::task::spawn_blocking(move || (guard.is_same)()).await;
        if !may_start.unwrap_or(false) {
            let reason =
                "what the folder says of it was changed since it was trusted; see `skein config trust`";
            return Err(refused(recipe, reason));
        }
    }
    match &recipe.server.transport {
        McpTransport::Stdio { .. } => start(recipe, launcher, handler).await,
        McpTransport::Http { .. } => reach(recipe, account, handler).await,
    }
}

/// Which eras of the protocol we speak: the newest revision without a handshake, and before that, whichever the
/// server takes.
fn lifecycle() -> ClientLifecycleMode {
    ClientLifecycleMode::Auto {
        preferred_versions: vec![ProtocolVersion::V_2026_07_28],
        legacy_version: Some(ProtocolVersion::V_2025_11_25),
    }
}

async fn start(recipe: &Recipe, launcher: &Launcher, handler: Handler) -> Result<Connection, McpError> {
    let McpTransport::Stdio { command, arguments, env, cwd, .. } = &recipe.server.transport else {
        return Err(refused(recipe, "it has no command"));
    };
    let mut environment = recipe.environment.clone();
    for (name, value) in recipe.variables.iter().chain(env) {
        environment.retain(|(known, _)| known.as_os_str() != name.as_str());
        environment.push((name.into(), value.into()));
    }
    let request = CommandRequest {
        argv: std::iter::once(command).chain(arguments).map(OsString::from).collect(),
        cwd: cwd.clone().unwrap_or_else(|| recipe.root.clone()),
        environment,
        profile: recipe.profile.clone().unwrap_or_else(unrestricted),
        stdin: Stdin::Piped,
        output: Output::Separate,
        proxy: Proxy::None,
        interception: Interception::Off,
    };
    let mut process = launcher.spawn(request).await.map_err(|error| refused(recipe, &error.to_string()))?;
    let (output, errors) = (process.take_output(), process.take_errors());
    let Some(input) = process.take_input() else { return Err(refused(recipe, "it has no input")) };
    let tail = Arc::new(Tail::of_bytes(MAX_TAIL));
    let reading = AbortOnDropHandle::new(tokio::spawn(read_errors(errors, Arc::clone(&tail))));
    let program = Program { process, tail, reading };
    let transport = AsyncRwTransport::new_client(output, input).with_max_line_length(MAX_LINE);
    match handler.serve_with_lifecycle(transport, lifecycle()).await {
        Ok(service) => Ok(Connection { service, program: Some(program) }),
        Err(error) => {
            let reason = match &error {
                ClientInitializeError::ConnectionClosed(_) | ClientInitializeError::TransportError { .. } => {
                    "it ended before it said hello".to_owned()
                }
                other => told(other),
            };
            let reason = match program.end().await.as_str() {
                "" => reason,
                words => format!("{reason}; it said: {words}"),
            };
            Err(refused(recipe, &reason))
        }
    }
}

async fn read_errors(mut errors: impl AsyncRead + Send + Unpin, tail: Arc<Tail>) {
    let mut piece = [0; 4096];
    while let Ok(count @ 1..) = errors.read(&mut piece).await {
        tail.push(&piece[..count]);
    }
}

async fn reach(
    recipe: &Recipe,
    account: Option<&Arc<Account>>,
    handler: Handler,
) -> Result<Connection, McpError> {
    let McpTransport::Http { url, bearer_token_env_var, http_headers, env_http_headers, .. } =
        &recipe.server.transport
    else {
        return Err(refused(recipe, "it has no address"));
    };
    let mut headers = HashMap::new();
    let of_variables =
        env_http_headers.iter().filter_map(|(name, variable)| Some((name, recipe.variables.get(variable)?)));
    for (name, value) in http_headers.iter().chain(of_variables) {
        let name = HeaderName::try_from(name.as_str())
            .map_err(|_| refused(recipe, &format!("`{name}` is no name of a header")))?;
        let mut value = HeaderValue::try_from(value.as_str())
            .map_err(|_| refused(recipe, &format!("the value of the header `{name}` can't be sent")))?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    let mut settings = StreamableHttpClientTransportConfig::with_uri(url.as_str()).custom_headers(headers);
    if let Some(variable) = bearer_token_env_var {
        let token = recipe.variables.get(variable);
        let token = token.ok_or_else(|| refused(recipe, &format!("the variable `{variable}` is not set")))?;
        settings = settings.auth_header(token.as_str());
    }
    let client = client(recipe).await?;
    let serve = async |lifecycle| {
        let (client, settings, handler) = (client.clone(), settings.clone(), handler.clone());
        match account {
            Some(account) => {
                let client = SignedIn { client, account: Arc::clone(account) };
                let transport = StreamableHttpClientTransport::with_client(client, settings);
                Box::pin(handler.serve_with_lifecycle(transport, lifecycle)).await
            }
            None => {
                let transport = StreamableHttpClientTransport::with_client(client, settings);
                Box::pin(handler.serve_with_lifecycle(transport, lifecycle)).await
            }
        }
    };
    let serving = match serve(lifecycle()).await {
        // It answers whatever it is asked, and means nothing by it.
        Err(ClientInitializeError::ExpectedInitResult(_)) => serve(ClientLifecycleMode::Initialize).await,
        served => served,
    };
    match serving {
        Ok(service) => Ok(Connection { service, program: None }),
        Err(error) if error.is_authorization_required() => {
            Err(McpError::LoginRequired { server: recipe.name.clone() })
        }
        Err(error) => {
            let reason = told(&error);
            // Where a token of the settings is sent, nobody signs in.
            let reason =
                if reason.contains("HTTP 401") { "it refuses the token that it is sent" } else { &reason };
            Err(more_leave(&recipe.name, &error).unwrap_or_else(|| refused(recipe, reason)))
        }
    }
}

fn more_leave(server: &str, error: &ClientInitializeError) -> Option<McpError> {
    match error {
        ClientInitializeError::LegacyFallbackFailed { fallback, .. } => more_leave(server, fallback),
        ClientInitializeError::TransportError { error, .. } => wants_more(server, error),
        _ => None,
    }
}

/// A client of HTTP. Reading certificates takes a while, so it is made elsewhere.
async fn client(recipe: &Recipe) -> Result<reqwest::Client, McpError> {
    let making = tokio::task::spawn_blocking(|| {
        tls::prepare();
        reqwest::Client::builder()
            .user_agent(concat!("skein/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECTING)
            .tcp_nodelay(true)
            // A token is for the server it was given for and no other.
            .redirect(reqwest::redirect::Policy::none())
            .build()
    });
    match making.await {
        Ok(Ok(client)) => Ok(client),
        Ok(Err(error)) => Err(refused(recipe, &error.to_string())),
        Err(error) => Err(refused(recipe, &error.to_string())),
    }
}

/// What went wrong in a few words; the whole message of a server may stand in an error.
fn told(error: &ClientInitializeError) -> String {
    match error {
        ClientInitializeError::LegacyFallbackFailed { fallback, .. } => told(fallback),
        other => {
            let mut reason = other.to_string();
            let mut source = std::error::Error::source(other);
            while let Some(inner) = source {
                reason = format!("{reason}: {inner}");
                source = inner.source();
            }
            text::line(&reason, MAX_REASON)
        }
    }
}

fn refused(recipe: &Recipe, reason: &str) -> McpError {
    McpError::Start { server: recipe.name.clone(), reason: reason.to_owned() }
}
