//! The processes of a session by number. Numbers are of one session: another one's lead nowhere.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::keeper::{Keeper, Visit};
use super::watcher::Watcher;
use crate::belongings::{Going, Standing};

/// Processes at a time. For one more one goes that has ended, or else the one that was not looked at for longest.
pub(crate) const MAX_PROCESSES: usize = 8;
/// Visits that may wait; the keeper takes one at a time.
const VISIT_QUEUE: usize = 4;
/// Watchers that may wait until the keeper takes them, which it does at once.
const WATCHER_QUEUE: usize = 4;

/// The processes of a session.
#[derive(Debug, Default)]
pub(crate) struct Processes {
    table: Mutex<Table>,
    /// Is told when others may go on in the background than before.
    changed: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Table {
    kept: BTreeMap<u32, Kept>,
    last_id: u32,
    /// Counts visits, to tell which process was not looked at for longest.
    visits: u64,
}

#[derive(Debug)]
struct Kept {
    handle: Handle,
    visited: u64,
    is_ended: Arc<AtomicBool>,
    started: Instant,
    /// Whether the call that started it went on without it.
    is_left: bool,
    /// Whose client ended it, if a person did.
    ended_by: Option<String>,
    /// Tells the keeper of that, once.
    ends: mpsc::Sender<String>,
    /// Dropping it drops the process, and that kills it.
    keeper: AbortOnDropHandle<()>,
}

/// How to reach a process.
#[derive(Clone, Debug)]
pub(crate) struct Handle {
    pub(crate) visits: mpsc::Sender<Visit>,
    pub(crate) watchers: mpsc::Sender<Watcher>,
    /// The command as a person would type it.
    pub(crate) command: String,
    /// Whether it runs outside the sandbox.
    pub(crate) is_escalated: bool,
    pub(crate) has_terminal: bool,
}

/// A process that had to make room.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Evicted {
    pub(crate) id: u32,
    pub(crate) command: String,
}

impl Processes {
    /// Keeps a process; says which one had to go for it.
    pub(crate) fn keep(
        &self,
        keeper: Keeper,
        command: String,
        is_escalated: bool,
    ) -> (u32, Handle, Option<Evicted>) {
        let (visits, heard) = mpsc::channel(VISIT_QUEUE);
        let (watchers, watching) = mpsc::channel(WATCHER_QUEUE);
        let (ends, ending) = mpsc::channel(1);
        let has_terminal = keeper.has_terminal();
        let handle = Handle { visits, watchers, command, is_escalated, has_terminal };
        let keeper = keeper.tells(Arc::clone(&self.changed));
        let is_ended = keeper.is_ended();
        let keeper = AbortOnDropHandle::new(tokio::spawn(keeper.run(heard, watching, ending)));
        let mut table = self.table();
        let evicted = if table.kept.len() >= MAX_PROCESSES { table.evict() } else { None };
        table.last_id += 1;
        table.visits += 1;
        let (id, visited) = (table.last_id, table.visits);
        let started = Instant::now();
        let (handle_of_it, ended_by) = (handle.clone(), None);
        let kept =
            Kept { handle: handle_of_it, visited, is_ended, started, is_left: false, ended_by, ends, keeper };
        table.kept.insert(id, kept);
        self.changed.notify_one();
        (id, handle, evicted)
    }

    /// Somebody looks at a process.
    pub(crate) fn visit(&self, id: u32) -> Option<Handle> {
        let mut table = self.table();
        table.visits += 1;
        let visited = table.visits;
        let kept = table.kept.get_mut(&id)?;
        kept.visited = visited;
        Some(kept.handle.clone())
    }

    /// The call that came to it goes on without it.
    pub(crate) fn leave(&self, id: u32) {
        if let Some(kept) = self.table().kept.get_mut(&id) {
            kept.is_left = true;
        }
        self.changed.notify_one();
    }

    /// It has ended, and that was told.
    pub(crate) fn forget(&self, id: u32) {
        self.table().kept.remove(&id);
        self.changed.notify_one();
    }

    /// Those that go on in the background, oldest first.
    pub(crate) fn going(&self) -> Vec<Going> {
        let table = self.table();
        let is_going = |kept: &Kept| kept.is_left && kept.ended_by.is_none() && kept.goes_on();
        let going = table.kept.iter().filter(|(_, kept)| is_going(kept));
        going
            .map(|(&process_id, kept)| Going {
                process_id,
                command: kept.handle.command.clone(),
                is_escalated: kept.handle.is_escalated,
                ran: kept.started.elapsed(),
            })
            .collect()
    }

    /// How it stands with a number.
    pub(crate) fn standing(&self, id: u32) -> Standing {
        let table = self.table();
        match table.kept.get(&id) {
            Some(Kept { ended_by: Some(name), .. }) => Standing::EndedBy { name: name.clone() },
            Some(kept) if !kept.goes_on() => Standing::Ended,
            Some(kept) if kept.is_left => Standing::GoesOn { command: kept.handle.command.clone() },
            Some(_) => Standing::InCall,
            None if (1..=table.last_id).contains(&id) => Standing::Ended,
            None => Standing::Unknown,
        }
    }

    /// Ends one for a person, whoever visits it.
    pub(crate) fn end(&self, id: u32, by: &str) {
        if let Some(kept) = self.table().kept.get_mut(&id).filter(|kept| kept.goes_on()) {
            kept.ended_by = Some(by.to_owned());
            // A full channel has told it already; a closed one has nobody left to tell.
            let _ = kept.ends.try_send(by.to_owned());
        }
        self.changed.notify_one();
    }

    /// Waits until others may go on in the background than before. Cancel safe.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// The numbers there are.
    pub(crate) fn ids(&self) -> Vec<u32> {
        self.table().kept.keys().copied().collect()
    }

    /// Whether one has not ended.
    pub(crate) fn is_busy(&self) -> bool {
        self.table().kept.values().any(Kept::goes_on)
    }

    /// Ends all of them.
    pub(crate) fn end_all(&self) {
        self.table().kept.clear();
        self.changed.notify_one();
    }

    /// Whether nothing goes on.
    pub(crate) fn is_idle(&self) -> bool {
        self.table().kept.values().all(|kept| kept.keeper.is_finished())
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // A poisoned table is whole: each change is one step.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn goes_on(&self) -> bool {
        !self.is_ended.load(Ordering::Relaxed) && !self.keeper.is_finished()
    }
}

impl Table {
    /// Makes room.
    fn evict(&mut self) -> Option<Evicted> {
        let goes_on = |kept: &Kept| !kept.is_ended.load(Ordering::Relaxed);
        let (&id, _) = self.kept.iter().min_by_key(|(_, kept)| (goes_on(kept), kept.visited))?;
        let kept = self.kept.remove(&id)?;
        Some(Evicted { id, command: kept.handle.command })
    }
}
