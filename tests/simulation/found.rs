//! What the seeds found, each the shortest way to it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream;
use model::client::{ModelClient, ModelStream};
use model::event::ModelEvent;
use model::request::ModelRequest;
use protocol::error::ErrorCode;
use protocol::event::Event;
use protocol::ids::{ClientId, RequestId, Seq, SessionId, Timestamp};
use protocol::session::{Attachment, ClientRole, SessionStatus};
use protocol::turn::{Actor, InputPart, InterruptReason, TurnLimits};
use session::handle::{Answered, FeedStart, SessionHandle, Wish};
use session::input::Request;
use session::sessions::{NewSession, Sessions};
use tokio::sync::Notify;
use tokio::time::timeout;
use uuid::Uuid;

use crate::clock::pause;
use crate::dice::Dice;
use crate::disk::{SimDisk, Weather};
use crate::plan::Plan;
use crate::tool::registry;
use crate::trace::Tracing;
use crate::universe::Universe;
use crate::world::SimWorld;

const SESSION: SessionId = SessionId(Uuid::from_u128(7));
const FOREVER: u64 = u64::MAX;

/// Says a word, and another one whenever it is let; never ends.
#[derive(Default)]
struct Endless(Arc<Notify>);

impl ModelClient for Endless {
    fn stream(&self, _: ModelRequest) -> ModelStream {
        let more = Arc::clone(&self.0);
        Box::pin(stream::unfold((more, 0), |(more, said)| async move {
            if said > 0 {
                more.notified().await;
            }
            Some((Ok(ModelEvent::TextDelta { index: 0, text: "word ".into() }), (more, said + 1)))
        }))
    }
}

/// A disk, and what is started on it.
struct Bench {
    universe: Arc<Universe>,
    disk: Arc<SimDisk>,
    more: Arc<Notify>,
}

impl Bench {
    fn new() -> Self {
        fastrand::seed(1);
        let universe = Universe::new(1, Tracing::Off);
        universe.clock.begin_life();
        let disk = SimDisk::new(&universe);
        Self { universe, disk, more: Arc::default() }
    }

    /// A daemon begins; the one before it, if any, gets no more calls.
    fn daemon(&self, weather: Weather) -> Arc<Sessions> {
        let model = Arc::new(Endless(Arc::clone(&self.more)));
        let world = SimWorld { universe: Arc::clone(&self.universe), model };
        let tools = registry(&self.universe, &self.disk);
        Sessions::new(self.disk.mount(weather), Arc::new(tools), Arc::new(world))
    }

    /// A log that ends in the middle of a turn.
    async fn with_a_turn() -> Self {
        let bench = Self::new();
        let sessions = bench.daemon(Weather::default());
        let session = sessions.create(new_session()).await.unwrap();
        started(&session).await;
        bench
    }

    fn last_event(&self) -> Event {
        self.disk.look(SESSION, |ledger| ledger.records.last().unwrap().event.clone()).unwrap()
    }

    fn check(&self) {
        assert_eq!(self.universe.findings().0, [""; 0]);
    }
}

fn slow() -> Weather {
    Weather { slow: 0..FOREVER, ..Weather::default() }
}

fn new_session() -> NewSession {
    let settings = Plan::of(&Dice::of(1)).settings;
    let instructions = Vec::new();
    NewSession { id: SESSION, actor: person(1), title: None, settings, instructions, agent: None }
}

fn person(number: u128) -> Actor {
    Actor { client_id: ClientId(Uuid::from_u128(number)), name: format!("c{number}") }
}

fn attachment(number: u128) -> Attachment {
    Attachment {
        actor: person(number),
        version: "1".into(),
        role: ClientRole::Driver,
        can_answer: true,
        attached_at: Timestamp(0),
        is_focused: false,
    }
}

/// A turn whose first word is said.
async fn started(session: &SessionHandle) {
    let input = vec![InputPart::Text { text: "go".into() }];
    let limits = TurnLimits::default();
    let start = Request::Start { input, output_schema: None, limits, expected_seq: None };
    session.request(person(1), None, start).await.unwrap();
    pause(1000).await;
}

async fn asked(session: &SessionHandle, number: u128, id: u128, request: Request) -> Answered {
    session.request(person(number), Some(RequestId(Uuid::from_u128(id))), request).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_interrupt_asked_again_has_the_place_of_its_first_event() {
    let bench = Bench::new();
    let sessions = bench.daemon(Weather::default());
    let session = sessions.create(new_session()).await.unwrap();
    started(&session).await;
    let interrupt = Request::Interrupt { expected: None, reason: InterruptReason::Requested };
    let first = asked(&session, 1, 1, interrupt.clone()).await;
    assert_eq!(asked(&session, 1, 1, interrupt).await, first);
}

#[tokio::test(start_paused = true)]
async fn a_start_in_an_archived_session_asked_again_is_still_a_start() {
    let bench = Bench::new();
    let sessions = bench.daemon(Weather::default());
    let session = sessions.create(new_session()).await.unwrap();
    asked(&session, 1, 1, Request::Archive).await;
    let input = vec![InputPart::Text { text: "go".into() }];
    let limits = TurnLimits::default();
    let start = Request::Start { input, output_schema: None, limits, expected_seq: None };
    let first = asked(&session, 1, 2, start.clone()).await;
    assert_eq!(asked(&session, 1, 2, start).await, first);
}

#[tokio::test(start_paused = true)]
async fn taking_back_from_the_archive_is_done_once() {
    let bench = Bench::new();
    let sessions = bench.daemon(Weather::default());
    let session = sessions.create(new_session()).await.unwrap();
    asked(&session, 1, 1, Request::Archive).await;
    let first = asked(&session, 1, 2, Request::Unarchive).await;
    asked(&session, 1, 3, Request::Archive).await;
    assert_eq!(asked(&session, 1, 2, Request::Unarchive).await, first);
    assert_eq!(session.summary().await.unwrap().status, SessionStatus::Archived);
}

#[tokio::test(start_paused = true)]
async fn what_was_carried_out_is_answered_again_whoever_took_over() {
    let bench = Bench::new();
    let sessions = bench.daemon(Weather::default());
    let session = sessions.create(new_session()).await.unwrap();
    let first = asked(&session, 1, 1, Request::Archive).await;
    let _feed = session.attach(attachment(2), None).await.unwrap();
    session.drive(person(2), None, Wish::TakeOver).await.unwrap();
    assert_eq!(asked(&session, 1, 1, Request::Archive).await, first);
}

#[tokio::test(start_paused = true)]
async fn who_opens_a_session_while_it_is_made_gets_the_same_one() {
    let bench = Bench::new();
    let sessions = bench.daemon(slow());
    let making = tokio::spawn({
        let sessions = Arc::clone(&sessions);
        async move { sessions.create(new_session()).await }
    });
    while bench.disk.look(SESSION, |_| ()).is_none() {
        pause(1).await;
    }
    let opened = sessions.open(SESSION).await.unwrap();
    let made = making.await.unwrap().unwrap();
    assert_eq!(sessions.counts().loaded, 1);
    asked(&opened, 1, 1, Request::Archive).await;
    asked(&made, 1, 2, Request::Unarchive).await;
    bench.check();
}

#[tokio::test(start_paused = true)]
async fn nobody_loads_a_session_beside_one_who_left() {
    for patience in (0..4000).step_by(100) {
        let bench = Bench::with_a_turn().await;
        let sessions = bench.daemon(slow());
        // Left in the middle, perhaps while the recovered turn's end is written.
        let _ = timeout(Duration::from_millis(patience), sessions.open(SESSION)).await;
        sessions.open(SESSION).await.unwrap();
        bench.check();
    }
}

#[tokio::test(start_paused = true)]
async fn a_load_that_fails_leaves_no_second_actor() {
    for full in 0..20 {
        let bench = Bench::with_a_turn().await;
        let now = bench.universe.clock.life_ms();
        let sessions = bench.daemon(Weather { full: 0..now + full, ..Weather::default() });
        let (first, second) = tokio::join!(sessions.open(SESSION), sessions.open(SESSION));
        let third = sessions.open(SESSION).await;
        let opened = [&first, &second, &third].iter().filter(|opened| opened.is_ok()).count();
        assert!(sessions.counts().loaded <= 1, "{opened} opened it");
        bench.check();
    }
}

#[tokio::test(start_paused = true)]
async fn a_daemon_that_hands_over_does_not_take_up_the_turn_again() {
    let bench = Bench::new();
    let sessions = bench.daemon(Weather::default());
    let session = sessions.create(new_session()).await.unwrap();
    started(&session).await;
    let coming_back = tokio::spawn({
        let session = session.clone();
        async move {
            let mut feed = session.attach(attachment(1), None).await.unwrap();
            while feed.next().await.is_ok() {}
            session.attach(attachment(1), None).await.err().map(|error| error.code)
        }
    });
    pause(10).await;
    timeout(Duration::from_secs(60), sessions.drain(true)).await.unwrap();
    assert_eq!(coming_back.await.unwrap(), Some(ErrorCode::Unavailable));
    assert!(matches!(bench.last_event(), Event::TurnSuspended(_)), "{:?}", bench.last_event());
}

#[tokio::test(start_paused = true)]
async fn who_comes_back_while_a_word_is_said_misses_none_of_it() {
    let bench = Bench::new();
    let sessions = bench.daemon(Weather::default());
    let session = sessions.create(new_session()).await.unwrap();
    started(&session).await;
    bench.more.notify_one();
    let feed = session.attach(attachment(1), Some(Seq(1))).await.unwrap();
    let FeedStart::Events(events) = &feed.first else { panic!("a snapshot") };
    let piece = |event: &Event| {
        if let Event::ItemAppended(piece) = event { piece.text.clone() } else { String::new() }
    };
    let text: String = events.iter().map(|record| piece(&record.event)).collect();
    let last = events.last().unwrap().seq;
    assert_eq!(bench.disk.look(SESSION, |ledger| ledger.state.seq), Some(last));
    assert_eq!(text, "word word ");
}
