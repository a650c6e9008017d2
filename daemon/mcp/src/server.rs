//! One server: a task with a mailbox, which starts it when somebody needs it, keeps its tools up to date, and ends it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use protocol::mcp::{McpPrompt, McpServerState, McpServerStatus, McpToolStatus, ToolApproval};
use rmcp::model::{PaginatedRequestParams, ServerPeerInfo, SubscriptionFilter};
use rmcp::service::{Peer, RoleClient};
use sandbox::Launcher;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::task::AbortOnDropHandle;

use crate::call::failed;
use crate::connection::{Connection, connect};
use crate::definition::{self, MAX_TOOLS, Offer};
use crate::error::McpError;
use crate::handler::{Calls, Handler};
use crate::memory::Memory;
use crate::prompts;
use crate::recipe::Recipe;
use crate::roots::Roots;
use crate::sign_in::account::{Account, Changes};
use crate::text;

/// Who may wait for it to start. A full mailbox makes others wait.
const MAILBOX: usize = 64;
/// A server that nobody called for so long ends, and is started again when it is needed.
const UNUSED: Duration = Duration::from_secs(30 * 60);
/// A server that lived so long and broke off is started again at once.
const SETTLED: Duration = Duration::from_secs(60);
/// The longest rest after failures.
const LONGEST_REST: Duration = Duration::from_secs(60);
/// How long calls may take to end once their user is signed out.
const LAST_CALLS: Duration = Duration::from_secs(2);
/// A server that changes its tools all the time is asked for them so often.
const CHANGES: Duration = Duration::from_millis(200);
/// Pages of a list.
const MAX_PAGES: usize = 64;

/// One server. Dropping it ends it.
pub(crate) struct Server {
    pub(crate) recipe: Recipe,
    mailbox: mpsc::Sender<Wanted>,
    status: watch::Receiver<Status>,
    used: Used,
    roots: Arc<Roots>,
    _task: AbortOnDropHandle<()>,
}

type Wanted = oneshot::Sender<Result<Arc<Live>, McpError>>;

/// A server that runs.
pub(crate) struct Live {
    pub(crate) peer: Peer<RoleClient>,
    pub(crate) handler: Handler,
    protocol: Option<String>,
    software: Option<String>,
    _listening: Option<AbortOnDropHandle<()>>,
}

/// How it is.
#[derive(Clone)]
pub(crate) struct Status {
    phase: Phase,
    /// As they were known last; absent if they never were.
    pub(crate) offer: Option<Arc<Offer>>,
}

/// What is known of what a server offers.
pub(crate) enum Offered {
    /// What it offered last.
    Known(Arc<Offer>),
    /// Nothing so far.
    Nothing {
        /// It will be tried now; it was not in vain before.
        is_starting: bool,
    },
}

/// Whether something of a server can be read.
pub(crate) enum Readable {
    /// It says that it has nothing.
    Nothing,
    /// Now.
    Now(Arc<Live>),
    /// Soon.
    Starting,
    /// Once somebody starts it.
    Idle,
    /// Not as it is.
    Failed(McpError),
}

#[derive(Clone)]
enum Phase {
    Idle,
    Starting,
    Ready(Arc<Live>),
    Failed(McpError),
}

impl Server {
    /// A server that does not run yet.
    pub(crate) fn new(
        recipe: Recipe,
        launcher: Arc<Launcher>,
        memory: Arc<Memory>,
        account: Option<Arc<Account>>,
    ) -> Self {
        let (mailbox, wanted) = mpsc::channel(MAILBOX);
        let offer = memory.offer(&recipe.identity()).map(Arc::new);
        let (status, watching) = watch::channel(Status { phase: Phase::Idle, offer });
        let used = Used(Arc::new(Mutex::new(Instant::now())));
        let roots = Arc::new(Roots::of(recipe.root.clone()));
        let task = Task {
            recipe: recipe.clone(),
            roots: Arc::clone(&roots),
            launcher,
            memory,
            status,
            used: used.clone(),
            account,
            failures: 0,
            rests_until: None,
            rested_with: Changes::default(),
        };
        Self {
            recipe,
            mailbox,
            status: watching,
            used,
            roots,
            _task: AbortOnDropHandle::new(tokio::spawn(task.run(wanted))),
        }
    }

    /// Has it started, if it does not run. Waits for nothing.
    pub(crate) fn begin(&self) {
        let (respond, _) = oneshot::channel();
        // A full mailbox means that it is started already.
        let _ = self.mailbox.try_send(respond);
    }

    /// The server as it runs; started if need be.
    ///
    /// # Errors
    /// Why it does not run.
    pub(crate) async fn live(&self) -> Result<Arc<Live>, McpError> {
        self.touch();
        if let Phase::Ready(live) = &self.status.borrow().phase
            && !live.peer.is_transport_closed()
        {
            return Ok(Arc::clone(live));
        }
        let (respond, answer) = oneshot::channel();
        let gone = || McpError::Gone { server: self.recipe.name.clone() };
        self.mailbox.send(respond).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    /// What it offers, as it was known last; absent if it never was.
    pub(crate) fn offer(&self) -> Option<Arc<Offer>> {
        self.status.borrow().offer.clone()
    }

    /// What it offers, or whether that will be known soon, once it is begun.
    pub(crate) fn offered(&self) -> Offered {
        // One look: between two it could have come up.
        let status = self.status.borrow();
        match (&status.offer, &status.phase) {
            (Some(offer), _) => Offered::Known(Arc::clone(offer)),
            (None, Phase::Idle | Phase::Starting) => Offered::Nothing { is_starting: true },
            (None, Phase::Ready(_) | Phase::Failed(_)) => Offered::Nothing { is_starting: false },
        }
    }

    /// Whether something of it can be read now.
    pub(crate) fn readable(&self) -> Readable {
        let status = self.status.borrow();
        match &status.phase {
            _ if status.offer.as_ref().is_some_and(|offer| !offer.has_resources) => Readable::Nothing,
            Phase::Ready(live) if !live.peer.is_transport_closed() => Readable::Now(Arc::clone(live)),
            Phase::Ready(_) | Phase::Idle => Readable::Idle,
            Phase::Starting => Readable::Starting,
            Phase::Failed(error) => Readable::Failed(error.clone()),
        }
    }

    pub(crate) fn touch(&self) {
        self.used.touch();
    }

    /// The folders that it is told of.
    pub(crate) fn roots(&self) -> &Roots {
        &self.roots
    }

    /// When it was needed last.
    pub(crate) fn used(&self) -> Instant {
        self.used.at()
    }

    /// How it is, for a person.
    pub(crate) fn describe(&self, budget: Budget) -> McpServerStatus {
        let Status { phase, offer } = self.status.borrow().clone();
        let server = &self.recipe.server;
        let tools: Vec<_> = offer
            .iter()
            .flat_map(|offer| offer.tools.iter())
            .filter(|tool| server.has_tool(&tool.name))
            .map(|tool| McpToolStatus {
                name: text::line(&tool.name, 200),
                offered_as: tool.offered_as.clone(),
                description: text::line(&tool.description, 300),
                approval: server.approval_of(&tool.name),
                is_read_only: tool.is_read_only,
                is_deferred: budget.defers(&self.recipe),
                tokens: tool.tokens(),
            })
            .collect();
        let (state, protocol, software) = match phase {
            Phase::Idle => (McpServerState::Idle, None, None),
            Phase::Starting => (McpServerState::Starting, None, None),
            Phase::Ready(live) => (McpServerState::Ready, live.protocol.clone(), live.software.clone()),
            Phase::Failed(McpError::LoginRequired { .. } | McpError::MoreLeave { .. }) => {
                (McpServerState::LoginRequired, None, None)
            }
            Phase::Failed(error) => (McpServerState::Failed { message: error.to_string() }, None, None),
        };
        let is_offered = |tool: &&McpToolStatus| tool.approval != ToolApproval::Deny && !tool.is_deferred;
        McpServerStatus {
            name: self.recipe.name.clone(),
            target: self.recipe.target(),
            state,
            is_required: server.is_required,
            is_of_session: false,
            protocol,
            software,
            tokens: tools.iter().filter(is_offered).map(|tool| tool.tokens).sum(),
            tools,
        }
    }
}

/// When it was needed last.
#[derive(Clone)]
struct Used(Arc<Mutex<Instant>>);

impl Used {
    fn touch(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn at(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why it does not run any more.
enum End {
    BrokenOff,
    Unneeded,
    SignedOut,
}

/// Whether the tools of all servers of a session together cost more than they may.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Budget {
    Kept,
    Exceeded,
}

impl Budget {
    /// Whether the tools of a server are looked for first.
    pub(crate) fn defers(self, recipe: &Recipe) -> bool {
        recipe.server.is_deferred.unwrap_or(self == Self::Exceeded)
    }
}

/// The server's own task.
struct Task {
    recipe: Recipe,
    roots: Arc<Roots>,
    launcher: Arc<Launcher>,
    memory: Arc<Memory>,
    status: watch::Sender<Status>,
    used: Used,
    /// That of its user, where one can sign in.
    account: Option<Arc<Account>>,
    /// In a row.
    failures: u32,
    rests_until: Option<Instant>,
    /// Who had signed in when the rest began.
    rested_with: Changes,
}

impl Task {
    async fn run(mut self, mut wanted: mpsc::Receiver<Wanted>) {
        while let Some(first) = wanted.recv().await {
            if self.rests_until.is_some_and(|until| Instant::now() < until)
                && self.changes().gained == self.rested_with.gained
            {
                self.answer(first, Err(self.resting()));
                continue;
            }
            self.enter(Phase::Starting);
            let within = Duration::from_millis(self.recipe.server.startup_timeout_ms);
            let name = self.recipe.name.clone();
            let started = timeout(within, self.start()).await;
            let started = started.unwrap_or(Err(McpError::StartTimeout { server: name, within }));
            match started {
                Ok((connection, live, offer)) => {
                    self.memory.keep(&self.recipe.identity(), &offer);
                    self.status.send_modify(|status| status.offer = Some(Arc::new(offer)));
                    self.enter(Phase::Ready(Arc::clone(&live)));
                    self.answer(first, Ok(Arc::clone(&live)));
                    let began = Instant::now();
                    let ended = self.serve(connection, &live, &mut wanted).await;
                    if began.elapsed() >= SETTLED {
                        self.failures = 0;
                    }
                    match ended {
                        Some(error) => self.fail(error),
                        None => self.enter(Phase::Idle),
                    }
                }
                Err(error) => {
                    self.fail(error.clone());
                    self.answer(first, Err(error.clone()));
                    // They waited for the same.
                    while let Ok(other) = wanted.try_recv() {
                        self.answer(other, Err(error.clone()));
                    }
                }
            }
        }
    }

    async fn start(&self) -> Result<(Connection, Arc<Live>, Offer), McpError> {
        let handler = Handler {
            server: self.recipe.name.clone(),
            roots: Arc::clone(&self.roots),
            has_sampling: self.recipe.server.has_sampling,
            calls: Arc::new(Calls::default()),
            changed: Arc::new(Notify::new()),
        };
        let connection =
            Box::pin(connect(&self.recipe, &self.launcher, self.account.as_ref(), handler.clone())).await?;
        let peer = connection.service.peer().clone();
        let info = peer.peer_info();
        let software = info.as_ref().and_then(|info| info.server_info.as_ref());
        let software =
            software.map(|software| text::line(&format!("{} {}", software.name, software.version), 100));
        let protocol = info.as_ref().map(|info| text::line(info.protocol_version.as_str(), 40));
        let listening = info.as_ref().and_then(|info| listen(info, &peer, &handler.changed));
        let live = Arc::new(Live { peer, handler, protocol, software, _listening: listening });
        let offer = self.list(&live).await?;
        tracing::info!(server = self.recipe.name, tools = offer.tools.len(), "an MCP server runs");
        Ok((connection, live, offer))
    }

    /// What it offers; tools page by page.
    async fn list(&self, live: &Live) -> Result<Offer, McpError> {
        let info = live.peer.peer_info();
        let capabilities = info.as_ref().map(|info| &info.capabilities);
        let has_resources = capabilities.is_some_and(|can| can.resources.is_some());
        let prompts = match capabilities.is_some_and(|can| can.prompts.is_some()) {
            true => self.prompts(live).await,
            false => Vec::new(),
        };
        if capabilities.is_some_and(|can| can.tools.is_none()) {
            return Ok(Offer { tools: Vec::new(), has_resources, prompts });
        }
        let within = Duration::from_millis(self.recipe.server.startup_timeout_ms);
        let mut tools = Vec::new();
        let mut cursor = None;
        for _ in 0..MAX_PAGES {
            let params = PaginatedRequestParams::default().with_cursor(cursor);
            let listing = timeout(within, live.peer.list_tools(Some(params)));
            let page = match listing.await {
                Ok(page) => page.map_err(|error| failed(&live.handler, within, error))?,
                Err(_) => return Err(McpError::CallTimeout { server: self.recipe.name.clone(), within }),
            };
            tools.extend(page.tools);
            cursor = page.next_cursor;
            if cursor.is_none() || tools.len() >= MAX_TOOLS {
                break;
            }
        }
        let tools = definition::read(&self.recipe.name, &self.recipe.identity(), &tools);
        Ok(Offer { tools, has_resources, prompts })
    }

    /// Its prompts, page by page. Those of a server that does not list them are missed by nobody else.
    async fn prompts(&self, live: &Live) -> Vec<McpPrompt> {
        let within = Duration::from_millis(self.recipe.server.startup_timeout_ms);
        let (mut prompts, mut cursor) = (Vec::new(), None);
        for _ in 0..MAX_PAGES {
            let params = PaginatedRequestParams::default().with_cursor(cursor);
            match timeout(within, live.peer.list_prompts(Some(params))).await {
                Ok(Ok(page)) => {
                    prompts.extend(page.prompts);
                    cursor = page.next_cursor;
                }
                failed => {
                    tracing::warn!(
                        server = self.recipe.name,
                        ?failed,
                        "an MCP server does not list its prompts"
                    );
                    break;
                }
            }
            if cursor.is_none() || prompts.len() >= prompts::MAX_PROMPTS {
                break;
            }
        }
        prompts::read(&self.recipe.name, &prompts)
    }

    /// Serves until it breaks off, for which there is a reason, or nobody needs it.
    async fn serve(
        &mut self,
        connection: Connection,
        live: &Arc<Live>,
        wanted: &mut mpsc::Receiver<Wanted>,
    ) -> Option<McpError> {
        let Connection { service, program } = connection;
        let account = self.account.clone();
        let waiting = service.waiting();
        let signed_out = signed_out(account.as_deref());
        tokio::pin!(waiting, signed_out);
        let ended = loop {
            tokio::select! {
                quit = &mut waiting => {
                    tracing::warn!(server = self.recipe.name, ?quit, "an MCP server broke off");
                    break End::BrokenOff;
                }
                next = wanted.recv() => match next {
                    Some(next) => self.answer(next, Ok(Arc::clone(live))),
                    None => break End::Unneeded,
                },
                () = live.handler.changed.notified() => {
                    tokio::time::sleep(CHANGES).await;
                    match self.list(live).await {
                        Ok(offer) => {
                            self.memory.keep(&self.recipe.identity(), &offer);
                            self.status.send_modify(|status| status.offer = Some(Arc::new(offer)));
                        }
                        Err(error) => tracing::warn!(%error, "the tools of an MCP server can't be listed anew"),
                    }
                }
                () = self.roots.changed() => tell_of_roots(&self.recipe.name, live).await,
                () = &mut signed_out => break End::SignedOut,
                () = sleep_until(self.used.at() + UNUSED) => {
                    if !live.handler.calls.is_empty() {
                        self.used.touch();
                    }
                    // Who calls a server that runs does not ask its task.
                    if self.used.at().elapsed() >= UNUSED {
                        tracing::info!(server = self.recipe.name, "nobody needed an MCP server for a while");
                        break End::Unneeded;
                    }
                }
            }
        };
        // Nobody is sent there any more while it ends.
        self.enter(Phase::Idle);
        if let End::SignedOut = ended {
            // Those that were refused are about to say so.
            let _ = timeout(LAST_CALLS, live.handler.calls.end()).await;
        }
        let words = match program {
            Some(program) => program.end().await,
            None => String::new(),
        };
        let reason = match (ended, words.as_str()) {
            (End::Unneeded, _) => return None,
            (End::SignedOut, _) => {
                return Some(McpError::LoginRequired { server: self.recipe.name.clone() });
            }
            (End::BrokenOff, "") => "it broke off".to_owned(),
            (End::BrokenOff, words) => format!("it broke off; it said: {words}"),
        };
        Some(McpError::Start { server: self.recipe.name.clone(), reason })
    }

    /// After one failure it is tried again at once, after more of them later each time.
    fn fail(&mut self, error: McpError) {
        tracing::warn!(%error, "an MCP server failed");
        self.failures = self.failures.saturating_add(1);
        let rest = match self.failures {
            0 | 1 => Duration::ZERO,
            more => Duration::from_secs(1 << (more - 2).min(6)).min(LONGEST_REST),
        };
        self.rests_until = Some(Instant::now() + rest);
        self.rested_with = self.changes();
        self.enter(Phase::Failed(error));
    }

    fn resting(&self) -> McpError {
        match &self.status.borrow().phase {
            Phase::Failed(McpError::LoginRequired { server }) => {
                McpError::LoginRequired { server: server.clone() }
            }
            Phase::Failed(error @ McpError::MoreLeave { .. }) => error.clone(),
            Phase::Failed(McpError::Start { server, reason }) => {
                McpError::Resting { server: server.clone(), reason: reason.clone() }
            }
            Phase::Failed(error) => {
                McpError::Resting { server: self.recipe.name.clone(), reason: error.to_string() }
            }
            Phase::Idle | Phase::Starting | Phase::Ready(_) => {
                McpError::Gone { server: self.recipe.name.clone() }
            }
        }
    }

    fn changes(&self) -> Changes {
        self.account.as_ref().map(|account| *account.changes().borrow()).unwrap_or_default()
    }

    fn enter(&self, phase: Phase) {
        self.status.send_modify(|status| status.phase = phase);
    }

    fn answer(&self, wanted: Wanted, answer: Result<Arc<Live>, McpError>) {
        // Who does not wait any more needs no answer.
        let _ = wanted.send(answer);
    }
}

/// Waits until the user is signed out, or the sign-in has ended.
async fn signed_out(account: Option<&Account>) {
    let Some(account) = account else { return std::future::pending().await };
    let mut changes = account.changes();
    let lost = changes.borrow_and_update().lost;
    // The account outlives whoever waits for it.
    let _ = changes.wait_for(|changes| changes.lost != lost).await;
}

/// Tells a server that its folders are others. Where there is no handshake, a server asks for them in each request.
async fn tell_of_roots(server: &str, live: &Live) {
    if !live.peer.peer_info().is_some_and(|info| info.protocol_version.has_initialize()) {
        return;
    }
    // A server that does not even take this is not waited for.
    let telling = timeout(Duration::from_secs(1), live.peer.notify_roots_list_changed());
    if !matches!(telling.await, Ok(Ok(()))) {
        tracing::debug!(server, "an MCP server does not hear that its folders are others");
    }
}

/// Listens for other tools and prompts, where the revision of the protocol wants that to be asked for.
fn listen(
    info: &ServerPeerInfo,
    peer: &Peer<RoleClient>,
    changed: &Arc<Notify>,
) -> Option<AbortOnDropHandle<()>> {
    let can = &info.capabilities;
    let tools = can.tools.as_ref().and_then(|tools| tools.list_changed).unwrap_or(false);
    let prompts = can.prompts.as_ref().and_then(|prompts| prompts.list_changed).unwrap_or(false);
    if info.protocol_version.has_initialize() || !(tools || prompts) {
        return None;
    }
    let (peer, changed) = (peer.clone(), Arc::clone(changed));
    Some(AbortOnDropHandle::new(tokio::spawn(async move {
        let wanted = SubscriptionFilter::builder();
        let wanted = if tools { wanted.tools_list_changed() } else { wanted };
        let wanted = if prompts { wanted.prompts_list_changed() } else { wanted };
        let wanted = wanted.build();
        let Ok(mut heard) = peer.listen(wanted).await else { return };
        while let Ok(Some(_)) = heard.next().await {
            changed.notify_one();
        }
    })))
}

#[cfg(test)]
mod tests;
