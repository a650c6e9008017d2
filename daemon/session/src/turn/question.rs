//! What becomes of questions: those of the policy, before a call begins, and those that a tool asks while it runs.

use protocol::error::{ErrorCode, ErrorDetail, ProtocolError};
use protocol::event::{Event, QuestionAnswered, QuestionAsked, QuestionWithdrawn};
use protocol::ids::{ClientId, ItemId, QuestionId};
use protocol::profile::ApprovalPolicy;
use protocol::question::{Answer, Decision, GrantScope, Question, QuestionKind};
use protocol::turn::{Actor, TurnOutcome};

use crate::effect::{Effect, Reply};
use crate::moment::Moment;
use crate::state::{Running, SessionState};
use crate::turn::budget::{Next, reached};
use crate::turn::calls;
use crate::turn::judgement::{Judgement, of_stopped};

/// Questions that may wait in a turn.
const MAX_OPEN: usize = 32;
/// Bytes of a tool's question as JSON, and of the reason for it.
const MAX_KIND: usize = 64 * 1024;
const MAX_REASON: usize = 2 * 1024;

/// A client answers.
///
/// # Errors
/// `InvalidRequest` when the decision is none for this question, `Conflict` when it was answered before, `NotFound`.
pub(crate) fn answer(
    state: &SessionState,
    actor: Actor,
    question_id: QuestionId,
    decision: Decision,
    moment: &Moment,
) -> Result<Vec<Effect>, ProtocolError> {
    let Some(question) = state.questions.iter().find(|question| question.id == question_id) else {
        return Err(too_late(state, question_id));
    };
    refuse_unfit(&question.kind, &decision)?;
    if let QuestionKind::ClientTool { client, .. } = &question.kind
        && client.client_id != actor.client_id
    {
        let message = format!("Only the client `{}`, whose tool it is, can answer", client.name);
        return Err(ProtocolError::new(ErrorCode::Denied, message));
    }
    // A rule for files would hold for every patch there ever will be; that leave ends with the session.
    let is_for_good = matches!(decision, Decision::Allow { scope: GrantScope::Always })
        && matches!(
            question.kind,
            QuestionKind::Command { .. } | QuestionKind::Tool { server: Some(_), definition: Some(_), .. }
        );
    let rule = is_for_good.then(|| Effect::AllowAlways(question.kind.clone()));
    let answer = Answer { decision: decision.clone(), actor, answered_at: moment.at };
    let mut events = vec![Event::QuestionAnswered(QuestionAnswered { question_id, answer })];
    let replied = Effect::Reply(Ok(Reply::Answered { question_id }));
    if let Some(running) = asking(state, question_id) {
        let settled = settled_with(state, running, question, &decision);
        events.extend(settled.iter().map(|id| withdrawn(*id)));
        let mut effects = vec![Effect::Append(events)];
        effects.extend(rule);
        effects.push(replied);
        effects.push(Effect::AnswerTool { question_id, decision });
        effects.extend(settled.into_iter().map(allow_tool));
        return Ok(effects);
    }
    if let (Some(message), Some(item)) = (declined(&decision), state.item(question.item_id)) {
        events.push(calls::declined_event(item, &message, moment));
    }
    let mut effects = vec![Effect::Append(events)];
    effects.extend(rule);
    effects.push(replied);
    effects.push(Effect::Continue);
    Ok(effects)
}

/// A question waited as long as it may: nobody said yes.
pub(crate) fn expire(state: &SessionState, question_id: QuestionId, moment: &Moment) -> Vec<Effect> {
    const MESSAGE: &str = "Nobody answered in the time there was, so it was declined.";
    let Some(question) = state.questions.iter().find(|question| question.id == question_id) else {
        return Vec::new();
    };
    let mut events = vec![withdrawn(question_id)];
    if asking(state, question_id).is_some() {
        return vec![Effect::Append(events), deny_tool(question_id, MESSAGE)];
    }
    if let Some(item) = state.item(question.item_id) {
        events.push(calls::declined_event(item, MESSAGE, moment));
    }
    vec![Effect::Append(events), Effect::Continue]
}

/// A running tool asks. What was granted before, and what nobody can be asked, is answered at once.
pub(crate) fn ask(
    state: &SessionState,
    item_id: ItemId,
    id: QuestionId,
    kind: QuestionKind,
    reason: String,
    moment: &Moment,
) -> Vec<Effect> {
    let judged = if is_stopped(&kind) {
        of_stopped(kind, reason, &state.settings, &moment.rules)
    } else {
        Judgement::Ask { kind, reason }
    };
    let (kind, mut reason) = match judged {
        Judgement::Ask { kind, reason } => (kind, reason),
        Judgement::Run => return vec![allow_tool(id)],
        Judgement::Refuse { reason } => return vec![deny_tool(id, &reason)],
    };
    if let Some(message) = unaffordable(state, &kind, moment) {
        return vec![deny_tool(id, &message)];
    }
    // What was granted would have let a stopped command out at once, if it was surely what the person meant.
    if !is_stopped(&kind) && state.is_granted(&kind) {
        return vec![allow_tool(id)];
    }
    if let QuestionKind::ClientTool { client, .. } = &kind
        && !moment.clients.contains(&client.client_id)
    {
        return vec![deny_tool(id, &has_gone(client))];
    }
    let Some(running) = state.running.as_ref().filter(|_| state.item(item_id).is_some()) else {
        return vec![deny_tool(id, "The turn that this belongs to has ended, so nobody was asked.")];
    };
    if let Some(message) = unanswerable(state, &kind, moment) {
        return vec![deny_tool(id, message)];
    }
    let is_long = serde_json::to_vec(&kind).map_or(true, |json| json.len() > MAX_KIND);
    if is_long || state.questions.len() >= MAX_OPEN {
        return vec![deny_tool(id, "Not asked: too much waits for an answer, or the question is too long.")];
    }
    reason.truncate(reason.floor_char_boundary(MAX_REASON));
    let question = Question { id, turn_id: running.turn_id, item_id, asked_at: moment.at, kind, reason };
    let asked = Event::QuestionAsked(QuestionAsked { question, has_begun: true });
    let timer = state.settings.question_timeout_ms;
    let timer = timer.map(|after_ms| Effect::StartQuestionTimer { question_id: id, after_ms });
    std::iter::once(Effect::Append(vec![asked])).chain(timer).collect()
}

/// A client does not follow the session any more: nobody answers for its tools.
pub(crate) fn client_left(state: &SessionState, client: ClientId) -> Vec<Effect> {
    let mut effects = Vec::new();
    for question in &state.questions {
        if let QuestionKind::ClientTool { client: owner, .. } = &question.kind
            && owner.client_id == client
        {
            effects.push(Effect::Append(vec![withdrawn(question.id)]));
            effects.push(deny_tool(question.id, &has_gone(owner)));
        }
    }
    effects
}

fn has_gone(client: &Actor) -> String {
    format!("The client `{}`, whose tool this is, is not there any more, so nobody could answer", client.name)
}

/// A tool does not wait for the answer any more.
pub(crate) fn leave(state: &SessionState, question_id: QuestionId) -> Vec<Effect> {
    match asking(state, question_id) {
        Some(_) => vec![Effect::Append(vec![withdrawn(question_id)])],
        None => Vec::new(),
    }
}

/// The events that withdraw what running tools asked, all of them or one item's.
pub(crate) fn withdrawn_from_tools(state: &SessionState, only: Option<ItemId>) -> Vec<Event> {
    let is_meant = |question: &&Question| {
        asking(state, question.id).is_some() && only.is_none_or(|item| item == question.item_id)
    };
    state.questions.iter().filter(is_meant).map(|question| withdrawn(question.id)).collect()
}

/// The running turn, if the question is one of a tool that waits in the middle.
fn asking(state: &SessionState, question: QuestionId) -> Option<&Running> {
    state.running.as_ref().filter(|running| running.asking.contains(&question))
}

/// Other questions of tools that a leave answers, too: many connections to one host, say.
fn settled_with(
    state: &SessionState,
    running: &Running,
    answered: &Question,
    decision: &Decision,
) -> Vec<QuestionId> {
    let lasts = match decision {
        Decision::Allow { scope: GrantScope::Turn | GrantScope::Session | GrantScope::Always } => true,
        Decision::Allow { scope: GrantScope::Once | GrantScope::Unknown(_) }
        | Decision::Deny { .. }
        | Decision::Reply { .. }
        | Decision::Content { .. }
        | Decision::Unknown(_) => false,
    };
    let mut granted = crate::grants::Grants::default();
    if lasts {
        granted.add(&answered.kind);
    }
    let others = state.questions.iter().filter(|other| other.id != answered.id);
    others
        .filter(|other| running.asking.contains(&other.id) && granted.cover(&other.kind))
        .map(|other| other.id)
        .collect()
}

/// Why nobody can be asked this, for the model.
fn unanswerable(state: &SessionState, kind: &QuestionKind, moment: &Moment) -> Option<&'static str> {
    if !moment.is_answerable && (is_stopped(kind) || matches!(kind, QuestionKind::Network { .. })) {
        // It was not the model's wish, so the turn does not wait for somebody who may never come.
        return Some("nobody is there who could allow it");
    }
    if state.settings.approval != ApprovalPolicy::Never {
        return None;
    }
    match kind {
        QuestionKind::Command { .. }
        | QuestionKind::FileChange { .. }
        | QuestionKind::Network { .. }
        | QuestionKind::Permissions { .. }
        | QuestionKind::Sampling { .. }
        | QuestionKind::Tool { .. } => {
            Some("This session asks nobody (its approval is `never`), so it was declined.")
        }
        // No person is asked.
        QuestionKind::ClientTool { .. } => None,
        QuestionKind::UserInput { .. } | QuestionKind::Elicitation { .. } | QuestionKind::Unknown(_) => {
            (!moment.is_answerable).then_some("Nobody is there who could answer; go on as you think best.")
        }
    }
}

/// Why the model is not asked for a server, although a person may have let it: a ceiling is reached.
fn unaffordable(state: &SessionState, kind: &QuestionKind, moment: &Moment) -> Option<String> {
    let QuestionKind::Sampling { .. } = kind else { return None };
    let (running, turn) = state.current()?;
    let TurnOutcome::LimitReached { message, .. } = reached(state, running, turn, Next::Request, moment)?
    else {
        return None;
    };
    Some(message)
}

/// Whether it is about a command that the sandbox stopped.
fn is_stopped(kind: &QuestionKind) -> bool {
    matches!(kind, QuestionKind::Command { refusals, is_escalated: true, .. } if !refusals.is_empty())
}

/// Refuses a decision that is none for the question.
fn refuse_unfit(kind: &QuestionKind, decision: &Decision) -> Result<(), ProtocolError> {
    let invalid = |message: &str, hint: &str| {
        Err(ProtocolError::new(ErrorCode::InvalidRequest, message).with_hint(hint))
    };
    let (wants_reply, wants_content) = match kind {
        QuestionKind::UserInput { .. } => (true, false),
        QuestionKind::Elicitation { .. } | QuestionKind::ClientTool { .. } => (false, true),
        QuestionKind::Command { .. }
        | QuestionKind::FileChange { .. }
        | QuestionKind::Network { .. }
        | QuestionKind::Permissions { .. }
        | QuestionKind::Tool { .. }
        | QuestionKind::Sampling { .. }
        | QuestionKind::Unknown(_) => (false, false),
    };
    let lacks_rule = matches!(kind, QuestionKind::Command { proposed_rule: None, .. });
    match decision {
        Decision::Allow { scope: GrantScope::Unknown(word) } => invalid(
            &format!("`{word}` is no scope that this daemon knows"),
            "Scopes are `once`, `turn`, `session` and `always`",
        ),
        Decision::Unknown(_) => invalid(
            "The decision is none that this daemon knows",
            "Decisions are `allow`, `deny`, `reply` and `content`",
        ),
        Decision::Deny { .. } => Ok(()),
        // Refused before it is in the log: nothing would be written.
        Decision::Allow { scope: GrantScope::Always } if lacks_rule => {
            invalid("There is no rule to write for it", "Answer with the scope `session`, `turn` or `once`")
        }
        Decision::Allow { .. } if wants_reply || wants_content => invalid(
            "The question wants to know something; a yes does not answer it",
            "Answer with `reply` or `content`, or `deny` it",
        ),
        Decision::Reply { answers } => match kind {
            QuestionKind::UserInput { prompts } => {
                match answers.keys().find(|id| prompts.iter().all(|prompt| prompt.id != **id)) {
                    None => Ok(()),
                    Some(id) => invalid(
                        &format!("Nothing that was asked is called `{id}`"),
                        "Name each answer by the id of its prompt",
                    ),
                }
            }
            QuestionKind::Command { .. }
            | QuestionKind::FileChange { .. }
            | QuestionKind::Network { .. }
            | QuestionKind::Permissions { .. }
            | QuestionKind::Tool { .. }
            | QuestionKind::Elicitation { .. }
            | QuestionKind::Sampling { .. }
            | QuestionKind::ClientTool { .. }
            | QuestionKind::Unknown(_) => {
                invalid("A `reply` is no answer to this question", "Answer with `allow` or `deny`")
            }
        },
        Decision::Content { .. } if !wants_content => {
            invalid("A `content` is no answer to this question", "Answer with `allow`, `deny` or `reply`")
        }
        Decision::Allow { .. } | Decision::Content { .. } => Ok(()),
    }
}

/// What the model is told if the decision is a no.
fn declined(decision: &Decision) -> Option<String> {
    match decision {
        Decision::Deny { message: None } => Some("A person declined this.".to_owned()),
        Decision::Deny { message: Some(message) } => {
            Some(format!("A person declined this and said: {message}"))
        }
        Decision::Allow { .. } | Decision::Reply { .. } | Decision::Content { .. } | Decision::Unknown(_) => {
            None
        }
    }
}

pub(crate) fn withdrawn(question_id: QuestionId) -> Event {
    Event::QuestionWithdrawn(QuestionWithdrawn { question_id })
}

fn allow_tool(question_id: QuestionId) -> Effect {
    Effect::AnswerTool { question_id, decision: Decision::Allow { scope: GrantScope::Once } }
}

fn deny_tool(question_id: QuestionId, message: &str) -> Effect {
    let decision = Decision::Deny { message: Some(message.to_owned()) };
    Effect::AnswerTool { question_id, decision }
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
