//! What follows from a client's request.

use protocol::client_tool::{ClientTool, ClientToolsRegistered};
use protocol::error::{ErrorCode, ErrorDetail, ProtocolError};
use protocol::event::{
    Event, InputQueued, ItemChanged, ModelRequested, QueuedInputCancelled, QueuedInputChanged,
    SessionArchived, SessionUpdated, TurnEnded, TurnStarted,
};
use protocol::ids::{QueuedId, RequestId, Seq, TurnId};
use protocol::item::{Item, ItemBody, ItemStatus, UserMessage};
use protocol::model::Usage;
use protocol::rewind::SessionRewound;
use protocol::session::{QueuedInput, SessionSettings};
use protocol::turn::{Actor, InputPart, InterruptReason, TurnLimits, TurnOutcome};

use crate::client_tools;
use crate::effect::{Effect, Reply};
use crate::input::{Request, RewindPlan};
use crate::moment::Moment;
use crate::state::{Phase, SessionState};
use crate::turn::{background, budget, compaction, ending, hooks, question};

/// Decides on a request. Always holds one `Effect::Reply`.
pub(crate) fn decide(
    state: &SessionState,
    actor: Actor,
    request_id: Option<RequestId>,
    request: Request,
    moment: &mut Moment,
) -> Vec<Effect> {
    let known = |(id, ..): &&(RequestId, Seq, Reply)| Some(*id) == request_id;
    if let Some((.., reply)) = state.requests.iter().find(known) {
        return vec![Effect::Reply(Ok(reply.clone()))];
    }
    // Its item in the log does not tell what it was answered.
    let is_told_by_event = !matches!(request, Request::EndCommand { .. });
    let decided = match request {
        Request::Start { input, output_schema, limits, expected_seq } => {
            let start = |moment: &mut Moment| start(state, actor, input, output_schema, &limits, moment);
            refuse_unseen(state, expected_seq).and_then(|()| start(moment))
        }
        Request::Steer { input, expected } => steer(state, actor, input, expected, moment),
        Request::Enqueue { input } => enqueue(state, actor, input, moment),
        Request::ChangeQueued { queued_id, input, position } => {
            change_queued(state, actor, queued_id, input, position)
        }
        Request::CancelQueued { queued_id } => cancel_queued(state, actor, queued_id),
        Request::Interrupt { expected, reason } => interrupt(state, actor, expected, reason, moment),
        Request::EndCommand { process_id } => background::end(state, &actor, process_id, moment),
        Request::Answer { question_id, decision } => {
            question::answer(state, actor, question_id, decision, moment)
        }
        Request::Compact { instructions } => compaction::request(state, actor, instructions, moment),
        Request::Rewind(plan) => rewind(state, actor, plan),
        Request::Update { title, settings } => Ok(update(state, actor, title, settings)),
        Request::RegisterTools { tools, timeout_ms } => register_tools(state, actor, tools, timeout_ms),
        Request::Archive => archive(state, actor),
        Request::Unarchive => Ok(unarchive(state, actor)),
    };
    let mut effects = decided.unwrap_or_else(|error| vec![Effect::Reply(Err(error))]);
    // What changed something is in the log with its name.
    let is_in_log = is_told_by_event && effects.iter().any(|effect| matches!(effect, Effect::Append(_)));
    let reply_of =
        |effect: &Effect| if let Effect::Reply(Ok(reply)) = effect { Some(reply.clone()) } else { None };
    let reply = effects.iter().find_map(reply_of);
    if let (Some(request_id), Some(reply), false) = (request_id, reply, is_in_log) {
        effects.insert(0, Effect::Remember { request_id, reply });
    }
    effects
}

fn start(
    state: &SessionState,
    actor: Actor,
    input: Vec<InputPart>,
    output_schema: Option<serde_json::Value>,
    limits: &TurnLimits,
    moment: &mut Moment,
) -> Result<Vec<Effect>, ProtocolError> {
    refuse_empty(&input)?;
    refuse_running(
        state,
        "Say it into the running turn with `skein send`, or let it wait with `skein send --next`",
    )?;
    let limits = merged(limits, &state.settings.limits);
    let budget = &state.settings.budget;
    let all = [&limits, &budget.session, &budget.tree, &budget.day];
    let all = all.into_iter().chain(budget::of_provider(state));
    if all.filter_map(|limits| limits.max_cost).next().is_some() && state.settings.price.is_none() {
        let message =
            format!("No price is known for the model `{}`, so a cost can't be limited", state.settings.model);
        let hint = format!("Set `[model_prices.\"{}\"]` in `config.toml`", state.settings.model);
        return Err(ProtocolError::new(ErrorCode::InvalidRequest, message).with_hint(hint));
    }
    let mut effects = if state.is_archived {
        vec![Effect::Append(vec![Event::SessionUnarchived(SessionArchived { actor: actor.clone() })])]
    } else {
        Vec::new()
    };
    let turn_id = moment.turn_id();
    let started = TurnStarted { turn_id, actor, limits, output_schema, queued_id: None };
    effects.extend(match budget::reached_before(state, moment) {
        None => begin(started, input, moment),
        Some(outcome) => stillborn(started, input, outcome, moment),
    });
    effects.push(Effect::Reply(Ok(Reply::Started { turn_id })));
    Ok(effects)
}

/// Begins a turn: what was said is durable and the model is asked.
pub(crate) fn begin(started: TurnStarted, input: Vec<InputPart>, moment: &mut Moment) -> Vec<Effect> {
    let turn_id = started.turn_id;
    let deadline = started.limits.deadline_ms;
    let message = UserMessage { content: input, actor: started.actor.clone(), is_steer: false };
    let item = said(turn_id, 0, message, moment);
    let asks = hooks::prompt(turn_id, item.id, false, moment);
    let mut events = vec![Event::TurnStarted(started), Event::ItemCompleted(ItemChanged { item })];
    if asks.is_none() {
        events.push(Event::ModelRequested(ModelRequested { turn_id, step: 0 }));
    }
    let mut effects = vec![Effect::Append(events)];
    effects.extend(deadline.map(|after_ms| Effect::StartDeadline { turn_id, after_ms }));
    effects.push(asks.unwrap_or(Effect::CallModel));
    effects
}

/// A turn that may spend nothing: what was said is kept, and why nobody answers.
fn stillborn(
    started: TurnStarted,
    input: Vec<InputPart>,
    outcome: TurnOutcome,
    moment: &mut Moment,
) -> Vec<Effect> {
    let turn_id = started.turn_id;
    let message = UserMessage { content: input, actor: started.actor.clone(), is_steer: false };
    let item = said(turn_id, 0, message, moment);
    let ended = TurnEnded { turn_id, outcome, usage: Usage::default(), cost: None, duration_ms: 0 };
    vec![Effect::Append(vec![
        Event::TurnStarted(started),
        Event::ItemCompleted(ItemChanged { item }),
        Event::TurnEnded(ended),
    ])]
}

fn steer(
    state: &SessionState,
    actor: Actor,
    input: Vec<InputPart>,
    expected: Option<TurnId>,
    moment: &mut Moment,
) -> Result<Vec<Effect>, ProtocolError> {
    refuse_empty(&input)?;
    let Some(running) = &state.running else {
        return Err(ProtocolError::new(ErrorCode::Conflict, "No turn is running that could be steered")
            .with_hint("Start one with `skein exec resume`, or let `skein send` do it"));
    };
    refuse_other(state, expected)?;
    let message = UserMessage { content: input, actor, is_steer: true };
    let step = if waits_to_ask(state) { running.step } else { running.step.saturating_add(1) };
    let item = said(running.turn_id, step, message, moment);
    let item_id = item.id;
    let mut effects = vec![
        Effect::Append(vec![Event::ItemCompleted(ItemChanged { item })]),
        Effect::Reply(Ok(Reply::Steered { turn_id: running.turn_id, item_id })),
    ];
    effects.extend(hooks::prompt(running.turn_id, item_id, true, moment));
    Ok(effects)
}

/// Whether the request that the turn is at is still to be made, after the session is compacted.
fn waits_to_ask(state: &SessionState) -> bool {
    let is_said = |item: &Item| matches!(item.body, ItemBody::UserMessage(_));
    state.current().is_some_and(|(running, turn)| {
        matches!(running.phase, Phase::Compacting | Phase::Compacted) && turn.items.iter().any(is_said)
    })
}

fn enqueue(
    state: &SessionState,
    actor: Actor,
    input: Vec<InputPart>,
    moment: &mut Moment,
) -> Result<Vec<Effect>, ProtocolError> {
    if state.running.is_none() && state.queue.is_empty() {
        return start(state, actor, input, None, &TurnLimits::default(), moment);
    }
    refuse_empty(&input)?;
    let position = u32::try_from(state.queue.len()).unwrap_or(u32::MAX).saturating_add(1);
    let queued_id = moment.queued_id();
    let queued = QueuedInput { id: queued_id, input, actor, queued_at: moment.at };
    let mut effects = vec![
        Effect::Append(vec![Event::InputQueued(InputQueued { queued })]),
        Effect::Reply(Ok(Reply::Queued { queued_id, position })),
    ];
    if state.running.is_none() {
        effects.push(Effect::Continue);
    }
    Ok(effects)
}

fn change_queued(
    state: &SessionState,
    actor: Actor,
    queued_id: QueuedId,
    input: Option<Vec<InputPart>>,
    position: Option<u32>,
) -> Result<Vec<Effect>, ProtocolError> {
    refuse_not_queued(state, queued_id)?;
    if let Some(input) = &input {
        refuse_empty(input)?;
    }
    let changed = QueuedInputChanged { queued_id, actor, input, position };
    Ok(vec![Effect::Append(vec![Event::QueuedInputChanged(changed)]), Effect::Reply(Ok(Reply::Done))])
}

fn cancel_queued(
    state: &SessionState,
    actor: Actor,
    queued_id: QueuedId,
) -> Result<Vec<Effect>, ProtocolError> {
    refuse_not_queued(state, queued_id)?;
    let cancelled = Event::QueuedInputCancelled(QueuedInputCancelled { queued_id, actor });
    Ok(vec![Effect::Append(vec![cancelled]), Effect::Reply(Ok(Reply::Done))])
}

fn refuse_not_queued(state: &SessionState, id: QueuedId) -> Result<(), ProtocolError> {
    if state.queue.iter().any(|queued| queued.id == id) {
        return Ok(());
    }
    Err(ProtocolError::new(ErrorCode::NotFound, format!("No input `{id}` waits in the queue"))
        .with_hint("It has begun, or somebody cancelled it"))
}

/// The conflict that events make which the client has not seen.
fn refuse_unseen(state: &SessionState, expected: Option<Seq>) -> Result<(), ProtocolError> {
    match expected {
        Some(expected) if expected != state.seq => {
            let message = format!("The session is at event {}, not at {expected}", state.seq);
            Err(ProtocolError::new(ErrorCode::Conflict, message).with_hint("Look at what happened since"))
        }
        Some(_) | None => Ok(()),
    }
}

fn interrupt(
    state: &SessionState,
    actor: Actor,
    expected: Option<TurnId>,
    reason: InterruptReason,
    moment: &Moment,
) -> Result<Vec<Effect>, ProtocolError> {
    let Some(running) = &state.running else {
        return Ok(vec![Effect::Reply(Ok(Reply::Interrupted { turn_id: None }))]);
    };
    refuse_other(state, expected)?;
    let turn_id = Some(running.turn_id);
    let outcome = TurnOutcome::Interrupted { reason, actor: Some(actor) };
    let mut effects = ending::cut_short(state, outcome, moment);
    effects.push(Effect::Reply(Ok(Reply::Interrupted { turn_id })));
    Ok(effects)
}

fn update(
    state: &SessionState,
    actor: Actor,
    title: Option<String>,
    settings: Option<Box<SessionSettings>>,
) -> Vec<Effect> {
    let settings = settings.map_or_else(|| state.settings.clone(), |settings| *settings);
    let is_new = title.as_ref().is_some_and(|title| state.title.as_ref() != Some(title));
    let mut effects = Vec::new();
    if is_new || settings != state.settings {
        effects.push(Effect::Append(vec![Event::SessionUpdated(SessionUpdated { actor, title, settings })]));
    }
    effects.push(Effect::Reply(Ok(Reply::Done)));
    effects
}

/// The rewind is in the log before any file is touched, so that one that is cut off is finished later.
fn rewind(state: &SessionState, actor: Actor, plan: RewindPlan) -> Result<Vec<Effect>, ProtocolError> {
    refuse_running(state, "Interrupt it first, or wait for its end")?;
    refuse_unseen(state, Some(plan.seq))?;
    let RewindPlan { seq: _, scope, turns, undoes, count, changes } = plan;
    let restore = changes.clone().map(Effect::Restore);
    let rewound = SessionRewound { actor, scope, turns, undoes, count, changes };
    let append = Effect::Append(vec![Event::SessionRewound(rewound)]);
    Ok([append].into_iter().chain(restore).chain([Effect::Reply(Ok(Reply::Done))]).collect())
}

fn register_tools(
    state: &SessionState,
    actor: Actor,
    tools: Vec<ClientTool>,
    timeout_ms: u64,
) -> Result<Vec<Effect>, ProtocolError> {
    client_tools::check_others(&state.client_tools, &actor, &tools)?;
    let is_new = client_tools::merged(&state.client_tools, &actor, &tools, timeout_ms) != state.client_tools;
    let registered = Event::ClientToolsRegistered(ClientToolsRegistered { actor, tools, timeout_ms });
    let append = is_new.then(|| Effect::Append(vec![registered]));
    Ok(append.into_iter().chain([Effect::Reply(Ok(Reply::Done))]).collect())
}

fn archive(state: &SessionState, actor: Actor) -> Result<Vec<Effect>, ProtocolError> {
    refuse_running(state, "Interrupt it first, or wait for its end")?;
    let mut effects = Vec::new();
    if !state.is_archived {
        effects.push(Effect::Append(vec![Event::SessionArchived(SessionArchived { actor })]));
    }
    effects.push(Effect::Reply(Ok(Reply::Done)));
    Ok(effects)
}

fn unarchive(state: &SessionState, actor: Actor) -> Vec<Effect> {
    let mut effects = Vec::new();
    if state.is_archived {
        effects.push(Effect::Append(vec![Event::SessionUnarchived(SessionArchived { actor })]));
    }
    effects.push(Effect::Reply(Ok(Reply::Done)));
    effects
}

fn said(turn_id: TurnId, step: u32, message: UserMessage, moment: &mut Moment) -> Item {
    Item {
        id: moment.item_id(),
        turn_id,
        step,
        status: ItemStatus::Completed,
        started_at: moment.at,
        completed_at: Some(moment.at),
        called_by: None,
        body: ItemBody::UserMessage(message),
    }
}

/// The turn's own ceilings, the session's where it has none.
fn merged(turn: &TurnLimits, session: &TurnLimits) -> TurnLimits {
    TurnLimits {
        deadline_ms: turn.deadline_ms.or(session.deadline_ms),
        max_time_ms: turn.max_time_ms.or(session.max_time_ms),
        max_tokens: turn.max_tokens.or(session.max_tokens),
        max_cost: turn.max_cost.or(session.max_cost),
        max_tool_calls: turn.max_tool_calls.or(session.max_tool_calls),
    }
}

fn refuse_empty(input: &[InputPart]) -> Result<(), ProtocolError> {
    let is_blank = |part: &InputPart| matches!(part, InputPart::Text { text } if text.trim().is_empty());
    if input.iter().all(is_blank) {
        return Err(ProtocolError::new(ErrorCode::InvalidRequest, "The input is empty"));
    }
    Ok(())
}

/// The conflict that a running turn makes, if one runs.
pub(crate) fn refuse_running(state: &SessionState, hint: &str) -> Result<(), ProtocolError> {
    let Some((running, turn)) = state.current() else { return Ok(()) };
    let message = format!("A turn is running, started by `{}`", turn.actor.name);
    let detail = ErrorDetail::TurnRunning {
        session_id: state.id,
        turn_id: running.turn_id,
        started_by: turn.actor.name.clone(),
    };
    Err(ProtocolError::new(ErrorCode::Conflict, message).with_hint(hint).with_detail(detail))
}

/// The conflict that another turn than the expected one makes.
fn refuse_other(state: &SessionState, expected: Option<TurnId>) -> Result<(), ProtocolError> {
    let is_other =
        |expected: TurnId| state.running.as_ref().is_some_and(|running| running.turn_id != expected);
    if expected.is_some_and(is_other) {
        return refuse_running(state, "Look at the session again: the turn that was meant has ended");
    }
    Ok(())
}
