//! The folders that programs were started in, of those that have gone elsewhere since. Knows nothing of who asks, or why.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Read;

use helper_protocol::bytes::Bytes;
use rustix::process::Pid;

use crate::supervise::path;
use crate::tracee;

/// Programs that are remembered. For one that was forgotten its present folder is told, which is what it was started in
/// for most.
const MOST: usize = 1024;
/// What a program finds in its memory at its start is no longer than this.
const MAX_VECTOR: u64 = 4096;
/// `AT_RANDOM` (linux/auxvec.h).
const RANDOM: u64 = 25;
const WORD: usize = size_of::<u64>();

/// What the kernel draws anew for each program that it starts. Processes that a program forks have the same, until they
/// start another one.
type Mark = [u8; 16];

/// Where programs were when they were started.
#[derive(Default)]
pub(crate) struct Starts {
    /// The latest at the end.
    known: VecDeque<(Mark, Bytes)>,
}

impl Starts {
    /// Takes note that a thread is about to change its folder, for which it waits.
    pub(crate) fn note_leaving(&mut self, thread: Pid) {
        let Some(mark) = mark(thread) else { return };
        // Invariant: the first that leaves, of all that a program has forked, is where the program was started.
        if self.known(&mark).is_some() {
            return;
        }
        let Some(folder) = path(thread, "cwd") else { return };
        if self.known.len() >= MOST {
            self.known.pop_front();
        }
        self.known.push_back((mark, folder));
    }

    /// Where the program of this thread was started.
    pub(crate) fn folder(&self, thread: Pid) -> Option<Bytes> {
        let known = mark(thread).and_then(|mark| self.known(&mark).cloned());
        known.or_else(|| path(thread, "cwd"))
    }

    fn known(&self, mark: &Mark) -> Option<&Bytes> {
        self.known.iter().rev().find(|(known, _)| known == mark).map(|(_, folder)| folder)
    }
}

fn mark(thread: Pid) -> Option<Mark> {
    let mut vector = Vec::new();
    let file = File::open(format!("/proc/{}/auxv", thread.as_raw_pid())).ok()?;
    file.take(MAX_VECTOR).read_to_end(&mut vector).ok()?;
    let (words, _) = vector.as_chunks::<WORD>();
    let words: Vec<_> = words.iter().map(|word| u64::from_ne_bytes(*word)).collect();
    let address = words.chunks_exact(2).find(|pair| pair[0] == RANDOM)?[1];
    let mut mark = Mark::default();
    (tracee::read(thread, address, &mut mark) == Ok(mark.len())).then_some(mark)
}
