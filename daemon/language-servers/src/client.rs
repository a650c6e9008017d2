//! The conversation with a server (LSP 3.17): shows it files before and after a change, and gathers what it finds.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sandbox::Launcher;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout, timeout_at};
use tools::diagnostics::Edited;

use crate::connection::{Connection, Message, Received};
use crate::documents::{Documents, Snapshot, uri};
use crate::error::LanguageServerError;
use crate::problem::{line, new_ones};
use crate::recipe::Recipe;
use crate::report::{Certainty, Findings};

/// How long a server may take to say hello. Large ones read their caches first.
const HELLO: Duration = Duration::from_secs(60);
/// A server that has judged everything and then says nothing for so long has nothing more to say.
const QUIET: Duration = Duration::from_millis(100);
/// A server that could not answer is asked again after so long.
const AGAIN: Duration = Duration::from_millis(100);
/// What it may say between two changes.
const MAX_UNASKED: usize = 256 * 1024 * 1024;
/// Works that a server may say are going on.
const MAX_WORKS: usize = 256;
/// What is no message, between two changes.
const MAX_NONSENSE: u32 = 100;

/// A server that runs and has said hello.
pub(crate) struct Client {
    connection: Connection,
    recipe: Recipe,
    documents: Documents,
    /// Whether it wants to be asked what it finds.
    is_asked: bool,
    /// Questions that are not answered, by their ids: the file and its version.
    questions: BTreeMap<u64, (PathBuf, i64)>,
    /// When it is to be asked.
    asks_at: Option<Instant>,
    /// What it says that it is doing.
    works: BTreeSet<String>,
    /// Whether it has looked at the whole folder, as far as it tells.
    is_rested: bool,
    /// When it last said something that matters.
    said_at: Instant,
    /// What is known of, where what came later was not told yet.
    known: Option<Snapshot>,
    unasked: usize,
    nonsense: u32,
}

impl Client {
    /// Starts a server and says hello. Dropping the future ends it.
    ///
    /// # Errors
    /// Whatever keeps it from running.
    pub(crate) async fn start(recipe: &Recipe, launcher: &Launcher) -> Result<Self, LanguageServerError> {
        let hello = async {
            let connection = Connection::start(recipe, launcher).await?;
            let mut client = Self {
                connection,
                recipe: recipe.clone(),
                documents: Documents::default(),
                is_asked: false,
                questions: BTreeMap::new(),
                asks_at: None,
                works: BTreeSet::new(),
                is_rested: true,
                said_at: Instant::now(),
                known: None,
                unasked: 0,
                nonsense: 0,
            };
            client.hello().await?;
            Ok(client)
        };
        timeout(HELLO, hello).await.unwrap_or(Err(LanguageServerError::Silent(HELLO)))
    }

    /// What came with these changes. Takes no longer than until then, or as long as it takes to say so to a server
    /// that reads slowly.
    ///
    /// # Errors
    /// Whatever keeps it from running on.
    pub(crate) async fn check(
        &mut self,
        edited: &[Edited],
        until: Instant,
    ) -> Result<Findings, LanguageServerError> {
        (self.unasked, self.nonsense) = (0, 0);
        self.close_all_but(edited).await?;
        let now = Instant::now();
        if now >= until {
            self.close_all_but(&[]).await?;
            return Ok(Findings::default());
        }
        for file in edited {
            if let Some(before) = &file.before {
                self.show(&file.path, before).await?;
            }
        }
        let is_settled = self.settle(now + (until - now) / 2).await?;
        let certainty = match (&self.known, is_settled || self.documents.are_judged()) {
            (Some(_), _) | (None, true) => Certainty::New,
            (None, false) => Certainty::PerhapsOlder,
        };
        let is_whole = is_settled || self.known.is_some();
        let before = self.known.take().unwrap_or_else(|| self.documents.snapshot());
        for file in edited {
            match &file.after {
                Some(after) => {
                    self.show(&file.path, after).await?;
                    self.tell_of("textDocument/didSave", &file.path).await?;
                }
                None => self.close(&file.path).await?,
            }
        }
        self.tell_changes(edited).await?;
        let is_settled = self.settle(until).await?;
        let after = self.documents.snapshot();
        let findings = if is_settled || self.documents.are_judged() {
            self.compare(edited, &before, &after, certainty, is_whole)
        } else {
            Findings::default()
        };
        // What comes later is new to everybody. Of what was not known before, nobody could say that.
        self.known = match (is_settled, certainty, findings.is_known) {
            (true, _, _) | (false, Certainty::PerhapsOlder, _) => None,
            (false, Certainty::New, true) => Some(after),
            (false, Certainty::New, false) => Some(before),
        };
        Ok(findings)
    }

    /// What it says next, which is taken note of. Cancel safe as far as reading goes.
    ///
    /// # Errors
    /// Whatever keeps it from running on.
    pub(crate) async fn received(&mut self) -> Result<Received, LanguageServerError> {
        self.connection.next().await
    }

    /// Takes note of what it said, and answers.
    ///
    /// # Errors
    /// Whatever keeps it from running on.
    pub(crate) async fn take(&mut self, received: Received) -> Result<(), LanguageServerError> {
        self.unasked = self.unasked.saturating_add(received.bytes);
        if self.unasked > MAX_UNASKED || self.nonsense > MAX_NONSENSE {
            return Err(LanguageServerError::Flood);
        }
        match received.message {
            Message::Notification { method, params } => self.told(&method, &params),
            Message::Request { id, method, params } => return self.asked(&id, &method, &params).await,
            Message::Response { id, result, error: _ } => self.answered(id, result),
            Message::Nonsense => self.nonsense += 1,
        }
        Ok(())
    }

    /// Ends it; what it said last of itself.
    pub(crate) async fn end(mut self) -> String {
        self.connection.end().await
    }

    async fn hello(&mut self) -> Result<(), LanguageServerError> {
        let root = uri(&self.recipe.root);
        let params = json!({
            "processId": null,
            "clientInfo": {"name": "skein", "version": env!("CARGO_PKG_VERSION")},
            "rootUri": root,
            "workspaceFolders": [{"uri": root, "name": "workspace"}],
            "initializationOptions": self.recipe.settings,
            "capabilities": {
                "general": {"positionEncodings": ["utf-16"]},
                "workspace": {
                    "configuration": true,
                    "workspaceFolders": true,
                    "didChangeConfiguration": {"dynamicRegistration": false},
                    "diagnostics": {"refreshSupport": true},
                },
                "textDocument": {
                    "synchronization": {"didSave": true},
                    "publishDiagnostics": {"versionSupport": true},
                    "diagnostic": {"dynamicRegistration": false, "relatedDocumentSupport": false},
                },
                "window": {"workDoneProgress": true},
                "experimental": {"serverStatusNotification": true},
            },
        });
        let id = self.connection.ask("initialize", &params).await?;
        let result = loop {
            let received = self.connection.next().await?;
            match received.message {
                Message::Response { id: answered, result, error } if answered == id => {
                    break result
                        .ok_or_else(|| LanguageServerError::Refused(line(&error.to_string(), 400)))?;
                }
                other => self.take(Received { bytes: received.bytes, message: other }).await?,
            }
        };
        self.is_asked = result.pointer("/capabilities/diagnosticProvider").is_some_and(Value::is_object);
        // This one tells when it has looked at everything, but not at once that it has not.
        let name = result.pointer("/serverInfo/name").and_then(Value::as_str);
        self.is_rested = name != Some("rust-analyzer");
        self.connection.tell("initialized", &json!({})).await?;
        let settings = json!({"settings": self.recipe.settings});
        self.connection.tell("workspace/didChangeConfiguration", &settings).await
    }

    /// Waits until it has judged all that it is shown and does nothing more. False if it has not until then.
    async fn settle(&mut self, until: Instant) -> Result<bool, LanguageServerError> {
        loop {
            let now = Instant::now();
            if self.asks_at.is_some_and(|at| now >= at) {
                self.ask().await?;
            }
            let is_done = self.documents.are_judged()
                && self.works.is_empty()
                && self.is_rested
                && self.asks_at.is_none();
            let quiet = self.said_at + QUIET;
            if is_done && now >= quiet {
                return Ok(true);
            }
            if now >= until {
                return Ok(false);
            }
            let wakes = [is_done.then_some(quiet), self.asks_at].into_iter().flatten().min();
            let wakes = wakes.map_or(until, |wakes| wakes.min(until));
            if let Ok(received) = timeout_at(wakes, self.connection.next()).await {
                self.take(received?).await?;
            }
        }
    }

    /// Asks what it finds in all that it is shown.
    async fn ask(&mut self) -> Result<(), LanguageServerError> {
        self.asks_at = None;
        let shown: Vec<_> =
            self.documents.shown().map(|(path, version)| (path.to_owned(), version)).collect();
        for (path, version) in shown {
            let params = json!({"textDocument": {"uri": uri(&path)}});
            let id = self.connection.ask("textDocument/diagnostic", &params).await?;
            self.questions.insert(id, (path, version));
        }
        Ok(())
    }

    fn answered(&mut self, id: u64, result: Option<Value>) {
        let Some((path, version)) = self.questions.remove(&id) else { return };
        self.said_at = Instant::now();
        let is_current = self.documents.shown().any(|shown| shown == (path.as_path(), version));
        let is_answer = result.is_some_and(|result| self.documents.pulled(&path, version, &result));
        if is_current && !is_answer {
            self.asks_at = Some(Instant::now() + AGAIN);
        }
    }

    fn told(&mut self, method: &str, params: &Value) {
        match method {
            "textDocument/publishDiagnostics" if self.documents.published(params, &self.recipe.root) => {
                self.said_at = Instant::now();
            }
            "$/progress" => {
                let token = line(&params.get("token").unwrap_or(&Value::Null).to_string(), 100);
                match params.pointer("/value/kind").and_then(Value::as_str) {
                    Some("begin") if self.works.len() < MAX_WORKS => drop(self.works.insert(token)),
                    Some("end") => {
                        self.works.remove(&token);
                        self.doubt();
                    }
                    _ => return,
                }
                self.said_at = Instant::now();
            }
            "experimental/serverStatus" => {
                let is_rested = params.get("quiescent").and_then(Value::as_bool).unwrap_or(true);
                if is_rested && !self.is_rested {
                    self.doubt();
                }
                (self.is_rested, self.said_at) = (is_rested, Instant::now());
            }
            _ => {}
        }
    }

    async fn asked(&mut self, id: &Value, method: &str, params: &Value) -> Result<(), LanguageServerError> {
        let result = match method {
            "workspace/configuration" => {
                let items = params.get("items").and_then(Value::as_array).map(Vec::as_slice);
                items.unwrap_or_default().iter().map(|item| self.recipe.setting(item)).collect()
            }
            "workspace/diagnostic/refresh" => {
                self.doubt();
                Value::Null
            }
            "workspace/workspaceFolders" => {
                json!([{"uri": uri(&self.recipe.root), "name": "workspace"}])
            }
            "workspace/applyEdit" => json!({"applied": false}),
            "client/registerCapability"
            | "client/unregisterCapability"
            | "window/workDoneProgress/create"
            | "window/showMessageRequest" => Value::Null,
            _ => return self.connection.refuse(id).await,
        };
        self.connection.answer(id, &result).await
    }

    /// What it said when it was asked may be another by now.
    fn doubt(&mut self) {
        if self.is_asked {
            self.documents.doubt();
            self.asks_at = Some(Instant::now());
        }
    }

    async fn show(&mut self, path: &Path, text: &str) -> Result<(), LanguageServerError> {
        let Some(language) = self.recipe.language_of(path) else { return Ok(()) };
        let Some((method, params)) = self.documents.show(path, text, language) else { return Ok(()) };
        if self.is_asked {
            self.asks_at = Some(Instant::now());
        }
        self.connection.tell(method, &params).await
    }

    async fn close(&mut self, path: &Path) -> Result<(), LanguageServerError> {
        let Some((method, params)) = self.documents.close(path) else { return Ok(()) };
        self.connection.tell(method, &params).await
    }

    /// Other files are as they are on the disk.
    async fn close_all_but(&mut self, edited: &[Edited]) -> Result<(), LanguageServerError> {
        let is_other = |path: &Path| edited.iter().all(|file| file.path != path);
        let others: Vec<_> = self.documents.shown().map(|(path, _)| path.to_owned()).collect();
        for path in others.iter().filter(|path| is_other(path)) {
            self.close(path).await?;
        }
        Ok(())
    }

    async fn tell_of(&mut self, method: &str, path: &Path) -> Result<(), LanguageServerError> {
        self.connection.tell(method, &json!({"textDocument": {"uri": uri(path)}})).await
    }

    async fn tell_changes(&mut self, edited: &[Edited]) -> Result<(), LanguageServerError> {
        let change = |file: &Edited| {
            // Created, changed, deleted.
            let kind = match (&file.before, &file.after) {
                (None, Some(_)) => 1,
                (Some(_), Some(_)) => 2,
                (_, None) => 3,
            };
            json!({"uri": uri(&file.path), "type": kind})
        };
        let changes: Vec<_> = edited.iter().map(change).collect();
        self.connection.tell("workspace/didChangeWatchedFiles", &json!({"changes": changes})).await
    }

    /// What is wrong after and was not before: in the files that were changed, and in others if it had looked at the
    /// whole before.
    fn compare(
        &self,
        edited: &[Edited],
        before: &Snapshot,
        after: &Snapshot,
        certainty: Certainty,
        is_whole: bool,
    ) -> Findings {
        let text = |path: &Path| {
            let file = edited.iter().find(|file| file.path == path)?;
            file.after.as_deref()
        };
        let is_edited = |path: &Path| edited.iter().any(|file| file.path == path);
        let mut findings = Findings { certainty, is_known: true, files: Vec::new() };
        for path in after.files().filter(|path| is_whole || is_edited(path)) {
            let old = if is_edited(path) && certainty == Certainty::PerhapsOlder {
                Vec::new()
            } else {
                before.of(path)
            };
            let new = new_ones(&old, &after.of(path));
            findings.add(path, &new, text(path));
        }
        findings
    }
}
