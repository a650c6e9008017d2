//! Calls that a running tool makes of other tools. Each is an item of its own and goes through the policy, hooks,
//! questions and ceilings as if the model had made it, while their caller waits; those that change nothing run side by
//! side, any other one alone, in its turn. The model never made them, so it is not shown them.

use protocol::event::{Event, ItemChanged};
use protocol::ids::ItemId;
use protocol::item::{Item, ItemBody, ItemStatus, OtherToolCall};
use protocol::tool::ToolCall;
use protocol::turn::{Turn, TurnOutcome};

use crate::effect::Effect;
use crate::moment::Moment;
use crate::state::{Running, SessionState};
use crate::turn::calls::Following;
use crate::turn::step::completed;
use crate::turn::{beside, budget, calls, ending, hooks, question};

/// A running tool calls another one. The item is in the log before anything is done about it; one that can't be
/// understood ends at once.
pub(crate) fn called(
    state: &SessionState,
    called_by: ItemId,
    item_id: ItemId,
    call: ToolCall,
    prepared: Result<Box<ItemBody>, String>,
    moment: &Moment,
) -> Vec<Effect> {
    let caller = state.item(called_by).filter(|caller| caller.status == ItemStatus::InProgress);
    let (Some((running, _)), Some(caller)) = (state.current(), caller) else { return Vec::new() };
    if !running.begun.contains(&called_by) {
        return Vec::new();
    }
    let (status, body) = match prepared {
        Ok(body) => (ItemStatus::InProgress, *body),
        Err(message) => {
            let call = OtherToolCall {
                call,
                server: None,
                consent: None,
                output: Some(message),
                content: Vec::new(),
                structured: None,
            };
            (ItemStatus::Failed, ItemBody::ToolCall(call))
        }
    };
    let item = Item {
        id: item_id,
        turn_id: running.turn_id,
        step: caller.step,
        completed_at: (status != ItemStatus::InProgress).then_some(moment.at),
        status,
        started_at: moment.at,
        called_by: Some(called_by),
        body,
    };
    if item.status == ItemStatus::InProgress {
        vec![Effect::Append(vec![Event::ItemStarted(ItemChanged { item })]), Effect::Continue]
    } else {
        vec![Effect::Append(vec![Event::ItemCompleted(ItemChanged { item })])]
    }
}

/// What follows for the calls that tools made, if any is open; nothing of the model's begins meanwhile.
pub(crate) fn proceed(
    state: &SessionState,
    running: &Running,
    turn: &Turn,
    moment: &mut Moment,
) -> Option<Vec<Effect>> {
    let together = beside::first_of(open(turn), moment);
    if together.is_empty() {
        return None;
    }
    let is_asked = |item: &&Item| state.questions.iter().any(|question| question.item_id == item.id);
    if together.iter().any(is_asked) {
        return Some(Vec::new());
    }
    let is_alone = together.iter().all(|item| !running.begun.contains(&item.id));
    for (at, item) in together.iter().enumerate() {
        if running.begun.contains(&item.id) {
            continue;
        }
        match next(state, running, turn, item, moment) {
            Following::Beside(effects) if effects.is_empty() => {}
            Following::Beside(mut effects) => {
                if at + 1 < together.len() && !effects.contains(&Effect::Continue) {
                    effects.push(Effect::Continue);
                }
                return Some(effects);
            }
            Following::Alone(effects) => return Some(if is_alone { effects } else { Vec::new() }),
        }
    }
    Some(Vec::new())
}

fn next(state: &SessionState, running: &Running, turn: &Turn, item: &Item, moment: &mut Moment) -> Following {
    // The turn can't end while the caller runs; it does when the model would be asked again, or calls again.
    if let Some(reached) = budget::reached(state, running, turn, budget::Next::Call, moment) {
        let reason = match reached {
            TurnOutcome::LimitReached { message, .. } => message,
            TurnOutcome::Completed
            | TurnOutcome::Failed { .. }
            | TurnOutcome::Interrupted { .. }
            | TurnOutcome::Unknown(_) => "A ceiling is reached".to_owned(),
        };
        return Following::Beside(calls::declined(item, &format!("Not run: {reason}"), moment));
    }
    if running.allowed.contains(&item.id) {
        return Following::Beside(vec![Effect::RunTool { item_id: item.id }]);
    }
    if let Some(effects) = hooks::before_call(running, item, moment) {
        return Following::Beside(effects);
    }
    calls::judged(state, running, item, moment)
}

/// The events that close the calls that tools of a daemon which is gone made: those tools are gone, too.
pub(crate) fn cut_off(state: &SessionState, moment: &Moment) -> Vec<Event> {
    let Some((_, turn)) = state.current() else { return Vec::new() };
    let mut events = Vec::new();
    for item in open(turn) {
        let asked = state.questions.iter().filter(|question| question.item_id == item.id);
        events.extend(asked.map(|question| question::withdrawn(question.id)));
        let begun = if state.waits_for_leave(item.id) { ending::Begun::No } else { ending::Begun::Maybe };
        let body = ending::interrupted(state, item, begun, moment);
        events.push(completed(item, ItemStatus::Interrupted, body, moment));
    }
    events
}

/// Whether a question is about a call that a tool made.
pub(crate) fn has_question(state: &SessionState) -> bool {
    let is_nested = |item: &Item| item.called_by.is_some();
    state.questions.iter().any(|question| state.item(question.item_id).is_some_and(is_nested))
}

/// The open calls that tools made.
pub(crate) fn open(turn: &Turn) -> impl Iterator<Item = &Item> {
    let is_open = |item: &&Item| item.called_by.is_some() && item.status == ItemStatus::InProgress;
    turn.items.iter().filter(is_open)
}
