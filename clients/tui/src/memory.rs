//! What screens remember from one start to the next: what was sent, what was not sent yet, and which tip was shown.
//! Files of the state folder, readable by their owner only. None of it matters enough to fail for: what can't be read
//! is not there, what can't be written is forgotten.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use protocol::ids::{Seq, SessionId, Timestamp};
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use crate::drafts::Drafts;
use crate::modes::Before;

/// Bytes of the history that are read; when it is twice as long, what is before them is dropped.
const HISTORY_BYTES: u64 = 512 * 1024;
/// Sessions of which it is remembered how far they were seen.
const SEEN: usize = 1000;
/// The longest input that is remembered, and the longest plan.
const INPUT_BYTES: usize = 64 * 1024;
const PLAN_BYTES: u64 = 4 * 1024 * 1024;

/// What screens of one home remember.
#[derive(Clone, Debug)]
pub(crate) struct Memory {
    folder: PathBuf,
}

impl Memory {
    /// In a home's state folder.
    pub(crate) fn of_home(state: &Path) -> Self {
        Self { folder: state.join("screens") }
    }

    /// What was sent, in all sessions and from all terminals, the oldest first.
    pub(crate) fn history(&self) -> Vec<String> {
        let Ok(text) = self.history_tail() else { return Vec::new() };
        let sent = |line: &str| serde_json::from_str::<Value>(line).ok()?["text"].as_str().map(str::to_owned);
        text.lines().filter_map(sent).collect()
    }

    /// Adds to what was sent.
    pub(crate) fn remember(&self, text: &str, at: Timestamp) {
        if text.len() <= INPUT_BYTES && !text.trim().is_empty() {
            let line = json!({"at": at.0, "text": text});
            // Who can't remember still works.
            let _forgotten = self.append("history.jsonl", &format!("{line}\n"));
        }
    }

    /// What was written in a session and not sent: what another screen left, from now on kept by this one.
    pub(crate) fn drafts(&self, session: SessionId) -> Drafts {
        Drafts::take(&self.folder, session)
    }

    /// The last plan of a session.
    pub(crate) fn plan(&self, session: SessionId) -> Option<String> {
        let mut text = String::new();
        let file = File::open(self.plan_file(session)).ok()?;
        file.take(PLAN_BYTES).read_to_string(&mut text).ok()?;
        Some(text).filter(|text| !text.trim().is_empty())
    }

    /// Keeps a session's plan, and says where.
    pub(crate) fn keep_plan(&self, session: SessionId, text: &str) -> Option<PathBuf> {
        self.write(&plan_name(session), text).ok()?;
        Some(self.plan_file(session))
    }

    /// What held before the mode that a session is in.
    pub(crate) fn before(&self, session: SessionId) -> Option<Before> {
        let text = fs::read_to_string(self.folder.join(before_name(session))).ok()?;
        Before::read(&serde_json::from_str(&text).ok()?)
    }

    /// Keeps what held before the mode that a session is in.
    pub(crate) fn keep_before(&self, session: SessionId, before: &Before) {
        let _forgotten = self.write(&before_name(session), &before.written().to_string());
    }

    /// How far sessions were seen when they were left.
    pub(crate) fn seen(&self) -> HashMap<SessionId, Seq> {
        self.seen_last().into_iter().collect()
    }

    /// Remembers how far a session was seen.
    pub(crate) fn see(&self, session: SessionId, seq: Seq) {
        let mut seen = self.seen_last();
        seen.retain(|(known, _)| *known != session);
        seen.push((session, seq));
        seen.drain(..seen.len().saturating_sub(SEEN));
        let lines: String = seen.iter().map(|(session, seq)| format!("{session} {seq}\n")).collect();
        let _forgotten = self.write("seen", &lines);
    }

    /// Those that were left last come last.
    fn seen_last(&self) -> Vec<(SessionId, Seq)> {
        let mut text = String::new();
        let read = File::open(self.folder.join("seen"))
            .and_then(|file| file.take(HISTORY_BYTES).read_to_string(&mut text));
        let line = |line: &str| {
            let (session, seq) = line.split_once(' ')?;
            Some((session.parse().ok()?, Seq(seq.parse().ok()?)))
        };
        if read.is_ok() { text.lines().filter_map(line).collect() } else { Vec::new() }
    }

    fn plan_file(&self, session: SessionId) -> PathBuf {
        self.folder.join(plan_name(session))
    }

    /// The number of the next tip of so many: another one each time.
    pub(crate) fn next_tip(&self, tips: usize) -> usize {
        let last = fs::read_to_string(self.folder.join("tip")).ok();
        let last = last.and_then(|last| last.trim().parse::<usize>().ok());
        let next = last.map_or(0, |last| last.wrapping_add(1) % tips.max(1));
        let _forgotten = self.write("tip", &next.to_string());
        next
    }

    /// The end of the history, from a line's beginning on.
    fn history_tail(&self) -> io::Result<String> {
        let path = self.folder.join("history.jsonl");
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        let from = length.saturating_sub(HISTORY_BYTES);
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        file.take(2 * HISTORY_BYTES).read_to_end(&mut bytes)?;
        let mut text = String::from_utf8_lossy(&bytes).into_owned();
        if from > 0 {
            let cut = text.find('\n').map_or(text.len(), |at| at + 1);
            text.drain(..cut);
        }
        if length > 2 * HISTORY_BYTES {
            // What another terminal adds at this moment may be lost; that is not worth a lock.
            let _forgotten = self.write("history.jsonl", &text);
        }
        Ok(text)
    }

    fn append(&self, name: &str, text: &str) -> io::Result<()> {
        let path = self.folder.join(name);
        if !path.exists() {
            self.write(name, "")?;
        }
        OpenOptions::new().append(true).open(path)?.write_all(text.as_bytes())
    }

    /// Writes a file that only its owner may read, as a whole or not at all.
    fn write(&self, name: &str, text: &str) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        let mut file = NamedTempFile::new_in(&self.folder)?;
        file.write_all(text.as_bytes())?;
        file.persist(self.folder.join(name))?;
        Ok(())
    }
}

fn before_name(session: SessionId) -> String {
    format!("before-{session}.json")
}

fn plan_name(session: SessionId) -> String {
    format!("plan-{session}.md")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory() -> (tempfile::TempDir, Memory) {
        let folder = tempfile::tempdir().unwrap();
        let memory = Memory::of_home(folder.path());
        (folder, memory)
    }

    #[test]
    fn what_was_sent_is_there_after_a_restart() {
        let (folder, memory) = memory();
        assert!(memory.history().is_empty());
        memory.remember("one\ntwo", Timestamp(1));
        memory.remember("  ", Timestamp(2));
        memory.remember(&"x".repeat(INPUT_BYTES + 1), Timestamp(3));
        Memory::of_home(folder.path()).remember("three", Timestamp(4));
        assert_eq!(memory.history(), ["one\ntwo", "three"]);
    }

    #[test]
    fn a_history_without_end_is_cut_and_a_broken_line_is_left_out() {
        let (_folder, memory) = memory();
        memory.append("history.jsonl", "no json\n").unwrap();
        let long = "y".repeat(INPUT_BYTES);
        for _ in 0..20 {
            memory.remember(&long, Timestamp(1));
        }
        memory.remember("last", Timestamp(2));
        assert_eq!(memory.history().last().unwrap(), "last");
        let length = fs::metadata(memory.folder.join("history.jsonl")).unwrap().len();
        assert!(length <= HISTORY_BYTES, "{length}");
    }

    #[test]
    fn how_far_sessions_were_seen_is_remembered_of_the_last_ones() {
        let (_folder, memory) = memory();
        assert!(memory.seen().is_empty());
        let (one, two) = (SessionId::generate(), SessionId::generate());
        memory.see(one, Seq(3));
        memory.see(two, Seq(4));
        memory.see(one, Seq(5));
        assert_eq!(memory.seen(), HashMap::from([(one, Seq(5)), (two, Seq(4))]));
        for _ in 0..SEEN - 1 {
            memory.see(SessionId::generate(), Seq(1));
        }
        assert_eq!((memory.seen().len(), memory.seen().get(&two)), (SEEN, None));
    }

    #[test]
    fn no_tip_comes_twice_in_a_row() {
        let (_folder, memory) = memory();
        let tips: Vec<usize> = (0..4).map(|_| memory.next_tip(3)).collect();
        assert_eq!(tips, [0, 1, 2, 0]);
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_may_read_it() {
        let (_folder, memory) = memory();
        memory.remember("secret", Timestamp(1));
        memory.keep_plan(SessionId::generate(), "secret");
        for entry in fs::read_dir(&memory.folder).unwrap() {
            let status = rustix::fs::stat(entry.unwrap().path()).unwrap();
            assert_eq!(status.st_mode & 0o077, 0);
        }
    }
}
