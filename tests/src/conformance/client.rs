//! Skein's client of MCP servers, made to use all that a server of the conformance suite offers: it signs in where that
//! is wanted, calls the tools that it is told to call, or else each once, and reads what there is to read. Knows nothing
//! of what the suite looks for.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use config::{McpServer, McpSignIn, McpTransport};
use futures_util::future::BoxFuture;
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::header::{HOST, LOCATION};
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use mcp::{Accounts, McpError, Memory, Recipe, Secrets, Servers};
use policy::profile::unrestricted;
use protocol::ids::BlobId;
use protocol::item::ItemBody;
use protocol::mcp::McpServerState;
use protocol::question::{Decision, QuestionKind};
use protocol::tool::{CallInput, ToolCall, ToolInput};
use sandbox::Launcher;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tools::diagnostics::NoDiagnostics;
use tools::judge::NoJudge;
use tools::output::{Spool, Spools};
use tools::tool::{Asker, NothingToCall, RunContext, Tool};
use zeroize::Zeroizing;

/// The server's name in the settings.
const NAME: &str = "suite";
/// How long it may take to start, and a call may take.
const LIMIT: Duration = Duration::from_secs(10);
/// Where the browser would be sent after a sign-in.
const REDIRECT: &str = "http://127.0.0.1:19999/callback";
/// The document that describes the client, for servers of accounts that read such.
const DOCUMENT: &str = "https://conformance-test.local/client-metadata.json";
/// Signs in so often; a server that wants it again is left.
const SIGN_INS: usize = 3;

/// What the suite tells a client beside the address.
#[derive(Debug, Default, Deserialize)]
pub struct Context {
    /// The calls to make; if there are none, each tool is called once.
    #[serde(default, rename = "toolCalls")]
    tool_calls: Vec<Call>,
    /// What Skein is called by the server of accounts.
    #[serde(default)]
    client_id: Option<String>,
    /// The secret that belongs to it.
    #[serde(default)]
    client_secret: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Call {
    name: String,
    #[serde(default)]
    arguments: Map<String, Value>,
}

/// Why the server could not be used.
#[derive(Debug, thiserror::Error)]
pub enum ClientFailure {
    /// What the client itself says.
    #[error(transparent)]
    Mcp(#[from] McpError),
    /// The server does not run.
    #[error("The server does not run: {state:?}")]
    NotReady {
        /// How it is, as far as it is known.
        state: Option<McpServerState>,
    },
    /// The page of a sign-in does not lead back.
    #[error("The page of the sign-in can't be opened")]
    Page(#[source] io::Error),
    /// A folder of its own can't be made.
    #[error("A folder can't be made")]
    Folder(#[source] io::Error),
}

/// Uses the server at an address.
///
/// # Errors
/// When it does not run, or the sign-in fails. That a call fails is none.
pub async fn visit(url: &str, context: Context) -> Result<(), ClientFailure> {
    let folder = tempfile::tempdir().map_err(ClientFailure::Folder)?;
    let launcher = Arc::new(Launcher::new("/nonexistent".into(), None));
    let memory = Memory::open(folder.path().join("mcp.json"));
    let servers = Servers::new(launcher, memory, Accounts::new(Arc::new(Kept::default())));
    let recipe = recipe(url, folder.path(), &context);
    let mut visit = Visit { servers, recipe, cwd: folder.path().to_owned(), sign_ins: 0 };
    visit.start().await?;
    let mut calls: Vec<(String, Map<String, Value>)> =
        context.tool_calls.into_iter().map(|call| (call.name, call.arguments)).collect();
    if calls.is_empty() {
        let mut earlier = None;
        for tool in visit.tools().iter() {
            let specification = tool.specification();
            let Some(name) = specification.name.strip_prefix(&prefix()) else { continue };
            let ToolInput::Json { schema } = specification.input else { continue };
            let mut arguments = filled(&schema);
            // A tool that wants a schema is given the one before it.
            if let Some(argument) = arguments.get_mut("schema")
                && let Some(schema) = earlier.take()
            {
                *argument = schema;
            }
            earlier = Some(schema);
            calls.push((name.to_owned(), arguments));
        }
    }
    for (name, arguments) in calls {
        visit.call(&format!("{}{name}", prefix()), &arguments).await?;
    }
    visit.read().await
}

/// What the model's names of the server's tools begin with.
fn prefix() -> String {
    format!("mcp__{NAME}__")
}

/// A server that is used.
struct Visit {
    servers: Servers,
    recipe: Recipe,
    cwd: PathBuf,
    sign_ins: usize,
}

impl Visit {
    fn recipes(&self) -> &[Recipe] {
        std::slice::from_ref(&self.recipe)
    }

    fn tools(&self) -> Arc<[Arc<dyn Tool>]> {
        self.servers.tools(self.recipes(), u64::MAX)
    }

    fn state(&self) -> Option<McpServerState> {
        self.servers.list(self.recipes(), u64::MAX).pop().map(|server| server.state)
    }

    /// Waits until the server runs; signs in if that is what it wants.
    async fn start(&mut self) -> Result<(), ClientFailure> {
        loop {
            self.servers.wait(self.recipes(), LIMIT).await;
            match self.state() {
                Some(McpServerState::Ready) => return Ok(()),
                Some(McpServerState::LoginRequired) if self.sign_ins < SIGN_INS => {
                    self.sign_in(Vec::new()).await?;
                }
                state => return Err(ClientFailure::NotReady { state }),
            }
        }
    }

    async fn sign_in(&mut self, scopes: Vec<String>) -> Result<(), ClientFailure> {
        self.sign_ins += 1;
        let login = self.servers.login(&self.recipe, scopes, REDIRECT).await?;
        let back = sent_to(&login.url).await.map_err(ClientFailure::Page)?;
        Ok(login.finish(&back).await?)
    }

    /// Calls a tool, if it is there; again after a sign-in if that is what a person is told to do. What the model would
    /// be told.
    async fn call(&mut self, name: &str, arguments: &Map<String, Value>) -> Result<String, ClientFailure> {
        loop {
            let tools = self.tools();
            let Some(tool) = tools.iter().find(|tool| tool.specification().name == name) else {
                return Ok(String::new());
            };
            let told = call(&**tool, arguments.clone(), &self.cwd).await;
            let wanted = told.split_once(&format!("skein mcp login {NAME}"));
            let Some((_, wanted)) = wanted.filter(|_| self.sign_ins < SIGN_INS) else { return Ok(told) };
            let scopes = wanted.strip_prefix(" --scopes ").and_then(|scopes| scopes.split('`').next());
            let scopes = scopes.iter().flat_map(|scopes| scopes.split(',')).map(str::to_owned);
            self.sign_in(scopes.collect()).await?;
            self.start().await?;
        }
    }

    /// Reads the first thing there is to read.
    async fn read(&mut self) -> Result<(), ClientFailure> {
        let listed = self.call("list_mcp_resources", &Map::new()).await?;
        if let Some(uri) = listed.lines().next().and_then(|line| line.split_whitespace().next()) {
            let arguments =
                Map::from_iter([("server".to_owned(), json!(NAME)), ("uri".to_owned(), json!(uri))]);
            self.call("read_mcp_resource", &arguments).await?;
        }
        Ok(())
    }
}

/// Calls a tool as a session does; what the model would be told.
async fn call(tool: &dyn Tool, arguments: Map<String, Value>, cwd: &Path) -> String {
    let input = CallInput::Json(Value::Object(arguments).to_string());
    let call = ToolCall { call_id: "call".to_owned(), name: tool.specification().name, input };
    let (progress, _heard) = mpsc::channel(64);
    let (reports, _told) = mpsc::channel(1);
    let context = RunContext {
        cwd: cwd.into(),
        profile: Arc::new(unrestricted()),
        environment: Arc::new([]),
        spools: Arc::new(NoSpools),
        asker: Arc::new(Person),
        agents: Arc::new(tools::agents::NoAgents),
        caller: Arc::new(NothingToCall),
        judge: Arc::new(NoJudge),
        belongings: Arc::default(),
        diagnostics: Arc::new(NoDiagnostics),
        progress,
        reports,
        cancel: CancellationToken::new(),
    };
    let Ok(body) = tool.prepare(&call, cwd) else { return String::new() };
    match tool.run(body, context).await.body {
        ItemBody::ToolCall(done) => done.output.unwrap_or_default(),
        _ => String::new(),
    }
}

fn recipe(url: &str, root: &Path, context: &Context) -> Recipe {
    let secret = "CLIENT_SECRET";
    let sign_in = McpSignIn {
        client_id: Some(context.client_id.clone().unwrap_or_else(|| DOCUMENT.to_owned())),
        client_secret_env_var: context.client_secret.is_some().then(|| secret.to_owned()),
        scopes: Vec::new(),
    };
    let transport = McpTransport::Http {
        url: url.to_owned(),
        bearer_token_env_var: None,
        http_headers: BTreeMap::new(),
        env_http_headers: BTreeMap::new(),
        sign_in,
    };
    let secrets = context.client_secret.iter().map(|value| (secret.to_owned(), value.clone()));
    Recipe {
        name: NAME.to_owned(),
        server: McpServer::new(transport),
        root: root.to_owned(),
        variables: secrets.collect(),
        environment: Vec::new(),
        profile: None,
        guard: None,
    }
}

/// A value for each property of a schema: its default, or one of its kind.
fn filled(schema: &Value) -> Map<String, Value> {
    let none = Map::new();
    let properties = schema["properties"].as_object().unwrap_or(&none);
    let value = |property: &Value| {
        let chosen = [&property["default"], &property["const"], &property["enum"][0]];
        if let Some(chosen) = chosen.into_iter().find(|value| !value.is_null()) {
            return chosen.clone();
        }
        match property["type"].as_str() {
            Some("number" | "integer") => json!(3),
            Some("boolean") => json!(true),
            Some("array") => json!([]),
            Some("object") => json!({}),
            Some(_) | None => json!("text"),
        }
    };
    properties.iter().map(|(name, property)| (name.clone(), value(property))).collect()
}

/// Opens the page of a sign-in as a browser would whose person says yes at once: where it is sent to.
async fn sent_to(url: &str) -> io::Result<String> {
    let url: Uri = url.parse().map_err(io::Error::other)?;
    let host = url.authority().ok_or(io::ErrorKind::InvalidInput)?.as_str().to_owned();
    let stream = TcpStream::connect(&host).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    let path = url.path_and_query().ok_or(io::ErrorKind::InvalidInput)?.as_str();
    let request = Request::get(path).header(HOST, host).body(Empty::<Bytes>::new());
    let asking = sender.send_request(request.map_err(io::Error::other)?);
    let response = tokio::select! {
        response = asking => response.map_err(io::Error::other)?,
        ended = connection => return Err(io::Error::other(format!("{ended:?}"))),
    };
    let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
    location.map(str::to_owned).ok_or_else(|| io::Error::other(format!("status {}", response.status())))
}

/// Says yes, and fills in forms.
struct Person;

impl Asker for Person {
    fn ask(&self, kind: QuestionKind, _reason: String) -> BoxFuture<'_, Decision> {
        let decision = match kind {
            QuestionKind::Elicitation { schema, .. } => {
                Decision::Content { value: Value::Object(filled(&schema)) }
            }
            _ => Decision::Deny { message: None },
        };
        Box::pin(std::future::ready(decision))
    }
}

/// Nothing is kept of a result.
struct NoSpools;

impl Spools for NoSpools {
    fn open(&self) -> BoxFuture<'_, io::Result<Box<dyn Spool>>> {
        Box::pin(async { Err(io::ErrorKind::Unsupported.into()) })
    }

    fn read<'a>(&'a self, _: &'a BlobId) -> BoxFuture<'a, io::Result<Option<Vec<u8>>>> {
        Box::pin(async { Ok(None) })
    }
}

/// Keeps tokens for as long as the program runs.
#[derive(Default)]
struct Kept(Mutex<HashMap<String, Zeroizing<String>>>);

impl Kept {
    fn with<T>(&self, change: impl FnOnce(&mut HashMap<String, Zeroizing<String>>) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Secrets for Kept {
    fn get<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Zeroizing<String>>, String>> {
        let found = self.with(|kept| kept.get(name).cloned());
        Box::pin(std::future::ready(Ok(found)))
    }

    fn set<'a>(&'a self, name: &'a str, text: Zeroizing<String>) -> BoxFuture<'a, Result<(), String>> {
        self.with(|kept| kept.insert(name.to_owned(), text));
        Box::pin(std::future::ready(Ok(())))
    }

    fn remove<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<bool, String>> {
        let removed = self.with(|kept| kept.remove(name).is_some());
        Box::pin(std::future::ready(Ok(removed)))
    }
}
