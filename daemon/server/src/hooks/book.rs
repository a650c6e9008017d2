//! Which hooks there are: the user's, of `hooks.json` in the folder of the settings and of `hooks` in `config.toml`,
//! and those of a folder that the user trusts.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use config::Settings;
use extensions::hooks::{self, Hook};
use serde_json::Value;

use crate::circumstances::{Stamp, stamp};
use crate::process;
use crate::projects::{Projects, TrustedHook, TrustedParts};

/// A larger file is not used.
const MAX_BYTES: u64 = 1024 * 1024;

/// A hook that may be run.
#[derive(Clone, Debug)]
pub(super) struct Ready {
    /// What it says.
    pub(super) hook: Hook,
    /// Whose it is.
    pub(super) origin: Origin,
}

/// Whose a hook is.
#[derive(Clone, Debug)]
pub(super) enum Origin {
    /// The user's own.
    User,
    /// A trusted folder's.
    Folder {
        /// The folder.
        parts: Arc<TrustedParts>,
        /// As it was trusted.
        trusted: Box<TrustedHook>,
    },
}

/// All hooks.
pub(super) struct Book {
    file: PathBuf,
    projects: Arc<Projects>,
    read: Mutex<Read>,
}

/// The user's hooks as they were read.
#[derive(Default)]
struct Read {
    of_file: Option<(Stamp, Arc<[Hook]>)>,
    of_settings: Option<(Value, Arc<[Hook]>)>,
}

impl Book {
    /// Reads nothing yet.
    pub(super) fn new(config: &Path, projects: Arc<Projects>) -> Self {
        Self { file: file(config), projects, read: Mutex::default() }
    }

    /// The hooks that hold in a folder, with these settings; without any, those of files. Looks at stamps, and reads
    /// files only if one has changed; that blocks.
    pub(super) fn ready(&self, settings: Option<&Settings>, folder: &Path) -> Vec<Ready> {
        let own = |hook: &Hook| Ready { hook: hook.clone(), origin: Origin::User };
        let mut ready: Vec<Ready> = self.of_file().iter().map(own).collect();
        if let Some(settings) = settings {
            ready.extend(self.of_settings(&settings.hooks).iter().map(own));
        }
        let parts = self.projects.of(folder);
        ready.extend(parts.hooks.iter().map(|trusted| Ready {
            hook: trusted.hook.clone(),
            origin: Origin::Folder { parts: Arc::clone(&parts), trusted: Box::new(trusted.clone()) },
        }));
        ready
    }

    fn of_file(&self) -> Arc<[Hook]> {
        let now = stamp(&self.file);
        let mut read = self.lock();
        if let Some((known, hooks)) = &read.of_file
            && *known == now
        {
            return Arc::clone(hooks);
        }
        let (hooks, problems) = read_file(&self.file);
        for problem in problems {
            tracing::warn!(problem, "a hook can't be used");
        }
        let hooks: Arc<[Hook]> = hooks.into();
        read.of_file = Some((now, Arc::clone(&hooks)));
        hooks
    }

    fn of_settings(&self, value: &Value) -> Arc<[Hook]> {
        if value.is_null() {
            return Arc::default();
        }
        let mut read = self.lock();
        if let Some((known, hooks)) = &read.of_settings
            && known == value
        {
            return Arc::clone(hooks);
        }
        let hooks: Arc<[Hook]> = hooks::of_value(value).0.into();
        read.of_settings = Some((value.clone(), Arc::clone(&hooks)));
        hooks
    }

    fn lock(&self) -> MutexGuard<'_, Read> {
        // A poisoned cache is whole: each change is one assignment.
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is wrong with the user's hooks, for a person. Reads files; blocks.
pub(crate) fn problems(config: &Path, settings: &Settings) -> Vec<String> {
    let file = file(config);
    let named = |problem: String| format!("`{}`: {problem}", file.display());
    let mut problems: Vec<String> = read_file(&file).1.into_iter().map(named).collect();
    if !settings.hooks.is_null() {
        let of_settings = hooks::of_value(&settings.hooks).1;
        problems
            .extend(of_settings.into_iter().map(|problem| format!("`hooks` in `config.toml`: {problem}")));
    }
    problems
}

fn file(config: &Path) -> PathBuf {
    config.join("hooks.json")
}

fn read_file(file: &Path) -> (Vec<Hook>, Vec<String>) {
    match process::read_private(file, MAX_BYTES) {
        Ok(bytes) => match String::from_utf8(bytes) {
            Ok(text) => hooks::read(&text),
            Err(_) => (Vec::new(), vec!["It is not UTF-8".to_owned()]),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => (Vec::new(), Vec::new()),
        Err(error) => (Vec::new(), vec![format!("It can't be read: {error}")]),
    }
}
