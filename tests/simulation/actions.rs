//! What a client does next: by chance, and by what it sees.

use protocol::ids::{QuestionId, QueuedId, Seq, TurnId};
use protocol::question::{Decision, GrantScope};
use protocol::session::{AfterCrash, SessionSettings};
use protocol::turn::{InputPart, InterruptReason, TurnLimits};
use session::handle::Wish;
use session::input::Request;

use crate::client::{Client, Place};

/// What matters to a choice.
struct Seen {
    seq: Seq,
    running: Option<TurnId>,
    questions: Vec<QuestionId>,
    queue: Vec<QueuedId>,
    settings: SessionSettings,
}

impl Client {
    /// Does one thing.
    pub(crate) async fn act(&self, place: &Place<'_>) {
        let Some(seen) = self.seen() else { return };
        if let Some(question_id) = self.dice.pick(&seen.questions)
            && self.dice.percent(70)
        {
            let answer = Request::Answer { question_id: *question_id, decision: self.decision() };
            return self.ask(place, answer).await;
        }
        match self.dice.between(1..=100) {
            1..=4 => {
                let wish = if self.dice.percent(50) { Wish::TakeOver } else { Wish::Release };
                self.universe.count("take-overs");
                // Another one may have taken over before, or the session is out of memory.
                let _ = self.bounded(place.handle.drive(place.actor.clone(), None, wish)).await;
            }
            5..=7 => {
                let limit = u32::try_from(self.dice.between(0..=40)).unwrap();
                let _ = self.bounded(place.handle.read(0, limit)).await;
            }
            _ => self.ask(place, self.wanted(&seen)).await,
        }
    }

    fn seen(&self) -> Option<Seen> {
        let memory = self.memory();
        let state = &memory.view.as_ref()?.state;
        Some(Seen {
            seq: state.seq,
            running: state.running.as_ref().map(|running| running.turn_id),
            questions: state.questions.iter().map(|question| question.id).collect(),
            queue: state.queue.iter().map(|queued| queued.id).collect(),
            settings: state.settings.clone(),
        })
    }

    fn wanted(&self, seen: &Seen) -> Request {
        let queued = self.dice.pick(&seen.queue).copied();
        let chance = self.dice.between(1..=100);
        match (seen.running, queued) {
            (None, _) if chance <= 60 => self.start(seen),
            (Some(turn_id), _) if chance <= 20 => self.steer(turn_id),
            (Some(turn_id), _) if chance <= 35 => self.interrupt(turn_id),
            (_, Some(queued_id)) if chance <= 50 => Request::CancelQueued { queued_id },
            (_, Some(queued_id)) if chance <= 65 => {
                let input = self.dice.percent(50).then(|| self.input());
                let position =
                    self.dice.percent(50).then(|| u32::try_from(self.dice.between(0..=3)).unwrap());
                Request::ChangeQueued { queued_id, input, position }
            }
            _ if chance <= 75 => Request::Enqueue { input: self.input() },
            _ if chance <= 80 => self.start(seen),
            _ if chance <= 85 => Request::Archive,
            _ if chance <= 88 => Request::Unarchive,
            _ if chance <= 93 => self.update(seen),
            _ if chance <= 96 => {
                Request::Compact { instructions: self.dice.percent(30).then(|| "Dwell on it.".to_owned()) }
            }
            _ => self.interrupt(TurnId(self.dice.uuid())),
        }
    }

    fn input(&self) -> Vec<InputPart> {
        vec![InputPart::Text { text: format!("{} says {}", self.name, self.dice.between(0..=u64::MAX)) }]
    }

    fn start(&self, seen: &Seen) -> Request {
        let limits = TurnLimits {
            deadline_ms: self.dice.percent(10).then(|| self.dice.between(100..=20_000)),
            max_tool_calls: self.dice.percent(10).then_some(2),
            ..TurnLimits::default()
        };
        let expected_seq = self.dice.percent(25).then_some(seen.seq);
        Request::Start { input: self.input(), output_schema: None, limits, expected_seq }
    }

    fn steer(&self, turn_id: TurnId) -> Request {
        Request::Steer { input: self.input(), expected: self.dice.percent(50).then_some(turn_id) }
    }

    fn interrupt(&self, turn_id: TurnId) -> Request {
        let expected = self.dice.percent(70).then_some(turn_id);
        Request::Interrupt { expected, reason: InterruptReason::Requested }
    }

    fn update(&self, seen: &Seen) -> Request {
        let after_crash = if self.dice.percent(50) { AfterCrash::Continue } else { AfterCrash::Wait };
        let settings = SessionSettings { after_crash, ..seen.settings.clone() };
        let title = self.dice.percent(30).then(|| format!("title of {}", self.name));
        Request::Update { title, settings: Some(Box::new(settings)) }
    }

    /// What it decides about a question.
    fn decision(&self) -> Decision {
        let allow = |scope| Decision::Allow { scope };
        match self.dice.between(1..=10) {
            1..=5 => allow(GrantScope::Once),
            6 => allow(GrantScope::Turn),
            7 => allow(GrantScope::Session),
            8 => allow(GrantScope::Always),
            9 => Decision::Deny { message: None },
            _ => Decision::Deny { message: Some("no".into()) },
        }
    }
}
