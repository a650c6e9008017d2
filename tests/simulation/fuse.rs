//! The instant at which the daemon crashes. Every effect passes points; at one of them the daemon is dead, and
//! nothing that reaches a point from then on goes on.

use std::future::pending;
use std::sync::Mutex;

use tokio::sync::Notify;

/// Counts the points of a life.
#[derive(Default)]
pub(crate) struct Fuse {
    /// Points until the crash; never without a number.
    left: Mutex<Option<u64>>,
    blown: Notify,
}

impl Fuse {
    /// Sets the crash to a point of the life that begins.
    pub(crate) fn arm(&self, points: Option<u64>) {
        *self.left.lock().unwrap() = points;
    }

    /// A point where a crash may happen. Does not return then.
    pub(crate) async fn point(&self) {
        if self.burn() {
            self.blown.notify_one();
            pending::<()>().await;
        }
    }

    /// Waits for the crash.
    pub(crate) async fn blown(&self) {
        self.blown.notified().await;
    }

    fn burn(&self) -> bool {
        match &mut *self.left.lock().unwrap() {
            None => false,
            Some(left) => {
                *left = left.saturating_sub(1);
                *left == 0
            }
        }
    }
}
