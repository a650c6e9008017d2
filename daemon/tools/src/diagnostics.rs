//! What finds errors in files that a call has changed. Knows nothing of how it finds them.

use std::path::{Path, PathBuf};

use futures_util::future::BoxFuture;

/// A file that was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edited {
    /// Its real path, absolute.
    pub path: PathBuf,
    /// What it held; absent: it was not there, or held no text.
    pub before: Option<String>,
    /// What it holds; absent: it is gone.
    pub after: Option<String>,
}

/// Finds errors in files.
pub trait Diagnostics: Send + Sync {
    /// The errors that came with these changes, in lines for the model that name files from `cwd`; empty if there are
    /// none or none are known in time. A text of strangers: bounded, but not made harmless. Always ends soon.
    fn look(&self, cwd: &Path, edited: Vec<Edited>) -> BoxFuture<'static, String>;
}

/// Nothing looks.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoDiagnostics;

impl Diagnostics for NoDiagnostics {
    fn look(&self, _cwd: &Path, _edited: Vec<Edited>) -> BoxFuture<'static, String> {
        Box::pin(std::future::ready(String::new()))
    }
}
