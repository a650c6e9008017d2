//! What the sessions of one tree of agents have together, as decisions need it: at hand, without a look into the store.
//! What each of them spent, so that a ceiling of the tree holds at any depth; and whether somebody is there who can
//! answer, since who follows one of them hears of the questions of all.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use protocol::ids::{SessionId, Timestamp};
use protocol::usage::Spending;
use store::StoreError;
use tokio::sync::OnceCell;

use crate::log::Log;

/// The trees of which a session is in memory, by the session at the top.
#[derive(Default)]
pub(crate) struct Trees(Mutex<HashMap<SessionId, Weak<Tree>>>);

#[derive(Default)]
struct Tree {
    /// Set once it is read what was spent before.
    is_read: OnceCell<()>,
    shares: Mutex<Shares>,
}

#[derive(Default)]
struct Shares {
    spent: HashMap<SessionId, Spending>,
    /// Those that work right now, since the last event that told of it.
    working: HashMap<SessionId, Timestamp>,
    answering: HashSet<SessionId>,
}

/// A session's place in its tree. Dropping it leaves the tree.
pub(crate) struct Branch {
    tree: Arc<Tree>,
    session: SessionId,
}

impl Trees {
    /// Gives a session its place, and reads what the tree spent before, unless another session of it is in memory.
    ///
    /// # Errors
    /// When the store can't be read.
    pub(crate) async fn join(
        &self,
        log: &dyn Log,
        session: SessionId,
        root: SessionId,
    ) -> Result<Branch, StoreError> {
        let tree = self.tree(root);
        tree.is_read
            .get_or_try_init(|| async {
                let spent = log.spent_in_tree(root).await?;
                tree.with(|shares| shares.spent.extend(spent));
                Ok::<_, StoreError>(())
            })
            .await?;
        Ok(Branch { tree, session })
    }

    fn tree(&self, root: SessionId) -> Arc<Tree> {
        // Each change is done at once, so a poisoned map is whole.
        let mut trees = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tree) = trees.get(&root).and_then(Weak::upgrade) {
            return tree;
        }
        trees.retain(|_, tree| tree.strong_count() > 0);
        let tree = Arc::<Tree>::default();
        trees.insert(root, Arc::downgrade(&tree));
        tree
    }
}

impl Tree {
    fn with<T>(&self, look: impl FnOnce(&mut Shares) -> T) -> T {
        // Each change is done at once, so a poisoned one is whole.
        look(&mut self.shares.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Branch {
    /// What the other sessions of the tree spent, with the time that they work right now; and how many do.
    pub(crate) fn beside(&self, now: Timestamp) -> (Spending, u32) {
        self.tree.with(|shares| {
            let mut sum = Spending::default();
            for (session, spent) in &shares.spent {
                if *session != self.session {
                    sum += *spent;
                }
            }
            let mut working = 0;
            for (session, since) in &shares.working {
                if *session != self.session {
                    sum += Spending { time_ms: now.since(*since), ..Spending::default() };
                    working += 1;
                }
            }
            (sum, working)
        })
    }

    /// Adds what this one spent, and notes since when it works.
    pub(crate) fn spend(&self, spending: Spending, working: Option<Timestamp>) {
        self.tree.with(|shares| {
            match working {
                Some(since) => {
                    shares.working.insert(self.session, since);
                }
                None => {
                    shares.working.remove(&self.session);
                }
            }
            *shares.spent.entry(self.session).or_default() += spending;
        });
    }

    /// Notes whether somebody follows this session who can answer.
    pub(crate) fn note_audience(&self, can_answer: bool) {
        self.tree.with(|shares| {
            if can_answer {
                shares.answering.insert(self.session);
            } else {
                shares.answering.remove(&self.session);
            }
        });
    }

    /// Whether somebody follows a session of the tree who can answer.
    pub(crate) fn is_answerable(&self) -> bool {
        self.tree.with(|shares| !shares.answering.is_empty())
    }
}

impl Drop for Branch {
    fn drop(&mut self) {
        self.note_audience(false);
        self.spend(Spending::default(), None);
    }
}
