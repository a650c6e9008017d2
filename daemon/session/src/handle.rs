//! How the rest of the daemon talks to a session. A handle outlives the actor: a session that was unloaded
//! meanwhile is loaded again.

use std::sync::{Arc, Weak};

use protocol::agent::{AgentOrigin, AgentReport};
use protocol::delta::FeedEntry;
use protocol::error::{ErrorCode, ProtocolError};
use protocol::event::EventRecord;
use protocol::ids::{ClientId, RequestId, Seq, SessionId, Timestamp};
use protocol::question::Question;
use protocol::session::{Attachment, BackgroundCommand, SessionSnapshot, SessionSummary};
use protocol::turn::Actor;
use tokio::sync::{Notify, mpsc, oneshot};
use tools::belongings::Belongings;
use tools::registry::Listing;

use crate::actor::answer;
use crate::audience::shown;
use crate::effect::Reply;
use crate::input::Request;
use crate::outbox::{End, Inbox};
use crate::sessions::Sessions;

/// What an actor is told. Boxed on its way: a channel sets aside room for many, and most sessions get few.
pub(crate) enum Message {
    Request {
        actor: Actor,
        request_id: Option<RequestId>,
        request: Request,
        reply: Respond<Answered>,
    },
    Attach {
        attachment: Attachment,
        start: Start,
        reply: Respond<Joined>,
    },
    Read {
        skip: u32,
        limit: u32,
        reply: Respond<SessionSnapshot>,
    },
    Summary {
        reply: Respond<SessionSummary>,
    },
    Questions {
        reply: Respond<Questions>,
    },
    Tools {
        reply: Respond<Vec<Listing>>,
    },
    /// Keep what an agent of the session tells.
    Report {
        report: AgentReport,
        reply: Respond<()>,
    },
    /// Be the only one who may write, or let the others write again.
    Drive {
        actor: Actor,
        request_id: Option<RequestId>,
        wish: Wish,
        reply: Respond<()>,
    },
    /// Note whether a client's window has the focus.
    Focus {
        client: ClientId,
        is_focused: bool,
        reply: Respond<()>,
    },
    /// Tell whether the window of any client has the focus.
    IsFocused {
        reply: Respond<bool>,
    },
    /// Note what changed in files that no call has looked at.
    LookAtFiles {
        reply: Respond<()>,
    },
    /// Bring the turn to a durable point and end.
    Stop {
        hand_over: bool,
        reply: Respond<()>,
    },
    /// End, because the session is to be deleted.
    End {
        actor: Actor,
        request_id: Option<RequestId>,
        reply: Respond<()>,
    },
}

impl Message {
    /// Answers with an error.
    pub(crate) fn refuse(self, error: &ProtocolError) {
        let error = error.clone();
        match self {
            Self::Request { reply, .. } => answer(reply, Err(error)),
            Self::Attach { reply, .. } => answer(reply, Err(error)),
            Self::Read { reply, .. } => answer(reply, Err(error)),
            Self::Summary { reply } => answer(reply, Err(error)),
            Self::Questions { reply } => answer(reply, Err(error)),
            Self::Tools { reply } => answer(reply, Err(error)),
            Self::IsFocused { reply } => answer(reply, Err(error)),
            Self::Report { reply, .. }
            | Self::Drive { reply, .. }
            | Self::Focus { reply, .. }
            | Self::LookAtFiles { reply }
            | Self::Stop { reply, .. }
            | Self::End { reply, .. } => answer(reply, Err(error)),
        }
    }
}

pub(crate) type Respond<T> = oneshot::Sender<Result<T, ProtocolError>>;

/// What a client wishes for its role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// To be the only one who may write.
    TakeOver,
    /// To let the others write again.
    Release,
}

/// Where a feed is to begin.
pub(crate) enum Start {
    Snapshot { turns: u32 },
    Live,
}

/// A subscriber's place in the session.
pub(crate) struct Joined {
    pub(crate) seq: Seq,
    pub(crate) snapshot: Option<Box<SessionSnapshot>>,
    pub(crate) seat: Seat,
}

/// The questions of a session: those that wait, and whether one was answered.
pub(crate) struct Questions {
    pub(crate) agent: Option<AgentOrigin>,
    pub(crate) open: Vec<Question>,
    pub(crate) answered: Vec<protocol::ids::QuestionId>,
}

/// A request that was carried out. All of it is on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// What came of it.
    pub reply: Reply,
    /// The place of the first event that it made; of the last one there is, if it made none.
    pub seq: Seq,
}

/// A session.
#[derive(Clone)]
pub struct SessionHandle {
    pub(crate) id: SessionId,
    pub(crate) mailbox: mpsc::Sender<Box<Message>>,
    pub(crate) sessions: Weak<Sessions>,
    pub(crate) belongings: Weak<Belongings>,
}

impl SessionHandle {
    /// Which one.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// Carries out a request; what it changed is on disk when this returns. Dropping the future does not take
    /// the request back.
    ///
    /// # Errors
    /// What `turn::step` refuses with, `Denied` for a viewer or while another client is the only one who may write,
    /// `Unavailable` while the daemon stops or when the log can't be written.
    pub async fn request(
        &self,
        actor: Actor,
        request_id: Option<RequestId>,
        request: Request,
    ) -> Result<Answered, ProtocolError> {
        if !matches!(request, Request::Interrupt { .. }) {
            self.sessions()?.refuse_draining()?;
        }
        self.ask(|reply| Message::Request { actor, request_id, request, reply }).await
    }

    /// Makes a client that follows the session the only one who may write, or ends that. A request that has a name is
    /// carried out once over one connection.
    ///
    /// # Errors
    /// `Denied` for a viewer, `Conflict` when another one took over or the client does not follow the session.
    pub async fn drive(
        &self,
        actor: Actor,
        request_id: Option<RequestId>,
        wish: Wish,
    ) -> Result<(), ProtocolError> {
        self.ask(|reply| Message::Drive { actor, request_id, wish, reply }).await
    }

    /// Notes whether the window in which a client shows the session has the focus.
    ///
    /// # Errors
    /// `Conflict` when the client does not follow the session.
    pub async fn focus(&self, client: ClientId, is_focused: bool) -> Result<(), ProtocolError> {
        self.ask(|reply| Message::Focus { client, is_focused, reply }).await
    }

    /// Whether somebody looks at the session: the window of a client that shows it has the focus.
    ///
    /// # Errors
    /// `Internal` when the actor failed.
    pub async fn is_focused(&self) -> Result<bool, ProtocolError> {
        self.ask(|reply| Message::IsFocused { reply }).await
    }

    /// Follows the session: all there is, or the events since a place, and then everything that happens.
    ///
    /// # Errors
    /// `InvalidRequest` when `since` lies beyond the log.
    pub async fn attach(&self, attachment: Attachment, since: Option<Seq>) -> Result<Feed, ProtocolError> {
        let start = match since {
            None => Start::Snapshot { turns: crate::load::PAGE_TURNS },
            Some(_) => Start::Live,
        };
        let joined = self.ask(|reply| Message::Attach { attachment, start, reply }).await?;
        let Joined { seq, snapshot, seat } = joined;
        let first = match (since, snapshot) {
            (Some(since), _) if since > seq => {
                let message = format!("The log ends at {seq}, there is no event {since} in it");
                return Err(ProtocolError::new(ErrorCode::InvalidRequest, message)
                    .with_hint("Attach without `since`, for a snapshot"));
            }
            (Some(since), _) if since == seq => FeedStart::Events(Vec::new()),
            // What was appended since is in the inbox; what came before, the log has.
            (Some(since), _) => {
                FeedStart::Events(self.sessions()?.log.events(self.id, since, Some(seq)).await?)
            }
            (None, Some(snapshot)) => FeedStart::Snapshot(snapshot),
            (None, None) => return Err(gone(self.id)),
        };
        Ok(Feed { first, seat })
    }

    /// Shows the session: `limit` turns, `skip` from the end.
    ///
    /// # Errors
    /// What the store says.
    pub async fn read(&self, skip: u32, limit: u32) -> Result<SessionSnapshot, ProtocolError> {
        self.ask(|reply| Message::Read { skip, limit, reply }).await
    }

    /// The session as it stands in a list.
    ///
    /// # Errors
    /// `Internal` when the actor failed.
    pub async fn summary(&self) -> Result<SessionSummary, ProtocolError> {
        self.ask(|reply| Message::Summary { reply }).await
    }

    /// The tools that the session has, as its model was told of them last.
    ///
    /// # Errors
    /// `Internal` when the actor failed.
    pub async fn tools(&self) -> Result<Vec<Listing>, ProtocolError> {
        self.ask(|reply| Message::Tools { reply }).await
    }

    /// Keeps what an agent of the session tells; it is on disk when this returns.
    ///
    /// # Errors
    /// `Unavailable` when the log can't be written.
    pub async fn report(&self, report: AgentReport) -> Result<(), ProtocolError> {
        self.ask(|reply| Message::Report { report, reply }).await
    }

    /// Notes what changed in files that no call has looked at. It is in the log when the next question is answered.
    ///
    /// # Errors
    /// `Internal` when the actor failed.
    pub async fn look_at_files(&self) -> Result<(), ProtocolError> {
        self.ask(|reply| Message::LookAtFiles { reply }).await
    }

    /// The session's commands in the background, as they are at this time; oldest first.
    pub(crate) fn background(&self, now: Timestamp) -> Vec<BackgroundCommand> {
        self.belongings.upgrade().map(|belongings| shown(belongings.going(), now)).unwrap_or_default()
    }

    pub(crate) async fn questions(&self) -> Result<Questions, ProtocolError> {
        self.ask(|reply| Message::Questions { reply }).await
    }

    fn sessions(&self) -> Result<Arc<Sessions>, ProtocolError> {
        self.sessions.upgrade().ok_or_else(|| gone(self.id))
    }

    /// Sends a message to the actor, or to the next one if this one was unloaded, and waits for the answer.
    async fn ask<T>(&self, message: impl FnOnce(Respond<T>) -> Message) -> Result<T, ProtocolError> {
        let (reply, answer) = oneshot::channel();
        let mut message = Box::new(message(reply));
        let mut mailbox = self.mailbox.clone();
        while let Err(mpsc::error::SendError(returned)) = mailbox.send(message).await {
            message = returned;
            mailbox = self.sessions()?.open(self.id).await?.mailbox;
        }
        answer.await.unwrap_or_else(|_| Err(gone(self.id)))
    }
}

/// The actor ended without an answer; a defect, since it answers before it ends.
pub(crate) fn gone(id: SessionId) -> ProtocolError {
    ProtocolError::new(ErrorCode::Internal, format!("The session `{id}` ended before it could answer"))
        .with_hint("Try again; the daemon's log says more")
}

/// What a feed begins with.
#[derive(Debug)]
pub enum FeedStart {
    /// All there is.
    Snapshot(Box<SessionSnapshot>),
    /// The events since the place that was asked for.
    Events(Vec<EventRecord>),
}

/// A subscription. Dropping it detaches.
pub struct Feed {
    /// What comes first.
    pub first: FeedStart,
    seat: Seat,
}

impl Feed {
    /// What happened next: at least one entry, or why there will be no more. Cancel safe.
    ///
    /// # Errors
    /// The end, once all entries before it were taken.
    pub async fn next(&mut self) -> Result<Vec<FeedEntry>, End> {
        self.seat.inbox.next().await
    }
}

/// A subscriber's inbox. Dropping it tells the actor, which then finds it gone.
pub(crate) struct Seat {
    inbox: Inbox,
    // Invariant: stands after the inbox, so that it is dropped after it.
    _leaving: Leaving,
}

impl Seat {
    /// One that tells of its end there.
    pub(crate) fn new(inbox: Inbox, detached: Arc<Notify>) -> Self {
        Self { inbox, _leaving: Leaving(detached) }
    }
}

struct Leaving(Arc<Notify>);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}
