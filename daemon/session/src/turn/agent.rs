//! What agents of the session tell it.

use protocol::agent::AgentReport;
use protocol::event::{Event, ItemChanged};
use protocol::ids::{ItemId, TurnId};
use protocol::item::{Item, ItemBody, ItemStatus};

use crate::effect::Effect;
use crate::moment::Moment;
use crate::state::SessionState;

/// Keeps what an agent came to, once, as an item of the turn that runs, or of the last one: the model is told with its
/// next request, and no request is made for it.
pub(crate) fn reported(state: &SessionState, report: AgentReport, moment: &mut Moment) -> Vec<Effect> {
    let Some((turn_id, step)) = place(state) else { return Vec::new() };
    // What a turn came to has one place, however often it is told.
    let id = if report.status.is_live() { moment.item_id() } else { ItemId(report.turn_id.0) };
    if state.turns.iter().flat_map(|turn| &turn.items).any(|item| item.id == id) {
        return Vec::new();
    }
    let item = Item {
        id,
        turn_id,
        step,
        status: ItemStatus::Completed,
        started_at: moment.at,
        completed_at: Some(moment.at),
        called_by: None,
        body: ItemBody::Agent(report),
    };
    vec![Effect::Append(vec![Event::ItemCompleted(ItemChanged { item })])]
}

/// Where an item stands that the model is told of with its next request: in the turn that runs, or in the last one.
pub(crate) fn place(state: &SessionState) -> Option<(TurnId, u32)> {
    let turn = state.turns.last()?;
    let last = match &state.running {
        Some(running) => running.step,
        None => turn.items.iter().map(|item| item.step).max().unwrap_or_default(),
    };
    Some((turn.id, last.saturating_add(1)))
}
