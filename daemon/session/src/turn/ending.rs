//! How a turn ends: what is still in progress is closed, questions are withdrawn, and the account is made.

use std::collections::BTreeSet;

use protocol::event::{Event, ModelResponded, QuestionWithdrawn, TurnEnded};
use protocol::ids::ItemId;
use protocol::item::{Command, CommandExit, CommandOutcome, CommandOutput, Item, ItemBody, ItemStatus};
use protocol::model::Usage;
use protocol::turn::{InterruptReason, TurnOutcome};

use crate::effect::Effect;
use crate::moment::Moment;
use crate::state::{Phase, SessionState};
use crate::turn::step::completed;
use crate::turn::{answer, beside, late, nested, review};

/// Bytes that are kept of each end of an interrupted command's output.
const KEPT_OUTPUT: usize = 16 * 1024;

/// Ends the running turn while something may still be going on.
pub(crate) fn cut_short(state: &SessionState, outcome: TurnOutcome, moment: &Moment) -> Vec<Effect> {
    let mut effects = vec![Effect::CancelWork];
    effects.extend(end(state, outcome, None, moment));
    effects
}

/// Ends a turn that another daemon left in the middle, with what may have been going on then.
pub(crate) fn cut_short_before(state: &SessionState, outcome: TurnOutcome, moment: &Moment) -> Vec<Effect> {
    let mut effects = vec![Effect::CancelWork];
    effects.extend(close(state, outcome, None, &left_begun(state, moment), moment));
    effects
}

/// Ends the running turn. `told` is what an answer took that is complete and not folded yet.
pub(crate) fn end(
    state: &SessionState,
    outcome: TurnOutcome,
    told: Option<Usage>,
    moment: &Moment,
) -> Vec<Effect> {
    let Some(running) = &state.running else { return Vec::new() };
    close(state, outcome, told, &running.begun, moment)
}

/// The calls that a daemon which is gone may have begun: those whose turn it was, unless they wait for leave.
pub(crate) fn left_begun(state: &SessionState, moment: &Moment) -> BTreeSet<ItemId> {
    let Some((running, turn)) = state.current().filter(|(running, _)| running.phase == Phase::Calls) else {
        return BTreeSet::new();
    };
    let together = beside::together(turn, running, moment).into_iter().map(|item| item.id);
    let together = together.chain(nested::open(turn).map(|item| item.id));
    together.filter(|id| !state.waits_for_leave(*id)).collect()
}

fn close(
    state: &SessionState,
    outcome: TurnOutcome,
    told: Option<Usage>,
    begun: &BTreeSet<ItemId>,
    moment: &Moment,
) -> Vec<Effect> {
    let Some((running, turn)) = state.current() else { return Vec::new() };
    let mut events = Vec::new();
    let withdrawn = |question: &protocol::question::Question| {
        Event::QuestionWithdrawn(QuestionWithdrawn { question_id: question.id })
    };
    events.extend(state.questions.iter().map(withdrawn));
    for item in turn.items.iter().filter(|item| item.status == ItemStatus::InProgress) {
        let begun = if begun.contains(&item.id) { Begun::Maybe } else { Begun::No };
        let body = cut_off(state, item, begun, Cause::Turn, moment);
        events.push(completed(item, ItemStatus::Interrupted, body, moment));
    }
    let cut = answer::cut(state, running, turn, moment).filter(|_| told.is_none());
    let more = told.or(cut).unwrap_or_default();
    events.extend(cut.map(|usage| {
        Event::ModelResponded(ModelResponded {
            turn_id: running.turn_id,
            step: running.step,
            usage,
            asked_by: None,
        })
    }));
    let mut usage = turn.usage;
    usage += more;
    let more = Some(more).filter(|more| *more != Usage::default());
    let more = more.zip(state.settings.price).map(|(more, price)| price.cost(&more));
    let cost = more.map_or(turn.cost, |more| Some(turn.cost.unwrap_or_default() + more));
    let goes_on = !matches!(
        outcome,
        TurnOutcome::Interrupted {
            reason: InterruptReason::Requested | InterruptReason::DaemonStopped | InterruptReason::Unanswered,
            ..
        }
    );
    events.extend(review::found(state, running, turn, &outcome, moment));
    events.extend(late::notice(state, running, moment));
    events.push(Event::TurnEnded(TurnEnded {
        turn_id: running.turn_id,
        outcome,
        usage,
        cost,
        duration_ms: moment.at.since(turn.started_at),
    }));
    let mut effects = vec![Effect::Append(events)];
    if goes_on && !state.queue.is_empty() {
        effects.push(Effect::Continue);
    }
    effects
}

/// Whether a call was begun.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begun {
    /// It may have been.
    Maybe,
    /// Certainly not.
    No,
}

/// What kept an item from its end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// The turn ended.
    Turn,
    /// The daemon stopped and another one goes on with the turn.
    HandOver,
    /// The daemon died and another one goes on with the turn.
    Crash,
}

/// The body of an item that did not come to its end because the daemon is another one now. The turn goes on.
pub(crate) fn interrupted(state: &SessionState, item: &Item, begun: Begun, moment: &Moment) -> ItemBody {
    let is_handed_over = state.running.as_ref().is_some_and(|running| running.suspended.is_some());
    cut_off(state, item, begun, if is_handed_over { Cause::HandOver } else { Cause::Crash }, moment)
}

fn cut_off(state: &SessionState, item: &Item, begun: Begun, cause: Cause, moment: &Moment) -> ItemBody {
    let whole = state.with_text_so_far(item).body;
    if item.body.call().is_some() && begun == Begun::No {
        return never_begun(whole, cause);
    }
    match whole {
        ItemBody::Command(command) if !command.output_so_far.is_empty() => {
            ItemBody::Command(with_output_so_far(command, cause, moment.at.since(item.started_at)))
        }
        other => other,
    }
}

fn never_begun(body: ItemBody, cause: Cause) -> ItemBody {
    let message = match cause {
        Cause::Turn => "Not run: the turn ended before.",
        Cause::HandOver => "Not run: the daemon changed before.",
        Cause::Crash => "Not run: the daemon died before.",
    };
    let message = message.to_owned();
    match body {
        ItemBody::Command(command) => ItemBody::Command(Command { message: Some(message), ..command }),
        ItemBody::FileChange(mut change) => {
            change.message = Some(message);
            ItemBody::FileChange(change)
        }
        ItemBody::ToolCall(mut call) => {
            call.output = Some(message);
            ItemBody::ToolCall(call)
        }
        other @ (ItemBody::UserMessage(_)
        | ItemBody::AgentMessage(_)
        | ItemBody::Reasoning(_)
        | ItemBody::Plan(_)
        | ItemBody::Notice(_)
        | ItemBody::WebSearch(_)
        | ItemBody::Compaction(_)
        | ItemBody::Agent(_)
        | ItemBody::Review(_)
        | ItemBody::Unknown(_)) => other,
    }
}

fn with_output_so_far(mut command: Command, cause: Cause, duration_ms: u64) -> Command {
    let text = std::mem::take(&mut command.output_so_far);
    let total_bytes = text.len() as u64;
    let output = if text.len() <= 2 * KEPT_OUTPUT {
        CommandOutput { head: text, total_bytes, ..CommandOutput::default() }
    } else {
        let head = &text[..text.floor_char_boundary(KEPT_OUTPUT)];
        let tail = &text[text.ceil_char_boundary(text.len() - KEPT_OUTPUT)..];
        let omitted_bytes = (text.len() - head.len() - tail.len()) as u64;
        CommandOutput { head: head.to_owned(), tail: tail.to_owned(), omitted_bytes, total_bytes, blob: None }
    };
    command.outcome =
        Some(CommandOutcome { exit: CommandExit::Interrupted, duration_ms, output, refusals: Vec::new() });
    let message = match cause {
        Cause::Turn => "The turn ended while this ran; what it had not printed yet is not known.",
        Cause::HandOver => {
            "The daemon changed while this ran, so it was ended; what it had not printed yet is not known."
        }
        Cause::Crash => "The daemon died while this ran; what it had not printed yet is not known.",
    };
    command.message = Some(message.to_owned());
    command
}
