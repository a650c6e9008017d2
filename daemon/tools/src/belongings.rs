//! What the tools of one session keep between calls. The session owns it and knows nothing of what is in it.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::processes::Processes;
use crate::seen::SeenFiles;

/// What the tools of one session keep between calls. One per session; dropping it ends what goes on in it.
#[derive(Debug, Default)]
pub struct Belongings {
    seen: SeenFiles,
    processes: Processes,
    others: Mutex<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>,
}

/// How it stands with the number of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// It goes on in the background.
    GoesOn {
        /// The command as a person would type it.
        command: String,
    },
    /// The call that started it has not left it yet.
    InCall,
    /// It has ended.
    Ended,
    /// A person ended it.
    EndedBy {
        /// Whose client did that.
        name: String,
    },
    /// There was none of this number, as far as this daemon knows.
    #[default]
    Unknown,
}

/// A command that goes on in the background.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Going {
    /// The number by which the model reaches it.
    pub process_id: u32,
    /// The command as a person would type it.
    pub command: String,
    /// Whether it runs outside the sandbox.
    pub is_escalated: bool,
    /// For how long.
    pub ran: Duration,
}

impl Belongings {
    /// Whether nothing goes on in it.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.processes.is_idle()
    }

    /// Whether a command goes on in the background.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.processes.is_busy()
    }

    /// The commands that go on in the background, oldest first.
    #[must_use]
    pub fn going(&self) -> Vec<Going> {
        self.processes.going()
    }

    /// Waits until others may go on in the background than before. Cancel safe.
    pub async fn going_changed(&self) {
        self.processes.changed().await;
    }

    /// How it stands with the number of a process.
    #[must_use]
    pub fn standing(&self, process_id: u32) -> Standing {
        self.processes.standing(process_id)
    }

    /// Ends a command in the background for a person, and does not wait for its end. Who looks at it next is told whose
    /// client that was.
    pub fn end_command(&self, process_id: u32, by: &str) {
        self.processes.end(process_id, by);
    }

    /// Ends the commands in the background, and waits for none.
    pub fn end_commands(&self) {
        self.processes.end_all();
    }

    /// What a tool of another crate keeps: the one of its type, made when it is first asked for. It does not keep the
    /// session in memory.
    #[must_use]
    pub fn of<T: Any + Send + Sync + Default>(&self) -> Arc<T> {
        // Each change is one call, so a poisoned map is whole.
        let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = others.entry(TypeId::of::<T>()).or_insert_with(|| Arc::new(T::default()));
        // Invariant: what stands under the identity of a type is of that type.
        Arc::clone(kept).downcast().unwrap_or_default()
    }

    /// Commands in the background.
    pub(crate) fn processes(&self) -> &Processes {
        &self.processes
    }

    /// The files that the session has read.
    pub(crate) fn seen(&self) -> &SeenFiles {
        &self.seen
    }
}
