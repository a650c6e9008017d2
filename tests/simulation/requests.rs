//! What a client asks for, and whether the answer is true: what is answered is on disk, once, however often it is
//! asked for; what is refused is not.

use protocol::error::{ErrorCode, ErrorDetail, ProtocolError};
use protocol::event::{Event, EventRecord};
use protocol::ids::RequestId;
use session::effect::Reply;
use session::handle::Answered;
use session::input::Request;
use tokio::time::{Duration, timeout};

use crate::client::{Client, Place};
use crate::view::View;

/// A request.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sent {
    pub(crate) id: Option<RequestId>,
    pub(crate) request: Request,
}

/// A request with its answer.
#[derive(Clone)]
pub(crate) struct Done {
    sent: Sent,
    answered: Answered,
    has_events: bool,
}

impl Client {
    /// Asks for something new.
    pub(crate) async fn ask(&self, place: &Place<'_>, request: Request) {
        let id = self.dice.percent(85).then(|| RequestId(self.dice.uuid()));
        let sent = Sent { id, request };
        self.send(place, &sent).await;
        if self.dice.percent(15) {
            self.again(place).await;
        }
    }

    /// Back after a while: asks again for what it does not know the outcome of.
    pub(crate) async fn repeat(&self, place: &Place<'_>) {
        let unsure: Vec<_> = self.memory().unsure.drain(..).filter(|sent| sent.id.is_some()).collect();
        for sent in unsure {
            self.universe.count("asked again unsure");
            self.send(place, &sent).await;
        }
        if self.dice.percent(20) {
            self.again(place).await;
        }
    }

    /// Asks again for something that was answered.
    async fn again(&self, place: &Place<'_>) {
        // What changed nothing the first time may be done now.
        let done: Vec<_> = self.memory().done.iter().filter(|done| done.has_events).cloned().collect();
        let Some(Done { sent, answered, .. }) = self.dice.pick(&done) else { return };
        self.universe.count("asked again");
        let actor = place.actor.clone();
        match self.bounded(place.handle.request(actor, sent.id, sent.request.clone())).await {
            Ok(second) if &second == answered => {}
            Err(error) if error.code == ErrorCode::Unavailable => {}
            other => self.complain(Err(format!("{sent:?} was answered {answered:?}, then {other:?}"))),
        }
    }

    async fn send(&self, place: &Place<'_>, sent: &Sent) {
        self.memory().unsure.push_back(sent.clone());
        self.universe.note(|| format!("{}       asks {sent:?}", self.name));
        let asked = place.handle.request(place.actor.clone(), sent.id, sent.request.clone());
        let result = if self.dice.percent(5) {
            // It goes away before it hears the answer.
            match timeout(Duration::from_millis(self.dice.between(0..=300)), asked).await {
                Ok(result) => result,
                Err(_) => return,
            }
        } else {
            self.bounded(asked).await
        };
        self.universe.note(|| format!("{}       is answered {result:?}", self.name));
        self.complain(self.check(sent, &result));
        let is_unsure = result.as_ref().is_err_and(|error| error.code == ErrorCode::Unavailable);
        let has_events = !self.made(sent).is_empty();
        let mut memory = self.memory();
        if !is_unsure {
            memory.unsure.retain(|other| other != sent);
        }
        if let Ok(answered) = result {
            memory.done.push(Done { sent: sent.clone(), answered, has_events });
        }
    }

    /// The events that a request with a name made.
    fn made(&self, sent: &Sent) -> Vec<EventRecord> {
        let Some(id) = sent.id else { return Vec::new() };
        let is_of_it = |record: &&EventRecord| record.request_id == Some(id);
        self.log(|records| records.iter().filter(is_of_it).cloned().collect())
    }

    fn log<T>(&self, look: impl FnOnce(&[EventRecord]) -> T) -> T {
        let id = self.memory().view.as_ref().map(View::id).unwrap();
        self.disk.look(id, |ledger| look(&ledger.records)).unwrap()
    }

    fn check(&self, sent: &Sent, result: &Result<Answered, ProtocolError>) -> Result<(), String> {
        match result {
            Ok(answered) => {
                self.universe.count("requests carried out");
                self.check_done(sent, answered)
            }
            Err(error) if error.code == ErrorCode::Unavailable => Ok(()),
            Err(error) => {
                self.universe.count("requests refused");
                self.check_refused(sent, error)
            }
        }
    }

    fn check_done(&self, sent: &Sent, answered: &Answered) -> Result<(), String> {
        let made = self.made(sent);
        if let Some(first) = made.first()
            && first.seq != answered.seq
        {
            return Err(format!("{sent:?} was answered {answered:?}, and its first event is {first:?}"));
        }
        let is_there = self.log(|records| {
            let any = |is: &dyn Fn(&Event) -> bool| records.iter().any(|record| is(&record.event));
            let has = match &answered.reply {
                Reply::Started { turn_id } => {
                    any(&|event| matches!(event, Event::TurnStarted(started) if started.turn_id == *turn_id))
                }
                Reply::Steered { item_id, .. } => {
                    any(&|event| matches!(event, Event::ItemCompleted(said) if said.item.id == *item_id))
                }
                Reply::Queued { queued_id, .. } => any(
                    &|event| matches!(event, Event::InputQueued(queued) if queued.queued.id == *queued_id),
                ),
                Reply::Interrupted { turn_id: Some(turn_id) } => {
                    any(&|event| matches!(event, Event::TurnEnded(ended) if ended.turn_id == *turn_id))
                }
                Reply::Answered { question_id } => any(&|event| {
                    matches!(event, Event::QuestionAnswered(answered)
                        if answered.question_id == *question_id && answered.answer.actor.name == self.name)
                }),
                Reply::Interrupted { turn_id: None } | Reply::Done => true,
            };
            has && records.last().is_some_and(|last| answered.seq <= last.seq)
        });
        if is_there {
            Ok(())
        } else {
            Err(format!("{sent:?} was answered {answered:?}, and it is not on disk"))
        }
    }

    fn check_refused(&self, sent: &Sent, error: &ProtocolError) -> Result<(), String> {
        if error.code == ErrorCode::Internal {
            return Err(format!("{sent:?} failed inside: {error:?}"));
        }
        if let Some(first) = self.made(sent).first() {
            return Err(format!("{sent:?} was refused with {error:?}, and it made {first:?}"));
        }
        let Some(ErrorDetail::AlreadyAnswered { question_id, answer }) = error.detail.as_deref() else {
            return Ok(());
        };
        self.universe.count("answers too late");
        let is_it = |record: &EventRecord| {
            matches!(&record.event, Event::QuestionAnswered(event)
                if event.question_id == *question_id && event.answer == *answer)
        };
        let is_there = self.log(|records| records.iter().any(is_it));
        if is_there { Ok(()) } else { Err(format!("{answer:?} is not the answer to `{question_id}`")) }
    }
}
