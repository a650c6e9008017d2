//! Signals: the system wants this process to end, or a key was meant for a program that had the terminal. Knows nothing
//! of what is shown.

#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Signals of this process, from when it listens on.
pub(crate) struct Signals {
    #[cfg(unix)]
    ends: Vec<Signal>,
    #[cfg(unix)]
    keys: Vec<Signal>,
}

impl Signals {
    /// Listens; where that can't be, no signal comes.
    pub(crate) fn listen() -> Self {
        #[cfg(unix)]
        {
            let all =
                |kinds: [SignalKind; 2]| kinds.into_iter().filter_map(|kind| signal(kind).ok()).collect();
            Self {
                ends: all([SignalKind::terminate(), SignalKind::hangup()]),
                keys: all([SignalKind::interrupt(), SignalKind::quit()]),
            }
        }
        #[cfg(not(unix))]
        Self {}
    }

    /// Until the system wants this process to end, or, unless another program has the terminal, somebody does. Cancel
    /// safe.
    pub(crate) async fn told_to_go(&mut self, keys: Keys) {
        #[cfg(unix)]
        std::future::poll_fn(|context| {
            // All are asked, so that what is not meant for this process is taken away.
            let mut come = |signals: &mut Vec<Signal>| {
                signals.iter_mut().map(|signal| signal.poll_recv(context).is_ready()).filter(|is| *is).count()
                    > 0
            };
            let (is_over, is_key) = (come(&mut self.ends), come(&mut self.keys));
            if is_over || (is_key && keys == Keys::Ours) {
                return std::task::Poll::Ready(());
            }
            if is_key {
                context.waker().wake_by_ref();
            }
            std::task::Poll::Pending
        })
        .await;
        #[cfg(not(unix))]
        {
            let _ = keys;
            std::future::pending::<()>().await;
        }
    }
}

/// For whom keys such as Ctrl+C are, while the terminal turns them into signals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keys {
    /// For this process: a raw terminal sends none, so somebody else did.
    Ours,
    /// For the program that has the terminal.
    Theirs,
}
