//! Where calls of the daemon are made. They can't change threads in the middle, so each piece of work goes to a desk on
//! the thread of its `LocalSet`, and its outcome comes back.

use std::pin::Pin;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

/// Pieces of work that may wait; beyond them, who has more waits.
const WAITING: usize = 64;

type Work = Pin<Box<dyn Future<Output = ()>>>;
type Job = Box<dyn FnOnce() -> Work + Send>;

/// A handle to the desk; clones give work to the same one.
#[derive(Clone)]
pub(crate) struct Desk(mpsc::Sender<Job>);

impl Desk {
    /// A desk, and its work, which is to be done within a `LocalSet`. What is begun there is dropped with it.
    pub(crate) fn new() -> (Self, impl Future<Output = ()>) {
        let (tx, mut jobs) = mpsc::channel::<Job>(WAITING);
        let work = async move {
            let mut begun = JoinSet::new();
            loop {
                tokio::select! {
                    job = jobs.recv() => match job {
                        Some(job) => drop(begun.spawn_local(job())),
                        None => return,
                    },
                    Some(_) = begun.join_next() => {}
                }
            }
        };
        (Self(tx), work)
    }

    /// Has a piece of work done. `None` when the desk is closed. Dropping this does not stop the work.
    pub(crate) async fn have_done<T, W>(&self, work: impl FnOnce() -> W + Send + 'static) -> Option<T>
    where
        T: Send + 'static,
        W: Future<Output = T> + 'static,
    {
        let (tx, rx) = oneshot::channel();
        let job: Job = Box::new(move || {
            let work = work();
            Box::pin(async move {
                let _may_have_gone = tx.send(work.await);
            })
        });
        self.0.send(job).await.ok()?;
        rx.await.ok()
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;

    #[tokio::test]
    async fn work_that_stays_on_one_thread_is_done_for_others() {
        let (desk, work) = Desk::new();
        let asking = tokio::spawn(async move {
            desk.have_done(|| async {
                let local = Rc::new(41);
                tokio::task::yield_now().await;
                *local + 1
            })
            .await
        });
        tokio::task::LocalSet::new().run_until(work).await;
        assert_eq!(asking.await.unwrap(), Some(42));
    }
}
