//! Bounds the output of a command: the head and the tail in memory, the whole in a spool, and a stream of
//! readable pieces for people who watch. Knows nothing of processes.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use protocol::ids::BlobId;
use protocol::item::CommandOutput;

use crate::plain;

/// Bytes kept of the beginning.
pub const HEAD_BYTES: usize = 16 * 1024;
/// Bytes kept of the end.
pub const TAIL_BYTES: usize = 16 * 1024;
/// Bytes of output that are shown while a command runs; the completed item has head and tail.
pub const WATCHED_BYTES: u64 = 256 * 1024;

/// Where the whole of long outputs goes.
pub trait Spools: Send + Sync {
    /// Opens a spool.
    fn open(&self) -> BoxFuture<'_, std::io::Result<Box<dyn Spool>>>;

    /// What a spool of the same session kept; `None` if it kept none of that name.
    fn read<'a>(&'a self, blob: &'a BlobId) -> BoxFuture<'a, std::io::Result<Option<Vec<u8>>>>;
}

/// A growing payload. Dropping it unfinished removes it.
pub trait Spool: Send {
    /// Adds bytes; beyond the store's cap they are counted and forgotten.
    fn write<'a>(&'a mut self, bytes: &'a [u8]) -> BoxFuture<'a, std::io::Result<()>>;
    /// Keeps it.
    fn finish(self: Box<Self>) -> BoxFuture<'static, std::io::Result<BlobId>>;
}

/// Bytes kept of an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Of the beginning.
    pub head: usize,
    /// Of the end.
    pub tail: usize,
}

/// Bytes of a text that make a token, roughly.
const BYTES_PER_TOKEN: usize = 4;

impl Room {
    /// What a model is shown of a command.
    pub const DEFAULT: Self = Self { head: HEAD_BYTES, tail: TAIL_BYTES };

    /// About so many tokens, but no more than a few times the usual.
    #[must_use]
    pub fn of_tokens(tokens: u32) -> Self {
        let bytes =
            (tokens as usize).saturating_mul(BYTES_PER_TOKEN).clamp(256, 4 * (HEAD_BYTES + TAIL_BYTES));
        Self { head: bytes / 2, tail: bytes - bytes / 2 }
    }
}

/// Collects an output of any length in bounded memory. What it gives is harmless to models and terminals; the
/// spool has the bytes as they came.
pub struct Collector {
    spools: Arc<dyn Spools>,
    room: Room,
    spool: SpoolState,
    head: Vec<u8>,
    tail: VecDeque<u8>,
    total: u64,
    shown: u64,
    decoder: Decoder,
    pieces: plain::Pieces,
}

enum SpoolState {
    /// Everything still fits into head and tail.
    Unneeded,
    Open(Box<dyn Spool>),
    /// The disk did not take it; the command's own work goes on.
    Failed,
}

impl Collector {
    /// Starts empty.
    #[must_use]
    pub fn new(spools: Arc<dyn Spools>, room: Room) -> Self {
        Self {
            spools,
            room,
            spool: SpoolState::Unneeded,
            head: Vec::new(),
            tail: VecDeque::new(),
            total: 0,
            shown: 0,
            decoder: Decoder::default(),
            pieces: plain::Pieces::default(),
        }
    }

    /// Takes a piece, and returns what of it people can read now; empty if nothing, or no more is shown.
    pub async fn push(&mut self, bytes: &[u8]) -> String {
        self.total += bytes.len() as u64;
        self.spill(bytes).await;
        let Room { head, tail } = self.room;
        let room = head.saturating_sub(self.head.len()).min(bytes.len());
        self.head.extend_from_slice(&bytes[..room]);
        let rest = &bytes[room..];
        let kept = &rest[rest.len().saturating_sub(tail)..];
        let excess = (self.tail.len() + kept.len()).saturating_sub(tail);
        self.tail.drain(..excess);
        self.tail.extend(kept);
        if self.shown >= WATCHED_BYTES {
            return String::new();
        }
        self.shown += bytes.len() as u64;
        self.pieces.push(&self.decoder.push(bytes))
    }

    /// What is kept now: the beginning, and on a line of its own the end.
    #[must_use]
    pub fn so_far(&self) -> String {
        let mut kept = self.head.clone();
        if self.total > (self.head.len() + self.tail.len()) as u64 {
            kept.push(b'\n');
        }
        kept.extend(&self.tail);
        String::from_utf8_lossy(&kept).into_owned()
    }

    /// Keeps so much from now on. What was kept already is cut to it.
    pub fn resize(&mut self, room: Room) {
        // What the head does not hold any more belongs to the tail.
        let excess = self.head.split_off(room.head.min(self.head.len()));
        for byte in excess.into_iter().rev() {
            self.tail.push_front(byte);
        }
        let too_much = self.tail.len().saturating_sub(room.tail);
        if self.total > (self.head.len() + self.tail.len()) as u64 || too_much == 0 {
            self.tail.drain(..too_much);
            self.room = room;
        }
    }

    /// The outcome.
    pub async fn finish(self) -> CommandOutput {
        let kept = (self.head.len() + self.tail.len()) as u64;
        let omitted_bytes = self.total - kept;
        let tail: Vec<u8> = self.tail.into();
        let (head, tail) = if omitted_bytes == 0 {
            let whole = [self.head, tail].concat();
            (harmless(&whole), String::new())
        } else {
            (harmless(trim_partial_end(&self.head)), harmless(trim_partial_start(&tail)))
        };
        let blob = match self.spool {
            SpoolState::Open(spool) if omitted_bytes > 0 => match spool.finish().await {
                Ok(blob) => Some(blob),
                Err(error) => {
                    tracing::warn!(%error, "could not keep the whole output of a command");
                    None
                }
            },
            SpoolState::Open(_) | SpoolState::Unneeded | SpoolState::Failed => None,
        };
        CommandOutput { head, tail, omitted_bytes, total_bytes: self.total, blob }
    }

    /// Keeps the whole, from the moment on that head and tail do not hold it any more.
    async fn spill(&mut self, bytes: &[u8]) {
        if let SpoolState::Unneeded = self.spool
            && self.head.len() + self.tail.len() + bytes.len() > self.room.head + self.room.tail
        {
            self.spool = match self.open_with_what_was_kept().await {
                Ok(spool) => SpoolState::Open(spool),
                Err(error) => failed(&error),
            };
        }
        if let SpoolState::Open(spool) = &mut self.spool
            && let Err(error) = spool.write(bytes).await
        {
            self.spool = failed(&error);
        }
    }

    async fn open_with_what_was_kept(&mut self) -> std::io::Result<Box<dyn Spool>> {
        let mut spool = self.spools.open().await?;
        spool.write(&self.head).await?;
        spool.write(self.tail.make_contiguous()).await?;
        Ok(spool)
    }
}

fn harmless(bytes: &[u8]) -> String {
    plain::spoken(&String::from_utf8_lossy(bytes)).into_owned()
}

fn failed(error: &std::io::Error) -> SpoolState {
    tracing::warn!(%error, "could not spool the output of a command; only its head and tail are kept");
    SpoolState::Failed
}

/// Cuts a character that is not complete off the end.
fn trim_partial_end(bytes: &[u8]) -> &[u8] {
    match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => &bytes[..error.valid_up_to()],
        _ => bytes,
    }
}

/// Cuts the rest of a character off the beginning.
fn trim_partial_start(bytes: &[u8]) -> &[u8] {
    let start = bytes.iter().take(3).take_while(|byte| **byte & 0xC0 == 0x80).count();
    &bytes[start..]
}

/// Turns bytes into text piece by piece; a character that is cut waits for its rest.
#[derive(Default)]
struct Decoder {
    partial: Vec<u8>,
}

impl Decoder {
    fn push(&mut self, bytes: &[u8]) -> String {
        self.partial.extend_from_slice(bytes);
        let complete = match std::str::from_utf8(&self.partial) {
            Ok(_) => self.partial.len(),
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            // Invalid in the middle: only a cut character at the very end may wait.
            Err(_) => {
                let whole = self.partial.len();
                (whole.saturating_sub(3)..whole)
                    .find(|&at| matches!(std::str::from_utf8(&self.partial[at..]), Err(error) if error.error_len().is_none() && error.valid_up_to() == 0))
                    .unwrap_or(whole)
            }
        };
        let rest = self.partial.split_off(complete);
        let text = String::from_utf8_lossy(&self.partial).into_owned();
        self.partial = rest;
        text
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::sync::Mutex;

    /// Keeps the spooled bytes in memory.
    #[derive(Clone, Default)]
    pub(crate) struct MemorySpools(pub(crate) Arc<Mutex<Vec<u8>>>);

    impl Spools for MemorySpools {
        fn open(&self) -> BoxFuture<'_, std::io::Result<Box<dyn Spool>>> {
            let spool = self.clone();
            Box::pin(async move { Ok(Box::new(spool) as Box<dyn Spool>) })
        }

        fn read<'a>(&'a self, blob: &'a BlobId) -> BoxFuture<'a, std::io::Result<Option<Vec<u8>>>> {
            let is_known = blob.0 == "sha256:test";
            let bytes = is_known.then(|| self.0.lock().expect("lock").clone());
            Box::pin(async move { Ok(bytes) })
        }
    }

    impl Spool for MemorySpools {
        fn write<'a>(&'a mut self, bytes: &'a [u8]) -> BoxFuture<'a, std::io::Result<()>> {
            self.0.lock().expect("lock").extend_from_slice(bytes);
            Box::pin(async { Ok(()) })
        }
        fn finish(self: Box<Self>) -> BoxFuture<'static, std::io::Result<BlobId>> {
            Box::pin(async { Ok(BlobId("sha256:test".into())) })
        }
    }

    #[tokio::test]
    async fn short_output_is_kept_whole_and_not_spooled() {
        let spools = MemorySpools::default();
        let mut collector = Collector::new(Arc::new(spools.clone()), Room::DEFAULT);
        assert_eq!(collector.push(b"hello ").await, "hello ");
        assert_eq!(collector.push(b"world").await, "world");
        let output = collector.finish().await;
        assert_eq!((output.head.as_str(), output.tail.as_str()), ("hello world", ""));
        assert_eq!((output.total_bytes, output.omitted_bytes, output.blob), (11, 0, None));
        assert!(spools.0.lock().expect("lock").is_empty());
    }

    #[tokio::test]
    async fn long_output_keeps_head_and_tail_and_spools_all() {
        let spools = MemorySpools::default();
        let mut collector = Collector::new(Arc::new(spools.clone()), Room::DEFAULT);
        let mut all = Vec::new();
        for number in 0..20_000_u32 {
            let line = format!("line {number}\n");
            all.extend_from_slice(line.as_bytes());
            collector.push(line.as_bytes()).await;
        }
        let output = collector.finish().await;
        assert!(output.head.starts_with("line 0\nline 1\n"));
        assert!(output.tail.ends_with("line 19999\n"));
        assert_eq!(output.total_bytes, all.len() as u64);
        assert_eq!(output.omitted_bytes, (all.len() - HEAD_BYTES - TAIL_BYTES) as u64);
        assert!(output.blob.is_some());
        assert_eq!(*spools.0.lock().expect("lock"), all);
    }

    #[tokio::test]
    async fn one_huge_piece_is_bounded_too() {
        let spools = MemorySpools::default();
        let mut collector = Collector::new(Arc::new(spools.clone()), Room::DEFAULT);
        collector.push(&vec![b'x'; 1_000_000]).await;
        let output = collector.finish().await;
        assert_eq!((output.head.len(), output.tail.len()), (HEAD_BYTES, TAIL_BYTES));
    }

    #[test]
    fn cut_characters_wait_and_invalid_bytes_are_shown() {
        let mut decoder = Decoder::default();
        let text = "grün €".as_bytes();
        let pieces: String = text.iter().map(|byte| decoder.push(&[*byte])).collect();
        assert_eq!(pieces, "grün €");
        assert_eq!(decoder.push(b"a\xffb\xe2\x82"), "a\u{fffd}b");
        assert_eq!(decoder.push(b"\xac!"), "€!");
    }
}
