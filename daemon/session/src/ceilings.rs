//! What an actor has to do with ceilings: it tells what was spent to those who count it, lets followers see how much of
//! the ceilings that is, and looks again when time may be up. Decides nothing.

use protocol::event::{Event, EventRecord, ModelResponded, ModelRetried};
use protocol::ids::Timestamp;
use protocol::usage::Spending;
use store::Spent;
use tokio::time::{Duration, Instant};

use crate::actor::Actor;
use crate::input::Input;
use crate::moment::{Moment, Rules};
use crate::state::{answer_spending, is_call_made};
use crate::turn::budget;

/// A clock that was set back, say, makes nobody look all the time.
const LEAST_PAUSE: Duration = Duration::from_millis(5);

impl Actor {
    /// Fills in what was spent.
    pub(crate) fn reckon(&self, moment: &mut Moment) {
        (moment.beside, moment.working_beside) = self.branch.beside(moment.at);
        let today = self.around.today.spent(moment.at, self.state.id, &self.state.settings.provider);
        moment.today = today.all;
        moment.provider_today = today.by_provider;
        moment.working_today = today.working;
    }

    /// Notes what an event of the actor's own spent. `worked` is the time that it told of, `was_working` since when the
    /// session worked before it.
    pub(crate) fn note_spending(
        &mut self,
        record: &EventRecord,
        worked: u64,
        was_working: Option<Timestamp>,
    ) {
        let settings = &self.state.settings;
        let mut spending =
            if let Event::ModelResponded(ModelResponded { usage, asked_by: Some(_), .. }) = &record.event {
                answer_spending(settings.price.as_ref(), *usage)
            } else if let Event::ModelResponded(ModelResponded { usage, .. })
            | Event::ModelRetried(ModelRetried { usage: Some(usage), .. }) = &record.event
            {
                self.hands.answered(*usage);
                answer_spending(settings.price.as_ref(), *usage)
            } else if let Event::ItemCompleted(completed) = &record.event
                && is_call_made(&completed.item)
            {
                Spending { tool_calls: 1, ..Spending::default() }
            } else {
                Spending::default()
            };
        spending.time_ms += worked;
        let working = self.state.working_since();
        let is_spent = spending != Spending::default();
        if !is_spent && working == was_working {
            return;
        }
        self.around.today.add(record.at, self.state.id, &settings.provider, (spending, working));
        self.branch.spend(spending, working);
        if is_spent {
            let (provider, model) = (settings.provider.clone(), settings.model.clone());
            self.spent.push(Spent { at: record.at, provider, model, spending });
        }
    }

    /// Shows how much of the ceilings is spent, and finds out when to look again.
    pub(crate) fn look_at_ceilings(&mut self) {
        let mut moment = Moment::new(self.now(), Rules::default(), 0);
        self.reckon(&mut moment);
        let left = budget::time_left(&self.state, &moment).map(Duration::from_millis);
        self.look_again_at = left.map(|left| Instant::now() + left.max(LEAST_PAUSE));
        if !self.audience.is_empty() {
            self.audience.show_budget(budget::in_use(&self.state, &moment));
        }
    }

    /// Time may be up.
    pub(crate) fn time_passed(&mut self) {
        self.look_again_at = None;
        if let Some((running, _)) = self.state.current() {
            let turn_id = running.turn_id;
            let before = self.state.seq;
            self.take(Input::TimePassed { turn_id }, None);
            if self.state.seq == before {
                self.look_at_ceilings();
            }
        }
    }
}
