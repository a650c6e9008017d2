//! What hooks have a say in: a prompt, a call, a question, an outcome, the end of a turn.

use protocol::event::{Event, ItemChanged, ModelRequested};
use protocol::ids::{ItemId, TurnId};
use protocol::item::{
    Command, CommandOutcome, CommandOutput, Item, ItemBody, ItemStatus, Notice, NoticeLevel,
};
use protocol::profile::ApprovalPolicy;
use protocol::question::QuestionKind;
use protocol::turn::{Turn, TurnFailure, TurnOutcome};

use crate::effect::Effect;
use crate::hooks::{HookAnswer, HookCall, HookPoint, HookVerdict, Leave};
use crate::moment::Moment;
use crate::state::{Running, SessionState};
use crate::turn::judgement::{Judgement, command_kind};
use crate::turn::step::completed;
use crate::turn::{budget, calls, compaction, ending, question};

/// Asks about a message, if there is somebody to be asked.
pub(crate) fn prompt(turn_id: TurnId, item_id: ItemId, is_steer: bool, moment: &Moment) -> Option<Effect> {
    let call = HookCall::Prompt { turn_id, item_id, is_steer, start: moment.start };
    moment.hooks.has(HookPoint::Prompt).then_some(Effect::RunHooks(call))
}

/// What follows where the turn waits for hooks, or they ended it; `None` where it may go on.
pub(crate) fn hold(state: &SessionState, running: &Running, moment: &Moment) -> Option<Vec<Effect>> {
    if let Some(reason) = running.hooks.ends() {
        let failure = TurnFailure::Hook { reason: reason.to_owned() };
        return Some(ending::cut_short(state, TurnOutcome::Failed { failure }, moment));
    }
    running.hooks.holds_turn().then(Vec::new)
}

/// Asks before a call; `None` if there is nobody to be asked, or they have answered.
pub(crate) fn before_call(running: &Running, item: &Item, moment: &Moment) -> Option<Vec<Effect>> {
    let asks_on_question = running.hooks.is_asked(HookPoint::Permission, Some(item.id));
    if asks_on_question || running.hooks.is_asked(HookPoint::BeforeCall, Some(item.id)) {
        return Some(Vec::new());
    }
    if running.hooks.leave(item.id).is_some() || !moment.hooks.has(HookPoint::BeforeCall) {
        return None;
    }
    let (turn_id, item_id) = (running.turn_id, item.id);
    Some(vec![Effect::RunHooks(HookCall::BeforeCall { turn_id, item_id })])
}

/// What the policy said, with what hooks said. They can ask for a question, or spare one; what the policy refuses, and
/// leaving the sandbox, is not theirs to allow.
pub(crate) fn judged(
    judgement: Judgement,
    state: &SessionState,
    running: &Running,
    item: &Item,
) -> Judgement {
    match (running.hooks.leave(item.id), judgement) {
        (Some(Leave::Allow), Judgement::Ask { kind, .. }) if stays_inside(&kind) => Judgement::Run,
        (Some(Leave::Ask(reason)), Judgement::Run) => match (asked_about(item), state.settings.approval) {
            (None, _) => Judgement::Run,
            (Some(_), ApprovalPolicy::Never) => Judgement::Refuse {
                reason: format!(
                    "A hook wants a person to be asked ({reason}), and this session asks nobody (its approval is \
                     `never`), so it was declined."
                ),
            },
            (Some(kind), _) => Judgement::Ask { kind, reason: format!("A hook asks for it: {reason}") },
        },
        (_, judgement) => judgement,
    }
}

/// Asks before a person is; `None` if there is nobody to be asked, or they have answered.
pub(crate) fn permission(
    running: &Running,
    item: &Item,
    kind: &QuestionKind,
    reason: &str,
    moment: &Moment,
) -> Option<Vec<Effect>> {
    let is_theirs = moment.hooks.has(HookPoint::Permission) && stays_inside(kind);
    if !is_theirs || running.hooks.knows_question(item.id) {
        return None;
    }
    Some(vec![Effect::RunHooks(HookCall::Permission {
        turn_id: running.turn_id,
        item_id: item.id,
        kind: Box::new(kind.clone()),
        reason: reason.to_owned(),
    })])
}

/// Asks after a call; `None` if there is nobody to be asked.
pub(crate) fn after_call(
    running: &Running,
    item_id: ItemId,
    status: &ItemStatus,
    body: &ItemBody,
    moment: &Moment,
) -> Option<Vec<Effect>> {
    if !moment.hooks.has(HookPoint::AfterCall) || body.call().is_none() {
        return None;
    }
    if running.hooks.is_asked(HookPoint::AfterCall, Some(item_id)) {
        return Some(Vec::new());
    }
    Some(vec![Effect::RunHooks(HookCall::AfterCall {
        turn_id: running.turn_id,
        item_id,
        status: status.clone(),
        body: Box::new(body.clone()),
    })])
}

/// Asks before a turn ends; `None` if there is nobody to be asked, or they have answered.
pub(crate) fn stop(running: &Running, moment: &Moment) -> Option<Vec<Effect>> {
    if !moment.hooks.has(HookPoint::Stop) || running.hooks.lets_end(running.step) {
        return None;
    }
    Some(vec![Effect::RunHooks(HookCall::Stop {
        turn_id: running.turn_id,
        step: running.step,
        is_active: running.hooks.went_on(),
    })])
}

/// Decides on what hooks said, which the running turn knows by now. `prepared` is the rewritten call as its tool
/// understood it, or what is wrong with it.
pub(crate) fn answered(
    state: &SessionState,
    call: HookCall,
    answer: HookAnswer,
    prepared: Option<Result<Box<ItemBody>, String>>,
    moment: &mut Moment,
) -> Vec<Effect> {
    let Some((running, turn)) = state.current().filter(|(running, _)| running.turn_id == call.turn_id())
    else {
        return Vec::new();
    };
    let HookAnswer { notices, verdict, output, .. } = answer;
    match call {
        HookCall::Prompt { item_id, is_steer, .. } => {
            let step = if is_steer { running.step.saturating_add(1) } else { running.step };
            let mut events = Vec::new();
            if let HookVerdict::Block { .. } | HookVerdict::End { .. } = verdict {
                events.extend(state.item(item_id).map(|item| discarded(item, moment)));
            }
            events.extend(told(running, step, notices, moment));
            vec![Effect::Append(events), Effect::Continue]
        }
        HookCall::BeforeCall { item_id, .. } | HookCall::Permission { item_id, .. } => {
            let Some(item) = open(state, item_id) else { return Vec::new() };
            let mut events = Vec::new();
            events.extend(match (verdict, prepared) {
                (HookVerdict::Block { reason } | HookVerdict::End { reason }, _) => {
                    Some(calls::declined_event(item, &format!("A hook declined this: {reason}"), moment))
                }
                (_, Some(Err(problem))) => {
                    let message = format!("A hook rewrote this into a call that can't be made: {problem}");
                    Some(calls::declined_event(item, &message, moment))
                }
                (_, Some(Ok(body))) => {
                    let item = Item { body: *body, ..item.clone() };
                    Some(Event::ItemStarted(ItemChanged { item }))
                }
                (HookVerdict::None | HookVerdict::Allow | HookVerdict::Ask { .. }, None) => None,
            });
            events.extend(told(running, running.step.saturating_add(1), notices, moment));
            vec![Effect::Append(events), Effect::Continue]
        }
        HookCall::AfterCall { item_id, status, body, .. } => {
            let Some(item) = open(state, item_id) else { return Vec::new() };
            let body = match output {
                Some(output) => with_output(*body, output),
                None => *body,
            };
            let mut events = question::withdrawn_from_tools(state, Some(item_id));
            events.push(completed(item, status, body, moment));
            events.extend(told(running, running.step.saturating_add(1), notices, moment));
            vec![Effect::Append(events), Effect::Continue]
        }
        HookCall::BeforeCompaction { item_id, .. } => {
            let Some(item) = open(state, item_id) else { return Vec::new() };
            let told = told(running, running.step, notices, moment);
            let refusal = match verdict {
                HookVerdict::Block { reason } | HookVerdict::End { reason } => Some(reason),
                HookVerdict::None | HookVerdict::Allow | HookVerdict::Ask { .. } => None,
            };
            let mut effects = if told.is_empty() { Vec::new() } else { vec![Effect::Append(told)] };
            effects.extend(compaction::decided(item, refusal, moment));
            effects
        }
        HookCall::AfterCompaction { .. } => {
            vec![Effect::Append(told(running, running.step, notices, moment)), Effect::Continue]
        }
        HookCall::Stop { step, .. } => {
            let next = step.saturating_add(1);
            let mut events = told(running, next, notices, moment);
            let HookVerdict::Block { reason } = verdict else {
                return vec![Effect::Append(events), Effect::Continue];
            };
            if running.hooks.lets_end(step) {
                let text = "Hooks made this turn go on too often, so it ends now".to_owned();
                let notice = Notice { level: NoticeLevel::Warning, text, context: None };
                events.extend(told(running, next, vec![notice], moment));
                return vec![Effect::Append(events), Effect::Continue];
            }
            go_on(state, running, turn, (events, reason), moment)
        }
    }
}

/// The turn goes on with what hooks said as its input.
fn go_on(
    state: &SessionState,
    running: &Running,
    turn: &Turn,
    (mut events, reason): (Vec<Event>, String),
    moment: &mut Moment,
) -> Vec<Effect> {
    if let Some(outcome) = budget::reached(state, running, turn, budget::Next::Request, moment) {
        let mut effects = vec![Effect::Append(events)];
        effects.extend(ending::end(state, outcome, None, moment));
        return effects;
    }
    let step = running.step.saturating_add(1);
    let text = "A hook made the turn go on".to_owned();
    let notice = Notice { level: NoticeLevel::Information, text, context: Some(reason) };
    events.extend(told(running, step, vec![notice], moment));
    if running.hooks.holds_turn() {
        // Something was said meanwhile, and the model may not hear of it yet.
        return vec![Effect::Append(events), Effect::Continue];
    }
    events.push(Event::ModelRequested(ModelRequested { turn_id: running.turn_id, step }));
    vec![Effect::Append(events), Effect::CallModel]
}

/// Whether a yes to this question leaves the sandbox as it is.
fn stays_inside(kind: &QuestionKind) -> bool {
    match kind {
        QuestionKind::Command { is_escalated, .. } => !is_escalated,
        QuestionKind::FileChange { .. } | QuestionKind::Tool { .. } => true,
        QuestionKind::Network { .. }
        | QuestionKind::Permissions { .. }
        | QuestionKind::UserInput { .. }
        | QuestionKind::Elicitation { .. }
        | QuestionKind::Sampling { .. }
        | QuestionKind::ClientTool { .. }
        | QuestionKind::Unknown(_) => false,
    }
}

/// What a person is asked about a call that the policy would let run.
fn asked_about(item: &Item) -> Option<QuestionKind> {
    match &item.body {
        ItemBody::Command(command) if !command.argv.is_empty() => Some(command_kind(command, None)),
        ItemBody::FileChange(change) => {
            Some(QuestionKind::FileChange { patch: change.call.input.text().to_owned() })
        }
        body => body.call().map(|call| QuestionKind::Tool {
            server: None,
            tool: call.name.clone(),
            arguments: call.input.text().to_owned(),
            definition: None,
        }),
    }
}

fn open(state: &SessionState, item_id: ItemId) -> Option<&Item> {
    state.item(item_id).filter(|item| item.status == ItemStatus::InProgress)
}

/// The event that takes a message back: the model is never shown it.
fn discarded(item: &Item, moment: &Moment) -> Event {
    completed(item, ItemStatus::Discarded, item.body.clone(), moment)
}

fn told(running: &Running, step: u32, notices: Vec<Notice>, moment: &mut Moment) -> Vec<Event> {
    let item = |notice| {
        let item = Item {
            id: moment.item_id(),
            turn_id: running.turn_id,
            step,
            status: ItemStatus::Completed,
            started_at: moment.at,
            completed_at: Some(moment.at),
            called_by: None,
            body: ItemBody::Notice(notice),
        };
        Event::ItemCompleted(ItemChanged { item })
    };
    notices.into_iter().map(item).collect()
}

/// A call's item with another output than the tool's.
fn with_output(mut body: ItemBody, output: String) -> ItemBody {
    match &mut body {
        ItemBody::Command(Command {
            outcome: Some(CommandOutcome { output: known, .. }), message, ..
        }) => {
            let total_bytes = output.len() as u64;
            *known = CommandOutput { head: output, total_bytes, ..CommandOutput::default() };
            *message = Some("A hook put this in place of the output.".to_owned());
        }
        ItemBody::Command(command) => command.message = Some(output),
        ItemBody::FileChange(change) => change.message = Some(output),
        ItemBody::ToolCall(call) => {
            call.output = Some(output);
            call.content.clear();
        }
        ItemBody::Plan(plan) => plan.message = Some(output),
        ItemBody::UserMessage(_)
        | ItemBody::AgentMessage(_)
        | ItemBody::Reasoning(_)
        | ItemBody::Notice(_)
        | ItemBody::WebSearch(_)
        | ItemBody::Compaction(_)
        | ItemBody::Agent(_)
        | ItemBody::Review(_)
        | ItemBody::Unknown(_) => {}
    }
    body
}
