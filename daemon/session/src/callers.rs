//! Calls that running tools make of other tools, on their way to the session and back. Knows nothing of what is called.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use context::history::text_of;
use futures_util::future::BoxFuture;
use protocol::ids::ItemId;
use protocol::item::{Item, ItemStatus};
use protocol::tool::ToolCall;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};
use tools::registry::Registry;
use tools::tool::{Called, Caller};

use crate::input::Input;

/// Calls that one call of the model's may make.
const MAX_CALLS: usize = 200;

/// Who waits for the end of which call. One per session in memory.
pub(crate) struct Calls {
    inputs: mpsc::Sender<Vec<Input>>,
    waiting: Mutex<HashMap<ItemId, oneshot::Sender<Called>>>,
}

impl Calls {
    /// None yet. What is called is told there.
    pub(crate) fn new(inputs: mpsc::Sender<Vec<Input>>) -> Arc<Self> {
        Arc::new(Self { inputs, waiting: Mutex::default() })
    }

    /// Tells whoever waits for it that a call ended, which is durable by then.
    pub(crate) fn end(&self, item: &Item) {
        if let Some(waiting) = self.with(|waiting| waiting.remove(&item.id)) {
            // Whoever does not wait any more needs no outcome.
            let _ = waiting.send(Called { status: item.status.clone(), text: text_of(item) });
        }
    }

    fn with<T>(&self, look: impl FnOnce(&mut HashMap<ItemId, oneshot::Sender<Called>>) -> T) -> T {
        // Every change of the map is one call, so a poisoned one is whole.
        look(&mut self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Calls for one tool call.
pub(crate) struct ToolCaller {
    calls: Arc<Calls>,
    tools: Arc<Registry>,
    cwd: PathBuf,
    item_id: ItemId,
    made: AtomicUsize,
}

impl ToolCaller {
    /// Calls these tools for the tool of an item.
    pub(crate) fn new(calls: Arc<Calls>, tools: Arc<Registry>, cwd: PathBuf, item_id: ItemId) -> Self {
        Self { calls, tools, cwd, item_id, made: AtomicUsize::new(0) }
    }
}

impl Caller for ToolCaller {
    fn call(&self, name: String, arguments: Value) -> BoxFuture<'_, Called> {
        if self.made.fetch_add(1, Ordering::Relaxed) >= MAX_CALLS {
            let text = format!("Not run: one call may make {MAX_CALLS} others at most");
            return Box::pin(std::future::ready(failed(text)));
        }
        let item_id = ItemId::generate();
        let input = self.tools.input(&name, &arguments);
        let call = ToolCall { call_id: item_id.to_string(), name, input };
        let prepared = self.tools.prepare(&call, &self.cwd).map(Box::new).map_err(|error| error.to_string());
        let called = Input::ToolCalled { called_by: self.item_id, item_id, call, prepared };
        Box::pin(async move {
            let (tell, ended) = oneshot::channel();
            self.calls.with(|waiting| waiting.insert(item_id, tell));
            let _leaving = Leaving { calls: &self.calls, item_id };
            if self.calls.inputs.send(vec![called]).await.is_err() {
                return unloaded();
            }
            ended.await.unwrap_or_else(|_| unloaded())
        })
    }
}

/// Forgets who waited, however the wait ends.
struct Leaving<'a> {
    calls: &'a Calls,
    item_id: ItemId,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.calls.with(|waiting| waiting.remove(&self.item_id));
    }
}

fn failed(text: String) -> Called {
    Called { status: ItemStatus::Failed, text }
}

fn unloaded() -> Called {
    failed("The session was unloaded before the call ended".to_owned())
}
