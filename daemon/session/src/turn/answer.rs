//! What follows from the pieces of a model's answer.

use protocol::delta::Delta;
use protocol::event::{Event, ItemChanged, ModelResponded, ModelRetried};
use protocol::ids::ItemId;
use protocol::item::{
    AgentMessage, Item, ItemBody, ItemStatus, Notice, NoticeLevel, OpaqueReasoning, OtherToolCall, Reasoning,
};
use protocol::model::{ProviderFailure, ProviderFailureKind, Usage};
use protocol::tool::ToolCall;
use protocol::turn::{Turn, TurnFailure, TurnOutcome};

use model::event::StopReason;

use crate::effect::Effect;
use crate::input::Answer;
use crate::moment::Moment;
use crate::state::{Phase, Running, SessionState};
use crate::turn::step::completed;
use crate::turn::{compaction, ending};

/// Decides on one piece.
pub(crate) fn take(
    state: &SessionState,
    running: &Running,
    piece: Answer,
    moment: &mut Moment,
) -> Vec<Effect> {
    match piece {
        Answer::Text { item_id, text } => {
            let empty = ItemBody::AgentMessage(AgentMessage { text: String::new() });
            grow_or_begin(state, running, item_id, empty, text, moment)
        }
        Answer::Summary { item_id, text } => {
            let empty = ItemBody::Reasoning(Reasoning { summary: String::new(), opaque: None });
            grow_or_begin(state, running, item_id, empty, text, moment)
        }
        Answer::Message { item_id, text } => {
            let body = ItemBody::AgentMessage(AgentMessage { text });
            whole(state, running, item_id, ItemStatus::Completed, body, moment)
        }
        Answer::Reasoning { item_id, summary, opaque } => {
            reasoning(state, running, item_id, summary, opaque, moment)
        }
        Answer::Call { item_id, call, prepared } => {
            call_made(state, running, item_id, call, prepared, moment)
        }
        Answer::WebSearch { item_id, search } => {
            whole(state, running, item_id, ItemStatus::Completed, ItemBody::WebSearch(search), moment)
        }
        // Whoever brings the moment keeps it.
        Answer::Spent { .. } => Vec::new(),
        Answer::ReasoningDropped { item_id } => reasoning_dropped(state, running, item_id, moment),
        Answer::Retrying { attempt, max_attempts, delay, failure } => {
            let mut events = discarded(state, running, moment);
            let usage = spent_so_far(moment).or((!events.is_empty()).then(Usage::default));
            events.push(Event::ModelRetried(ModelRetried {
                turn_id: running.turn_id,
                attempt,
                max_attempts,
                delay_ms: u64::try_from(delay.as_millis()).unwrap_or(u64::MAX),
                failure,
                usage,
            }));
            vec![Effect::Append(events)]
        }
        Answer::Completed { usage, stop } => answered(state, running, usage, stop, moment),
        // Nobody asked for that here: the answer says nothing.
        Answer::Compacted { usage, .. } => answered(state, running, usage, StopReason::Finished, moment),
        Answer::Failed(failure) => failed(state, running, failure, moment),
    }
}

/// What an answer took that ends before its end: as far as that was told, and nothing if it had begun. `None` of one that
/// had not.
pub(crate) fn cut(state: &SessionState, running: &Running, turn: &Turn, moment: &Moment) -> Option<Usage> {
    let has_begun = match running.phase {
        Phase::Model => turn.items.iter().any(|item| is_answer(item, running)),
        Phase::Compacting => turn
            .items
            .iter()
            .any(|item| context::compaction::goes_on(item) && !state.text_so_far(item.id).is_empty()),
        Phase::Prompt | Phase::Calls | Phase::Compacted => return None,
    };
    spent_so_far(moment).or(has_begun.then(Usage::default))
}

/// What the answer that broke off took, if that was told.
pub(crate) fn spent_so_far(moment: &Moment) -> Option<Usage> {
    Some(moment.spent_so_far).filter(|spent| *spent != Usage::default())
}

/// Adds text to an item in progress, and lets everybody see it.
pub(crate) fn grow(state: &SessionState, item_id: ItemId, text: String) -> Vec<Effect> {
    if state.item(item_id).is_none_or(|item| item.status != ItemStatus::InProgress) {
        return Vec::new();
    }
    let offset_bytes = state.text_so_far(item_id).len() as u64;
    vec![Effect::Publish(Delta { item_id, offset_bytes, text })]
}

fn grow_or_begin(
    state: &SessionState,
    running: &Running,
    item_id: ItemId,
    empty: ItemBody,
    text: String,
    moment: &Moment,
) -> Vec<Effect> {
    if state.item(item_id).is_some() {
        return grow(state, item_id, text);
    }
    let item = new_item(running, item_id, ItemStatus::InProgress, empty, moment);
    vec![
        Effect::Append(vec![Event::ItemStarted(ItemChanged { item })]),
        Effect::Publish(Delta { item_id, offset_bytes: 0, text }),
    ]
}

fn whole(
    state: &SessionState,
    running: &Running,
    item_id: ItemId,
    status: ItemStatus,
    body: ItemBody,
    moment: &Moment,
) -> Vec<Effect> {
    let event = match state.item(item_id) {
        Some(item) => completed(item, status, body, moment),
        None => {
            let item =
                Item { completed_at: Some(moment.at), ..new_item(running, item_id, status, body, moment) };
            Event::ItemCompleted(ItemChanged { item })
        }
    };
    vec![Effect::Append(vec![event])]
}

fn reasoning(
    state: &SessionState,
    running: &Running,
    item_id: ItemId,
    summary: String,
    opaque: Option<OpaqueReasoning>,
    moment: &Moment,
) -> Vec<Effect> {
    if summary.is_empty() && opaque.is_none() && state.item(item_id).is_none() {
        return Vec::new();
    }
    let body = ItemBody::Reasoning(Reasoning { summary, opaque });
    whole(state, running, item_id, ItemStatus::Completed, body, moment)
}

/// What is said once of reasoning that a model can't be shown.
const REASONING_DROPPED: &str =
    "This model can't read what another one thought before, so that is left out of what it is shown.";

fn reasoning_dropped(
    state: &SessionState,
    running: &Running,
    item_id: ItemId,
    moment: &Moment,
) -> Vec<Effect> {
    let is_said =
        |item: &Item| matches!(&item.body, ItemBody::Notice(notice) if notice.text == REASONING_DROPPED);
    if state.turns.iter().flat_map(|turn| &turn.items).any(is_said) {
        return Vec::new();
    }
    let text = REASONING_DROPPED.to_owned();
    let notice = Notice { level: NoticeLevel::Information, text, context: None };
    whole(state, running, item_id, ItemStatus::Completed, ItemBody::Notice(notice), moment)
}

/// A call's item is here before anything is done about it. One that can't be understood ends at once, with what
/// is wrong as its output.
fn call_made(
    state: &SessionState,
    running: &Running,
    item_id: ItemId,
    call: ToolCall,
    prepared: Result<Box<ItemBody>, String>,
    moment: &Moment,
) -> Vec<Effect> {
    match prepared {
        Ok(body) => {
            let item = new_item(running, item_id, ItemStatus::InProgress, *body, moment);
            vec![Effect::Append(vec![Event::ItemStarted(ItemChanged { item })])]
        }
        Err(message) => {
            let body = ItemBody::ToolCall(OtherToolCall {
                call,
                server: None,
                consent: None,
                output: Some(message),
                content: Vec::new(),
                structured: None,
            });
            whole(state, running, item_id, ItemStatus::Failed, body, moment)
        }
    }
}

/// The answer so far is void: its items will not be shown to the model.
pub(crate) fn discarded(state: &SessionState, running: &Running, moment: &Moment) -> Vec<Event> {
    let items = state.current().map_or(&[][..], |(_, turn)| &turn.items);
    items
        .iter()
        .filter(|item| is_answer(item, running))
        .map(|item| completed(item, ItemStatus::Discarded, state.with_text_so_far(item).body, moment))
        .collect()
}

/// Whether it is of the answer that goes on.
fn is_answer(item: &Item, running: &Running) -> bool {
    let is_other = matches!(
        item.body,
        ItemBody::UserMessage(_)
            | ItemBody::Notice(_)
            | ItemBody::Compaction(_)
            | ItemBody::Agent(_)
            | ItemBody::Review(_)
    );
    item.step == running.step && item.status != ItemStatus::Discarded && !is_other
}

fn answered(
    state: &SessionState,
    running: &Running,
    usage: Usage,
    stop: StopReason,
    moment: &Moment,
) -> Vec<Effect> {
    let responded = Event::ModelResponded(ModelResponded {
        turn_id: running.turn_id,
        step: running.step,
        usage,
        asked_by: None,
    });
    let mut effects = vec![Effect::Append(vec![responded])];
    match stop {
        StopReason::Finished => effects.push(Effect::Continue),
        StopReason::Stopped(reason) => {
            let failure = TurnFailure::ModelStopped { reason };
            effects.extend(ending::end(state, TurnOutcome::Failed { failure }, Some(usage), moment));
        }
    }
    effects
}

fn failed(
    state: &SessionState,
    running: &Running,
    failure: ProviderFailure,
    moment: &mut Moment,
) -> Vec<Effect> {
    if failure.kind == ProviderFailureKind::ContextTooLong
        && let Some(effects) = compaction::refused(state, running, moment)
    {
        return effects;
    }
    let failure = TurnFailure::Provider(failure);
    ending::end(state, TurnOutcome::Failed { failure }, None, moment)
}

fn new_item(running: &Running, id: ItemId, status: ItemStatus, body: ItemBody, moment: &Moment) -> Item {
    Item {
        id,
        turn_id: running.turn_id,
        step: running.step,
        status,
        started_at: moment.at,
        completed_at: None,
        called_by: None,
        body,
    }
}
