//! How a summary of a conversation is asked for, and what the model is shown afterwards in place of what was before.
//! Knows nothing of when that is done.

use model::request::{InputContent, InputItem};
use protocol::context::{Compaction, ModelContext};
use protocol::item::{Item, ItemBody, ItemStatus};
use protocol::turn::Turn;

use crate::history::{Readable, beginning, is_shown};
use crate::{shorten, transcript};

/// Bytes of a token where nothing is known, on the safe side.
const BYTES_PER_TOKEN: u64 = 3;
/// The window that is assumed where none is known.
const USUAL_WINDOW: u64 = 128_000;
/// The share of the most tokens that a summary may have, and what is carried beside it.
const SHARE: u64 = 6;
/// Bytes of either, at most and at least.
const MOST_BYTES: u64 = 64 * 1024;
const LEAST_BYTES: u64 = 3 * 1024;

/// The most tokens that a request may have before the session is compacted: as it was set, or four fifths of the
/// window, since the answer needs room in it. `None` where nothing is known.
#[must_use]
pub fn most_tokens(context: &ModelContext) -> Option<u64> {
    match (context.compact_at_tokens, context.window_tokens) {
        (Some(set), window) => Some(window.map_or(set, |window| set.min(window))),
        (None, window) => window.map(|window| window - window / 5),
    }
}

/// Bytes that a summary may have, and as many what is carried beside it.
#[must_use]
pub fn room(context: &ModelContext) -> usize {
    let most = most_tokens(context).unwrap_or(USUAL_WINDOW);
    let bytes = (most / SHARE).saturating_mul(BYTES_PER_TOKEN).clamp(LEAST_BYTES, MOST_BYTES);
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// Whether anything was said or done since the last compaction, before this step of the last turn.
#[must_use]
pub fn has_something(turns: &[Turn], step: u32) -> bool {
    let (first, first_step) = beginning(turns);
    let last = turns.len().saturating_sub(1);
    let is_between =
        |at: usize, item: &Item| (at > first || item.step >= first_step) && (at < last || item.step < step);
    let mut items = turns
        .iter()
        .enumerate()
        .skip(first)
        .flat_map(|(at, turn)| turn.items.iter().filter(move |item| is_between(at, item)));
    items.any(|item| is_shown(item) && is_of_conversation(&item.body))
}

fn is_of_conversation(body: &ItemBody) -> bool {
    match body {
        ItemBody::UserMessage(_) | ItemBody::AgentMessage(_) => true,
        ItemBody::Command(_) | ItemBody::FileChange(_) | ItemBody::ToolCall(_) | ItemBody::Plan(_) => true,
        ItemBody::Reasoning(_)
        | ItemBody::Notice(_)
        | ItemBody::WebSearch(_)
        | ItemBody::Compaction(_)
        | ItemBody::Agent(_)
        | ItemBody::Review(_)
        | ItemBody::Unknown(_) => false,
    }
}

/// What the conversation before a step of the last turn is, for a summary of it.
#[must_use]
pub fn before(turns: &[Turn], step: u32) -> Vec<Turn> {
    let mut turns = turns.to_vec();
    if let Some(last) = turns.last_mut() {
        last.items.retain(|item| item.step < step);
    }
    turns
}

/// The message that asks for a summary of the conversation before it.
#[must_use]
pub fn order(instructions: Option<&str>) -> String {
    let order = include_str!("prompts/compact.md");
    match instructions {
        Some(instructions) => format!("{order}\nThe user asks that the notes follow this:\n{instructions}\n"),
        None => order.to_owned(),
    }
}

/// The message that asks for a summary of a conversation told as text, of so many bytes in all.
#[must_use]
pub fn order_of_transcript(instructions: Option<&str>, input: &[InputItem], most: usize) -> InputItem {
    let order = order(instructions);
    let room = most.saturating_sub(order.len() + 40);
    let told = transcript::of(input, room);
    let text = format!("<conversation>\n{told}\n</conversation>\n\n{order}");
    InputItem::UserMessage(vec![InputContent::Text(text)])
}

/// A summary as it is kept: not longer than it may be.
#[must_use]
pub fn kept(summary: &str, context: &ModelContext) -> String {
    shorten::middle(summary.trim(), room(context))
}

/// What the model is shown in place of all before it.
#[must_use]
pub fn shown(compaction: &Compaction) -> String {
    let intro = include_str!("prompts/compacted.md").trim_end();
    let Compaction { summary, carried, opaque, .. } = compaction;
    let notes = if summary.is_empty() && !opaque.is_empty() { SEALED } else { summary.trim() };
    let mut text = format!("{intro}\n\n# Notes\n\n{notes}\n");
    if !carried.is_empty() {
        text.push_str("\n# Carried over word for word\n\n");
        text.push_str(carried);
    }
    text
}

/// What stands in the place of notes that only another provider can read.
const SEALED: &str = "(They were made by a model of another provider, in a form that you can't read. All that you know of \
     the conversation is what is carried over below.)";

/// Whether what a provider made of the conversation can be sent back instead of what is carried.
#[must_use]
pub fn is_readable(compaction: &Compaction, readable: Readable<'_>) -> bool {
    !compaction.opaque.is_empty() && compaction.opaque.iter().all(readable)
}

/// Whether the model is shown what is carried only, since it can't read what another provider made.
#[must_use]
pub fn is_sealed(turns: &[Turn], readable: Readable<'_>) -> bool {
    let is_one = |item: &Item| {
        let ItemBody::Compaction(compaction) = &item.body else { return false };
        let is_made = item.status == ItemStatus::Completed && !compaction.opaque.is_empty();
        is_made && !is_readable(compaction, readable)
    };
    let (first, step) = beginning(turns);
    turns.get(first).is_some_and(|turn| turn.items.iter().any(|item| item.step == step && is_one(item)))
}

/// Whether an item is a compaction that goes on.
#[must_use]
pub fn goes_on(item: &Item) -> bool {
    item.status == ItemStatus::InProgress && matches!(item.body, ItemBody::Compaction(_))
}
