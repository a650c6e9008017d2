//! The tools of one session: those that all sessions have, with those that this one has from outside. Knows nothing
//! of where those come from.

use std::collections::BTreeSet;
use std::sync::Arc;

use protocol::turn::Turn;
use tools::registry::Registry;
use tools::tool_search;

use crate::world::OutsideTools;

/// The tools of a session as the model was told of them last.
pub(crate) struct Toolbox {
    registry: Arc<Registry>,
    /// Absent until somebody looked for them.
    outside: Option<OutsideTools>,
    /// Those that the model found among the deferred ones.
    loaded: BTreeSet<String>,
}

impl Toolbox {
    /// Those that all sessions have.
    pub(crate) fn new(common: Arc<Registry>) -> Self {
        Self { registry: common, outside: None, loaded: BTreeSet::new() }
    }

    /// Takes what there is from outside, for the next request of a session with these turns.
    pub(crate) fn renew(&mut self, outside: OutsideTools, turns: &[Turn]) -> Arc<Registry> {
        let loaded =
            if outside.iter().any(|tool| tool.is_deferred()) { loaded(turns) } else { BTreeSet::new() };
        let is_same = match &self.outside {
            Some(known) => Arc::ptr_eq(known, &outside),
            None => outside.is_empty(),
        };
        if !is_same || loaded != self.loaded {
            self.registry = Arc::new(self.registry.with_outside(&outside, &loaded));
        }
        self.outside = Some(outside);
        self.loaded = loaded;
        Arc::clone(&self.registry)
    }

    /// What the model was told of last.
    pub(crate) fn last(&self) -> &Registry {
        &self.registry
    }

    /// The same, to be kept; of a session that was loaded in the middle of a turn, what there is now.
    pub(crate) fn told(&mut self, turns: &[Turn], outside: impl FnOnce() -> OutsideTools) -> Arc<Registry> {
        match self.outside {
            Some(_) => Arc::clone(&self.registry),
            None => self.renew(outside(), turns),
        }
    }
}

/// The tools that the model found or called so far, as the log has it.
fn loaded(turns: &[Turn]) -> BTreeSet<String> {
    let items = turns.iter().flat_map(|turn| &turn.items);
    items.flat_map(|item| tool_search::loaded(&item.body)).map(str::to_owned).collect()
}
