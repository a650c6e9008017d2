//! In each tree one agent starts at a time, so that its limits and its names hold. Trees do not wait for one another.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use protocol::ids::SessionId;
use tokio::sync::OwnedMutexGuard;

/// Who starts an agent, and who waits to.
#[derive(Default)]
pub(crate) struct Starting {
    /// By the session at the top; one that nobody holds or waits for is forgotten.
    trees: Mutex<HashMap<SessionId, Weak<tokio::sync::Mutex<()>>>>,
}

impl Starting {
    /// Waits until nobody else starts one in the tree of this session, which is its top. The others wait as long as
    /// what is returned lives.
    pub(crate) async fn alone_in(&self, root: SessionId) -> OwnedMutexGuard<()> {
        self.lock_of(root).lock_owned().await
    }

    fn lock_of(&self, root: SessionId) -> Arc<tokio::sync::Mutex<()>> {
        // A poisoned map is whole: each change is one call.
        let mut trees = self.trees.lock().unwrap_or_else(PoisonError::into_inner);
        trees.retain(|_, lock| lock.strong_count() > 0);
        let known = trees.get(&root).and_then(Weak::upgrade);
        known.unwrap_or_else(|| {
            let lock = Arc::default();
            trees.insert(root, Arc::downgrade(&lock));
            lock
        })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn one_at_a_time_starts_in_a_tree_and_others_do_not_wait() {
        let starting = Starting::default();
        let (one, other) = (SessionId::generate(), SessionId::generate());
        let first = starting.alone_in(one).await;
        assert!(starting.alone_in(one).now_or_never().is_none());
        assert!(starting.alone_in(other).now_or_never().is_some());
        drop(first);
        assert!(starting.alone_in(one).now_or_never().is_some());
    }

    #[tokio::test]
    async fn trees_in_which_nobody_starts_any_more_are_forgotten() {
        let starting = Starting::default();
        for _ in 0..10 {
            let _alone = starting.alone_in(SessionId::generate()).await;
        }
        assert_eq!(starting.trees.lock().unwrap().len(), 1);
    }
}
