//! What happened in a run, line by line. Identities are numbered as they appear, so that two runs of a seed tell the
//! same though some identities come from the operating system.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Mutex;

/// Whether a run is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tracing {
    Off,
    On,
}

/// The lines so far.
pub(crate) struct Trace {
    tracing: Tracing,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    lines: Vec<String>,
    names: HashMap<String, usize>,
}

impl Trace {
    /// Without lines.
    pub(crate) fn new(tracing: Tracing) -> Self {
        Self { tracing, inner: Mutex::default() }
    }

    /// Adds a line, which is made only if anybody will read it.
    pub(crate) fn line(&self, at_ms: u64, text: impl FnOnce() -> String) {
        if self.tracing == Tracing::Off {
            return;
        }
        let mut inner = self.inner.lock().unwrap();
        let text = inner.with_names(&text());
        inner.lines.push(format!("{at_ms:>9} {text}"));
    }

    /// All lines.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.inner.lock().unwrap().lines.clone()
    }
}

/// One number for all lines.
pub(crate) fn hash(lines: &[String]) -> u64 {
    let mut hasher = DefaultHasher::new();
    lines.hash(&mut hasher);
    hasher.finish()
}

/// Characters of a written UUID.
const UUID_CHARS: usize = 36;

impl Inner {
    fn with_names(&mut self, text: &str) -> String {
        let mut named = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(letter) = rest.chars().next() {
            match rest.get(..UUID_CHARS).filter(|part| is_uuid(part)) {
                Some(id) => {
                    let next = self.names.len() + 1;
                    let number = *self.names.entry(id.to_owned()).or_insert(next);
                    // Writing to a string can't fail.
                    let _ = write!(named, "#{number}");
                    rest = &rest[UUID_CHARS..];
                }
                None => {
                    named.push(letter);
                    rest = &rest[letter.len_utf8()..];
                }
            }
        }
        named
    }
}

fn is_uuid(part: &str) -> bool {
    part.bytes().enumerate().all(|(at, byte)| match at {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    })
}

#[test]
fn identities_are_numbered_as_they_appear() {
    let trace = Trace::new(Tracing::On);
    let (first, second) = (uuid::Uuid::now_v7(), uuid::Uuid::now_v7());
    trace.line(5, || format!("é{first}, {second} and {first}"));
    assert_eq!(trace.lines(), ["        5 é#1, #2 and #1"]);
}
