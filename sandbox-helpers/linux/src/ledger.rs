//! What was refused, and to which program. Knows nothing of why it was refused.

use std::fs::File;
use std::io::Read;

use helper_protocol::bytes::Bytes;
use helper_protocol::report::{MAX_PROGRAMS, MAX_REFUSALS, Program, Refusal, Refusals, Refused};
use rustix::process::Pid;

use crate::starts::Starts;
use crate::supervise::path;

/// Bytes of a program's arguments, and of its environment, that are told; one with more is not told at all.
const MAX_STRINGS: u64 = 64 * 1024;

/// The refusals of a command.
#[derive(Default)]
pub(crate) struct Ledger {
    refusals: Refusals,
    starts: Starts,
}

impl Ledger {
    /// Whether no more are told.
    pub(crate) fn is_full(&self) -> bool {
        self.refusals.list.len() >= MAX_REFUSALS
    }

    /// Takes note of a refusal that a thread has just met, which waits for it.
    pub(crate) fn note(&mut self, refusal: Refusal, thread: Pid) {
        if self.is_full() {
            return;
        }
        let refused = Refused { by: self.program(thread), refusal };
        if !self.refusals.list.contains(&refused) {
            self.refusals.list.push(refused);
        }
    }

    /// Takes note that a thread is about to change its folder, for which it waits.
    pub(crate) fn note_leaving(&mut self, thread: Pid) {
        if !self.is_full() {
            self.starts.note_leaving(thread);
        }
    }

    /// All that is known.
    pub(crate) fn refusals(self) -> Refusals {
        self.refusals
    }

    fn program(&mut self, thread: Pid) -> Option<usize> {
        let argv = strings(thread, "cmdline")?;
        let (program, cwd) = (path(thread, "exe")?, self.starts.folder(thread)?);
        let is_it = |known: &Program| known.argv == argv && known.program == program && known.cwd == cwd;
        if let Some(index) = self.refusals.programs.iter().position(is_it) {
            return Some(index);
        }
        if self.refusals.programs.len() >= MAX_PROGRAMS {
            return None;
        }
        let environment = strings(thread, "environ")?;
        self.refusals.programs.push(Program { program, argv, environment, cwd });
        Some(self.refusals.programs.len() - 1)
    }
}

/// The strings in `/proc/THREAD/NAME`, each of which ends with a zero byte; none if there are too many.
fn strings(thread: Pid, name: &str) -> Option<Vec<Bytes>> {
    let mut text = Vec::new();
    let file = File::open(format!("/proc/{}/{name}", thread.as_raw_pid())).ok()?;
    let count = file.take(MAX_STRINGS + 1).read_to_end(&mut text).ok()?;
    let is_all = u64::try_from(count).is_ok_and(|count| count <= MAX_STRINGS);
    // A program that has put something else there says what nobody can use.
    let text = text.strip_suffix(&[0]).filter(|_| is_all)?;
    Some(text.split(|&byte| byte == 0).map(|part| Bytes(part.to_vec())).collect())
}
