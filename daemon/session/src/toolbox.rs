//! The tools of one session: those that all sessions have, with those that this one has from outside and from its
//! clients, and with what a person could enable. Knows nothing of where those come from.

use std::collections::BTreeSet;
use std::sync::Arc;

use protocol::client_tool::RegisteredTool;
use protocol::turn::Turn;
use tools::registry::Registry;
use tools::tool::Tool;
use tools::tool_suggest::Suggestions;
use tools::{tool_search, tool_suggest};

use crate::client_tools::OfClient;
use crate::world::OutsideTools;

/// What a session has beside the tools that all have.
pub(crate) struct Offered {
    /// From outside; the same allocation for as long as they are the same.
    pub(crate) outside: OutsideTools,
    /// Those that clients have.
    pub(crate) of_clients: Vec<RegisteredTool>,
    /// What a person could enable.
    pub(crate) suggestions: Option<Suggestions>,
}

/// The tools of a session as the model was told of them last.
pub(crate) struct Toolbox {
    registry: Arc<Registry>,
    /// Absent until somebody looked for them.
    offered: Option<Offered>,
    /// Those that the model found among the deferred ones.
    loaded: BTreeSet<String>,
}

impl Toolbox {
    /// Those that all sessions have.
    pub(crate) fn new(common: Arc<Registry>) -> Self {
        Self { registry: common, offered: None, loaded: BTreeSet::new() }
    }

    /// Takes what there is beside them, for the next request of a session with these turns.
    pub(crate) fn renew(&mut self, offered: Offered, turns: &[Turn]) -> Arc<Registry> {
        let loaded = if offered.outside.iter().any(|tool| tool.is_deferred()) {
            loaded(turns)
        } else {
            BTreeSet::new()
        };
        let is_same = match &self.offered {
            Some(known) => known.is_same(&offered),
            None => offered.is_empty(),
        };
        if !is_same || loaded != self.loaded {
            self.registry = Arc::new(self.registry.with_outside(&offered.tools(), &loaded));
        }
        self.offered = Some(offered);
        self.loaded = loaded;
        Arc::clone(&self.registry)
    }

    /// What the model was told of last.
    pub(crate) fn last(&self) -> &Registry {
        &self.registry
    }

    /// The same, to be kept; of a session that was loaded in the middle of a turn, what there is now.
    pub(crate) fn told(&mut self, turns: &[Turn], offered: impl FnOnce() -> Offered) -> Arc<Registry> {
        match self.offered {
            Some(_) => Arc::clone(&self.registry),
            None => self.renew(offered(), turns),
        }
    }
}

impl Offered {
    fn is_empty(&self) -> bool {
        self.outside.is_empty() && self.of_clients.is_empty() && self.suggestions.is_none()
    }

    fn is_same(&self, other: &Self) -> bool {
        let list = |offered: &Self| offered.suggestions.as_ref().map(|suggestions| suggestions.list.clone());
        Arc::ptr_eq(&self.outside, &other.outside)
            && self.of_clients == other.of_clients
            && list(self) == list(other)
    }

    fn tools(&self) -> Vec<Arc<dyn Tool>> {
        let of_clients = self.of_clients.iter().map(|tool| Arc::new(OfClient(tool.clone())) as Arc<dyn Tool>);
        let suggest = self.suggestions.clone().map(tool_suggest::of);
        self.outside.iter().cloned().chain(of_clients).chain(suggest).collect()
    }
}

/// What a person enabled so far, as the log has it.
pub(crate) fn enabled(turns: &[Turn]) -> BTreeSet<String> {
    let items = turns.iter().flat_map(|turn| &turn.items);
    items.flat_map(|item| tool_suggest::enabled(&item.body)).map(str::to_owned).collect()
}

/// The tools that the model found or called so far, as the log has it.
fn loaded(turns: &[Turn]) -> BTreeSet<String> {
    let items = turns.iter().flat_map(|turn| &turn.items);
    items.flat_map(|item| tool_search::loaded(&item.body)).map(str::to_owned).collect()
}
