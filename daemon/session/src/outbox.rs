//! A subscriber's queue: bounded, never waited for. Deltas that nobody took yet are merged; when there are too
//! many entries all the same, deltas go first, and if events themselves would have to wait, the subscriber has
//! lagged and must attach again.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use protocol::delta::{Delta, FeedEntry, Lagged};
use protocol::error::ProtocolError;
use protocol::event::EventRecord;
use protocol::ids::Seq;
use protocol::session::Presence;
use protocol::usage::BudgetUse;
use tokio::sync::Notify;

/// Entries that may wait.
const MAX_ENTRIES: usize = 1024;
/// Bytes of delta text that may wait.
const MAX_DELTA_BYTES: usize = 1024 * 1024;

/// The two ends share it.
#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    filled: Notify,
}

#[derive(Default)]
struct Queue {
    entries: VecDeque<FeedEntry>,
    delta_bytes: usize,
    end: Option<End>,
}

/// Why a feed ended.
#[derive(Clone, Debug, PartialEq)]
pub enum End {
    /// Too many events waited.
    Lagged(Lagged),
    /// The session ended the feed.
    Closed(Option<ProtocolError>),
}

/// The session's end.
pub struct Outbox(Arc<Shared>);

/// The subscriber's end.
pub struct Inbox(Arc<Shared>);

/// Makes a queue.
#[must_use]
pub fn outbox() -> (Outbox, Inbox) {
    let shared = Arc::new(Shared::default());
    (Outbox(Arc::clone(&shared)), Inbox(shared))
}

impl Outbox {
    /// Whether nobody is at the other end, or the feed has ended.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        Arc::strong_count(&self.0) == 1 || self.with(|queue| queue.end.is_some())
    }

    /// Queues an event.
    pub fn event(&self, record: &EventRecord) {
        self.with(|queue| {
            if queue.end.is_some() {
                return;
            }
            if queue.entries.len() >= MAX_ENTRIES {
                queue.drop_deltas();
            }
            if queue.entries.len() >= MAX_ENTRIES {
                let from = queue.first_seq().unwrap_or(record.seq);
                queue.entries.clear();
                queue.end = Some(End::Lagged(Lagged { from, to: record.seq }));
            } else {
                queue.entries.push_back(FeedEntry::Event(record.clone()));
            }
        });
    }

    /// Queues a delta, merged with the last entry if that is of the same item.
    pub fn delta(&self, delta: &Delta) {
        self.with(|queue| {
            if queue.end.is_some() {
                return;
            }
            if queue.delta_bytes + delta.text.len() > MAX_DELTA_BYTES {
                queue.drop_deltas();
            }
            let is_full = queue.entries.len() >= MAX_ENTRIES;
            match queue.entries.back_mut() {
                Some(FeedEntry::Delta(last))
                    if last.item_id == delta.item_id
                        && last.offset_bytes + last.text.len() as u64 == delta.offset_bytes =>
                {
                    last.text.push_str(&delta.text);
                }
                // Left out; the completed item has it.
                _ if is_full => return,
                _ => queue.entries.push_back(FeedEntry::Delta(delta.clone())),
            }
            queue.delta_bytes += delta.text.len();
        });
    }

    /// Queues who is there now, in place of what waits of that.
    pub fn presence(&self, presence: &Presence) {
        self.with(|queue| {
            if queue.end.is_some() {
                return;
            }
            queue.entries.retain(|entry| !matches!(entry, FeedEntry::Presence(_)));
            if queue.entries.len() < MAX_ENTRIES {
                queue.entries.push_back(FeedEntry::Presence(presence.clone()));
            }
        });
    }

    /// Queues how much of the ceilings is spent, in place of what waits of that.
    pub fn budget(&self, budget: &BudgetUse) {
        self.with(|queue| {
            if queue.end.is_some() {
                return;
            }
            queue.entries.retain(|entry| !matches!(entry, FeedEntry::Budget(_)));
            if queue.entries.len() < MAX_ENTRIES {
                queue.entries.push_back(FeedEntry::Budget(budget.clone()));
            }
        });
    }

    /// Ends the feed after what is queued.
    pub fn close(&self, error: Option<ProtocolError>) {
        self.with(|queue| {
            queue.end.get_or_insert(End::Closed(error));
        });
    }

    fn with<T>(&self, change: impl FnOnce(&mut Queue) -> T) -> T {
        // A poisoned queue still holds whole entries: every change is done at once.
        let result = change(&mut self.0.queue.lock().unwrap_or_else(PoisonError::into_inner));
        self.0.filled.notify_one();
        result
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.close(None);
    }
}

impl Queue {
    fn drop_deltas(&mut self) {
        self.entries.retain(|entry| !matches!(entry, FeedEntry::Delta(_)));
        self.delta_bytes = 0;
    }

    fn first_seq(&self) -> Option<Seq> {
        self.entries.iter().find_map(|entry| match entry {
            FeedEntry::Event(record) => Some(record.seq),
            FeedEntry::Delta(_) | FeedEntry::Presence(_) | FeedEntry::Budget(_) | FeedEntry::Unknown(_) => {
                None
            }
        })
    }
}

impl Inbox {
    /// Everything that waits, at least one entry; or why there will be no more. Cancel safe.
    ///
    /// # Errors
    /// The end, once all entries before it were taken.
    pub async fn next(&mut self) -> Result<Vec<FeedEntry>, End> {
        loop {
            let filled = self.0.filled.notified();
            {
                let mut queue = self.0.queue.lock().unwrap_or_else(PoisonError::into_inner);
                if !queue.entries.is_empty() {
                    queue.delta_bytes = 0;
                    return Ok(std::mem::take(&mut queue.entries).into());
                }
                if let Some(end) = &queue.end {
                    return Err(end.clone());
                }
            }
            filled.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::event::{Event, ModelRequested};
    use protocol::ids::{ItemId, Timestamp, TurnId};

    fn event(seq: u64) -> EventRecord {
        let event = Event::ModelRequested(ModelRequested { turn_id: TurnId::generate(), step: 0 });
        EventRecord { seq: Seq(seq), at: Timestamp(0), request_id: None, event }
    }

    fn delta(item_id: ItemId, offset_bytes: u64, text: &str) -> Delta {
        Delta { item_id, offset_bytes, text: text.into() }
    }

    #[tokio::test]
    async fn deltas_of_one_item_are_merged_while_they_wait() {
        let (outbox, mut inbox) = outbox();
        let item = ItemId::generate();
        outbox.delta(&delta(item, 0, "ab"));
        outbox.delta(&delta(item, 2, "cd"));
        outbox.event(&event(1));
        outbox.delta(&delta(item, 4, "ef"));
        let entries = inbox.next().await.expect("entries");
        assert_eq!(entries.len(), 3);
        assert_eq!(entries[0], FeedEntry::Delta(delta(item, 0, "abcd")));
    }

    #[tokio::test]
    async fn a_subscriber_that_takes_nothing_lags_and_is_told_from_where() {
        let (outbox, mut inbox) = outbox();
        for seq in 1..=2000 {
            outbox.event(&event(seq));
        }
        let Err(End::Lagged(lagged)) = inbox.next().await else { panic!("not lagged") };
        assert_eq!((lagged.from, lagged.to), (Seq(1), Seq(MAX_ENTRIES as u64 + 1)));
        assert!(outbox.is_closed());
    }

    #[tokio::test]
    async fn deltas_alone_never_make_a_subscriber_lag() {
        let (outbox, mut inbox) = outbox();
        for number in 0..5000 {
            outbox.delta(&delta(ItemId::generate(), number, &"x".repeat(1000)));
        }
        outbox.event(&event(1));
        let entries = inbox.next().await.expect("entries");
        assert!(entries.len() <= MAX_ENTRIES);
        assert!(matches!(entries.last(), Some(FeedEntry::Event(_))));
    }

    #[tokio::test]
    async fn what_was_queued_comes_before_the_end() {
        let (outbox, mut inbox) = outbox();
        outbox.event(&event(1));
        drop(outbox);
        assert_eq!(inbox.next().await.expect("entries").len(), 1);
        assert_eq!(inbox.next().await, Err(End::Closed(None)));
    }
}
