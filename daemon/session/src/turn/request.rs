//! What follows from a client's request.

use protocol::error::{ErrorCode, ErrorDetail, ProtocolError};
use protocol::event::{
    Event, InputQueued, ItemChanged, ModelRequested, QuestionAnswered, QuestionWithdrawn,
    QueuedInputCancelled, QueuedInputChanged, SessionArchived, SessionUpdated, TurnStarted,
};
use protocol::ids::{QuestionId, QueuedId, RequestId, Seq, TurnId};
use protocol::item::{Item, ItemBody, ItemStatus, UserMessage};
use protocol::question::{Answer, Decision, GrantScope, QuestionKind};
use protocol::session::{QueuedInput, SessionSettings};
use protocol::turn::{Actor, InputPart, InterruptReason, TurnLimits, TurnOutcome};

use crate::effect::{Effect, Reply};
use crate::input::Request;
use crate::moment::Moment;
use crate::state::SessionState;
use crate::turn::{calls, ending};

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
        Request::Answer { question_id, decision } => answer(state, actor, question_id, decision, moment),
        Request::Update { title, settings } => Ok(update(state, actor, title, settings)),
        Request::Archive => archive(state, actor),
        Request::Unarchive => Ok(unarchive(state, actor)),
    };
    decided.unwrap_or_else(|error| vec![Effect::Reply(Err(error))])
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
    if limits.max_cost.is_some() && state.settings.price.is_none() {
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
    effects.extend(begin(started, input, moment));
    effects.push(Effect::Reply(Ok(Reply::Started { turn_id })));
    Ok(effects)
}

/// Begins a turn: what was said is durable and the model is asked.
pub(crate) fn begin(started: TurnStarted, input: Vec<InputPart>, moment: &mut Moment) -> Vec<Effect> {
    let turn_id = started.turn_id;
    let deadline = started.limits.deadline_ms;
    let message = UserMessage { content: input, actor: started.actor.clone(), is_steer: false };
    let item = said(turn_id, 0, message, moment);
    let mut effects = vec![Effect::Append(vec![
        Event::TurnStarted(started),
        Event::ItemCompleted(ItemChanged { item }),
        Event::ModelRequested(ModelRequested { turn_id, step: 0 }),
    ])];
    effects.extend(deadline.map(|after_ms| Effect::StartDeadline { turn_id, after_ms }));
    effects.push(Effect::CallModel);
    effects
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
    let item = said(running.turn_id, running.step.saturating_add(1), message, moment);
    let item_id = item.id;
    Ok(vec![
        Effect::Append(vec![Event::ItemCompleted(ItemChanged { item })]),
        Effect::Reply(Ok(Reply::Steered { turn_id: running.turn_id, item_id })),
    ])
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

fn answer(
    state: &SessionState,
    actor: Actor,
    question_id: QuestionId,
    decision: Decision,
    moment: &Moment,
) -> Result<Vec<Effect>, ProtocolError> {
    let Some(question) = state.questions.iter().find(|question| question.id == question_id) else {
        return Err(too_late(state, question_id));
    };
    let declined = match &decision {
        Decision::Allow { scope: GrantScope::Unknown(word) } => {
            let message = format!("`{word}` is no scope that this daemon knows");
            return Err(ProtocolError::new(ErrorCode::InvalidRequest, message)
                .with_hint("Scopes are `once`, `turn`, `session` and `always`"));
        }
        Decision::Unknown(_) => {
            let message = "The decision is none that this daemon knows";
            return Err(ProtocolError::new(ErrorCode::InvalidRequest, message)
                .with_hint("Decisions are `allow` and `deny`"));
        }
        Decision::Allow { .. } => None,
        Decision::Deny { message } => Some(message.as_ref().map_or_else(
            || "A person declined this.".to_owned(),
            |message| format!("A person declined this and said: {message}"),
        )),
    };
    // A rule for files would hold for every patch there ever will be; that leave ends with the session.
    let is_for_good = matches!(decision, Decision::Allow { scope: GrantScope::Always })
        && matches!(question.kind, QuestionKind::Command { .. });
    let rule = is_for_good.then(|| Effect::AllowAlways(question.kind.clone()));
    let answer = Answer { decision, actor, answered_at: moment.at };
    let mut events = vec![Event::QuestionAnswered(QuestionAnswered { question_id, answer })];
    if let (Some(message), Some(item)) = (declined, state.item(question.item_id)) {
        events.push(calls::declined_event(item, &message, moment));
    }
    let mut effects = vec![Effect::Append(events)];
    effects.extend(rule);
    effects.push(Effect::Reply(Ok(Reply::Answered { question_id })));
    effects.push(Effect::Continue);
    Ok(effects)
}

/// A question waited as long as it may: nobody said yes.
pub(crate) fn expire(state: &SessionState, question_id: QuestionId, moment: &Moment) -> Vec<Effect> {
    let Some(question) = state.questions.iter().find(|question| question.id == question_id) else {
        return Vec::new();
    };
    let mut events = vec![Event::QuestionWithdrawn(QuestionWithdrawn { question_id })];
    if let Some(item) = state.item(question.item_id) {
        let message = "Nobody answered in the time there was, so it was declined.";
        events.push(calls::declined_event(item, message, moment));
    }
    vec![Effect::Append(events), Effect::Continue]
}

fn too_late(state: &SessionState, question_id: QuestionId) -> ProtocolError {
    match state.answered.iter().find(|(id, _)| *id == question_id) {
        Some((_, answer)) => {
            let message = format!("The question was answered before, by `{}`", answer.actor.name);
            let detail = ErrorDetail::AlreadyAnswered { question_id, answer: answer.clone() };
            ProtocolError::new(ErrorCode::Conflict, message).with_detail(detail)
        }
        None => ProtocolError::new(ErrorCode::NotFound, format!("No question `{question_id}` waits"))
            .with_hint("See what waits with `skein questions list`"),
    }
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
        body: ItemBody::UserMessage(message),
    }
}

/// The turn's own ceilings, the session's where it has none.
fn merged(turn: &TurnLimits, session: &TurnLimits) -> TurnLimits {
    TurnLimits {
        deadline_ms: turn.deadline_ms.or(session.deadline_ms),
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
