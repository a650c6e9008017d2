//! The editor, from our side: what is told to it, what it is asked, and what it can do.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use crate::rpc::{self, RpcError};
use crate::schema::request::ClientCapabilities;
use crate::schema::update::Update;

/// Lines that may wait for an editor that does not read. Beyond them, those who have something to say wait.
const WAITING_LINES: usize = 256;

/// A handle to the editor; clones speak to the same one.
#[derive(Clone)]
pub(crate) struct Editor(Arc<Shared>);

struct Shared {
    lines: mpsc::Sender<String>,
    asked: Mutex<Asked>,
    capabilities: OnceLock<ClientCapabilities>,
}

/// Requests of ours that have no answer yet.
#[derive(Default)]
struct Asked {
    last: u64,
    waiting: HashMap<u64, oneshot::Sender<Result<Value, RpcError>>>,
}

/// A request of ours.
pub(crate) struct Asking {
    /// Its name, by which it can be taken back.
    pub(crate) id: u64,
    /// What the editor answers; closed if it was taken back.
    pub(crate) answer: oneshot::Receiver<Result<Value, RpcError>>,
}

impl Editor {
    /// An editor, and the lines that are to be written to it, until the last clone is gone.
    pub(crate) fn new() -> (Self, mpsc::Receiver<String>) {
        let (lines, rx) = mpsc::channel(WAITING_LINES);
        (Self(Arc::new(Shared { lines, asked: Mutex::default(), capabilities: OnceLock::new() })), rx)
    }

    /// What it can do; known from its first `initialize` on.
    pub(crate) fn capabilities(&self) -> Option<&ClientCapabilities> {
        self.0.capabilities.get()
    }

    /// Keeps what it can do. The first word counts.
    pub(crate) fn introduce(&self, capabilities: ClientCapabilities) {
        let _the_first_counts = self.0.capabilities.set(capabilities);
    }

    /// Answers a request.
    pub(crate) async fn respond(&self, id: &Value, outcome: Result<Value, RpcError>) {
        self.send(rpc::response(id, outcome)).await;
    }

    /// Tells what happened in a session.
    pub(crate) async fn update(&self, session: &str, update: &Update) {
        let params = json!({"sessionId": session, "update": update});
        self.send(rpc::notification("session/update", &params)).await;
    }

    /// Asks something.
    pub(crate) async fn ask(&self, method: &str, params: &impl Serialize) -> Asking {
        let (tx, answer) = oneshot::channel();
        let id = {
            let mut asked = self.asked();
            asked.last += 1;
            let id = asked.last;
            asked.waiting.insert(id, tx);
            id
        };
        self.send(rpc::request(id, method, params)).await;
        Asking { id, answer }
    }

    /// Takes a request of ours back.
    pub(crate) async fn take_back(&self, id: u64) {
        let was_waiting = self.asked().waiting.remove(&id).is_some();
        if was_waiting {
            self.send(rpc::notification("$/cancel_request", &json!({"requestId": id}))).await;
        }
    }

    /// The editor answers a request of ours. One that nobody waits for is dropped.
    pub(crate) fn answered(&self, id: Option<u64>, outcome: Result<Value, RpcError>) {
        let waiting = id.and_then(|id| self.asked().waiting.remove(&id));
        if let Some(waiting) = waiting {
            let _may_have_gone = waiting.send(outcome);
        }
    }

    async fn send(&self, line: String) {
        // When nobody writes any more, the bridge is about to end.
        let _ends_soon = self.0.lines.send(line).await;
    }

    fn asked(&self) -> std::sync::MutexGuard<'_, Asked> {
        self.0.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
