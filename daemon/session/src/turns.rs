//! The part of the fold that makes up turns and their items. Needs no other part of the state, so that a page of
//! old turns can be folded alone.

use protocol::event::{Event, EventRecord};
use protocol::item::Item;
use protocol::model::Usage;
use protocol::turn::Turn;

/// Folds one event into the turns; the last one is the one that it belongs to.
pub(crate) fn fold(turns: &mut Vec<Turn>, record: &EventRecord) {
    match &record.event {
        Event::TurnStarted(started) => turns.push(Turn {
            id: started.turn_id,
            actor: started.actor.clone(),
            started_at: record.at,
            ended_at: None,
            outcome: None,
            usage: Usage::default(),
            cost: None,
            items: Vec::new(),
            is_rewound: false,
        }),
        Event::ModelResponded(responded) => {
            // What a call asked may come after its turn.
            if let Some(turn) = turns.iter_mut().rev().find(|turn| turn.id == responded.turn_id) {
                turn.usage += responded.usage;
            }
        }
        Event::ModelRetried(retried) => {
            if let (Some(turn), Some(usage)) = (turns.last_mut(), retried.usage) {
                turn.usage += usage;
            }
        }
        Event::ItemStarted(changed) | Event::ItemCompleted(changed) => put_item(turns, &changed.item),
        Event::TurnEnded(ended) => {
            if let Some(turn) = turns.last_mut() {
                turn.ended_at = Some(record.at);
                turn.outcome = Some(ended.outcome.clone());
                turn.cost = ended.cost;
            }
        }
        Event::SessionCreated(_)
        | Event::SessionUpdated(_)
        | Event::SessionArchived(_)
        | Event::SessionUnarchived(_)
        | Event::InputQueued(_)
        | Event::QueuedInputChanged(_)
        | Event::QueuedInputCancelled(_)
        | Event::TurnSuspended(_)
        | Event::ConnectionAttempted(_)
        | Event::BudgetWarned(_)
        | Event::TurnResumed(_)
        | Event::ModelRequested(_)
        | Event::ItemAppended(_)
        | Event::QuestionAsked(_)
        | Event::QuestionAnswered(_)
        | Event::QuestionWithdrawn(_)
        | Event::FilesChanged(_)
        | Event::SessionRewound(_)
        | Event::RewindEnded(_)
        | Event::ClientToolsRegistered(_)
        | Event::Unknown(_) => {}
    }
}

fn put_item(turns: &mut [Turn], item: &Item) {
    let Some(turn) = turns.last_mut() else { return };
    match turn.items.iter_mut().rev().find(|known| known.id == item.id) {
        Some(known) => *known = item.clone(),
        None => turn.items.push(item.clone()),
    }
}
