//! What a server is shown, and what it says of files. Keeps both in bounds; sends nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};
use url::Url;

use crate::problem::{self, Problem};

/// Files of which is kept what a server says.
const MAX_FILES: usize = 2_000;

/// What a server is shown and what it says.
#[derive(Debug, Default)]
pub(crate) struct Documents {
    open: BTreeMap<PathBuf, Document>,
    found: BTreeMap<PathBuf, Found>,
}

/// A file as the server is shown it.
#[derive(Debug)]
struct Document {
    version: i64,
    text: String,
    /// Whether the server has said what it finds in this version.
    is_judged: bool,
}

/// What a server says of a file: by itself, and when it is asked.
#[derive(Clone, Debug, Default)]
struct Found {
    pushed: Arc<[Problem]>,
    pulled: Arc<[Problem]>,
}

/// What is wrong with all files at a moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Snapshot(BTreeMap<PathBuf, Found>);

impl Snapshot {
    /// What is wrong with a file.
    pub(crate) fn of(&self, path: &Path) -> Vec<Problem> {
        let Some(found) = self.0.get(path) else { return Vec::new() };
        let mut problems: Vec<_> = found.pushed.iter().chain(&*found.pulled).cloned().collect();
        problems.sort();
        problems.dedup();
        problems
    }

    /// The files that something was said of.
    pub(crate) fn files(&self) -> impl Iterator<Item = &Path> {
        self.0.keys().map(PathBuf::as_path)
    }
}

impl Documents {
    /// Shows a file as it is now. Gives the notification that tells the server; `None` if it is shown so already.
    pub(crate) fn show(&mut self, path: &Path, text: &str, language: &str) -> Option<(&'static str, Value)> {
        let uri = uri(path)?;
        match self.open.get_mut(path) {
            Some(document) if document.text == text => None,
            Some(document) => {
                document.version += 1;
                text.clone_into(&mut document.text);
                document.is_judged = false;
                let params = json!({
                    "textDocument": {"uri": uri, "version": document.version},
                    "contentChanges": [{"text": text}],
                });
                Some(("textDocument/didChange", params))
            }
            None => {
                let document = Document { version: 1, text: text.to_owned(), is_judged: false };
                self.open.insert(path.to_owned(), document);
                let item = json!({"uri": uri, "languageId": language, "version": 1, "text": text});
                Some(("textDocument/didOpen", json!({"textDocument": item})))
            }
        }
    }

    /// Shows a file no longer. Gives the notification; `None` if it is not shown.
    pub(crate) fn close(&mut self, path: &Path) -> Option<(&'static str, Value)> {
        self.open.remove(path)?;
        if let Some(found) = self.found.get_mut(path) {
            // What it was asked about holds for what it was shown; what it says by itself it takes back itself.
            found.pulled = Arc::default();
        }
        Some(("textDocument/didClose", json!({"textDocument": {"uri": uri(path)?}})))
    }

    /// The files that are shown, with their versions.
    pub(crate) fn shown(&self) -> impl Iterator<Item = (&Path, i64)> {
        self.open.iter().map(|(path, document)| (path.as_path(), document.version))
    }

    /// Whether the server has said what it finds in all that it is shown.
    pub(crate) fn are_judged(&self) -> bool {
        self.open.values().all(|document| document.is_judged)
    }

    /// Nothing of what was said when the server was asked holds any more.
    pub(crate) fn doubt(&mut self) {
        for document in self.open.values_mut() {
            document.is_judged = false;
        }
    }

    /// Takes `textDocument/publishDiagnostics`. Whether it is for a file below this root.
    pub(crate) fn published(&mut self, params: &Value, root: &Path) -> bool {
        let Some(path) = params.get("uri").and_then(Value::as_str).and_then(path) else { return false };
        if !path.starts_with(root) {
            return false;
        }
        let document = self.open.get_mut(&path);
        if let Some(document) = document {
            match params.get("version").and_then(Value::as_i64) {
                // It is about what stood there before.
                Some(version) if version < document.version => return false,
                Some(_) | None => document.is_judged = true,
            }
        }
        let pushed = problem::read_all(params.get("diagnostics"));
        if self.room_for(&path, &pushed) {
            self.found.entry(path).or_default().pushed = pushed.into();
        }
        true
    }

    /// Takes the answer to `textDocument/diagnostic` about a version of a file. Whether it is what was asked for.
    pub(crate) fn pulled(&mut self, path: &Path, version: i64, result: &Value) -> bool {
        let Some(document) = self.open.get_mut(path).filter(|document| document.version == version) else {
            return false;
        };
        match result.get("kind").and_then(Value::as_str) {
            Some("full") => {}
            Some("unchanged") => {
                document.is_judged = true;
                return true;
            }
            _ => return false,
        }
        document.is_judged = true;
        let pulled = problem::read_all(result.get("items"));
        if self.room_for(path, &pulled) {
            self.found.entry(path.to_owned()).or_default().pulled = pulled.into();
        }
        true
    }

    /// What is wrong now.
    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot(self.found.clone())
    }

    fn room_for(&self, path: &Path, problems: &[Problem]) -> bool {
        self.found.contains_key(path) || (!problems.is_empty() && self.found.len() < MAX_FILES)
    }
}

/// The address of a file.
pub(crate) fn uri(path: &Path) -> Option<String> {
    Url::from_file_path(path).ok().map(String::from)
}

fn path(uri: &str) -> Option<PathBuf> {
    Url::parse(uri).ok().filter(|uri| uri.scheme() == "file")?.to_file_path().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn published(documents: &mut Documents, uri: &str, version: Option<i64>, messages: &[&str]) -> bool {
        let problem =
            |message: &&str| json!({"range": {"start": {"line": 0, "character": 0}}, "message": message});
        let list: Vec<_> = messages.iter().map(problem).collect();
        let params = json!({"uri": uri, "version": version, "diagnostics": list});
        documents.published(&params, Path::new("/repo"))
    }

    fn messages(documents: &Documents, path: &str) -> Vec<String> {
        documents.snapshot().of(Path::new(path)).into_iter().map(|problem| problem.message).collect()
    }

    #[test]
    fn a_file_is_shown_once_and_then_told_of_its_changes() {
        let mut documents = Documents::default();
        let path = Path::new("/repo/a b.rs");
        let mut show = |text: &str| documents.show(path, text, "rust");
        let (method, params) = show("1").expect("new");
        assert_eq!(
            (method, &params["textDocument"]["uri"]),
            ("textDocument/didOpen", &json!("file:///repo/a%20b.rs"))
        );
        assert_eq!(show("1"), None);
        let (method, params) = show("2").expect("changed");
        assert_eq!((method, &params["textDocument"]["version"]), ("textDocument/didChange", &json!(2)));
        assert!(!documents.are_judged());
        // What it says of the first version comes late; servers may write the address otherwise.
        assert!(!published(&mut documents, "file:///repo/a%20b.rs", Some(1), &["old"]));
        assert!(published(&mut documents, "file:///repo/a%20%62.rs", Some(2), &["new"]));
        assert!(documents.are_judged());
        assert_eq!(messages(&documents, "/repo/a b.rs"), ["new"]);
        assert!(documents.close(path).is_some() && documents.close(path).is_none());
    }

    #[test]
    fn what_is_asked_for_and_what_is_said_stand_side_by_side() {
        let mut documents = Documents::default();
        let path = Path::new("/repo/a.rs");
        documents.show(path, "1", "rust").expect("new");
        let range = json!({"start": {"line": 1, "character": 0}});
        let result = json!({"kind": "full", "items": [{"range": range, "message": "asked"}]});
        assert!(!documents.pulled(path, 2, &result), "of another version");
        assert!(!documents.pulled(path, 1, &json!(null)));
        assert!(documents.pulled(path, 1, &result) && documents.are_judged());
        published(&mut documents, "file:///repo/a.rs", None, &["said"]);
        assert_eq!(messages(&documents, "/repo/a.rs"), ["said", "asked"]);
        documents.doubt();
        assert!(!documents.are_judged());
        assert!(documents.pulled(path, 1, &json!({"kind": "unchanged"})) && documents.are_judged());
        documents.close(path);
        assert_eq!(messages(&documents, "/repo/a.rs"), ["said"]);
    }

    #[test]
    fn files_elsewhere_and_too_many_files_are_left_out() {
        let mut documents = Documents::default();
        for uri in ["file:///etc/passwd", "file:///repo/../etc/x", "http://repo/a", "untitled:1", "repo", ""]
        {
            assert!(!published(&mut documents, uri, None, &["x"]), "{uri}");
        }
        for number in 0..MAX_FILES + 100 {
            published(&mut documents, &format!("file:///repo/{number}"), None, &["x"]);
        }
        assert_eq!(documents.snapshot().files().count(), MAX_FILES);
        // What is known already may still change.
        published(&mut documents, "file:///repo/0", None, &[]);
        assert_eq!(messages(&documents, "/repo/0"), [""; 0]);
    }
}
