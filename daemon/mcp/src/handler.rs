//! What a server asks and tells us: for its roots, for its user's word, of progress, of other tools.

#![expect(
    deprecated,
    reason = "servers of the revisions up to 2025-11-25 ask for roots and the model, and send logs"
)]

use std::collections::HashMap;
use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use protocol::question::{Decision, QuestionKind};
use rmcp::ErrorData;
use rmcp::handler::client::ClientHandler;
use rmcp::model::{
    ClientCapabilities, ClientConfig, CreateMessageRequestMethod, CreateMessageRequestParams,
    CreateMessageResult, ElicitRequestParams, ElicitResult, ElicitationAction, ElicitationCapability,
    FormElicitationCapability, Implementation, ListRootsResult, LoggingMessageNotificationParam,
    ProgressNotificationParam, ProgressToken, RootsCapabilities, SamplingCapability,
};
use rmcp::service::{NotificationContext, RequestContext, RoleClient};
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use tools::belongings::Belongings;
use tools::tool::Asker;

use crate::roots::Roots;
use crate::sampling::sample;
use crate::text;

/// Bytes of a message of progress, or of a question.
const MAX_MESSAGE: usize = 4 * 1024;
/// The largest schema of an answer, as JSON.
const MAX_SCHEMA: usize = 64 * 1024;
/// Questions of one call that wait for a person at a time.
const MAX_ASKING: u32 = 8;

/// Our side of a connection.
#[derive(Clone)]
pub(crate) struct Handler {
    pub(crate) server: String,
    pub(crate) roots: Arc<Roots>,
    /// Whether it may ask the session's model.
    pub(crate) has_sampling: bool,
    pub(crate) calls: Arc<Calls>,
    /// The tools may be others now.
    pub(crate) changed: Arc<Notify>,
}

/// The calls that go on.
#[derive(Default)]
pub(crate) struct Calls {
    known: Mutex<Known>,
    /// One of them has ended.
    ended: Notify,
}

#[derive(Default)]
struct Known {
    callers: HashMap<u64, Caller>,
    last: u64,
}

/// Who waits for the outcome of a call.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) asker: Arc<dyn Asker>,
    /// Tells the session from others.
    pub(crate) session: Arc<Belongings>,
    pub(crate) progress: mpsc::Sender<String>,
    /// The server said something of the call.
    pub(crate) heard: Arc<Notify>,
    /// Questions of the call that a person has not answered; while there are any, nobody waits for the server.
    pub(crate) asking: Arc<AtomicU32>,
    /// How often the model was asked.
    pub(crate) samples: Arc<AtomicU32>,
    /// Nobody waits for the outcome any more.
    pub(crate) ended: CancellationToken,
    pub(crate) token: Option<ProgressToken>,
}

/// Who is meant by a server that asks.
enum Meant {
    /// Nobody calls it.
    Nobody,
    /// The last call of the one session that calls it.
    One(Box<Caller>),
    /// Calls of several sessions go on, and a question of one must not be shown in another.
    Several,
}

/// A call that goes on, until it is dropped.
pub(crate) struct Call {
    calls: Arc<Calls>,
    id: u64,
}

impl Calls {
    /// Begins one.
    pub(crate) fn begin(self: &Arc<Self>, caller: Caller) -> Call {
        let mut known = self.lock();
        known.last += 1;
        let id = known.last;
        known.callers.insert(id, caller);
        Call { calls: Arc::clone(self), id }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lock().callers.is_empty()
    }

    /// Waits until none goes on.
    pub(crate) async fn end(&self) {
        loop {
            let mut ended = pin!(self.ended.notified());
            // Whoever ends from here on is heard.
            ended.as_mut().enable();
            if self.is_empty() {
                return;
            }
            ended.await;
        }
    }

    /// Who is meant by a server that does not say in which call it asks.
    fn meant(&self) -> Meant {
        let known = self.lock();
        let Some((_, newest)) = known.callers.iter().max_by_key(|(id, _)| **id) else { return Meant::Nobody };
        let is_of_one = known.callers.values().all(|caller| Arc::ptr_eq(&caller.session, &newest.session));
        if is_of_one { Meant::One(Box::new(newest.clone())) } else { Meant::Several }
    }

    fn of(&self, token: &ProgressToken) -> Option<Caller> {
        self.lock().callers.values().find(|caller| caller.token.as_ref() == Some(token)).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        // A poisoned map is whole: each change is one call.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Call {
    /// By what the server tells of its progress.
    pub(crate) fn name(&self, token: ProgressToken) {
        if let Some(caller) = self.calls.lock().callers.get_mut(&self.id) {
            caller.token = Some(token);
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.calls.lock().callers.remove(&self.id);
        self.calls.ended.notify_waiters();
    }
}

/// A question that waits.
struct Asking<'a>(&'a Caller);

impl<'a> Asking<'a> {
    fn begin(caller: &'a Caller) -> Self {
        caller.asking.fetch_add(1, Ordering::Relaxed);
        Self(caller)
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.0.asking.fetch_sub(1, Ordering::Relaxed);
        // The server's time begins anew.
        self.0.heard.notify_one();
    }
}

fn several(server: &str) -> ErrorData {
    tracing::info!(server, "an MCP server asks, and does not say which session");
    let reason = "Several sessions call this server, and it does not say for which of them it asks";
    ErrorData::invalid_request(reason, None)
}

/// Asks a person on behalf of a server. What can't be asked is declined.
pub(crate) async fn elicit(server: &str, asker: &dyn Asker, asked: ElicitRequestParams) -> ElicitResult {
    let (message, schema) = match asked {
        ElicitRequestParams::FormElicitationParams { message, requested_schema, .. } => {
            (message, serde_json::to_value(requested_schema).unwrap_or_default())
        }
        _ => return ElicitResult::new(ElicitationAction::Decline),
    };
    if schema.to_string().len() > MAX_SCHEMA {
        return ElicitResult::new(ElicitationAction::Decline);
    }
    let message = text::short(&message, MAX_MESSAGE);
    let kind = QuestionKind::Elicitation { server: server.to_owned(), message, schema };
    let reason = format!("The MCP server `{server}` wants to know something");
    match asker.ask(kind, reason).await {
        Decision::Content { value } => ElicitResult::new(ElicitationAction::Accept).with_content(value),
        Decision::Deny { .. } => ElicitResult::new(ElicitationAction::Decline),
        Decision::Allow { .. } | Decision::Reply { .. } | Decision::Unknown(_) => {
            ElicitResult::new(ElicitationAction::Cancel)
        }
    }
}

impl ClientHandler for Handler {
    fn get_info(&self) -> ClientConfig {
        let mut capabilities = ClientCapabilities::default();
        let mut roots = RootsCapabilities::default();
        roots.list_changed = Some(true);
        capabilities.roots = Some(roots);
        capabilities.elicitation =
            Some(ElicitationCapability::new().with_form(FormElicitationCapability::default()));
        capabilities.sampling = self.has_sampling.then(SamplingCapability::default);
        let name = Implementation::new("skein", env!("CARGO_PKG_VERSION"));
        ClientConfig::new(capabilities, name)
    }

    async fn list_roots(&self, _context: RequestContext<RoleClient>) -> Result<ListRootsResult, ErrorData> {
        Ok(self.roots.list())
    }

    async fn create_elicitation(
        &self,
        request: ElicitRequestParams,
        _context: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        match self.calls.meant() {
            Meant::One(caller) if caller.asking.load(Ordering::Relaxed) < MAX_ASKING => {
                let _asking = Asking::begin(&caller);
                let answer = elicit(&self.server, &*caller.asker, request).await;
                Ok(answer)
            }
            // Nobody called, so nobody is there to be asked; or they are asked too much already.
            Meant::One(_) | Meant::Nobody => Ok(ElicitResult::new(ElicitationAction::Decline)),
            Meant::Several => Err(several(&self.server)),
        }
    }

    async fn create_message(
        &self,
        params: CreateMessageRequestParams,
        _context: RequestContext<RoleClient>,
    ) -> Result<CreateMessageResult, ErrorData> {
        if !self.has_sampling {
            return Err(ErrorData::method_not_found::<CreateMessageRequestMethod>());
        }
        match self.calls.meant() {
            Meant::One(caller) if caller.asking.load(Ordering::Relaxed) < MAX_ASKING => {
                let _asking = Asking::begin(&caller);
                sample(&self.server, &caller, params)
                    .await
                    .map_err(|reason| ErrorData::invalid_request(reason, None))
            }
            Meant::One(_) => {
                Err(ErrorData::invalid_request("Too much of this call waits for an answer", None))
            }
            Meant::Nobody => Err(ErrorData::invalid_request("No session calls this server", None)),
            Meant::Several => Err(several(&self.server)),
        }
    }

    async fn on_progress(
        &self,
        params: ProgressNotificationParam,
        _context: NotificationContext<RoleClient>,
    ) {
        let Some(caller) = self.calls.of(&params.progress_token) else { return };
        caller.heard.notify_one();
        let share = match params.total {
            Some(total) if total > 0.0 => format!("{}/{}", params.progress, total),
            Some(_) | None => params.progress.to_string(),
        };
        let message = text::line(params.message.as_deref().unwrap_or_default(), MAX_MESSAGE);
        // Whoever does not read as fast misses some of it; the server does not wait.
        let _ = caller.progress.try_send(format!("[{share}] {message}\n"));
    }

    async fn on_logging_message(
        &self,
        params: LoggingMessageNotificationParam,
        _context: NotificationContext<RoleClient>,
    ) {
        let message = text::line(&params.data.to_string(), MAX_MESSAGE);
        tracing::trace!(server = self.server, level = ?params.level, message, "an MCP server says something");
    }

    async fn on_tool_list_changed(&self, _context: NotificationContext<RoleClient>) {
        self.changed.notify_one();
    }

    async fn on_prompt_list_changed(&self, _context: NotificationContext<RoleClient>) {
        self.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use tools::tool::NobodyToAsk;

    use super::*;

    fn caller(session: &Arc<Belongings>) -> Caller {
        Caller {
            asker: Arc::new(NobodyToAsk),
            session: Arc::clone(session),
            progress: mpsc::channel(1).0,
            heard: Arc::default(),
            asking: Arc::default(),
            samples: Arc::default(),
            ended: CancellationToken::new(),
            token: None,
        }
    }

    #[test]
    fn a_question_is_for_the_one_session_that_calls_and_for_nobody_if_there_are_several() {
        let calls = Arc::new(Calls::default());
        let (mine, others) = (Arc::<Belongings>::default(), Arc::<Belongings>::default());
        assert!(matches!(calls.meant(), Meant::Nobody));
        let first = calls.begin(caller(&mine));
        let second = calls.begin(caller(&mine));
        assert!(matches!(calls.meant(), Meant::One(caller) if Arc::ptr_eq(&caller.session, &mine)));
        let third = calls.begin(caller(&others));
        assert!(matches!(calls.meant(), Meant::Several));
        drop((first, second));
        assert!(matches!(calls.meant(), Meant::One(caller) if Arc::ptr_eq(&caller.session, &others)));
        drop(third);
        assert!(matches!(calls.meant(), Meant::Nobody));
    }
}
