//! One session that is open in the editor: a task that follows it, tells the editor what happens, and carries
//! out what the editor wants. Whoever else works in the session is seen here too.

use std::collections::HashMap;
use std::time::Duration;

use client::{Attached, ClientError, Said, Update as Seen};
use protocol::api::mcp::McpClient;
use protocol::api::question::QuestionClient;
use protocol::api::session::SessionClient;
use protocol::api::turn::TurnClient;
use protocol::api::usage::UsageClient;
use protocol::delta::FeedEntry;
use protocol::error::ErrorCode;
use protocol::event::{Event, TurnEnded};
use protocol::ids::{QuestionId, RequestId, SessionId, TurnId};
use protocol::item::NoticeLevel;
use protocol::mcp::{McpAnswerPromptParams, McpPrompt, McpPromptParams, McpPromptsParams};
use protocol::question::{Question, QuestionAnswerParams};
use protocol::session::{
    SessionReadParams, SessionSettings, SessionSnapshot, SessionUpdateParams, SettingOverride,
    SettingsOverrides,
};
use protocol::turn::{InputPart, TurnEnqueueParams};
use protocol::usage::{UsageGrouping, UsageReadParams};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::debug;
use view::words;

use crate::buffers;
use crate::choice::Choices;
use crate::command::{self, SlashCommand};
use crate::editor::Editor;
use crate::prompt;
use crate::prompts::{self, Ending, Prompts};
use crate::question;
use crate::rpc::RpcError;
use crate::schema::content::{Block, PromptPart};
use crate::schema::update::{Chunk, Cost, Update};
use crate::story::{Echo, Story};
use crate::time::iso;

/// How often at most an editor is told what a command prints.
const PRINT_PAUSE: Duration = Duration::from_millis(200);

/// How often it is asked what MCP servers offer, while one of them is being started.
const OFFERS_PAUSE: Duration = Duration::from_millis(500);

/// How long a form of a prompt may stay open. Nothing else is done in the session meanwhile.
const FORM_PATIENCE: Duration = Duration::from_secs(10 * 60);

/// What the editor wants of a session.
#[derive(Debug)]
pub(crate) enum Order {
    /// A turn.
    Prompt { request: Value, parts: Vec<PromptPart> },
    /// The end of what runs.
    Cancel,
    /// The end of what this request asked for, if it was for this session.
    CancelRequest { request: Value },
    /// Another mode.
    SetMode { request: Value, mode: String },
    /// Another value of an option.
    SetOption { request: Value, option: String, value: Value },
    /// The end of the session in this editor.
    Close { request: Value },
}

/// What a session in the editor is made of.
pub(crate) struct Parts {
    pub(crate) editor: Editor,
    pub(crate) attached: Attached,
    pub(crate) story: Story,
    pub(crate) choices: Choices,
    pub(crate) snapshot: SessionSnapshot,
    /// What the person should know from the beginning.
    pub(crate) notices: Vec<String>,
    /// The settings that the editor's MCP servers are.
    pub(crate) servers: Vec<SettingOverride>,
}

/// A session that is open.
pub(crate) struct Session {
    id: SessionId,
    name: String,
    editor: Editor,
    attached: Attached,
    story: Story,
    choices: Choices,
    settings: SessionSettings,
    title: Option<String>,
    /// What it cost so far; none once something is not known.
    cost: Option<f64>,
    prompts: Prompts,
    running: Option<TurnId>,
    /// Questions that the editor was asked, by the number of the request.
    asked: HashMap<QuestionId, (u64, Question)>,
    answers: JoinSet<(QuestionId, Option<Result<Value, RpcError>>)>,
    print_at: Option<Instant>,
    first: Option<SessionSnapshot>,
    notices: Vec<String>,
    servers: Vec<SettingOverride>,
    /// The daemon that knows of them.
    served_by: String,
    /// What the MCP servers offer to be said.
    offered: Vec<McpPrompt>,
    /// When to ask again what they offer, since one of them is being started.
    offered_at: Option<Instant>,
}

impl Session {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { editor, attached, story, choices, snapshot, notices, servers } = parts;
        let costs = snapshot.turns.iter().map(|turn| turn.cost);
        let is_whole = snapshot.earlier_turns == 0;
        let mut session = Self {
            id: snapshot.summary.id,
            name: snapshot.summary.id.to_string(),
            editor,
            served_by: epoch(&attached),
            attached,
            story,
            choices,
            settings: snapshot.summary.settings.clone(),
            title: snapshot.summary.title.clone(),
            cost: costs.sum::<Option<f64>>().filter(|_| is_whole),
            prompts: Prompts::default(),
            running: None,
            asked: HashMap::new(),
            answers: JoinSet::new(),
            print_at: None,
            first: Some(snapshot),
            notices,
            servers,
            offered: Vec::new(),
            offered_at: None,
        };
        session.note_connection();
        session
    }

    /// Which one it is.
    pub(crate) fn id(&self) -> SessionId {
        self.id
    }

    /// Follows the session until it is closed, here or for good, or until nobody gives orders any more. What runs in
    /// it goes on.
    pub(crate) async fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        self.begin().await;
        let error = loop {
            let print = at(self.print_at);
            let offered = at(self.offered_at);
            tokio::select! {
                order = orders.recv() => match order {
                    Some(Order::Close { request }) => return self.close(&request).await,
                    Some(order) => self.obey(order).await,
                    None => break RpcError::cancelled(),
                },
                seen = self.attached.next() => match seen {
                    Ok(seen) => self.see(seen).await,
                    Err(error) => break error.into(),
                },
                Some(answer) = self.answers.join_next() => {
                    if let Ok((question, Some(answer))) = answer {
                        self.decide(question, answer).await;
                    }
                }
                () = print => {
                    self.print_at = None;
                    let updates = self.story.printed();
                    self.tell(updates).await;
                }
                () = offered => {
                    if self.ask_prompts().await {
                        self.offer_commands().await;
                    }
                }
            }
        };
        for request in self.prompts.take_all() {
            self.editor.respond(&request, Err(error.clone())).await;
        }
    }

    async fn begin(&mut self) {
        self.ask_prompts().await;
        self.offer_commands().await;
        for notice in std::mem::take(&mut self.notices) {
            self.notice(&NoticeLevel::Warning, &notice).await;
        }
        if let Some(snapshot) = self.first.take() {
            self.catch_up(snapshot).await;
        }
    }

    /// Asks what the MCP servers offer to be said: whether that is something else than before.
    async fn ask_prompts(&mut self) -> bool {
        self.offered_at = None;
        let params = McpPromptsParams { cwd: self.settings.cwd.clone(), session_id: Some(self.id) };
        match self.attached.call(async |rpc| McpClient::list_prompts(rpc, params.clone()).await).await {
            Ok(listed) => {
                self.offered_at = listed.is_starting.then(|| Instant::now() + OFFERS_PAUSE);
                std::mem::replace(&mut self.offered, listed.prompts) != self.offered
            }
            Err(error) => {
                debug!(%error, "the prompts of MCP servers can't be listed");
                false
            }
        }
    }

    /// Tells of the commands, among them what the MCP servers offer to be said.
    async fn offer_commands(&mut self) {
        self.editor.update(&self.name, &command::all(&self.offered)).await;
    }

    /// What runs and what waits, from a snapshot.
    async fn catch_up(&mut self, snapshot: SessionSnapshot) {
        self.settle(snapshot.summary.settings).await;
        for turn in &snapshot.turns {
            match &turn.outcome {
                None => {
                    self.running = Some(turn.id);
                    let updates = self.story.turn(turn);
                    self.tell(updates).await;
                }
                Some(outcome) => self.answer_at(Said::Begun(turn.id), prompts::ending(outcome)).await,
            }
        }
        for question in snapshot.questions.into_iter().filter(|question| question.kind.is_for_person()) {
            self.ask(question).await;
        }
    }

    async fn obey(&mut self, order: Order) {
        match order {
            Order::Prompt { request, parts } => {
                if let Err(error) = self.prompt(&request, parts).await {
                    self.editor.respond(&request, Err(error)).await;
                }
            }
            Order::Cancel => self.cancel().await,
            Order::CancelRequest { request } => {
                if let Some(place) = self.prompts.place_of(&request) {
                    self.stop(place).await;
                }
            }
            Order::SetMode { request, mode } => {
                let outcome = match Choices::mode(&mode) {
                    Ok(change) => self.change(change).await.map(|()| json!({})),
                    Err(error) => Err(error),
                };
                self.editor.respond(&request, outcome).await;
            }
            Order::SetOption { request, option, value } => {
                let outcome = self.set_option(&option, &value).await;
                self.editor.respond(&request, outcome).await;
            }
            // Handled where the loop ends.
            Order::Close { request } => self.editor.respond(&request, Ok(json!({}))).await,
        }
    }

    async fn prompt(&mut self, request: &Value, parts: Vec<PromptPart>) -> Result<(), RpcError> {
        let parts = buffers::unsaved(&self.editor, &self.name, parts).await;
        let mut input = prompt::input(parts)?;
        if let [_] = input.as_slice()
            && let Some(wanted) =
                prompt::first_text(&input).and_then(|text| command::offered(text, &self.offered))
        {
            input = self.filled_in(wanted).await?;
        }
        if let [_] = input.as_slice()
            && let Some(command) = prompt::first_text(&input).and_then(command::parse)
        {
            let text = self.command(command).await?;
            let chunk = Chunk { content: Block::text(text), message_id: None };
            self.tell(vec![Update::AgentMessageChunk(chunk)]).await;
            self.editor.respond(request, Ok(prompts::done())).await;
            return Ok(());
        }
        self.meet_daemon().await?;
        let params =
            TurnEnqueueParams { session_id: self.id, input, request_id: Some(RequestId::generate()) };
        let taken = self.attached.call(async |rpc| TurnClient::enqueue(rpc, params.clone()).await).await;
        self.note_connection();
        let taken = taken?;
        match (taken.turn_id, taken.queued_id) {
            (Some(turn), _) => self.prompts.add(request.clone(), Said::Begun(turn)),
            (None, Some(queued)) => {
                self.prompts.add(request.clone(), Said::Queued(queued));
                self.notice(
                    &NoticeLevel::Information,
                    "Another turn runs in this session; yours comes after it",
                )
                .await;
            }
            (None, None) => return Err(RpcError::internal("The daemon took the prompt and named no turn")),
        }
        Ok(())
    }

    /// Has the daemon know of the editor's MCP servers before the turn begins, also one that took the place of another
    /// a moment ago.
    async fn meet_daemon(&mut self) -> Result<(), RpcError> {
        if self.servers.is_empty() {
            return Ok(());
        }
        // A call finds the daemon that there is.
        let params = SessionReadParams { session_id: self.id, skip_turns: 0, limit: Some(0) };
        self.attached.call(async |rpc| SessionClient::read(rpc, params.clone()).await).await?;
        self.bring_servers().await;
        Ok(())
    }

    /// What an MCP server wants to be said, which the person is shown.
    async fn filled_in(&mut self, wanted: McpPromptParams) -> Result<Vec<InputPart>, RpcError> {
        let capabilities = self.editor.capabilities();
        let takes_questions = capabilities.is_some_and(|capabilities| capabilities.has_forms);
        let (cwd, session_id) = (self.settings.cwd.clone(), Some(self.id));
        let wanted = McpPromptParams { cwd, session_id, takes_questions, ..wanted };
        let mut read =
            self.attached.call(async |rpc| McpClient::read_prompt(rpc, wanted.clone()).await).await?;
        while let Some(question) = read.question {
            let asked = question::of_prompt(&self.name, &question);
            let asking = self.editor.ask(asked.method, &asked.params).await;
            // Who has closed the form, can't show it, or leaves it open has said no.
            let answer = tokio::time::timeout(FORM_PATIENCE, asking.answer).await;
            let answer = answer.ok().and_then(Result::ok).unwrap_or_else(|| Err(RpcError::cancelled()));
            let params = McpAnswerPromptParams { id: question.id, decision: question::of_form(&answer) };
            read =
                self.attached.call(async |rpc| McpClient::answer_prompt(rpc, params.clone()).await).await?;
        }
        let chunk = Chunk { content: Block::text(read.text.clone()), message_id: None };
        self.tell(Some(Update::UserMessageChunk(chunk))).await;
        Ok(vec![InputPart::Text { text: read.text }])
    }

    async fn command(&mut self, command: SlashCommand) -> Result<String, RpcError> {
        match command {
            SlashCommand::Status => {
                let mode = Choices::modes(&self.settings).current_mode_id;
                Ok(command::status(self.id, &self.settings, &mode))
            }
            SlashCommand::Usage => {
                let params =
                    UsageReadParams { by: UsageGrouping::Session, session_id: Some(self.id), days: None };
                let read =
                    self.attached.call(async |rpc| UsageClient::read(rpc, params.clone()).await).await?;
                Ok(command::usage(read))
            }
            SlashCommand::Rename { title } => {
                self.update(Some(title.clone()), SettingsOverrides::default()).await?;
                Ok(format!("This session is called “{title}” now.\n"))
            }
        }
    }

    async fn set_option(&mut self, option: &str, value: &Value) -> Result<Value, RpcError> {
        let value = value.as_str().ok_or_else(|| RpcError::invalid_params("The `value` is no string"))?;
        let change = self.choices.option(option, value, &self.settings)?;
        self.change(change).await?;
        Ok(json!({"configOptions": self.choices.options(&self.settings)}))
    }

    async fn change(&mut self, change: Option<SettingsOverrides>) -> Result<(), RpcError> {
        match change {
            Some(overrides) => self.update(None, overrides).await,
            None => Ok(()),
        }
    }

    async fn update(&mut self, title: Option<String>, overrides: SettingsOverrides) -> Result<(), RpcError> {
        let params = SessionUpdateParams {
            session_id: self.id,
            title,
            overrides,
            unarchive: false,
            request_id: Some(RequestId::generate()),
        };
        let updated = self.attached.call(async |rpc| SessionClient::update(rpc, params.clone()).await).await;
        self.note_connection();
        let updated = updated?;
        for problem in &updated.warnings {
            self.notice(&NoticeLevel::Warning, &problem.message).await;
        }
        self.settle(updated.summary.settings).await;
        Ok(())
    }

    /// Stops what this editor asked for; if that is nothing, what runs.
    async fn cancel(&mut self) {
        let places = self.prompts.places();
        match (places.is_empty(), self.running) {
            (true, Some(turn)) => self.stop(Said::Begun(turn)).await,
            (true, None) => {}
            (false, _) => {
                // What waits first, so that it does not begin meanwhile.
                for place in places.into_iter().rev() {
                    self.stop(place).await;
                }
            }
        }
    }

    async fn stop(&mut self, said: Said) {
        let stopped = self.attached.take_back(said).await;
        self.note_connection();
        if let Err(error) = stopped {
            // It ended, or began, meanwhile; the feed tells.
            debug!(%error, "could not stop a prompt");
        }
    }

    /// Stops what this editor asked for and leaves. What others asked for goes on.
    async fn close(mut self, request: &Value) {
        for place in self.prompts.places().into_iter().rev() {
            self.stop(place).await;
        }
        for prompt in self.prompts.take_all() {
            self.editor.respond(&prompt, Ok(prompts::cancelled())).await;
        }
        for (number, _) in self.asked.values() {
            self.editor.take_back(*number).await;
        }
        self.editor.respond(request, Ok(json!({}))).await;
    }

    async fn see(&mut self, seen: Seen) {
        match seen {
            Seen::Snapshot(snapshot) => self.catch_up(*snapshot).await,
            Seen::Entries(entries) => {
                for entry in entries {
                    match entry {
                        FeedEntry::Event(record) => self.event(record.event).await,
                        FeedEntry::Delta(delta) => {
                            let update = self.story.grow(&delta);
                            self.tell(update).await;
                        }
                        FeedEntry::Presence(_) | FeedEntry::Budget(_) | FeedEntry::Unknown(_) => {}
                    }
                }
                if self.story.is_printing() && self.print_at.is_none() {
                    self.print_at = Some(Instant::now() + PRINT_PAUSE);
                }
            }
            Seen::Presence(_) => {}
            Seen::Lost => {
                self.notice(&NoticeLevel::Warning, "The daemon was lost; looking for it").await;
            }
            Seen::Back(_) => {
                self.note_connection();
                self.bring_servers().await;
            }
        }
    }

    /// Another daemon knows nothing of the editor's MCP servers.
    async fn bring_servers(&mut self) {
        if self.servers.is_empty() || self.served_by == epoch(&self.attached) {
            return;
        }
        self.served_by = epoch(&self.attached);
        let overrides = SettingsOverrides { values: self.servers.clone(), ..SettingsOverrides::default() };
        if let Err(error) = self.update(None, overrides).await {
            let text = format!("The MCP servers of the editor are not used: {}", error.message);
            self.notice(&NoticeLevel::Warning, &text).await;
        }
    }

    async fn event(&mut self, event: Event) {
        match event {
            Event::TurnStarted(started) => {
                self.running = Some(started.turn_id);
                self.prompts.started(started.turn_id, started.queued_id);
            }
            Event::ItemStarted(changed) | Event::ItemCompleted(changed) => {
                let updates = self.story.item(&changed.item, Echo::Others);
                self.tell(updates).await;
            }
            Event::ItemAppended(appended) => {
                let (item_id, offset_bytes, text) = (appended.item_id, appended.offset_bytes, appended.text);
                let update = self.story.grow(&protocol::delta::Delta { item_id, offset_bytes, text });
                self.tell(update).await;
            }
            Event::QuestionAsked(asked) if asked.question.kind.is_for_person() => {
                self.ask(asked.question).await;
            }
            Event::QuestionAsked(_) => {}
            Event::QuestionAnswered(answered) => self.withdraw(answered.question_id).await,
            Event::QuestionWithdrawn(withdrawn) => self.withdraw(withdrawn.question_id).await,
            Event::QueuedInputCancelled(cancelled) => {
                let ending = Ending { answer: Ok(prompts::cancelled()), notice: None };
                self.answer_at(Said::Queued(cancelled.queued_id), ending).await;
            }
            Event::SessionUpdated(updated) => {
                self.settle(updated.settings).await;
                self.name(updated.title, None).await;
            }
            Event::ModelRetried(retried) => {
                let text = words::retry(&retried);
                self.notice(&NoticeLevel::Warning, &text).await;
            }
            Event::ModelResponded(responded) => {
                // What a call asked by itself stands in no window of the session.
                if let Some(size) = self.settings.model_context.window_tokens
                    && responded.asked_by.is_none()
                {
                    let cost = self.cost.map(|amount| Cost { amount, currency: "USD" });
                    let used = responded.usage.total_tokens();
                    self.tell(Some(Update::Usage { used, size, cost })).await;
                }
            }
            Event::BudgetWarned(warned) => self.notice(&NoticeLevel::Warning, &warned.message).await,
            Event::TurnSuspended(_) => {
                let text = "The daemon stops; the turn goes on with the next one";
                self.notice(&NoticeLevel::Information, text).await;
            }
            Event::TurnEnded(ended) => self.end(&ended).await,
            Event::SessionRewound(rewound) => {
                let text = format!("`{}`: {}", rewound.actor.name, words::rewound(&rewound));
                self.notice(&NoticeLevel::Information, &text).await;
            }
            Event::SessionCreated(_)
            | Event::SessionArchived(_)
            | Event::SessionUnarchived(_)
            | Event::InputQueued(_)
            | Event::QueuedInputChanged(_)
            | Event::ModelRequested(_)
            | Event::TurnResumed(_)
            | Event::ConnectionAttempted(_)
            | Event::FilesChanged(_)
            | Event::RewindEnded(_)
            | Event::ClientToolsRegistered(_)
            | Event::Unknown(_) => {}
        }
    }

    async fn end(&mut self, ended: &TurnEnded) {
        let updates = self.story.printed();
        self.tell(updates).await;
        self.story.end(ended.turn_id);
        self.running = self.running.filter(|turn| *turn != ended.turn_id);
        self.cost = self.cost.zip(ended.cost).map(|(sum, cost)| sum + cost);
        self.answer_at(Said::Begun(ended.turn_id), prompts::ending(&ended.outcome)).await;
        let params = SessionReadParams { session_id: self.id, skip_turns: 0, limit: Some(0) };
        match self.attached.call(async |rpc| SessionClient::read(rpc, params.clone()).await).await {
            Ok(read) => self.name(read.summary.title, Some(iso(read.summary.updated_at))).await,
            Err(error) => debug!(%error, "could not read the session's title"),
        }
        self.note_connection();
    }

    async fn ask(&mut self, question: Question) {
        if self.asked.contains_key(&question.id) {
            return;
        }
        let call = self.story.running(question.item_id);
        let Some(asked) = question::asked(&self.name, &question, call, self.editor.capabilities()) else {
            return self.say_unanswerable(&question).await;
        };
        let asking = self.editor.ask(asked.method, &asked.params).await;
        let id = question.id;
        self.asked.insert(id, (asking.id, question));
        self.answers.spawn(async move { (id, asking.answer.await.ok()) });
    }

    async fn decide(&mut self, id: QuestionId, answer: Result<Value, RpcError>) {
        let Some((_, question)) = self.asked.remove(&id) else { return };
        let Some(decision) = question::decision(&question.kind, answer) else {
            return self.say_unanswerable(&question).await;
        };
        let params =
            QuestionAnswerParams { question_id: id, decision, request_id: Some(RequestId::generate()) };
        let answered =
            self.attached.call(async |rpc| QuestionClient::answer(rpc, params.clone()).await).await;
        self.note_connection();
        match answered {
            Ok(_) => {}
            // Somebody else was faster, or the turn has ended.
            Err(error) if is_late(&error) => debug!(%error, "an answer came late"),
            Err(error) => self.notice(&NoticeLevel::Warning, &error.to_string()).await,
        }
    }

    /// The question was answered elsewhere, or is void.
    async fn withdraw(&mut self, id: QuestionId) {
        if let Some((number, _)) = self.asked.remove(&id) {
            self.editor.take_back(number).await;
        }
    }

    async fn say_unanswerable(&mut self, question: &Question) {
        let text = format!(
            "\n\n**{}**: this editor can't show the question. Answer it with `skein questions answer`, or in \
             `skein attach {}`.\n\n",
            words::asked(&question.kind),
            self.name
        );
        let chunk = Chunk { content: Block::text(text), message_id: None };
        self.tell(Some(Update::AgentMessageChunk(chunk))).await;
    }

    async fn answer_at(&mut self, place: Said, ending: Ending) {
        let requests = self.prompts.take_at(place);
        let Ending { answer, notice } = ending;
        if let Some((level, text)) = notice.filter(|_| !requests.is_empty()) {
            self.notice(&level, &text).await;
        }
        for request in requests {
            self.editor.respond(&request, answer.clone()).await;
        }
    }

    /// These settings hold now; tells what of them the editor shows.
    async fn settle(&mut self, settings: SessionSettings) {
        let before = std::mem::replace(&mut self.settings, settings);
        let mode = Choices::modes(&self.settings).current_mode_id;
        let mut updates = Vec::new();
        if mode != Choices::modes(&before).current_mode_id {
            updates.push(Update::CurrentMode { current_mode_id: mode });
        }
        let config_options = self.choices.options(&self.settings);
        if config_options != self.choices.options(&before) {
            updates.push(Update::ConfigOptions { config_options });
        }
        self.tell(updates).await;
    }

    async fn name(&mut self, title: Option<String>, updated_at: Option<String>) {
        let is_new = title.is_some() && title != self.title;
        if is_new || updated_at.is_some() {
            self.title = title.or(self.title.take());
            let title = self.title.as_deref().map(|title| view::escape::line(title).into_owned());
            self.tell(Some(Update::SessionNamed { title, updated_at })).await;
        }
    }

    async fn notice(&self, level: &NoticeLevel, text: &str) {
        let update = self.story.notice(level, text);
        self.editor.update(&self.name, &update).await;
    }

    async fn tell(&self, updates: impl IntoIterator<Item = Update>) {
        for update in updates {
            self.editor.update(&self.name, &update).await;
        }
    }

    /// What comes over the connection of this moment is said by the editor's person.
    fn note_connection(&mut self) {
        self.story.is_own(self.attached.connection().welcome().client_id);
    }
}

/// Waits until then; for ever if there is no such time.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// Tells the daemon from those before and after it.
fn epoch(attached: &Attached) -> String {
    attached.connection().welcome().epoch.to_string()
}

fn is_late(error: &ClientError) -> bool {
    error.refusal().is_some_and(|refusal| matches!(refusal.code, ErrorCode::Conflict | ErrorCode::NotFound))
}
