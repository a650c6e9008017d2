//! What happens between two model requests: the calls of the last answer run in their order, those that change nothing
//! side by side, each after the policy and, where it says so, a person allowed it; then the model is asked again, or the
//! turn ends.

use std::collections::VecDeque;

use context::history::text_of;
use protocol::event::{Event, ModelRequested, QuestionAsked, TurnStarted};
use protocol::ids::TurnId;
use protocol::item::{CommandExit, CommandOutput, Item, ItemBody, ItemStatus};
use protocol::profile::ApprovalPolicy;
use protocol::question::{Question, QuestionKind};
use protocol::session::QueuedInput;
use protocol::tool::ToolCall;
use protocol::turn::{Turn, TurnFailure, TurnOutcome};

use crate::effect::Effect;
use crate::moment::Moment;
use crate::state::{Phase, Running, SessionState};
use crate::turn::judgement::{Judgement, judge};
use crate::turn::step::completed;
use crate::turn::{beside, budget, compaction, ending, hooks, nested, request};

/// After so many identical calls with identical outcomes in a row, the next one is not run and the model is told.
const REPEATS_BEFORE_HINT: u32 = 3;
/// After so many the turn ends.
const REPEATS_BEFORE_END: u32 = 6;

/// Goes on from the state as it is: the next call, the next request, the end, or the next queued input.
pub(crate) fn proceed(state: &SessionState, moment: &mut Moment) -> Vec<Effect> {
    let Some((running, turn)) = state.current() else { return start_queued(&state.queue, state, moment) };
    if let Some(effects) = hooks::hold(state, running, moment) {
        return effects;
    }
    match running.phase {
        // Hooks have heard all that was said.
        Phase::Prompt => return model_request(running.turn_id, running.step),
        Phase::Model | Phase::Compacting => return Vec::new(),
        Phase::Compacted => return compaction::go_on(state, running, turn, moment),
        Phase::Calls => {}
    }
    if let Some(effects) = nested::proceed(state, running, turn, moment) {
        return effects;
    }
    let warnings = budget::warnings(state, running, turn, moment);
    let mut effects = if warnings.is_empty() { Vec::new() } else { vec![Effect::Append(warnings)] };
    let together = beside::together(turn, running, moment);
    effects.extend(if together.is_empty() {
        next_request(state, running, turn, moment)
    } else {
        next_of(state, running, turn, &together, moment)
    });
    effects
}

/// What follows for a call, and whether that may be while others go on.
pub(crate) enum Following {
    /// It begins, hooks are asked, or it is declined.
    Beside(Vec<Effect>),
    /// A person is asked, or the turn ends.
    Alone(Vec<Effect>),
}

/// Goes on with the first of these calls that can. One at a time, so that the next one is decided upon with this one
/// counted.
fn next_of(
    state: &SessionState,
    running: &Running,
    turn: &Turn,
    together: &[&Item],
    moment: &mut Moment,
) -> Vec<Effect> {
    // Invariant: where somebody's leave is waited for, nothing runs that would be lost with the daemon.
    if together.iter().any(|item| state.waits_for_leave(item.id)) {
        return Vec::new();
    }
    let is_alone = beside::in_flight(turn, running) == 0;
    for (at, item) in together.iter().enumerate() {
        if running.begun.contains(&item.id) {
            continue;
        }
        // What came of the first of two equal ones may tell that the second is made in vain.
        if together[..at].iter().any(|earlier| is_same_call(earlier, item)) {
            return Vec::new();
        }
        match next_call(state, running, turn, item, moment) {
            Following::Beside(effects) if effects.is_empty() => {}
            Following::Beside(mut effects) => {
                if at + 1 < together.len() && !effects.contains(&Effect::Continue) {
                    effects.push(Effect::Continue);
                }
                return effects;
            }
            Following::Alone(effects) => return if is_alone { effects } else { Vec::new() },
        }
    }
    Vec::new()
}

fn is_same_call(one: &Item, other: &Item) -> bool {
    let made = |item: &Item| item.body.call().map(|call| (call.name.clone(), call.input.clone()));
    made(one) == made(other)
}

fn next_call(
    state: &SessionState,
    running: &Running,
    turn: &Turn,
    item: &Item,
    moment: &mut Moment,
) -> Following {
    use Following::{Alone, Beside};
    if let Some(outcome) = budget::reached(state, running, turn, budget::Next::Call, moment) {
        return Alone(ending::end(state, outcome, None, moment));
    }
    if running.allowed.contains(&item.id) {
        return Beside(vec![Effect::RunTool { item_id: item.id }]);
    }
    if let Some(effects) = hooks::before_call(running, item, moment) {
        return Beside(effects);
    }
    if let Some(call) = item.body.call() {
        let repeats = repeats(turn, item, call);
        if repeats >= REPEATS_BEFORE_END {
            let failure = TurnFailure::Loop { repetitions: repeats + 1, tool: call.name.clone() };
            return Alone(ending::end(state, TurnOutcome::Failed { failure }, None, moment));
        }
        if repeats >= REPEATS_BEFORE_HINT && moment.is_answerable && may_ask(state) {
            let reason =
                format!("This very call was made {repeats} times in a row, each time with the same outcome");
            return Alone(ask(state, running, item, repeated(call), reason, moment));
        }
        if repeats >= REPEATS_BEFORE_HINT {
            let hint = format!(
                "Not run: this very call was made {repeats} times in a row, each time with the same outcome. \
                 Do something else, or say what keeps you from going on."
            );
            return Beside(declined(item, &hint, moment));
        }
    }
    judged(state, running, item, moment)
}

/// What follows for a call that nothing but the policy has a say in any more.
pub(crate) fn judged(state: &SessionState, running: &Running, item: &Item, moment: &mut Moment) -> Following {
    use Following::{Alone, Beside};
    let judgement = judge(&item.body, &state.settings, &moment.rules);
    match hooks::judged(judgement, state, running, item) {
        Judgement::Run => Beside(vec![Effect::RunTool { item_id: item.id }]),
        Judgement::Refuse { reason } => Beside(declined(item, &reason, moment)),
        Judgement::Ask { kind, reason } => {
            if state.is_granted(&kind) {
                return Beside(vec![Effect::RunTool { item_id: item.id }]);
            }
            if let Some(effects) = hooks::permission(running, item, &kind, &reason, moment) {
                return Beside(effects);
            }
            Alone(ask(state, running, item, kind, reason, moment))
        }
    }
}

/// Asks a person before an item begins.
fn ask(
    state: &SessionState,
    running: &Running,
    item: &Item,
    kind: QuestionKind,
    reason: String,
    moment: &mut Moment,
) -> Vec<Effect> {
    let question = Question {
        id: moment.question_id(),
        turn_id: running.turn_id,
        item_id: item.id,
        asked_at: moment.at,
        kind,
        reason,
    };
    let timer = state
        .settings
        .question_timeout_ms
        .map(|after_ms| Effect::StartQuestionTimer { question_id: question.id, after_ms });
    let asked = Event::QuestionAsked(QuestionAsked { question, has_begun: false });
    std::iter::once(Effect::Append(vec![asked])).chain(timer).collect()
}

fn may_ask(state: &SessionState) -> bool {
    state.settings.approval != ApprovalPolicy::Never
}

/// What is asked about a call that is made again and again.
fn repeated(call: &ToolCall) -> QuestionKind {
    let arguments = call.input.text().to_owned();
    QuestionKind::Tool { server: None, tool: call.name.clone(), arguments, definition: None }
}

fn next_request(state: &SessionState, running: &Running, turn: &Turn, moment: &Moment) -> Vec<Effect> {
    let is_call = |item: &Item| item.step == running.step && item.body.call().is_some();
    let is_steer = |item: &Item| {
        item.step > running.step
            && item.status != ItemStatus::Discarded
            && matches!(item.body, ItemBody::UserMessage(_))
    };
    if !turn.items.iter().any(|item| is_call(item) || is_steer(item)) {
        if let Some(effects) = hooks::stop(running, moment) {
            return effects;
        }
        return ending::end(state, TurnOutcome::Completed, None, moment);
    }
    if let Some(outcome) = budget::reached(state, running, turn, budget::Next::Request, moment) {
        return ending::end(state, outcome, None, moment);
    }
    model_request(running.turn_id, running.step.saturating_add(1))
}

/// Asks the model.
pub(crate) fn model_request(turn_id: TurnId, step: u32) -> Vec<Effect> {
    vec![Effect::Append(vec![Event::ModelRequested(ModelRequested { turn_id, step })]), Effect::CallModel]
}

fn start_queued(queue: &VecDeque<QueuedInput>, state: &SessionState, moment: &mut Moment) -> Vec<Effect> {
    let Some(next) = queue.front() else { return Vec::new() };
    // What waits goes on waiting while nothing may be spent.
    if budget::reached_before(state, moment).is_some() {
        return Vec::new();
    }
    let started = TurnStarted {
        turn_id: moment.turn_id(),
        actor: next.actor.clone(),
        limits: state.settings.limits.clone(),
        output_schema: None,
        queued_id: Some(next.id),
    };
    request::begin(started, next.input.clone(), moment)
}

/// The event that says to the model, and to people, why an item did not happen.
pub(crate) fn declined_event(item: &Item, message: &str, moment: &Moment) -> Event {
    let mut body = item.body.clone();
    let message = Some(message.to_owned());
    match &mut body {
        ItemBody::Command(command) => command.message = message,
        ItemBody::FileChange(change) => change.message = message,
        ItemBody::ToolCall(call) => call.output = message,
        ItemBody::UserMessage(_)
        | ItemBody::AgentMessage(_)
        | ItemBody::Reasoning(_)
        | ItemBody::Plan(_)
        | ItemBody::Notice(_)
        | ItemBody::WebSearch(_)
        | ItemBody::Compaction(_)
        | ItemBody::Agent(_)
        | ItemBody::Review(_)
        | ItemBody::Unknown(_) => {}
    }
    completed(item, ItemStatus::Declined, body, moment)
}

pub(crate) fn declined(item: &Item, message: &str, moment: &Moment) -> Vec<Effect> {
    vec![Effect::Append(vec![declined_event(item, message, moment)]), Effect::Continue]
}

/// Calls that were carried out, or failed at it.
pub(crate) fn calls_so_far(turn: &Turn) -> u32 {
    let counts = |item: &&Item| {
        item.body.call().is_some()
            && !matches!(item.status, ItemStatus::InProgress | ItemStatus::Declined | ItemStatus::Discarded)
    };
    u32::try_from(turn.items.iter().filter(counts).count()).unwrap_or(u32::MAX)
}

/// How often in a row the call of this item was made before, with one outcome. Calls that were not run do not tell.
fn repeats(turn: &Turn, item: &Item, call: &ToolCall) -> u32 {
    let mut count = 0;
    let mut outcome = None;
    let before = turn.items.iter().rev().skip_while(|other| other.id != item.id).skip(1);
    for item in before.filter(|other| other.status != ItemStatus::Discarded && other.called_by.is_none()) {
        let Some(made) = item.body.call() else { continue };
        if made.name != call.name || made.input != call.input {
            break;
        }
        if item.status != ItemStatus::Declined {
            let this = outcome_of(item);
            if *outcome.get_or_insert_with(|| this.clone()) != this {
                break;
            }
        }
        count += 1;
    }
    count
}

/// What tells two outcomes of one call apart; not how long it took.
fn outcome_of(item: &Item) -> (Option<(CommandExit, CommandOutput)>, String) {
    match &item.body {
        ItemBody::Command(command) => {
            let outcome = command.outcome.as_ref();
            (outcome.map(|outcome| (outcome.exit.clone(), outcome.output.clone())), String::new())
        }
        ItemBody::FileChange(_)
        | ItemBody::ToolCall(_)
        | ItemBody::UserMessage(_)
        | ItemBody::AgentMessage(_)
        | ItemBody::Reasoning(_)
        | ItemBody::Plan(_)
        | ItemBody::Notice(_)
        | ItemBody::WebSearch(_)
        | ItemBody::Compaction(_)
        | ItemBody::Agent(_)
        | ItemBody::Review(_)
        | ItemBody::Unknown(_) => (None, text_of(item)),
    }
}
