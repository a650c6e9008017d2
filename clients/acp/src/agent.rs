//! What the editor's messages mean: which is answered here, which by a session, which by a task of its own.

use std::collections::HashMap;

use client::ConnectOptions;
use protocol::ids::SessionId;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tracing::debug;

use crate::editor::Editor;
use crate::rpc::{Message, RpcError};
use crate::schema::request::{
    CancelRequest, ClientCapabilities, Initialize, OneSession, Prompt, SetMode, SetOption,
};
use crate::session::Order;
use crate::setup::{self, Opened, Replay};

/// The version that is spoken. An editor that speaks another is told this one, and leaves if it can't.
const VERSION: u64 = 1;
/// Orders that may wait for a session; beyond them the editor is not read from.
const WAITING_ORDERS: usize = 64;
/// Requests that may be carried out at the same time.
const MAX_REQUESTS: usize = 64;

/// The agent that the editor speaks to.
pub(crate) struct Agent {
    editor: Editor,
    options: ConnectOptions,
    /// Requests that are being carried out.
    requests: JoinSet<(Value, Outcome)>,
    /// Their names, to cancel them by.
    names: HashMap<Id, (Value, AbortHandle)>,
    /// The sessions that are open.
    open: HashMap<SessionId, mpsc::Sender<Order>>,
    sessions: JoinSet<()>,
}

/// What came of a request.
enum Outcome {
    Answer(Result<Value, RpcError>),
    Opened(Box<Opened>),
}

/// A request that was carried out, or not.
pub(crate) struct Ended(Result<(Id, (Value, Outcome)), JoinError>);

impl Agent {
    pub(crate) fn new(editor: Editor, options: ConnectOptions) -> Self {
        Self {
            editor,
            options,
            requests: JoinSet::new(),
            names: HashMap::new(),
            open: HashMap::new(),
            sessions: JoinSet::new(),
        }
    }

    /// Takes a message.
    pub(crate) async fn take(&mut self, message: Message) {
        match message {
            Message::Request { id, method, params } => {
                if let Err(error) = self.request(&id, &method, params).await {
                    self.editor.respond(&id, Err(error)).await;
                }
            }
            Message::Notification { method, params } => {
                if let Err(error) = self.notification(&method, params).await {
                    // Nobody waits for an answer.
                    debug!(method, message = error.message, "a notification was not understood");
                }
            }
            Message::Response { id, outcome } => self.editor.answered(id, outcome),
        }
    }

    /// Carries the requests on until one has ended, which is then for `finish`; waits for ever if there are none.
    /// Cancel safe.
    pub(crate) async fn ended(&mut self) -> Ended {
        loop {
            tokio::select! {
                Some(ended) = self.requests.join_next_with_id() => return Ended(ended),
                Some(_) = self.sessions.join_next() => self.open.retain(|_, orders| !orders.is_closed()),
                else => std::future::pending().await,
            }
        }
    }

    /// Answers what is being carried out, and leaves the sessions. What runs in them goes on.
    pub(crate) async fn end(mut self) {
        while let Some(ended) = self.requests.join_next_with_id().await {
            self.finish(Ended(ended)).await;
        }
        self.sessions.shutdown().await;
    }

    async fn request(&mut self, id: &Value, method: &str, params: Value) -> Result<(), RpcError> {
        if self.editor.capabilities().is_none() && method != "initialize" {
            return Err(RpcError::invalid_request("`initialize` comes first"));
        }
        let (options, editor) = (self.options.clone(), self.editor.clone());
        let answer = Outcome::Answer;
        let opened = |opened| match opened {
            Ok(opened) => Outcome::Opened(Box::new(opened)),
            Err(error) => Outcome::Answer(Err(error)),
        };
        match method {
            "initialize" => {
                let result = self.initialize(&read(params)?);
                self.editor.respond(id, Ok(result)).await;
                Ok(())
            }
            "authenticate" => {
                let params = read(params)?;
                self.begin(id, async move { answer(setup::authenticate(options, params).await) })
            }
            "logout" => self.begin(id, async move { answer(setup::logout(options).await) }),
            "session/new" => {
                let params = read(params)?;
                self.begin(id, async move { opened(setup::new(options, editor, params).await) })
            }
            "session/load" => {
                let params = read(params)?;
                self.begin(id, async move { opened(setup::old(options, editor, params, Replay::All).await) })
            }
            "session/resume" => {
                let params = read(params)?;
                self.begin(
                    id,
                    async move { opened(setup::old(options, editor, params, Replay::Running).await) },
                )
            }
            "session/list" => {
                let params = read(params)?;
                self.begin(id, async move { answer(setup::list(options, params).await) })
            }
            "session/delete" => {
                let params = read(params)?;
                self.begin(id, async move { answer(setup::delete(options, params).await) })
            }
            "session/prompt" => {
                let Prompt { session_id, prompt } = read(params)?;
                self.order(&session_id, Order::Prompt { request: id.clone(), parts: prompt }).await
            }
            "session/set_mode" => {
                let SetMode { session_id, mode_id } = read(params)?;
                self.order(&session_id, Order::SetMode { request: id.clone(), mode: mode_id }).await
            }
            "session/set_config_option" => {
                let SetOption { session_id, config_id, value } = read(params)?;
                let order = Order::SetOption { request: id.clone(), option: config_id, value };
                self.order(&session_id, order).await
            }
            "session/close" => {
                let OneSession { session_id } = read(params)?;
                self.order(&session_id, Order::Close { request: id.clone() }).await?;
                self.open.remove(&setup::session_id(&session_id)?);
                Ok(())
            }
            _ => Err(RpcError::no_method(method)),
        }
    }

    async fn notification(&mut self, method: &str, params: Value) -> Result<(), RpcError> {
        match method {
            "session/cancel" => {
                let OneSession { session_id } = read(params)?;
                self.order(&session_id, Order::Cancel).await
            }
            "$/cancel_request" => {
                let CancelRequest { request_id } = read(params)?;
                let begun = self.names.values().find(|(name, _)| *name == request_id);
                if let Some((_, handle)) = begun {
                    handle.abort();
                    return Ok(());
                }
                for orders in self.open.values() {
                    // One that is about to end takes no orders.
                    let _ends = orders.send(Order::CancelRequest { request: request_id.clone() }).await;
                }
                Ok(())
            }
            _ => Err(RpcError::no_method(method)),
        }
    }

    fn initialize(&self, params: &Initialize) -> Value {
        debug!(version = %params.protocol_version, editor = %params.client_info, "an editor came");
        let capabilities = ClientCapabilities::of(&params.client_capabilities);
        let mut methods = vec![json!({
            "id": setup::SIGNED_IN,
            "name": "Keys and accounts of Skein",
            "description": "What `skein login` stored, a key in the environment, or a model of this machine",
        })];
        if capabilities.has_terminal_sign_in || capabilities.has_own_terminal_sign_in {
            let mut method = json!({
                "type": "terminal",
                "id": setup::SIGN_IN,
                "name": "Sign in",
                "description": "Runs `skein login` in a terminal",
                "args": ["--login"],
            });
            if capabilities.has_own_terminal_sign_in
                && let Ok(program) = std::env::current_exe()
            {
                let command = json!({"label": "Sign in", "command": program, "args": ["login"]});
                method["_meta"] = json!({"terminal-auth": command});
            }
            methods.push(method);
        }
        self.editor.introduce(capabilities);
        json!({
            "protocolVersion": VERSION,
            "agentInfo": {"name": "skein", "title": "Skein", "version": env!("CARGO_PKG_VERSION")},
            "authMethods": methods,
            "agentCapabilities": {
                "loadSession": true,
                "promptCapabilities": {"image": true, "audio": false, "embeddedContext": true},
                "mcpCapabilities": {"http": true, "sse": false},
                "sessionCapabilities": {
                    "list": {}, "delete": {}, "resume": {}, "close": {}, "additionalDirectories": {},
                },
                "auth": {"logout": {}},
            },
        })
    }

    fn begin(&mut self, id: &Value, work: impl Future<Output = Outcome> + 'static) -> Result<(), RpcError> {
        if self.requests.len() >= MAX_REQUESTS {
            return Err(RpcError::internal("Too many requests are being carried out"));
        }
        let request = id.clone();
        let handle = self.requests.spawn_local(async move { (request, work.await) });
        self.names.insert(handle.id(), (id.clone(), handle));
        Ok(())
    }

    /// Answers a request.
    pub(crate) async fn finish(&mut self, ended: Ended) {
        match ended.0 {
            Ok((task, (request, outcome))) => {
                self.names.remove(&task);
                match outcome {
                    Outcome::Answer(answer) => self.editor.respond(&request, answer).await,
                    Outcome::Opened(opened) => {
                        let Opened { session, result } = *opened;
                        let (orders, rx) = mpsc::channel(WAITING_ORDERS);
                        // If it was open, who followed it ends.
                        self.open.insert(session.id(), orders);
                        self.editor.respond(&request, Ok(result)).await;
                        self.sessions.spawn_local(session.run(rx));
                    }
                }
            }
            Err(error) => {
                let Some((request, _)) = self.names.remove(&error.id()) else { return };
                let answer = if error.is_cancelled() {
                    RpcError::cancelled()
                } else {
                    RpcError::internal("The request could not be carried out")
                };
                self.editor.respond(&request, Err(answer)).await;
            }
        }
    }

    async fn order(&mut self, session: &str, order: Order) -> Result<(), RpcError> {
        let id = setup::session_id(session)?;
        let orders = self.open.get(&id).ok_or_else(|| setup::no_session(session))?;
        if orders.send(order).await.is_err() {
            self.open.remove(&id);
            return Err(setup::no_session(session));
        }
        Ok(())
    }
}

fn read<T: DeserializeOwned>(params: Value) -> Result<T, RpcError> {
    serde_json::from_value(params)
        .map_err(|error| RpcError::invalid_params(format!("The parameters can't be read: {error}")))
}
