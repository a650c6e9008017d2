//! Which files are meant: by glob, by type.

use std::path::Path;

use ignore::overrides::{Override, OverrideBuilder};
use ignore::types::{Types, TypesBuilder};

use crate::search::SearchError;

/// Which files are meant.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Globs as in a `.gitignore`: a file must match one of them. Those with `!` leave out.
    pub globs: Vec<String>,
    /// A type of ripgrep's, such as `rust`.
    pub file_type: Option<String>,
}

/// A filter that is ready.
pub(crate) struct Sieve {
    globs: Override,
    types: Types,
}

impl Filter {
    /// Makes it ready for a tree at this real path.
    pub(crate) fn build(&self, root: &Path) -> Result<Sieve, SearchError> {
        let mut globs = OverrideBuilder::new(root);
        for glob in &self.globs {
            globs.add(glob).map_err(|error| SearchError::Glob { reason: error.to_string() })?;
        }
        let globs = globs.build().map_err(|error| SearchError::Glob { reason: error.to_string() })?;
        let types = match &self.file_type {
            None => Types::empty(),
            Some(name) => {
                let built = TypesBuilder::new().add_defaults().select(name).build();
                built.map_err(|_| SearchError::FileType { name: name.clone() })?
            }
        };
        Ok(Sieve { globs, types })
    }
}

impl Sieve {
    /// Whether a folder is gone into.
    pub(crate) fn enters(&self, path: &Path) -> bool {
        self.globs.is_empty() || !self.globs.matched(path, true).is_ignore()
    }

    /// Whether a file is meant.
    pub(crate) fn takes(&self, path: &Path) -> bool {
        (self.globs.is_empty() || !self.globs.matched(path, false).is_ignore())
            && (self.types.is_empty() || self.types.matched(path, false).is_whitelist())
    }
}
