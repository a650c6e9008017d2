//! Who follows a session: their queues, their roles, and who of them may write. Ends with the daemon; none of it is
//! in the log.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use protocol::delta::Delta;
use protocol::error::{ErrorCode, ProtocolError};
use protocol::event::EventRecord;
use protocol::ids::{ClientId, RequestId, Timestamp};
use protocol::session::{Attachment, BackgroundCommand, ClientRole, Presence};
use protocol::turn::Actor;
use protocol::usage::{BudgetUse, CeilingUse};
use tokio::sync::Notify;
use tools::belongings::Going;

use crate::handle::{Seat, Wish};
use crate::outbox::{Outbox, outbox};

/// Wishes that are remembered.
const MAX_WISHES: usize = 64;

/// Letters of a command in the background that are shown.
const COMMAND_LETTERS: usize = 400;

/// Commands in the background, as they are shown at this time.
pub(crate) fn shown(going: Vec<Going>, now: Timestamp) -> Vec<BackgroundCommand> {
    let shown = going.into_iter().map(|going| {
        let ran = u64::try_from(going.ran.as_millis()).unwrap_or(u64::MAX);
        BackgroundCommand {
            process_id: going.process_id,
            command: going.command.chars().take(COMMAND_LETTERS).collect(),
            is_escalated: going.is_escalated,
            started_at: Timestamp(now.0.saturating_sub(ran)),
        }
    });
    shown.collect()
}

/// What a client is about to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Intent {
    /// Change something.
    Change,
    /// Stop the turn, or a command in the background.
    Interrupt,
}

/// Everybody who is attached.
#[derive(Default)]
pub(crate) struct Audience {
    subscribers: Vec<Subscriber>,
    sole_driver: Option<ClientId>,
    background: Vec<BackgroundCommand>,
    /// The last wishes that had a name and were carried out, with the connection that they came over.
    wishes: VecDeque<(ClientId, RequestId)>,
    /// How much of the ceilings was spent when it was shown last.
    budget: BudgetUse,
    detached: Arc<Notify>,
}

struct Subscriber {
    outbox: Outbox,
    attachment: Attachment,
}

impl Audience {
    /// How many feeds there are.
    pub(crate) fn len(&self) -> usize {
        self.subscribers.len()
    }

    /// Whether nobody is there.
    pub(crate) fn is_empty(&self) -> bool {
        self.subscribers.is_empty()
    }

    /// Who is there.
    pub(crate) fn presence(&self) -> Presence {
        let attached = self.subscribers.iter().map(|subscriber| subscriber.attachment.clone()).collect();
        Presence { attached, sole_driver: self.sole_driver, background: self.background.clone() }
    }

    /// The clients that are there.
    pub(crate) fn clients(&self) -> BTreeSet<ClientId> {
        let open = self.subscribers.iter().filter(|subscriber| !subscriber.outbox.is_closed());
        open.map(|subscriber| subscriber.attachment.actor.client_id).collect()
    }

    /// Adds a client, and lets everybody see it; a snapshot of its own would show it already, but not every client
    /// begins with one.
    pub(crate) fn join(&mut self, attachment: Attachment) -> Seat {
        let (outbox, inbox) = outbox();
        if !self.budget.ceilings.is_empty() {
            outbox.budget(&self.budget);
        }
        self.subscribers.push(Subscriber { outbox, attachment });
        self.show_presence();
        Seat::new(inbox, Arc::clone(&self.detached))
    }

    /// Waits until a client may have left. Cancel safe.
    pub(crate) async fn detached(&self) {
        self.detached.notified().await;
    }

    /// Forgets those who left, and lets the others see it.
    pub(crate) fn sweep(&mut self) {
        let before = self.subscribers.len();
        self.subscribers.retain(|subscriber| !subscriber.outbox.is_closed());
        if self.subscribers.len() < before {
            if self.sole_driver.is_some_and(|driver| !self.follows(driver)) {
                self.sole_driver = None;
            }
            self.show_presence();
        }
    }

    /// Shows an event to everybody.
    pub(crate) fn show_event(&self, record: &EventRecord) {
        self.subscribers.iter().for_each(|subscriber| subscriber.outbox.event(record));
    }

    /// Shows a delta to everybody.
    pub(crate) fn show_delta(&self, delta: &Delta) {
        self.subscribers.iter().for_each(|subscriber| subscriber.outbox.delta(delta));
    }

    /// Shows how much of the ceilings is spent, if that is another share than was shown before.
    pub(crate) fn show_budget(&mut self, budget: BudgetUse) {
        let is_same = |one: &CeilingUse, other: &CeilingUse| {
            (&one.level, &one.limit, &one.provider, one.allowed.to_bits(), percent(one))
                == (&other.level, &other.limit, &other.provider, other.allowed.to_bits(), percent(other))
        };
        let (new, old) = (&budget.ceilings, &self.budget.ceilings);
        if new.len() != old.len() || !new.iter().zip(old).all(|(one, other)| is_same(one, other)) {
            self.subscribers.iter().for_each(|subscriber| subscriber.outbox.budget(&budget));
            self.budget = budget;
        }
    }

    /// Shows which commands go on in the background, if they are others than before.
    pub(crate) fn show_background(&mut self, going: Vec<Going>, now: Timestamp) {
        let new = going.iter().map(|going| going.process_id);
        if new.eq(self.background.iter().map(|command| command.process_id)) {
            return;
        }
        self.background = shown(going, now);
        self.show_presence();
    }

    fn show_presence(&self) {
        let presence = self.presence();
        self.subscribers.iter().for_each(|subscriber| subscriber.outbox.presence(&presence));
    }

    /// Ends all feeds.
    pub(crate) fn close(&mut self, error: &ProtocolError) {
        for subscriber in self.subscribers.drain(..) {
            subscriber.outbox.close(Some(error.clone()));
        }
        self.sole_driver = None;
    }

    /// Refuses what a client may not do: a viewer anything, the others anything but to interrupt while one is the
    /// only driver.
    ///
    /// # Errors
    /// `Denied`.
    pub(crate) fn check(&self, actor: &Actor, intent: Intent) -> Result<(), ProtocolError> {
        if self.is_viewer(actor.client_id) {
            return Err(ProtocolError::new(ErrorCode::Denied, "This client only looks on")
                .with_hint("Attach without `--watch` to take part"));
        }
        match self.sole_driver {
            Some(driver) if driver != actor.client_id && intent != Intent::Interrupt => {
                let message = format!("`{}` took over and is the only one who may write", self.name(driver));
                Err(ProtocolError::new(ErrorCode::Denied, message)
                    .with_hint("Wait until it releases the session or leaves"))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Makes a client the only driver, or ends that.
    ///
    /// # Errors
    /// `Denied` for a viewer, `Conflict` when another one took over or the client is not attached.
    pub(crate) fn drive(
        &mut self,
        actor: &Actor,
        request_id: Option<RequestId>,
        wish: Wish,
    ) -> Result<(), ProtocolError> {
        let client = actor.client_id;
        let named = request_id.map(|id| (client, id));
        if named.is_some_and(|named| self.wishes.contains(&named)) {
            return Ok(());
        }
        if self.is_viewer(client) {
            return Err(ProtocolError::new(ErrorCode::Denied, "This client only looks on"));
        }
        if !self.follows(client) {
            return Err(follows_not());
        }
        if let Some(driver) = self.sole_driver.filter(|driver| *driver != client) {
            let message = format!("`{}` took over before", self.name(driver));
            return Err(ProtocolError::new(ErrorCode::Conflict, message));
        }
        let driver = (wish == Wish::TakeOver).then_some(client);
        if self.sole_driver != driver {
            self.sole_driver = driver;
            self.show_presence();
        }
        self.wishes.extend(named);
        if self.wishes.len() > MAX_WISHES {
            self.wishes.pop_front();
        }
        Ok(())
    }

    /// Notes whether a client's window has the focus.
    ///
    /// # Errors
    /// `Conflict` when the client is not attached.
    pub(crate) fn focus(&mut self, client: ClientId, is_focused: bool) -> Result<(), ProtocolError> {
        if !self.follows(client) {
            return Err(follows_not());
        }
        let mut is_new = false;
        for subscriber in &mut self.subscribers {
            let attachment = &mut subscriber.attachment;
            if attachment.actor.client_id == client && attachment.is_focused != is_focused {
                attachment.is_focused = is_focused;
                is_new = true;
            }
        }
        if is_new {
            self.show_presence();
        }
        Ok(())
    }

    /// Whether the window of any client has the focus. One whose feed ended does not count.
    pub(crate) fn is_focused(&self) -> bool {
        self.subscribers
            .iter()
            .any(|subscriber| subscriber.attachment.is_focused && !subscriber.outbox.is_closed())
    }

    /// Whether anybody is there who can answer a question.
    pub(crate) fn can_answer(&self) -> bool {
        self.subscribers.iter().any(|Subscriber { attachment, outbox }| {
            attachment.can_answer && attachment.role == ClientRole::Driver && !outbox.is_closed()
        })
    }

    /// Whether a connection follows as a viewer, and with no other feed as a driver.
    fn is_viewer(&self, client: ClientId) -> bool {
        let mut roles = self.of(client).map(|attachment| &attachment.role).peekable();
        roles.peek().is_some() && roles.all(|role| *role != ClientRole::Driver)
    }

    fn follows(&self, client: ClientId) -> bool {
        self.of(client).next().is_some()
    }

    fn of(&self, client: ClientId) -> impl Iterator<Item = &Attachment> {
        self.subscribers
            .iter()
            .map(|subscriber| &subscriber.attachment)
            .filter(move |attachment| attachment.actor.client_id == client)
    }

    fn name(&self, client: ClientId) -> &str {
        self.of(client).next().map_or("another client", |attachment| &attachment.actor.name)
    }
}

/// The share of a ceiling that is spent, in whole percents.
#[expect(clippy::cast_possible_truncation, reason = "it saturates")]
fn percent(ceiling: &CeilingUse) -> i64 {
    (ceiling.share() * 100.0).floor() as i64
}

fn follows_not() -> ProtocolError {
    ProtocolError::new(ErrorCode::Conflict, "This client does not follow the session")
        .with_hint("Attach first, on the same connection")
}
