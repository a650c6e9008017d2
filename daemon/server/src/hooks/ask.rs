//! Asks all hooks that an event is about, at the same time, and puts together what they say.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use config::Settings;
use extensions::hooks::{HookEvent, Verdict, named_files};
use futures_util::future::{BoxFuture, join_all};
use protocol::agent::AgentOrigin;
use protocol::hook::HookListResult;
use protocol::ids::SessionId;
use protocol::item::{ItemBody, Notice, NoticeLevel};
use protocol::session::SessionSettings;
use sandbox::Launcher;
use session::hooks::{HookAnswer, HookPoint, HookPoints, HookRequest, HookSubject, HookVerdict, SessionEnd};
use session::world::CommandEnvironment;
use tokio::task::JoinSet;

use super::book::{Book, Origin, Ready, problems};
use super::costs::Costs;
use super::run::{Ran, run};
use super::told::{Scene, Told, rewritten};
use crate::circumstances::{Circumstances, Known};
use crate::projects::Projects;

/// Hooks that run at once and that nobody waits for; what comes beyond is not run, which the log says.
const MAX_ASIDE: usize = 32;
/// A hook that took longer is told of even if it changed nothing, in milliseconds.
const SLOW: u128 = 1000;
/// Characters of a command that are shown.
const MAX_SHOWN: usize = 80;

/// The hooks of all sessions.
pub(crate) struct Hooks {
    book: Book,
    circumstances: Arc<Circumstances>,
    launcher: Arc<Launcher>,
    costs: Arc<Costs>,
    /// Those that nobody waits for.
    aside: Arc<Mutex<JoinSet<()>>>,
    config: PathBuf,
}

/// Everything that asking needs, once it is known which hooks there are.
struct Asking {
    ready: Vec<Ready>,
    cwd: PathBuf,
    environment: CommandEnvironment,
    launcher: Arc<Launcher>,
    costs: Arc<Costs>,
    aside: Arc<Mutex<JoinSet<()>>>,
}

impl Hooks {
    /// Reads nothing yet.
    pub(crate) fn new(
        config: &Path,
        projects: Arc<Projects>,
        circumstances: Arc<Circumstances>,
        launcher: Arc<Launcher>,
    ) -> Self {
        Self {
            book: Book::new(config, projects),
            circumstances,
            launcher,
            costs: Arc::default(),
            aside: Arc::default(),
            config: config.to_owned(),
        }
    }

    /// The hooks that hold in a folder with these settings, and what they cost. Reads files; blocks.
    pub(crate) fn list(&self, settings: &Settings, folder: &Path) -> HookListResult {
        let ready = self.book.ready(Some(settings), folder);
        let hooks = ready.iter().map(|ready| self.costs.status(ready)).collect();
        HookListResult { hooks, problems: problems(&self.config, settings) }
    }

    /// Waits for hooks that nobody waits for, but no longer than this.
    pub(crate) async fn settle(&self, limit: Duration) {
        let mut aside = std::mem::take(&mut *self.aside.lock().unwrap_or_else(PoisonError::into_inner));
        let all = async { while aside.join_next().await.is_some() {} };
        if tokio::time::timeout(limit, all).await.is_err() {
            tracing::warn!("hooks that were told of an end took too long and are ended");
        }
    }

    /// Where hooks are to be asked in a session.
    pub(crate) fn points(&self, session: SessionId, settings: &SessionSettings) -> HookPoints {
        let Some(known) = self.known(session) else { return HookPoints::default() };
        let ready = self.book.ready(Some(known.settings()), &settings.cwd);
        ready.iter().filter_map(|ready| point(ready.hook.event)).collect()
    }

    /// Asks, and waits for all that say something that counts.
    pub(crate) fn ask(&self, request: HookRequest) -> BoxFuture<'static, HookAnswer> {
        let HookRequest { session, turn_id, settings, agent, subject } = request;
        let Some(asking) = self.asking(session, &settings.cwd) else {
            return Box::pin(std::future::ready(HookAnswer::default()));
        };
        Box::pin(async move {
            let scene = Scene {
                session: session.to_string(),
                turn: Some(turn_id.to_string()),
                cwd: &settings.cwd,
                settings: Some(&settings),
            };
            asking.about(&subject, agent.as_deref(), &scene).await
        })
    }

    /// Tells of the end of a session, and does not wait.
    pub(crate) fn ended(&self, session: SessionId, settings: &SessionSettings, end: SessionEnd) {
        let Some(asking) = self.asking(session, &settings.cwd) else { return };
        let scene =
            Scene { session: session.to_string(), turn: None, cwd: &settings.cwd, settings: Some(settings) };
        asking.tell(&Told::end(end), &scene);
    }

    /// Tells that a person is needed, or that a session is done, and does not wait.
    pub(crate) fn notify(&self, session: SessionId, turn: String, cwd: &Path, kind: &str, message: &str) {
        let Some(asking) = self.asking(session, cwd) else { return };
        let scene = Scene { session: session.to_string(), turn: Some(turn), cwd, settings: None };
        asking.tell(&Told::notification(kind, message), &scene);
    }

    /// The files that hooks of files name in a folder, which no command of a session there may change.
    pub(crate) fn files(&self, folder: &Path) -> Vec<PathBuf> {
        let mut files = Vec::new();
        for Ready { hook, origin } in self.book.ready(None, folder) {
            match origin {
                Origin::User => files.extend(named_files(folder, &[&hook.command]).unwrap_or_default()),
                Origin::Folder { parts, trusted } => {
                    files.extend(trusted.files.iter().map(|file| parts.root.join(file)));
                }
            }
        }
        files
    }

    fn asking(&self, session: SessionId, cwd: &Path) -> Option<Asking> {
        let known = self.known(session)?;
        let ready = self.book.ready(Some(known.settings()), cwd);
        (!ready.is_empty()).then(|| Asking {
            ready,
            cwd: cwd.to_owned(),
            environment: known.commands(),
            launcher: Arc::clone(&self.launcher),
            costs: Arc::clone(&self.costs),
            aside: Arc::clone(&self.aside),
        })
    }

    fn known(&self, session: SessionId) -> Option<Arc<Known>> {
        self.circumstances.of(session).ok()
    }
}

/// Where a session asks hooks for an event. The end of a session is heard by those that heard of its start.
fn point(event: HookEvent) -> Option<HookPoint> {
    match event {
        HookEvent::SessionStart
        | HookEvent::SessionEnd
        | HookEvent::UserPromptSubmit
        | HookEvent::SubagentStart => Some(HookPoint::Prompt),
        HookEvent::PreToolUse => Some(HookPoint::BeforeCall),
        HookEvent::PermissionRequest => Some(HookPoint::Permission),
        HookEvent::PostToolUse => Some(HookPoint::AfterCall),
        HookEvent::PreCompact => Some(HookPoint::BeforeCompaction),
        HookEvent::PostCompact => Some(HookPoint::AfterCompaction),
        HookEvent::Stop | HookEvent::SubagentStop => Some(HookPoint::Stop),
        HookEvent::Notification => None,
    }
}

impl Asking {
    async fn about(
        &self,
        subject: &HookSubject,
        agent: Option<&AgentOrigin>,
        scene: &Scene<'_>,
    ) -> HookAnswer {
        match subject {
            HookSubject::Prompt { text, start } => {
                let mut answer = match start {
                    Some(start) => {
                        let told = agent.map_or_else(
                            || Told::start(*start),
                            |agent| Told::agent_start(&scene.session, agent),
                        );
                        self.ask(&told, scene, None).await
                    }
                    None => HookAnswer::default(),
                };
                if matches!(answer.verdict, HookVerdict::End { .. }) {
                    return answer;
                }
                let on_prompt = self.ask(&Told::prompt(text), scene, None).await;
                answer.notices.extend(on_prompt.notices);
                HookAnswer { notices: answer.notices, ..on_prompt }
            }
            HookSubject::BeforeCall(body) => self.ask(&Told::before(body), scene, Some(body)).await,
            HookSubject::Permission { body, reason } => {
                self.ask(&Told::permission(body, reason), scene, Some(body)).await
            }
            HookSubject::AfterCall { body, output } => {
                self.ask(&Told::after(body, output), scene, Some(body)).await
            }
            HookSubject::BeforeCompaction(compaction) => {
                self.ask(&Told::before_compaction(compaction), scene, None).await
            }
            HookSubject::AfterCompaction(compaction) => {
                self.ask(&Told::after_compaction(compaction), scene, None).await
            }
            HookSubject::Stop { is_active, last_message } => {
                let stop = Told::stop(*is_active, last_message.as_deref());
                let told = match agent {
                    Some(agent) => stop.of_agent(&scene.session, agent),
                    None => stop,
                };
                self.ask(&told, scene, None).await
            }
        }
    }

    /// The hooks that an event is about.
    fn meant(&self, told: &Told) -> impl Iterator<Item = &Ready> {
        let names: Vec<&str> = told.names.iter().map(String::as_str).collect();
        let event = told.event;
        self.ready.iter().filter(move |ready| ready.hook.event == event && ready.hook.matcher.fits(&names))
    }

    async fn ask(&self, told: &Told, scene: &Scene<'_>, body: Option<&ItemBody>) -> HookAnswer {
        let (aside, waited): (Vec<&Ready>, Vec<&Ready>) =
            self.meant(told).partition(|ready| ready.hook.is_async);
        for ready in aside {
            self.run_aside(ready, told.input(scene));
        }
        let running = waited
            .iter()
            .map(|ready| run(ready, told.input(scene), &self.cwd, &self.environment, &self.launcher));
        let ran = join_all(running).await;
        let mut together = Together::default();
        for (ready, ran) in waited.into_iter().zip(ran) {
            self.costs.note(ready, &ran);
            together.add(ready, ran, body);
        }
        together.answer()
    }

    /// Runs those that an event is about, and waits for none.
    fn tell(&self, told: &Told, scene: &Scene<'_>) {
        for ready in self.meant(told) {
            self.run_aside(ready, told.input(scene));
        }
    }

    fn run_aside(&self, ready: &Ready, input: String) {
        let (ready, cwd, environment) = (ready.clone(), self.cwd.clone(), Arc::clone(&self.environment));
        let (launcher, costs) = (Arc::clone(&self.launcher), Arc::clone(&self.costs));
        // A poisoned set is whole: each change is one call.
        let mut aside = self.aside.lock().unwrap_or_else(PoisonError::into_inner);
        while aside.try_join_next().is_some() {}
        if aside.len() >= MAX_ASIDE {
            tracing::warn!(command = ready.hook.command, "too many hooks run already; this one is not run");
            return;
        }
        aside.spawn(async move {
            let ran = run(&ready, input, &cwd, &environment, &launcher).await;
            costs.note(&ready, &ran);
            let Ran { answer, took } = ran;
            if let Some(failure) = answer.failure {
                tracing::warn!(command = ready.hook.command, failure, ?took, "a hook failed");
            }
        });
    }
}

/// What several hooks said: the strictest verdict, the last input, and all words in order.
#[derive(Default)]
struct Together {
    verdict: Verdict,
    notices: Vec<Notice>,
    answer: HookAnswer,
}

impl Together {
    fn add(&mut self, ready: &Ready, ran: Ran, body: Option<&ItemBody>) {
        let Ran { answer, took } = ran;
        let event = ready.hook.event.as_str();
        let head = format!("Hook `{}` for {event} ({} ms)", shown(&ready.hook.command), took.as_millis());
        let mut did = Vec::new();
        match &answer.verdict {
            Verdict::None => {}
            Verdict::Allow => did.push("allowed it".to_owned()),
            Verdict::Ask(reason) => did.push(format!("asks for a person: {reason}")),
            Verdict::Block(reason) => did.push(format!("blocked it: {reason}")),
            Verdict::End(reason) => did.push(format!("ended the turn: {reason}")),
        }
        if let Some(failure) = &answer.failure {
            did.push(format!("failed: {failure}"));
        }
        if let Some((updated, body)) = answer.updated_input.as_ref().zip(body) {
            match rewritten(body, updated) {
                Some(input) => {
                    did.push(format!("rewrote the input: {updated}"));
                    self.answer.rewritten = Some(input);
                }
                None => did.push("rewrote the input in a way that does not fit, which is ignored".to_owned()),
            }
        }
        if let Some(output) = answer.output {
            did.push("replaced the output".to_owned());
            let known = self.answer.output.get_or_insert_default();
            if !known.is_empty() {
                known.push('\n');
            }
            known.push_str(&output);
        }
        did.extend(answer.message);
        if answer.context.is_some() {
            did.push("added context".to_owned());
        }
        if did.is_empty() && took.as_millis() >= SLOW {
            did.push("changed nothing".to_owned());
        }
        let is_weighty = answer.failure.is_some() || rank(&answer.verdict) > rank(&Verdict::Allow);
        let level = if is_weighty { NoticeLevel::Warning } else { NoticeLevel::Information };
        if !did.is_empty() {
            let context =
                answer.context.map(|context| format!("A hook for {event} of the user says:\n{context}"));
            self.notices.push(Notice { level, text: format!("{head} {}", did.join("; ")), context });
        }
        // Of two that say the same the first one's reason counts.
        if rank(&answer.verdict) > rank(&self.verdict) {
            self.verdict = answer.verdict;
        }
    }

    fn answer(self) -> HookAnswer {
        let verdict = match self.verdict {
            Verdict::None => HookVerdict::None,
            Verdict::Allow => HookVerdict::Allow,
            Verdict::Ask(reason) => HookVerdict::Ask { reason },
            Verdict::Block(reason) => HookVerdict::Block { reason },
            Verdict::End(reason) => HookVerdict::End { reason },
        };
        HookAnswer { verdict, notices: self.notices, ..self.answer }
    }
}

/// How much a verdict changes.
fn rank(verdict: &Verdict) -> u8 {
    match verdict {
        Verdict::None => 0,
        Verdict::Allow => 1,
        Verdict::Ask(_) => 2,
        Verdict::Block(_) => 3,
        Verdict::End(_) => 4,
    }
}

/// A command on one line, not too long.
fn shown(command: &str) -> String {
    let line = command.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MAX_SHOWN) {
        None => line,
        Some((end, _)) => format!("{}…", &line[..end]),
    }
}
