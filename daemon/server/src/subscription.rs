//! What a client that follows a session is sent: a snapshot or the events since a place, then batches of what
//! happens, as fast as it takes them. The session never waits for it: what a slow client did not take stands in its
//! bounded inbox, and when that is full the feed ends with `Lagged`.

use jsonrpsee::server::SubscriptionSink;
use protocol::delta::{FeedBatch, FeedEntry, SessionFeed};
use protocol::error::{ErrorCode, ProtocolError};
use protocol::session::SessionSnapshot;
use serde_json::value::{RawValue, to_raw_value};
use session::handle::{Feed, FeedStart};
use session::outbox::End;

/// Entries of one message.
const MAX_ENTRIES: usize = 512;
/// Bytes of one batch, if it holds more than one entry. Some 64 messages may wait for a client, so this bounds what
/// a client that stopped reading costs.
const MAX_BATCH_BYTES: usize = 256 * 1024;
/// Bytes of one message, its envelope not counted.
const MAX_MESSAGE_BYTES: usize = crate::listener::MAX_FRAME_BYTES as usize - 1024;

/// The client is gone, or does not want any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

/// The way to one client that follows.
pub trait Sink: Send + Sync {
    /// Hands over a message ([`SessionFeed`] as JSON), waiting while the client does not read.
    ///
    /// # Errors
    /// When the client is gone.
    fn send(&self, message: Box<RawValue>) -> impl Future<Output = Result<(), Gone>> + Send;

    /// Comes back when the client is gone.
    fn closed(&self) -> impl Future<Output = ()> + Send;
}

impl Sink for SubscriptionSink {
    async fn send(&self, message: Box<RawValue>) -> Result<(), Gone> {
        Self::send(self, message).await.map_err(|_| Gone)
    }

    async fn closed(&self) {
        Self::closed(self).await;
    }
}

/// Sends the feed to its end, or until the client is gone. Dropping the future detaches.
pub async fn run(sink: impl Sink, mut feed: Feed) {
    let first = std::mem::replace(&mut feed.first, FeedStart::Events(Vec::new()));
    let sent = match first {
        FeedStart::Snapshot(snapshot) => match snapshot_message(snapshot) {
            Ok(message) => sink.send(message).await,
            Err(error) => return close(&sink, error).await,
        },
        FeedStart::Events(records) => {
            send_entries(&sink, records.into_iter().map(FeedEntry::Event).collect()).await
        }
    };
    if sent.is_err() {
        return;
    }
    loop {
        let next = tokio::select! {
            next = feed.next() => next,
            () = sink.closed() => return,
        };
        match next {
            Ok(entries) => {
                if send_entries(&sink, entries).await.is_err() {
                    return;
                }
            }
            Err(End::Lagged(lagged)) => {
                tracing::info!(from = %lagged.from, to = %lagged.to, "a client fell behind");
                // The feed is over, whether or not the client hears of it.
                let _ = send(&sink, &SessionFeed::Lagged(lagged)).await;
                return;
            }
            Err(End::Closed(error)) => return close(&sink, error.unwrap_or_else(ended)).await,
        }
    }
}

fn ended() -> ProtocolError {
    ProtocolError::new(ErrorCode::Unavailable, "The session was put out of memory, or the daemon stops")
        .with_hint("Attach again")
}

async fn close(sink: &impl Sink, error: ProtocolError) {
    // The feed is over, whether or not the client hears of it.
    let _ = send(sink, &SessionFeed::Closed(error)).await;
}

async fn send(sink: &impl Sink, message: &SessionFeed) -> Result<(), Gone> {
    match to_raw_value(message) {
        Ok(raw) => sink.send(raw).await,
        Err(error) => {
            tracing::error!(%error, "a message of a feed can't be written");
            Err(Gone)
        }
    }
}

async fn send_entries(sink: &impl Sink, entries: Vec<FeedEntry>) -> Result<(), Gone> {
    for message in Batches::of(entries) {
        match message {
            Ok(message) => sink.send(message).await?,
            Err(error) => {
                close(sink, error).await;
                return Err(Gone);
            }
        }
    }
    Ok(())
}

/// Cuts entries into messages, each made when it is asked for.
struct Batches {
    /// What is left, the next part last.
    parts: Vec<Vec<FeedEntry>>,
}

impl Batches {
    fn of(mut entries: Vec<FeedEntry>) -> Self {
        let mut parts = Vec::with_capacity(entries.len() / MAX_ENTRIES + 1);
        while entries.len() > MAX_ENTRIES {
            let rest = entries.split_off(MAX_ENTRIES);
            parts.push(std::mem::replace(&mut entries, rest));
        }
        if !entries.is_empty() {
            parts.push(entries);
        }
        parts.reverse();
        Self { parts }
    }
}

impl Iterator for Batches {
    type Item = Result<Box<RawValue>, ProtocolError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let batch = SessionFeed::Batch(FeedBatch { entries: self.parts.pop()? });
            let message = match to_raw_value(&batch) {
                Ok(message) => message,
                Err(error) => return Some(Err(unwritable(&error))),
            };
            let SessionFeed::Batch(FeedBatch { mut entries }) = batch else { return None };
            if message.get().len() <= MAX_BATCH_BYTES {
                return Some(Ok(message));
            }
            if entries.len() > 1 {
                let second = entries.split_off(entries.len() / 2);
                self.parts.push(second);
                self.parts.push(entries);
            } else if message.get().len() <= MAX_MESSAGE_BYTES {
                return Some(Ok(message));
            } else {
                return Some(Err(too_large("An event")));
            }
        }
    }
}

fn snapshot_message(snapshot: Box<SessionSnapshot>) -> Result<Box<RawValue>, ProtocolError> {
    let write = |feed: &SessionFeed| to_raw_value(feed).map_err(|error| unwritable(&error));
    let feed = SessionFeed::Snapshot(snapshot);
    let message = write(&feed)?;
    if message.get().len() <= MAX_MESSAGE_BYTES {
        return Ok(message);
    }
    let SessionFeed::Snapshot(snapshot) = feed else { return Ok(message) };
    write(&SessionFeed::Snapshot(Box::new(fitting(*snapshot)?)))
}

/// The snapshot with as many of its last turns as fit into a message.
///
/// # Errors
/// `Internal` when it does not even fit without turns.
pub(crate) fn fitting(mut snapshot: SessionSnapshot) -> Result<SessionSnapshot, ProtocolError> {
    let size = |snapshot: &SessionSnapshot| {
        to_raw_value(snapshot).map(|raw| raw.get().len()).map_err(|error| unwritable(&error))
    };
    let mut excess = size(&snapshot)?.saturating_sub(MAX_MESSAGE_BYTES);
    let mut dropped = 0;
    for turn in &snapshot.turns {
        if excess == 0 {
            break;
        }
        let bytes = to_raw_value(turn).map_err(|error| unwritable(&error))?.get().len();
        excess = excess.saturating_sub(bytes);
        dropped += 1;
    }
    if excess > 0 {
        return Err(too_large("The session"));
    }
    snapshot.turns.drain(..dropped);
    snapshot.earlier_turns += u32::try_from(dropped).unwrap_or(u32::MAX);
    Ok(snapshot)
}

fn unwritable(error: &serde_json::Error) -> ProtocolError {
    ProtocolError::new(ErrorCode::Internal, format!("What happened can't be written as JSON: {error}"))
}

fn too_large(what: &str) -> ProtocolError {
    ProtocolError::new(ErrorCode::Internal, format!("{what} is larger than a message may be"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::delta::Delta;
    use protocol::ids::{ClientId, ItemId, Seq, SessionId, Timestamp, TurnId};
    use protocol::item::{AgentMessage, Item, ItemBody, ItemStatus};
    use protocol::model::Usage;
    use protocol::profile::{ApprovalPolicy, NetworkAccess, SandboxMode};
    use protocol::session::{AfterCrash, Presence, SessionSettings, SessionStatus, SessionSummary};
    use protocol::turn::{Actor, Turn, TurnLimits};

    fn entry(number: usize, bytes: usize) -> FeedEntry {
        let offset_bytes = number as u64;
        FeedEntry::Delta(Delta { item_id: ItemId::generate(), offset_bytes, text: "x".repeat(bytes) })
    }

    fn numbers(message: &RawValue) -> Vec<u64> {
        let SessionFeed::Batch(batch) = serde_json::from_str(message.get()).expect("feed") else {
            panic!("no batch");
        };
        let number = |entry: &FeedEntry| match entry {
            FeedEntry::Delta(delta) => delta.offset_bytes,
            FeedEntry::Event(_) | FeedEntry::Presence(_) | FeedEntry::Budget(_) | FeedEntry::Unknown(_) => {
                panic!("no delta")
            }
        };
        batch.entries.iter().map(number).collect()
    }

    /// Cuts and checks that nothing is lost, doubled or out of order.
    fn cut(entries: Vec<FeedEntry>) -> Vec<usize> {
        let count = entries.len() as u64;
        let messages: Vec<_> = Batches::of(entries).map(|message| message.expect("message")).collect();
        let all: Vec<u64> = messages.iter().flat_map(|message| numbers(message)).collect();
        assert_eq!(all, (0..count).collect::<Vec<_>>());
        messages.iter().map(|message| numbers(message).len()).collect()
    }

    #[test]
    fn few_small_entries_are_one_message() {
        assert_eq!(cut((0..100).map(|number| entry(number, 10)).collect()), [100]);
        assert_eq!(cut(Vec::new()), [0; 0]);
    }

    #[test]
    fn many_entries_are_several_messages() {
        assert_eq!(cut((0..1100).map(|number| entry(number, 1)).collect()), [512, 512, 76]);
    }

    #[test]
    fn large_entries_are_spread_by_their_bytes() {
        assert_eq!(cut((0..8).map(|number| entry(number, 100_000)).collect()), [2, 2, 2, 2]);
        assert_eq!(cut(vec![entry(0, 10), entry(1, 1_000_000), entry(2, 10)]), [1, 1, 1]);
    }

    #[test]
    fn an_entry_that_fits_no_message_ends_the_feed() {
        let mut batches = Batches::of(vec![entry(0, MAX_MESSAGE_BYTES)]);
        assert_eq!(batches.next().expect("one").expect_err("too large").code, ErrorCode::Internal);
    }

    fn turn(bytes: usize) -> Turn {
        let actor = Actor { client_id: ClientId::generate(), name: "test".into() };
        let id = TurnId::generate();
        let item = Item {
            id: ItemId::generate(),
            turn_id: id,
            step: 0,
            status: ItemStatus::Completed,
            started_at: Timestamp(0),
            completed_at: None,
            called_by: None,
            body: ItemBody::AgentMessage(AgentMessage { text: "x".repeat(bytes) }),
        };
        Turn {
            id,
            actor,
            started_at: Timestamp(0),
            ended_at: None,
            outcome: None,
            usage: Usage::default(),
            cost: None,
            is_rewound: false,
            items: vec![item],
        }
    }

    fn snapshot(turns: Vec<Turn>) -> SessionSnapshot {
        let settings = SessionSettings {
            cwd: "/".into(),
            additional_roots: Vec::new(),
            provider: "p".into(),
            model: "m".into(),
            reasoning_effort: None,
            reasoning_summary: None,
            developer_instructions: None,
            sandbox: SandboxMode::ReadOnly,
            network: NetworkAccess::Off,
            approval: ApprovalPolicy::Never,
            is_tmp_writable: false,
            permissions: None,
            budget: protocol::turn::Budget::default(),
            limits: TurnLimits::default(),
            price: None,
            is_ephemeral: false,
            after_crash: AfterCrash::Wait,
            question_timeout_ms: None,
            model_context: protocol::context::ModelContext::default(),
        };
        let summary = SessionSummary {
            id: SessionId::generate(),
            title: None,
            status: SessionStatus::Idle,
            created_at: Timestamp(0),
            updated_at: Timestamp(0),
            seq: Seq(1),
            turn_count: 0,
            usage: Usage::default(),
            settings,
            agent: None,
            background: Vec::new(),
        };
        let (questions, queue, presence) = (Vec::new(), Vec::new(), Presence::default());
        SessionSnapshot { summary, turns, earlier_turns: 5, questions, queue, presence, context_tokens: None }
    }

    #[test]
    fn a_snapshot_loses_its_oldest_turns_when_it_is_too_large() {
        let megabytes = 1024 * 1024;
        let turns = vec![turn(6 * megabytes), turn(5 * megabytes), turn(5 * megabytes), turn(megabytes)];
        let last = turns[1..].iter().map(|turn| turn.id).collect::<Vec<_>>();
        let cut = fitting(snapshot(turns)).expect("fits");
        assert_eq!(cut.turns.iter().map(|turn| turn.id).collect::<Vec<_>>(), last);
        assert_eq!(cut.earlier_turns, 6);
        assert_eq!(fitting(snapshot(vec![turn(10)])).expect("fits").earlier_turns, 5);
    }
}
