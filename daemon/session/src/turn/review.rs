//! What stands at the end of a turn that was a review: the findings of the model's last message, as data. What is no
//! answer to that is told, and stays in the message.

use protocol::event::{Event, ItemChanged};
use protocol::item::{Item, ItemBody, ItemStatus};
use protocol::review::{Review, answer_schema};
use protocol::turn::{Turn, TurnOutcome};

use crate::moment::Moment;
use crate::state::{Running, SessionState};

/// The item, if the turn was a review and the model had its last word.
pub(crate) fn found(
    state: &SessionState,
    running: &Running,
    turn: &Turn,
    outcome: &TurnOutcome,
    moment: &Moment,
) -> Option<Event> {
    let is_review = running.output_schema.as_ref().is_some_and(|schema| *schema == answer_schema());
    if !is_review || *outcome != TurnOutcome::Completed {
        return None;
    }
    let whole = turn.items.iter().rev().filter(|item| item.status == ItemStatus::Completed);
    let mut said = whole.filter_map(|item| {
        if let ItemBody::AgentMessage(message) = &item.body { Some(message.text.as_str()) } else { None }
    });
    let review = Review::read(said.next().unwrap_or_default(), &state.settings.cwd);
    let status = if review.message.is_none() { ItemStatus::Completed } else { ItemStatus::Failed };
    let item = Item {
        id: moment.review_item_id(),
        turn_id: running.turn_id,
        step: running.step,
        status,
        started_at: moment.at,
        completed_at: Some(moment.at),
        called_by: None,
        body: ItemBody::Review(review),
    };
    Some(Event::ItemCompleted(ItemChanged { item }))
}
