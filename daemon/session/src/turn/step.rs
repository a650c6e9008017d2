//! `step`: what follows from one input. Pure: no clock, file, environment or randomness of its own; time and
//! identities come with the `Moment`.

use std::time::Duration;

use protocol::event::{ConnectionAttempted, Event, ItemChanged, ModelResponded};
use protocol::ids::{ItemId, TurnId};
use protocol::item::{Item, ItemBody, ItemStatus, Notice, NoticeLevel};
use protocol::model::Usage;
use protocol::turn::{BudgetLevel, LimitKind, TurnOutcome};
use tools::tool::Report;

use crate::effect::Effect;
use crate::input::Input;
use crate::moment::Moment;
use crate::state::{Phase, Running, SessionState, connection_key};
use crate::turn::{
    agent, answer, budget, calls, compaction, ending, hooks, nested, question, request, restart,
};

/// Different connections of one item that the log tells of.
const MAX_CONNECTIONS: usize = 200;

/// Decides what follows. Inputs of a turn that has ended follow to nothing.
#[must_use]
pub fn step(state: &SessionState, input: Input, moment: &mut Moment) -> Vec<Effect> {
    match input {
        Input::Request { actor, request_id, request } => {
            request::decide(state, actor, request_id, request, moment)
        }
        Input::Model { turn_id, event } => match running(state, turn_id) {
            Some(running) if running.phase == Phase::Model => answer::take(state, running, event, moment),
            Some(running) if running.phase == Phase::Compacting => {
                compaction::take(state, running, event, moment)
            }
            Some(_) | None => Vec::new(),
        },
        Input::ContextFull { turn_id, tokens } => match running(state, turn_id) {
            Some(running) => compaction::full(state, running, tokens, moment),
            None => Vec::new(),
        },
        Input::ToolOutput { item_id, text } => answer::grow(state, item_id, text),
        Input::ToolAsked { item_id, question_id, kind, reason } => {
            question::ask(state, item_id, question_id, kind, reason, moment)
        }
        Input::ToolCalled { called_by, item_id, call, prepared } => {
            nested::called(state, called_by, item_id, call, prepared, moment)
        }
        Input::ClientLeft { client } => question::client_left(state, client),
        Input::ToolLeft { question_id } => question::leave(state, question_id),
        Input::ToolReported { item_id, report } => reported(state, item_id, report),
        Input::FilesChanged(changed) => vec![Effect::Append(vec![Event::FilesChanged(changed)])],
        Input::Restored(ended) => vec![Effect::Append(vec![Event::RewindEnded(ended)])],
        Input::ToolEnded { item_id, status, body } => tool_ended(state, item_id, status, body, moment),
        Input::HooksAnswered { call, answer, prepared } => {
            hooks::answered(state, call, answer, prepared, moment)
        }
        Input::Deadline { turn_id } => deadline(state, turn_id, moment),
        Input::TimePassed { turn_id } => budget::time_passed(state, turn_id, moment),
        Input::Checkpoint => {
            let unsaved: Vec<_> = state.unsaved().into_iter().map(Event::ItemAppended).collect();
            if unsaved.is_empty() { Vec::new() } else { vec![Effect::Append(unsaved)] }
        }
        Input::QuestionExpired { question_id } => question::expire(state, question_id, moment),
        Input::Notice { text } => notice(state, text, moment),
        Input::AgentReported(report) => agent::reported(state, report, moment),
        Input::ModelAnsweredTool { item_id, usage } => answered_tool(state, item_id, usage),
        Input::Continue => calls::proceed(state, moment),
        Input::Loaded { failure } => restart::loaded(state, failure, moment),
        Input::Stopping { hand_over, is_call_running } => {
            restart::stopping(state, hand_over, is_call_running, moment)
        }
    }
}

/// What is known of the turn if it is the one that runs.
fn running(state: &SessionState, turn_id: TurnId) -> Option<&Running> {
    state.running.as_ref().filter(|running| running.turn_id == turn_id)
}

fn tool_ended(
    state: &SessionState,
    item_id: ItemId,
    status: ItemStatus,
    body: ItemBody,
    moment: &Moment,
) -> Vec<Effect> {
    let Some(item) = state.item(item_id).filter(|item| item.status == ItemStatus::InProgress) else {
        return Vec::new();
    };
    if let Some(running) = &state.running
        && let Some(effects) = hooks::after_call(running, item_id, &status, &body, moment)
    {
        return effects;
    }
    let mut events = question::withdrawn_from_tools(state, Some(item_id));
    events.push(completed(item, status, body, moment));
    vec![Effect::Append(events), Effect::Continue]
}

/// What a tool tells of is in the log once, and so much of it at most.
fn reported(state: &SessionState, item_id: ItemId, report: Report) -> Vec<Effect> {
    let Report::Connection { protocol, host, port, is_allowed, reason } = report;
    let attempted = ConnectionAttempted { item_id, protocol, host, port, is_allowed, reason };
    let known = state.connections.get(&item_id);
    let is_told = known
        .is_some_and(|known| known.len() >= MAX_CONNECTIONS || known.contains(&connection_key(&attempted)));
    if is_told {
        return Vec::new();
    }
    vec![Effect::Append(vec![Event::ConnectionAttempted(attempted)])]
}

/// What a tool asked the model by itself counts, also where its turn has ended meanwhile.
fn answered_tool(state: &SessionState, item_id: ItemId, usage: Usage) -> Vec<Effect> {
    let mut items = state.turns.iter().rev().flat_map(|turn| &turn.items);
    let Some(item) = items.find(|item| item.id == item_id) else { return Vec::new() };
    let responded = ModelResponded { turn_id: item.turn_id, step: item.step, usage, asked_by: Some(item_id) };
    vec![Effect::Append(vec![Event::ModelResponded(responded)])]
}

fn deadline(state: &SessionState, turn_id: TurnId, moment: &Moment) -> Vec<Effect> {
    let Some(running) = running(state, turn_id) else { return Vec::new() };
    let allowed = Duration::from_millis(running.limits.deadline_ms.unwrap_or_default());
    let message = format!("The turn took longer than the {} s it was allowed", allowed.as_secs_f64());
    ending::cut_short(
        state,
        TurnOutcome::LimitReached { limit: LimitKind::Deadline, level: BudgetLevel::Turn, message },
        moment,
    )
}

fn notice(state: &SessionState, text: String, moment: &mut Moment) -> Vec<Effect> {
    let Some(running) = &state.running else { return Vec::new() };
    let item = Item {
        id: moment.item_id(),
        turn_id: running.turn_id,
        step: running.step,
        status: ItemStatus::Completed,
        started_at: moment.at,
        completed_at: Some(moment.at),
        called_by: None,
        body: ItemBody::Notice(Notice { level: NoticeLevel::Warning, text, context: None }),
    };
    vec![Effect::Append(vec![Event::ItemCompleted(ItemChanged { item })])]
}

/// The event that ends an item.
pub(crate) fn completed(item: &Item, status: ItemStatus, body: ItemBody, moment: &Moment) -> Event {
    let item = Item { status, body, completed_at: Some(moment.at), ..item.clone() };
    Event::ItemCompleted(ItemChanged { item })
}
