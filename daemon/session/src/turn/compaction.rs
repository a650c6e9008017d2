//! How a session is compacted, in the middle of a turn or as a turn of its own: a summary is asked for, and what stands
//! in the log afterwards takes the place of all before it. It is tried once for a request; what does not fit then ends
//! the turn.

use std::path::Path;

use context::{carried, compaction};
use protocol::context::{Compaction, CompactionReason, ModelContext};
use protocol::error::{ErrorCode, ProtocolError};
use protocol::event::{Event, ItemChanged, ModelResponded, ModelRetried, SessionArchived, TurnStarted};
use protocol::ids::TurnId;
use protocol::item::{Item, ItemBody, ItemStatus};
use protocol::model::{ProviderFailure, ProviderFailureKind, Usage};
use protocol::turn::{Actor, Turn, TurnFailure, TurnOutcome};

use model::event::StopReason;

use crate::asking::seen;
use crate::effect::{Effect, Reply};
use crate::hooks::{HookCall, HookPoint};
use crate::input::Answer;
use crate::moment::Moment;
use crate::state::{Phase, Running, SessionState};
use crate::turn::step::completed;
use crate::turn::{answer, budget, calls, ending, request};

/// How often a summary is asked for at most, each time of less.
const MAX_ATTEMPTS: usize = 3;
/// Bytes of what the summary should dwell on.
const MAX_INSTRUCTIONS: usize = 8 * 1024;

/// Begins a turn that does nothing else.
pub(crate) fn request(
    state: &SessionState,
    actor: Actor,
    instructions: Option<String>,
    moment: &mut Moment,
) -> Result<Vec<Effect>, ProtocolError> {
    request::refuse_running(state, "Interrupt it first, or wait for its end")?;
    let invalid = |message: String| ProtocolError::new(ErrorCode::InvalidRequest, message);
    let instructions = instructions.filter(|text| !text.trim().is_empty());
    if instructions.as_ref().is_some_and(|text| text.len() > MAX_INSTRUCTIONS) {
        return Err(invalid(format!("The instructions are longer than {MAX_INSTRUCTIONS} bytes")));
    }
    if state.earlier_turns == 0 && !compaction::has_something(&seen(&state.turns), u32::MAX) {
        return Err(invalid("There is nothing to compact".to_owned())
            .with_hint("Nothing was said since the session began, or since it was compacted"));
    }
    if let Some(TurnOutcome::LimitReached { message, .. }) = budget::reached_before(state, moment) {
        return Err(invalid(message));
    }
    let mut events = Vec::new();
    if state.is_archived {
        events.push(Event::SessionUnarchived(SessionArchived { actor: actor.clone() }));
    }
    let (turn_id, limits) = (moment.turn_id(), state.settings.limits.clone());
    let deadline = limits.deadline_ms.map(|after_ms| Effect::StartDeadline { turn_id, after_ms });
    events.push(Event::TurnStarted(TurnStarted {
        turn_id,
        actor,
        limits,
        output_schema: None,
        queued_id: None,
    }));
    let body = Compaction { instructions, ..empty(CompactionReason::Requested) };
    let mut effects = started(turn_id, 0, body, events, moment);
    effects.extend(deadline);
    effects.push(Effect::Reply(Ok(Reply::Started { turn_id })));
    Ok(effects)
}

/// Whether a request of so many tokens is not to be made as it is.
pub(crate) fn is_too_long(state: &SessionState, tokens: u64) -> bool {
    let Some(running) = &state.running else { return false };
    let ModelContext { window_tokens, .. } = state.settings.model_context;
    if compaction::most_tokens(&state.settings.model_context).is_none_or(|most| tokens <= most) {
        return false;
    }
    if running.uncompacted == Some(running.step) {
        // Hooks would not have it; the provider says whether the request is really too long.
        return false;
    }
    if running.compacted == Some(running.step) {
        // What was said since can be compacted with the next request; what stands there in any case can't.
        let was_said = state.turns.last().is_some_and(|turn| has_input(turn, running.step));
        return !was_said || window_tokens.is_some_and(|window| tokens > window);
    }
    compaction::has_something(&seen(&state.turns), running.step)
}

fn has_input(turn: &Turn, step: u32) -> bool {
    let is_said = |item: &Item| matches!(item.body, ItemBody::UserMessage(_)) && item.step >= step;
    turn.items.iter().any(|item| is_said(item) && item.status != ItemStatus::Discarded)
}

/// The next request would have so many tokens, and that is too many.
pub(crate) fn full(state: &SessionState, running: &Running, tokens: u64, moment: &mut Moment) -> Vec<Effect> {
    if running.phase != Phase::Model {
        return Vec::new();
    }
    if running.compacted == Some(running.step) {
        let most = compaction::most_tokens(&state.settings.model_context).unwrap_or_default();
        let failure = too_long(
            state,
            format!(
                "The next request has about {tokens} tokens even though the session was compacted, and the model \
                 may be asked with {most}"
            ),
        );
        return ending::end(state, TurnOutcome::Failed { failure }, None, moment);
    }
    let body = Compaction { tokens_before: Some(tokens), ..empty(CompactionReason::Full) };
    started(running.turn_id, running.step, body, answer::discarded(state, running, moment), moment)
}

/// The provider found a request too long; what follows if that can be helped.
pub(crate) fn refused(state: &SessionState, running: &Running, moment: &mut Moment) -> Option<Vec<Effect>> {
    let was_tried = [running.compacted, running.uncompacted].contains(&Some(running.step));
    if was_tried || !compaction::has_something(&seen(&state.turns), running.step) {
        return None;
    }
    let body = empty(CompactionReason::Refused);
    Some(started(running.turn_id, running.step, body, answer::discarded(state, running, moment), moment))
}

/// Begins anew what a restart cut off.
pub(crate) fn anew(state: &SessionState, mut events: Vec<Event>, moment: &mut Moment) -> Vec<Effect> {
    let Some((running, turn)) = state.current() else { return Vec::new() };
    let Some((item, body)) = open(turn) else { return vec![Effect::Append(events), Effect::Continue] };
    let next = Compaction { summary: String::new(), ..body.clone() };
    let cut_off = state.with_text_so_far(item).body;
    events.push(completed(item, ItemStatus::Interrupted, cut_off, moment));
    started(running.turn_id, running.step, next, events, moment)
}

/// Hooks let it be done, or not.
pub(crate) fn decided(item: &Item, refusal: Option<String>, moment: &Moment) -> Vec<Effect> {
    let ItemBody::Compaction(body) = &item.body else { return Vec::new() };
    match refusal {
        None => vec![Effect::Compact { item_id: item.id }],
        Some(reason) => {
            let message = Some(format!("A hook declined it: {reason}"));
            let body = ItemBody::Compaction(Compaction { message, ..body.clone() });
            vec![Effect::Append(vec![completed(item, ItemStatus::Declined, body, moment)]), Effect::Continue]
        }
    }
}

/// Goes on after it: with the request that it was for, or with the end of the turn that it was.
pub(crate) fn go_on(state: &SessionState, running: &Running, turn: &Turn, moment: &Moment) -> Vec<Effect> {
    let is_said =
        |item: &&Item| matches!(item.body, ItemBody::UserMessage(_)) && item.status != ItemStatus::Discarded;
    let mut said = turn.items.iter().filter(is_said).peekable();
    if said.peek().is_none() {
        return ending::end(state, TurnOutcome::Completed, None, moment);
    }
    if let Some(outcome) = budget::reached(state, running, turn, budget::Next::Request, moment) {
        return ending::end(state, outcome, None, moment);
    }
    // What was said into a turn that only compacts is its first request.
    let step = if said.any(|item| item.step <= running.step) { running.step } else { running.step + 1 };
    calls::model_request(running.turn_id, step)
}

/// Decides on a piece of the summary.
pub(crate) fn take(
    state: &SessionState,
    running: &Running,
    piece: Answer,
    moment: &mut Moment,
) -> Vec<Effect> {
    let Some((item, body)) = state.current().and_then(|(_, turn)| open(turn)) else { return Vec::new() };
    let so_far = state.text_so_far(item.id);
    match piece {
        Answer::Text { text, .. } => answer::grow(state, item.id, text),
        Answer::Message { text, .. } if so_far.ends_with(&text) => Vec::new(),
        Answer::Message { text, .. } => {
            let between = if so_far.is_empty() { "" } else { "\n\n" };
            answer::grow(state, item.id, format!("{between}{text}"))
        }
        Answer::Summary { .. }
        | Answer::Spent { .. }
        | Answer::Reasoning { .. }
        | Answer::Call { .. }
        | Answer::WebSearch { .. }
        | Answer::ReasoningDropped { .. } => Vec::new(),
        Answer::Retrying { attempt, max_attempts, delay, failure } => {
            let retried = Event::ModelRetried(ModelRetried {
                turn_id: running.turn_id,
                attempt,
                max_attempts,
                delay_ms: u64::try_from(delay.as_millis()).unwrap_or(u64::MAX),
                failure,
                usage: answer::spent_so_far(moment).or((!so_far.is_empty()).then(Usage::default)),
            });
            if so_far.is_empty() {
                return vec![Effect::Append(vec![retried])];
            }
            // What was streamed is void, and the stream begins again.
            let void = completed(item, ItemStatus::Interrupted, state.with_text_so_far(item).body, moment);
            let again = Item { id: moment.item_id(), started_at: moment.at, ..item.clone() };
            vec![Effect::Append(vec![void, retried, Event::ItemStarted(ItemChanged { item: again })])]
        }
        Answer::Completed { usage, stop } => ended(state, running, (item, body), usage, &stop, moment),
        Answer::Compacted { opaque, usage } => {
            let body = Compaction { opaque, summary: String::new(), ..body.clone() };
            done(state, running, item, body, usage, moment)
        }
        Answer::Failed(failure) => {
            let may_help =
                matches!(failure.kind, ProviderFailureKind::ContextTooLong | ProviderFailureKind::Malformed);
            if may_help && attempts(state, running) < MAX_ATTEMPTS {
                return next_attempt(state, (item, body), Vec::new(), moment);
            }
            let message = failure.message.clone();
            let failure = TurnFailure::Provider(failure);
            failed(state, (item, body), message, failure, None, moment)
        }
    }
}

/// The answer is complete.
fn ended(
    state: &SessionState,
    running: &Running,
    (item, body): (&Item, &Compaction),
    usage: Usage,
    stop: &StopReason,
    moment: &mut Moment,
) -> Vec<Effect> {
    let responded = responded(running, usage);
    let text = state.text_so_far(item.id).trim();
    let cut = match stop {
        StopReason::Finished => None,
        StopReason::Stopped(reason) => Some(reason),
    };
    if text.is_empty() || cut.is_some_and(|reason| !is_length(reason)) {
        if attempts(state, running) < MAX_ATTEMPTS {
            return next_attempt(state, (item, body), vec![responded], moment);
        }
        let message = match cut {
            Some(reason) => format!("The model stopped before the summary was complete: {reason}"),
            None => "The model gave no summary".to_owned(),
        };
        let mut effects = vec![Effect::Append(vec![responded])];
        let failure = too_long(state, format!("The session could not be compacted. {message}"));
        effects.extend(failed(state, (item, body), message, failure, Some(usage), moment));
        return effects;
    }
    let mut summary = compaction::kept(text, &state.settings.model_context);
    if cut.is_some() {
        summary.push_str("\n\n(The notes were cut off here, because they grew too long.)");
    }
    done(state, running, item, Compaction { summary, ..body.clone() }, usage, moment)
}

/// It is done: what is carried stands beside what was made of the conversation.
fn done(
    state: &SessionState,
    running: &Running,
    item: &Item,
    body: Compaction,
    usage: Usage,
    moment: &Moment,
) -> Vec<Effect> {
    let settings = &state.settings;
    let turns = compaction::before(&seen(&state.turns), running.step);
    let touched = state.touched.iter().filter(|(_, turn)| !state.rewound.contains(turn));
    let touched: Vec<&Path> = touched.map(|(path, _)| path.as_path()).collect();
    let carried = carried::of(&turns, &touched, &settings.cwd, compaction::room(&settings.model_context));
    let body = ItemBody::Compaction(Compaction { carried, ..body });
    let (turn_id, item_id) = (running.turn_id, item.id);
    let events = vec![responded(running, usage), completed(item, ItemStatus::Completed, body, moment)];
    let next = match moment.hooks.has(HookPoint::AfterCompaction) {
        true => Effect::RunHooks(HookCall::AfterCompaction { turn_id, item_id }),
        false => Effect::Continue,
    };
    vec![Effect::Append(events), next]
}

fn responded(running: &Running, usage: Usage) -> Event {
    let (turn_id, step) = (running.turn_id, running.step);
    Event::ModelResponded(ModelResponded { turn_id, step, usage, asked_by: None })
}

/// Whether an answer was stopped because it grew too long, in the words of the different APIs.
fn is_length(reason: &str) -> bool {
    let reason = reason.to_ascii_lowercase();
    reason.contains("length") || reason.contains("max")
}

/// Asks again, of less and without tools.
fn next_attempt(
    state: &SessionState,
    (item, body): (&Item, &Compaction),
    mut events: Vec<Event>,
    moment: &mut Moment,
) -> Vec<Effect> {
    events.push(completed(item, ItemStatus::Discarded, state.with_text_so_far(item).body, moment));
    let again = Item { id: moment.item_id(), started_at: moment.at, ..item.clone() };
    let item = Item { body: ItemBody::Compaction(body.clone()), ..again };
    let item_id = item.id;
    events.push(Event::ItemStarted(ItemChanged { item }));
    vec![Effect::Append(events), Effect::Compact { item_id }]
}

/// The turn ends, and the item says why.
fn failed(
    state: &SessionState,
    (item, body): (&Item, &Compaction),
    message: String,
    failure: TurnFailure,
    usage: Option<Usage>,
    moment: &Moment,
) -> Vec<Effect> {
    let Compaction { reason, instructions, tokens_before, .. } = body.clone();
    let body = Compaction { instructions, tokens_before, message: Some(message), ..empty(reason) };
    let failed = completed(item, ItemStatus::Failed, ItemBody::Compaction(body), moment);
    let mut effects = ending::end(state, TurnOutcome::Failed { failure }, usage, moment);
    for effect in &mut effects {
        let Effect::Append(events) = effect else { continue };
        for event in events {
            if matches!(event, Event::ItemCompleted(changed) if changed.item.id == item.id) {
                *event = failed.clone();
            }
        }
    }
    effects
}

/// Which attempt this is, from 1.
fn attempts(state: &SessionState, running: &Running) -> usize {
    state.current().map_or(1, |(_, turn)| 1 + failed_attempts(turn, running.step))
}

/// The attempts before the one that goes on, for the same request.
pub(crate) fn failed_attempts(turn: &Turn, step: u32) -> usize {
    let failed = |item: &&Item| {
        item.step == step
            && item.status == ItemStatus::Discarded
            && matches!(item.body, ItemBody::Compaction(_))
    };
    turn.items.iter().filter(failed).count()
}

fn started(
    turn_id: TurnId,
    step: u32,
    body: Compaction,
    mut events: Vec<Event>,
    moment: &mut Moment,
) -> Vec<Effect> {
    let item = Item {
        id: moment.item_id(),
        turn_id,
        step,
        status: ItemStatus::InProgress,
        started_at: moment.at,
        completed_at: None,
        called_by: None,
        body: ItemBody::Compaction(body),
    };
    let item_id = item.id;
    events.push(Event::ItemStarted(ItemChanged { item }));
    let next = match moment.hooks.has(HookPoint::BeforeCompaction) {
        true => Effect::RunHooks(HookCall::BeforeCompaction { turn_id, item_id }),
        false => Effect::Compact { item_id },
    };
    vec![Effect::Append(events), next]
}

/// The compaction that goes on in a turn.
fn open(turn: &Turn) -> Option<(&Item, &Compaction)> {
    let item = turn.items.iter().rev().find(|item| compaction::goes_on(item))?;
    if let ItemBody::Compaction(body) = &item.body { Some((item, body)) } else { None }
}

fn empty(reason: CompactionReason) -> Compaction {
    Compaction {
        reason,
        instructions: None,
        tokens_before: None,
        summary: String::new(),
        carried: String::new(),
        opaque: Vec::new(),
        message: None,
    }
}

fn too_long(state: &SessionState, message: String) -> TurnFailure {
    TurnFailure::Provider(ProviderFailure {
        provider: state.settings.provider.clone(),
        kind: ProviderFailureKind::ContextTooLong,
        status: None,
        message,
    })
}
