//! What runs in the process that evaluates: it takes limits on itself, and does what it is told until nobody tells it
//! anything any more.

use std::cell::Cell;
use std::ffi::OsStr;
use std::io::{self, BufRead, Write};
use std::process::exit;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use serde_json::Value;

use crate::engine::{Engine, Outside};
use crate::message::{Order, Told};

/// The one argument that makes the executable an interpreter. Nothing that a person would type.
pub(crate) const ARGUMENT: &str = "--skein-run-javascript";

/// Memory of the process, in bytes, its own code included.
#[cfg(unix)]
const MEMORY: u64 = 1024 * 1024 * 1024;
/// Bytes that one run may print; what comes after is counted.
const MAX_PRINTED: usize = 4 * 1024 * 1024;
/// Bytes of one message of what is printed.
const MAX_PIECE: usize = 64 * 1024;
/// Orders that may wait; more than calls that may be open at a time.
const ORDER_QUEUE: usize = 128;
/// No run has this number.
const NONE: u64 = u64::MAX;

/// Runs an interpreter and ends the process with it, if it was started for that. To be called before anything else is
/// done.
pub fn run_if_interpreter() {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().as_deref() != Some(OsStr::new(ARGUMENT)) || arguments.next().is_some() {
        return;
    }
    exit(i32::from(run().is_err()));
}

fn run() -> io::Result<()> {
    #[cfg(unix)]
    limit()?;
    let stopped = Arc::new(AtomicU64::new(NONE));
    let (orders, ordered) = sync_channel(ORDER_QUEUE);
    let listening = {
        let stopped = Arc::clone(&stopped);
        move || listen(&orders, &stopped)
    };
    // It ends with the process, and the process with it.
    thread::Builder::new().stack_size(256 * 1024).spawn(listening)?;
    let daemon = Rc::new(Daemon { ordered, stopped, run: Cell::new(None), printed: Cell::new(0) });
    let outside = Rc::clone(&daemon) as Rc<dyn Outside>;
    let engine = Engine::new(outside).map_err(io::Error::other)?;
    while let Ok(order) = daemon.ordered.recv() {
        // Answers to calls of code that was stopped are nobody's any more.
        let Order::Run { run, code } = order else { continue };
        daemon.run.set(Some(run));
        daemon.printed.set(0);
        let ended = engine.run(code);
        let more = daemon.printed.get().saturating_sub(MAX_PRINTED);
        if more > 0 {
            tell(&Told::Printed(format!("\n[{more} more bytes were printed and are not kept]\n")));
        }
        tell(&Told::Ended(ended));
    }
    Ok(())
}

/// Reads what the daemon says. Without it there is nothing to be done.
fn listen(orders: &SyncSender<Order>, stopped: &AtomicU64) {
    for line in io::stdin().lock().lines() {
        let Some(order) = line.ok().and_then(|line| serde_json::from_str(&line).ok()) else { break };
        if let Order::Stop { run } = order {
            stopped.store(run, Ordering::Relaxed);
        }
        if orders.send(order).is_err() {
            break;
        }
    }
    exit(0);
}

fn tell(told: &Told) {
    let written = serde_json::to_string(told).map(|line| writeln!(io::stdout().lock(), "{line}"));
    if !matches!(written, Ok(Ok(()))) {
        exit(1);
    }
}

/// The daemon, as the engine sees it.
struct Daemon {
    ordered: Receiver<Order>,
    /// The run that is to be stopped.
    stopped: Arc<AtomicU64>,
    /// The run that goes on; absent before the first.
    run: Cell<Option<u64>>,
    /// Bytes that it printed.
    printed: Cell<usize>,
}

impl Outside for Daemon {
    fn print(&self, text: String) {
        let before = self.printed.get();
        self.printed.set(before.saturating_add(text.len()));
        let room = MAX_PRINTED.saturating_sub(before);
        let mut rest = &text[..text.floor_char_boundary(room)];
        while !rest.is_empty() {
            let (piece, more) = rest.split_at(rest.floor_char_boundary(MAX_PIECE));
            tell(&Told::Printed(piece.to_owned()));
            rest = more;
        }
    }

    fn call(&self, call: u64, name: String, arguments: Value) {
        tell(&Told::Call { call, name, arguments });
    }

    fn receive(&self) -> Option<(u64, Result<String, String>)> {
        loop {
            match self.ordered.recv() {
                Ok(Order::Answer { call, outcome }) => return Some((call, outcome)),
                Ok(Order::Stop { .. }) if !self.is_stopped() => {}
                Ok(Order::Stop { .. } | Order::Run { .. }) | Err(_) => return None,
            }
        }
    }

    fn is_stopped(&self) -> bool {
        self.run.get().is_some_and(|run| self.stopped.load(Ordering::Relaxed) == run)
    }
}

#[cfg(unix)]
fn limit() -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, setrlimit};
    for (resource, most) in
        [(Resource::As, MEMORY), (Resource::Core, 0), (Resource::Fsize, 0), (Resource::Nofile, 16)]
    {
        setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?;
    }
    Ok(())
}
