//! What becomes of a turn when the daemon stops, and when it is there again.

use std::collections::BTreeSet;

use protocol::event::{Event, ModelRequested, TurnResumed, TurnSuspended};
use protocol::item::{Item, ItemBody, ItemStatus};
use protocol::session::AfterCrash;
use protocol::turn::{InterruptReason, TurnFailure, TurnOutcome};

use crate::effect::Effect;
use crate::moment::Moment;
use crate::state::{Phase, Running, SessionState};
use crate::turn::step::completed;
use crate::turn::{answer, beside, compaction, ending, hooks, nested, question};

/// The daemon stops. A turn that only waits for an answer waits on in the log. Any other one is handed over, or says
/// where it stopped.
pub(crate) fn stopping(
    state: &SessionState,
    hand_over: bool,
    is_call_running: bool,
    moment: &Moment,
) -> Vec<Effect> {
    match &state.running {
        None => Vec::new(),
        Some(_) if is_waiting(state) => Vec::new(),
        Some(running) if hand_over => {
            let unsaved = state.unsaved().into_iter().map(Event::ItemAppended);
            let mut events: Vec<_> = unsaved.chain(question::withdrawn_from_tools(state, None)).collect();
            let turn_id = running.turn_id;
            events.push(Event::TurnSuspended(TurnSuspended { turn_id, is_call_running }));
            vec![Effect::CancelWork, Effect::Append(events)]
        }
        Some(_) => ending::cut_short(state, stopped(), moment),
    }
}

/// The session was loaded, and its log ends in the middle of a turn: it was handed over, the daemon died, or the log
/// could not be written for a while.
pub(crate) fn loaded(state: &SessionState, failure: Option<String>, moment: &mut Moment) -> Vec<Effect> {
    let Some(running) = &state.running else { return Vec::new() };
    if is_waiting(state) {
        return Vec::new();
    }
    if let Some(message) = failure {
        let failure = TurnFailure::Storage { message };
        return ending::cut_short_before(state, TurnOutcome::Failed { failure }, moment);
    }
    if running.suspended.is_some() || state.settings.after_crash == AfterCrash::Continue {
        return resume(state, running, moment);
    }
    ending::cut_short_before(state, stopped(), moment)
}

/// Whether the turn waits for somebody's leave, and nothing runs that would be lost.
fn is_waiting(state: &SessionState) -> bool {
    let is_at_rest = |running: &Running| running.phase == Phase::Calls && running.asking.is_empty();
    let is_asked = !state.questions.is_empty() && !nested::has_question(state);
    state.running.as_ref().is_some_and(is_at_rest) && is_asked
}

fn stopped() -> TurnOutcome {
    TurnOutcome::Interrupted { reason: InterruptReason::DaemonStopped, actor: None }
}

/// Goes on from the last durable step. An answer that was not complete is void and asked for again. A call that may
/// have begun and may have changed something is told as interrupted and never made again; there is one at most, as such
/// calls go alone. Those that only read are made again, and those that had not begun run now.
fn resume(state: &SessionState, running: &Running, moment: &mut Moment) -> Vec<Effect> {
    let turn_id = running.turn_id;
    let resumed = Event::TurnResumed(TurnResumed { turn_id, was_handed_over: running.suspended.is_some() });
    match running.phase {
        Phase::Prompt => {
            let mut events = vec![resumed];
            let is_said = |item: &&Item| matches!(item.body, ItemBody::UserMessage(_));
            let said = state.current().and_then(|(_, turn)| turn.items.iter().find(is_said));
            let asks = said.and_then(|item| hooks::prompt(turn_id, item.id, false, moment));
            if asks.is_none() {
                events.push(Event::ModelRequested(ModelRequested { turn_id, step: running.step }));
            }
            vec![Effect::Append(events), asks.unwrap_or(Effect::CallModel)]
        }
        Phase::Model => {
            let mut events = vec![resumed];
            events.extend(question::withdrawn_from_tools(state, None));
            events.extend(answer::discarded(state, running, moment));
            events.push(Event::ModelRequested(ModelRequested { turn_id, step: running.step }));
            vec![Effect::Append(events), Effect::CallModel]
        }
        Phase::Compacting | Phase::Compacted => compaction::anew(state, vec![resumed], moment),
        Phase::Calls => {
            let mut events = vec![resumed];
            events.extend(question::withdrawn_from_tools(state, None));
            events.extend(nested::cut_off(state, moment));
            let may_have_begun = running.suspended.as_ref().is_none_or(|suspended| suspended.is_call_running);
            let begun = if may_have_begun { ending::left_begun(state, moment) } else { BTreeSet::new() };
            let begun = begun.into_iter().filter_map(|id| state.item(id));
            for item in begun.filter(|item| item.called_by.is_none() && !beside::is_read(item, moment)) {
                let body = ending::interrupted(state, item, ending::Begun::Maybe, moment);
                events.push(completed(item, ItemStatus::Interrupted, body, moment));
            }
            vec![Effect::Append(events), Effect::Continue]
        }
    }
}
