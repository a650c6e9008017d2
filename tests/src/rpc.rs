//! A client that speaks the protocol itself, so that a test sees each event and may do what no real client does:
//! send a request twice, leave in the middle, stop reading. Checks what a client may rely on as it goes: events
//! without a gap, none twice, and texts that grow to what they end as.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use jsonrpsee::client_transport::ws::{Url, WsTransportClientBuilder};
use jsonrpsee::core::client::{Client, ClientBuilder, Subscription};
use protocol::api::initialize::InitializeClient;
use protocol::api::session::SessionClient;
use protocol::api::turn::TurnClient;
use protocol::delta::{Delta, FeedEntry, SessionFeed};
use protocol::event::{Event, EventRecord};
use protocol::ids::{ItemId, RequestId, Seq, SessionId};
use protocol::initialize::{InitializeParams, InitializeResult};
use protocol::item::{Item, ItemBody, ItemStatus};
use protocol::session::{
    ClientRole, Presence, SessionAttachParams, SessionCreateParams, SessionReadParams, SessionSnapshot,
};
use protocol::turn::{InputPart, TurnLimits, TurnStartParams, TurnStartResult};
use protocol::usage::BudgetUse;
use protocol::version::SUPPORTED;
use wire::dial;
use wire::error::WireError;
use wire::folders::{FolderEnvironment, Folders};

use crate::environment::test_env::{KEY, KEY_VARIABLE, TestEnv};
use crate::error::HarnessError;

/// What a message may have.
const MAX_MESSAGE_BYTES: u32 = 64 << 20;
/// Notifications that may wait for the test. So many that nothing but the daemon itself makes a client lag.
const WAITING_NOTIFICATIONS: usize = 1 << 20;
/// How long a call may take on a busy machine.
const CALL_LIMIT: Duration = Duration::from_secs(60);
/// Between two looks for a daemon that is being started.
const PAUSE: Duration = Duration::from_millis(5);

/// A connection that the daemon knows.
#[derive(Debug)]
pub struct TestClient {
    rpc: Client,
    welcome: InitializeResult,
}

impl TestClient {
    /// Connects to the daemon of a home, which must run.
    ///
    /// # Errors
    /// `Wire`, `Rpc`.
    pub async fn connect(env: &TestEnv, name: &str) -> Result<Self, HarnessError> {
        let path = env.path().to_string_lossy().into_owned();
        Self::with_path(&env.skein_home(), &env.home(), path, name).await
    }

    /// Connects to the daemon that has this `SKEIN_HOME`; commands get that `HOME`.
    ///
    /// # Errors
    /// `Wire`, `Rpc`.
    pub async fn at(skein_home: &Path, home: &Path, name: &str) -> Result<Self, HarnessError> {
        let path = std::env::var("PATH").unwrap_or_else(|_| "/usr/bin:/bin".to_owned());
        Self::with_path(skein_home, home, path, name).await
    }

    async fn with_path(
        skein_home: &Path,
        home: &Path,
        path: String,
        name: &str,
    ) -> Result<Self, HarnessError> {
        let environment = FolderEnvironment { skein_home: Some(skein_home.to_owned()), runtime_dir: None };
        let stream = dial::connect(&Folders::resolve_from(&environment)?).await?;
        let url = Url::parse("ws://localhost/").map_err(failed("an URL"))?;
        let transport = WsTransportClientBuilder::default()
            .max_request_size(MAX_MESSAGE_BYTES)
            .max_response_size(MAX_MESSAGE_BYTES);
        let (sender, receiver) =
            transport.build_with_stream(url, stream).await.map_err(failed("the upgrade to WebSocket"))?;
        let rpc = ClientBuilder::new()
            .request_timeout(CALL_LIMIT)
            .max_buffer_capacity_per_subscription(WAITING_NOTIFICATIONS)
            .build_with_tokio(sender, receiver);
        let home = home.to_string_lossy().into_owned();
        let variables = [("PATH", path), ("HOME", home), (KEY_VARIABLE, KEY.to_owned())];
        let welcome = rpc
            .initialize(InitializeParams {
                client_name: name.to_owned(),
                client_version: "0.0.0".to_owned(),
                client_build: None,
                protocol: SUPPORTED,
                environment: variables.map(|(name, value)| (name.to_owned(), value)).into_iter().collect(),
            })
            .await
            .map_err(failed("initialize"))?;
        Ok(Self { rpc, welcome })
    }

    /// As `connect`, to a daemon that somebody else is starting at this moment.
    ///
    /// # Errors
    /// `Wire`, `Rpc`, when there is none after the limit.
    pub async fn connect_within(env: &TestEnv, name: &str, limit: Duration) -> Result<Self, HarnessError> {
        let begin = Instant::now();
        let mut looks = tokio::time::interval(PAUSE);
        loop {
            looks.tick().await;
            match Self::connect(env, name).await {
                Err(HarnessError::Wire(WireError::NoDaemon(_)) | HarnessError::Rpc { .. })
                    if begin.elapsed() < limit => {}
                result => return result,
            }
        }
    }

    /// The calls: every `*Client` trait of `protocol::api` is implemented for it.
    #[must_use]
    pub fn rpc(&self) -> &Client {
        &self.rpc
    }

    /// What the daemon said of itself.
    #[must_use]
    pub fn welcome(&self) -> &InitializeResult {
        &self.welcome
    }

    /// Makes a session in a home's repository.
    ///
    /// # Errors
    /// `Rpc`.
    pub async fn create(&self, env: &TestEnv) -> Result<SessionId, HarnessError> {
        self.create_with(SessionCreateParams { cwd: env.repository(), ..SessionCreateParams::default() })
            .await
    }

    /// Makes a session.
    ///
    /// # Errors
    /// `Rpc`.
    pub async fn create_with(&self, params: SessionCreateParams) -> Result<SessionId, HarnessError> {
        let created = SessionClient::create(&self.rpc, params).await.map_err(failed("session/create"))?;
        Ok(created.summary.id)
    }

    /// Starts a turn.
    ///
    /// # Errors
    /// `Rpc`.
    pub async fn start(&self, session: SessionId, text: &str) -> Result<TurnStartResult, HarnessError> {
        TurnClient::start(&self.rpc, start_params(session, text)).await.map_err(failed("turn/start"))
    }

    /// All there is of a session, without following it.
    ///
    /// # Errors
    /// `Rpc`.
    pub async fn read(&self, session: SessionId) -> Result<SessionSnapshot, HarnessError> {
        let params = SessionReadParams { session_id: session, skip_turns: 0, limit: Some(u32::MAX) };
        SessionClient::read(&self.rpc, params).await.map_err(failed("session/read"))
    }

    /// Follows a session from its first event on.
    ///
    /// # Errors
    /// `Rpc`.
    pub async fn follow(&self, session: SessionId) -> Result<Follower, HarnessError> {
        self.follow_on(session, Seen::default()).await
    }

    /// Follows a session from where a follower of it stopped.
    ///
    /// # Errors
    /// `Rpc`.
    pub async fn follow_on(&self, session: SessionId, seen: Seen) -> Result<Follower, HarnessError> {
        let params = SessionAttachParams {
            session_id: session,
            since: Some(seen.last()),
            can_answer: true,
            role: ClientRole::Driver,
        };
        self.attach(params, seen).await
    }

    /// Follows a session, with a snapshot first.
    ///
    /// # Errors
    /// `Rpc`.
    pub async fn watch(&self, session: SessionId, role: ClientRole) -> Result<Follower, HarnessError> {
        let params = SessionAttachParams {
            session_id: session,
            since: None,
            can_answer: role == ClientRole::Driver,
            role,
        };
        self.attach(params, Seen::default()).await
    }

    async fn attach(&self, params: SessionAttachParams, seen: Seen) -> Result<Follower, HarnessError> {
        let feed = SessionClient::attach(&self.rpc, params).await.map_err(failed("session/attach"))?;
        Ok(Follower { feed, seen })
    }
}

/// The parameters that start a turn, with a name, so that it may be sent again.
#[must_use]
pub fn start_params(session_id: SessionId, text: &str) -> TurnStartParams {
    TurnStartParams {
        session_id,
        input: said(text),
        output_schema: None,
        limits: TurnLimits::default(),
        expected_seq: None,
        request_id: Some(RequestId::generate()),
    }
}

/// What a person says.
#[must_use]
pub fn said(text: &str) -> Vec<InputPart> {
    vec![InputPart::Text { text: text.to_owned() }]
}

fn failed<E: std::fmt::Display>(call: &'static str) -> impl FnOnce(E) -> HarnessError {
    move |error| HarnessError::Rpc { call, reason: error.to_string() }
}

/// A session that is followed. Dropping it detaches.
#[derive(Debug)]
pub struct Follower {
    feed: Subscription<SessionFeed>,
    seen: Seen,
}

impl Follower {
    /// Takes what comes next.
    ///
    /// # Errors
    /// `FeedEnded`, and `Feed` when what came breaks a promise.
    pub async fn next(&mut self) -> Result<(), HarnessError> {
        let ended = |how: String| HarnessError::FeedEnded { how };
        let Some(feed) = self.feed.next().await else { return Err(ended("the connection is gone".into())) };
        match feed.map_err(failed("the feed"))? {
            SessionFeed::Snapshot(snapshot) => self.seen.begin(*snapshot),
            SessionFeed::Batch(batch) => {
                for entry in batch.entries {
                    self.seen.take(entry).map_err(HarnessError::Feed)?;
                }
            }
            SessionFeed::Lagged(lagged) => {
                self.seen.lags += 1;
                return Err(ended(format!("it lagged from {} to {}", lagged.from, lagged.to)));
            }
            SessionFeed::Closed(error) => return Err(ended(format!("it was closed: {error}"))),
            SessionFeed::Unknown(value) => return Err(HarnessError::Feed(format!("unknown: {value}"))),
        }
        Ok(())
    }

    /// Takes what has come already.
    ///
    /// # Errors
    /// As `next`.
    pub async fn take_ready(&mut self) -> Result<(), HarnessError> {
        loop {
            tokio::select! {
                biased;
                taken = self.next() => taken?,
                () = std::future::ready(()) => return Ok(()),
            }
        }
    }

    /// Takes what comes until something is so.
    ///
    /// # Errors
    /// As `next`, and `NotSeen` when it is not so in time.
    pub async fn until(
        &mut self,
        limit: Duration,
        mut wanted: impl FnMut(&Seen) -> bool,
    ) -> Result<(), HarnessError> {
        let watch = async {
            while !wanted(&self.seen) {
                self.next().await?;
            }
            Ok(())
        };
        match tokio::time::timeout(limit, watch).await {
            Ok(result) => result,
            Err(_) => Err(HarnessError::NotSeen { limit, last: self.seen.last().0 }),
        }
    }

    /// Takes what comes until a turn has ended, which is not one of those that were over before.
    ///
    /// # Errors
    /// As `until`.
    pub async fn until_turn_ends(&mut self, limit: Duration) -> Result<(), HarnessError> {
        let before = self.seen.turns_ended();
        self.until(limit, |seen| seen.turns_ended() > before).await
    }

    /// What came so far.
    #[must_use]
    pub fn seen(&self) -> &Seen {
        &self.seen
    }

    /// Stops to follow and keeps what came.
    #[must_use]
    pub fn into_seen(self) -> Seen {
        self.seen
    }
}

/// What a client knows of a session from its feed.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The snapshot that came first, if one did.
    pub snapshot: Option<Box<SessionSnapshot>>,
    /// The events since, or since the beginning.
    pub records: Vec<EventRecord>,
    /// Who was there last.
    pub presence: Option<Presence>,
    /// How much of its ceilings was spent last.
    pub budget: Option<BudgetUse>,
    /// How many deltas came.
    pub deltas: usize,
    /// How often it lagged.
    pub lags: usize,
    texts: BTreeMap<ItemId, Vec<u8>>,
}

impl Seen {
    /// The last event that came.
    #[must_use]
    pub fn last(&self) -> Seq {
        let from_snapshot = self.snapshot.as_ref().map_or(Seq::ZERO, |snapshot| snapshot.summary.seq);
        self.records.last().map_or(from_snapshot, |record| record.seq)
    }

    /// The events without their places.
    pub fn events(&self) -> impl Iterator<Item = &Event> {
        self.records.iter().map(|record| &record.event)
    }

    /// How many turns have ended since it began to follow.
    #[must_use]
    pub fn turns_ended(&self) -> usize {
        self.events().filter(|event| matches!(event, Event::TurnEnded(_))).count()
    }

    /// The items as they ended.
    pub fn completed(&self) -> impl Iterator<Item = &Item> {
        self.events().filter_map(|event| match event {
            Event::ItemCompleted(changed) => Some(&changed.item),
            _ => None,
        })
    }

    /// The text of an item so far, from a snapshot, deltas and events.
    #[must_use]
    pub fn text(&self, item: ItemId) -> String {
        self.texts.get(&item).map(|text| String::from_utf8_lossy(text).into_owned()).unwrap_or_default()
    }

    /// The texts of all items that it saw grow, in the order of their ids.
    pub fn texts(&self) -> impl Iterator<Item = String> {
        self.texts.keys().map(|item| self.text(*item))
    }

    fn begin(&mut self, snapshot: SessionSnapshot) {
        let items = snapshot.turns.iter().flat_map(|turn| &turn.items);
        let growing = items.filter(|item| item.status == ItemStatus::InProgress);
        self.texts = growing.map(|item| (item.id, text_of(&item.body).as_bytes().to_vec())).collect();
        self.presence = Some(snapshot.presence.clone());
        self.records.clear();
        self.snapshot = Some(Box::new(snapshot));
    }

    fn take(&mut self, entry: FeedEntry) -> Result<(), String> {
        match entry {
            FeedEntry::Event(record) => {
                let (last, seq) = (self.last(), record.seq);
                if seq != last.next() {
                    return Err(format!("event {seq} came after event {last}"));
                }
                self.take_texts(&record.event)?;
                self.records.push(record);
            }
            FeedEntry::Delta(delta) => {
                self.deltas += 1;
                self.grow(&delta)?;
            }
            FeedEntry::Presence(presence) => self.presence = Some(presence),
            FeedEntry::Budget(budget) => self.budget = Some(budget),
            FeedEntry::Unknown(value) => return Err(format!("unknown entry {value}")),
        }
        Ok(())
    }

    fn take_texts(&mut self, event: &Event) -> Result<(), String> {
        match event {
            Event::ItemStarted(started) => {
                self.texts.insert(started.item.id, Vec::new());
            }
            Event::ItemAppended(appended) => {
                let (item_id, offset_bytes, text) =
                    (appended.item_id, appended.offset_bytes, appended.text.clone());
                self.grow(&Delta { item_id, offset_bytes, text })?;
            }
            Event::ItemCompleted(changed) if changed.item.status == ItemStatus::Completed => {
                if let (ItemBody::AgentMessage(message), Some(so_far)) =
                    (&changed.item.body, self.texts.get(&changed.item.id))
                    && !message.text.as_bytes().starts_with(so_far)
                {
                    let so_far = String::from_utf8_lossy(so_far);
                    return Err(format!("`{so_far}` became `{}`", message.text));
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Adds a piece. Pieces may overlap with what is there; a place beyond its end means that some were left out,
    /// which a slow client must bear.
    fn grow(&mut self, delta: &Delta) -> Result<(), String> {
        let text = self.texts.entry(delta.item_id).or_default();
        let offset = usize::try_from(delta.offset_bytes).unwrap_or(usize::MAX);
        let Some(there) = text.get(offset..) else { return Ok(()) };
        let piece = delta.text.as_bytes();
        let common = there.len().min(piece.len());
        if there[..common] != piece[..common] {
            return Err(format!("`{}` at {offset} is not what was there", delta.text));
        }
        text.extend_from_slice(&piece[common..]);
        Ok(())
    }
}

fn text_of(body: &ItemBody) -> &str {
    match body {
        ItemBody::AgentMessage(message) => &message.text,
        ItemBody::Command(command) => &command.output_so_far,
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use protocol::event::{ItemAppended, ItemChanged, ModelRequested};
    use protocol::ids::{Timestamp, TurnId};
    use protocol::item::AgentMessage;

    use super::*;

    fn event(seq: u64, event: Event) -> FeedEntry {
        FeedEntry::Event(EventRecord { seq: Seq(seq), at: Timestamp(0), request_id: None, event })
    }

    fn asked(seq: u64) -> FeedEntry {
        event(seq, Event::ModelRequested(ModelRequested { turn_id: TurnId::generate(), step: 0 }))
    }

    fn message(id: ItemId, text: &str) -> Event {
        let body = ItemBody::AgentMessage(AgentMessage { text: text.to_owned() });
        let (turn_id, started_at) = (TurnId::generate(), Timestamp(0));
        let status = ItemStatus::Completed;
        let item =
            Item { id, turn_id, step: 0, status, started_at, completed_at: None, called_by: None, body };
        Event::ItemCompleted(ItemChanged { item })
    }

    fn delta(item_id: ItemId, offset_bytes: u64, text: &str) -> FeedEntry {
        FeedEntry::Delta(Delta { item_id, offset_bytes, text: text.to_owned() })
    }

    #[test]
    fn gaps_and_repetitions_are_noticed() {
        let mut seen = Seen::default();
        seen.take(asked(1)).unwrap();
        seen.take(asked(2)).unwrap();
        assert!(seen.take(asked(2)).unwrap_err().contains("event 2 came after event 2"));
        assert!(seen.take(asked(4)).unwrap_err().contains("event 4 came after event 2"));
        assert_eq!((seen.last(), seen.records.len()), (Seq(2), 2));
    }

    #[test]
    fn texts_grow_over_overlaps_and_holes_and_may_not_change() {
        let item = ItemId::generate();
        let mut seen = Seen::default();
        seen.take(delta(item, 0, "ab")).unwrap();
        seen.take(delta(item, 1, "bc")).unwrap();
        seen.take(delta(item, 9, "left out before")).unwrap();
        let appended = ItemAppended { item_id: item, offset_bytes: 0, text: "abcd".to_owned() };
        seen.take(event(1, Event::ItemAppended(appended))).unwrap();
        assert_eq!(seen.text(item), "abcd");
        assert!(seen.take(delta(item, 2, "x")).is_err());
        seen.take(event(2, message(item, "abcde"))).unwrap();
        assert!(seen.take(event(3, message(item, "another"))).is_err());
    }
}
