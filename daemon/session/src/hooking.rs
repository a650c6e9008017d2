//! Puts together what hooks are told, from the state as it is, and brings what they answer to the actor.

use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;

use context::history::text_of;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use protocol::context::Compaction;
use protocol::item::{Item, ItemBody, Notice, NoticeLevel};
use protocol::tool::ToolCall;
use protocol::turn::InputPart;
use tokio::sync::mpsc;
use tools::registry::Registry;

use crate::hooks::{HookAnswer, HookCall, HookRequest, HookSubject};
use crate::input::Input;
use crate::state::SessionState;
use crate::work::tell;

/// How a call is understood that hooks rewrote.
pub(crate) struct Rewriting {
    pub(crate) tools: Arc<Registry>,
    pub(crate) cwd: PathBuf,
    pub(crate) call: ToolCall,
}

/// What hooks are told; `None` if what they were to be asked about is gone.
pub(crate) fn request(state: &SessionState, call: &HookCall) -> Option<HookRequest> {
    let (running, turn) = state.current().filter(|(running, _)| running.turn_id == call.turn_id())?;
    let body = |item_id| state.item(item_id).map(|item| Box::new(item.body.clone()));
    let subject = match call {
        HookCall::Prompt { item_id, start, .. } => {
            HookSubject::Prompt { text: said(&state.item(*item_id)?.body), start: *start }
        }
        HookCall::BeforeCall { item_id, .. } => HookSubject::BeforeCall(body(*item_id)?),
        HookCall::Permission { item_id, reason, .. } => {
            HookSubject::Permission { body: body(*item_id)?, reason: reason.clone() }
        }
        HookCall::AfterCall { item_id, status, body, .. } => {
            let item = state.item(*item_id)?;
            let item = Item { status: status.clone(), body: (**body).clone(), ..item.clone() };
            HookSubject::AfterCall { output: text_of(&item), body: body.clone() }
        }
        HookCall::BeforeCompaction { item_id, .. } => {
            HookSubject::BeforeCompaction(compaction(&state.item(*item_id)?.body)?)
        }
        HookCall::AfterCompaction { item_id, .. } => {
            HookSubject::AfterCompaction(compaction(&state.item(*item_id)?.body)?)
        }
        HookCall::Stop { is_active, .. } => {
            let last = turn.items.iter().rev().find_map(|item| match &item.body {
                ItemBody::AgentMessage(message) if !message.text.is_empty() => Some(message.text.clone()),
                _ => None,
            });
            HookSubject::Stop { is_active: *is_active, last_message: last }
        }
    };
    let settings = Box::new(state.settings.clone());
    let agent = state.agent.clone().map(Box::new);
    Some(HookRequest { session: state.id, turn_id: running.turn_id, settings, agent, subject })
}

/// Waits for the answer and tells it.
pub(crate) async fn ask(
    answering: BoxFuture<'static, HookAnswer>,
    call: HookCall,
    rewriting: Option<Rewriting>,
    inputs: mpsc::Sender<Vec<Input>>,
) {
    let answer = AssertUnwindSafe(answering).catch_unwind().await.unwrap_or_else(|_| {
        tracing::error!("asking hooks failed inside");
        let text = "Asking hooks failed inside Skein; it went on without them".to_owned();
        let notice = Notice { level: NoticeLevel::Warning, text, context: None };
        HookAnswer { notices: vec![notice], ..HookAnswer::default() }
    });
    let prepared = answer.rewritten.clone().zip(rewriting).map(|(input, Rewriting { tools, cwd, call })| {
        let call = ToolCall { input, ..call };
        tools.prepare(&call, &cwd).map(Box::new).map_err(|error| error.to_string())
    });
    tell(&inputs, vec![Input::HooksAnswered { call, answer, prepared }]).await;
}

fn compaction(body: &ItemBody) -> Option<Box<Compaction>> {
    if let ItemBody::Compaction(compaction) = body { Some(Box::new(compaction.clone())) } else { None }
}

/// The text of a message.
fn said(body: &ItemBody) -> String {
    let ItemBody::UserMessage(message) = body else { return String::new() };
    let texts = message.content.iter().filter_map(|part| match part {
        InputPart::Text { text } => Some(text.as_str()),
        InputPart::Image { .. }
        | InputPart::StoredImage { .. }
        | InputPart::Skill { .. }
        | InputPart::Resource { .. }
        | InputPart::Unknown(_) => None,
    });
    texts.collect::<Vec<_>>().join("\n")
}
