//! Blocks: the pieces that a screen shows one below the other. Knows nothing of how one looks.

use std::mem;

use protocol::event::{BudgetWarned, ModelRetried, TurnEnded};
use protocol::ids::{ItemId, TurnId};
use protocol::item::{Item, ItemBody, ItemStatus};
use protocol::question::Answer;
use protocol::turn::Actor;

use crate::changes::Change;
use crate::settled;

/// Most bytes that are kept of the output of a command that runs.
const LIVE_OUTPUT_BYTES: usize = 8 * 1024;

/// A piece of the screen.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// What it shows.
    pub body: BlockBody,
    /// What a person decided about it, if one was asked.
    pub answer: Option<Answer>,
    /// Whether it can't change any more.
    pub is_final: bool,
    /// How much of its growing text is known, in bytes.
    length: u64,
}

/// What a block shows.
#[derive(Clone, Debug, PartialEq)]
pub enum BlockBody {
    /// So many turns came before, and are not shown.
    Earlier {
        /// How many.
        turns: u32,
    },
    /// An item that is no agent message.
    Item(Box<Item>),
    /// What the model said, or a piece of it.
    Message(Message),
    /// The provider failed and is asked again.
    Retried(ModelRetried),
    /// Most of a ceiling is spent.
    Warned(BudgetWarned),
    /// Somebody changed the session.
    Updated {
        /// Who.
        actor: Actor,
        /// What is different now.
        changes: Vec<Change>,
    },
    /// The daemon stops; the turn goes on with the next one.
    Suspended,
    /// The turn goes on.
    Resumed {
        /// Whether the daemon before handed it over; else it died.
        was_handed_over: bool,
    },
    /// A turn ended.
    Ended(Box<TurnEnded>),
}

/// What the model said, from a place on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The item.
    pub item_id: ItemId,
    /// Its turn.
    pub turn_id: TurnId,
    /// Markdown.
    pub text: String,
    /// How many bytes of the message were handed out before this.
    pub from_bytes: u64,
    /// The line that opened the code block in the middle of which this begins.
    pub fence: Option<String>,
    /// How this goes on from what was handed out before.
    pub joint: Joint,
    /// Whether this is the end of it.
    pub end: MessageEnd,
}

/// How a piece of a message goes on from the one before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Joint {
    /// It is the first, or a block of its own, with a blank line between.
    #[default]
    Apart,
    /// In the next row.
    Row,
    /// In the same row, with the next word.
    Word,
}

/// What was handed out of a message before its rest.
#[derive(Clone, Debug, Default)]
pub(crate) struct Begun {
    pub(crate) bytes: u64,
    pub(crate) fence: Option<String>,
    pub(crate) joint: Joint,
}

/// Where a piece of a message ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageEnd {
    /// More follows.
    Open,
    /// It is complete.
    Complete,
    /// The stream broke; the model starts again.
    BrokenOff,
}

impl Block {
    /// A block that is as it is.
    pub(crate) fn of(body: BlockBody) -> Self {
        Self { body, answer: None, is_final: true, length: 0 }
    }

    /// A block of an item, of which that much was handed out before.
    pub(crate) fn of_item(item: Item, begun: Begun) -> Self {
        let is_final = is_over(&item);
        let mut length = 0;
        let body = match item.body {
            ItemBody::AgentMessage(message) => {
                length = message.text.len() as u64;
                BlockBody::Message(Message {
                    item_id: item.id,
                    turn_id: item.turn_id,
                    text: rest(&message.text, begun.bytes),
                    from_bytes: begun.bytes,
                    fence: begun.fence,
                    joint: begun.joint,
                    end: message_end(&item.status, is_final),
                })
            }
            body => {
                match &body {
                    ItemBody::Reasoning(reasoning) => length = reasoning.summary.len() as u64,
                    ItemBody::Compaction(compaction) => length = compaction.summary.len() as u64,
                    ItemBody::Command(command) => length = command.output_so_far.len() as u64,
                    ItemBody::UserMessage(_)
                    | ItemBody::AgentMessage(_)
                    | ItemBody::FileChange(_)
                    | ItemBody::ToolCall(_)
                    | ItemBody::Plan(_)
                    | ItemBody::Notice(_)
                    | ItemBody::WebSearch(_)
                    | ItemBody::Agent(_)
                    | ItemBody::Review(_)
                    | ItemBody::Unknown(_) => {}
                }
                BlockBody::Item(Box::new(Item { body, ..item }))
            }
        };
        Self { body, answer: None, is_final, length }
    }

    /// The item it shows, if it shows one.
    #[must_use]
    pub fn item_id(&self) -> Option<ItemId> {
        match &self.body {
            BlockBody::Item(item) => Some(item.id),
            BlockBody::Message(message) => Some(message.item_id),
            BlockBody::Earlier { .. }
            | BlockBody::Retried(_)
            | BlockBody::Warned(_)
            | BlockBody::Updated { .. }
            | BlockBody::Suspended
            | BlockBody::Resumed { .. }
            | BlockBody::Ended(_) => None,
        }
    }

    /// The turn it belongs to, if it is an item or the end of one.
    pub(crate) fn turn_id(&self) -> Option<TurnId> {
        match &self.body {
            BlockBody::Item(item) => Some(item.turn_id),
            BlockBody::Message(message) => Some(message.turn_id),
            BlockBody::Ended(ended) => Some(ended.turn_id),
            BlockBody::Earlier { .. }
            | BlockBody::Retried(_)
            | BlockBody::Warned(_)
            | BlockBody::Updated { .. }
            | BlockBody::Suspended
            | BlockBody::Resumed { .. } => None,
        }
    }

    /// Adds what is new of a text that grows. What comes after a gap waits for the complete item.
    pub(crate) fn grow(&mut self, offset_bytes: u64, text: &str) {
        let Some(known) = self.length.checked_sub(offset_bytes).and_then(|known| usize::try_from(known).ok())
        else {
            return;
        };
        let Some(new) = text.get(known..).filter(|new| !new.is_empty()) else { return };
        match &mut self.body {
            BlockBody::Message(message) => message.text.push_str(new),
            BlockBody::Item(item) => match &mut item.body {
                ItemBody::Reasoning(reasoning) => reasoning.summary.push_str(new),
                ItemBody::Compaction(compaction) => compaction.summary.push_str(new),
                ItemBody::Command(command) => {
                    command.output_so_far.push_str(new);
                    keep_tail(&mut command.output_so_far);
                }
                ItemBody::UserMessage(_)
                | ItemBody::AgentMessage(_)
                | ItemBody::FileChange(_)
                | ItemBody::ToolCall(_)
                | ItemBody::Plan(_)
                | ItemBody::Notice(_)
                | ItemBody::WebSearch(_)
                | ItemBody::Agent(_)
                | ItemBody::Review(_)
                | ItemBody::Unknown(_) => return,
            },
            BlockBody::Earlier { .. }
            | BlockBody::Retried(_)
            | BlockBody::Warned(_)
            | BlockBody::Updated { .. }
            | BlockBody::Suspended
            | BlockBody::Resumed { .. }
            | BlockBody::Ended(_) => return,
        }
        self.length += new.len() as u64;
    }

    /// The item ended; this is all of it.
    pub(crate) fn complete(&mut self, item: Item) {
        let begun = match &self.body {
            BlockBody::Message(message) => message.begun(),
            BlockBody::Earlier { .. }
            | BlockBody::Item(_)
            | BlockBody::Retried(_)
            | BlockBody::Warned(_)
            | BlockBody::Updated { .. }
            | BlockBody::Suspended
            | BlockBody::Resumed { .. }
            | BlockBody::Ended(_) => Begun::default(),
        };
        let answer = self.answer.take();
        *self = Self { answer, ..Self::of_item(item, begun) };
        self.close();
    }

    /// Takes in what goes on right behind it, of the same message; anything else comes back.
    pub fn absorb(&mut self, next: Self) -> Option<Self> {
        let BlockBody::Message(message) = &mut self.body else { return Some(next) };
        match next.body {
            BlockBody::Message(more)
                if more.item_id == message.item_id
                    && more.from_bytes == message.from_bytes + message.text.len() as u64 =>
            {
                message.text.push_str(&more.text);
                message.end = more.end;
                None
            }
            body => Some(Self { body, ..next }),
        }
    }

    /// Whether it goes on in the row in which the one before it ends.
    #[must_use]
    pub fn goes_on(&self) -> bool {
        matches!(&self.body, BlockBody::Message(Message { joint: Joint::Word, .. }))
    }

    /// The pieces that it is shown in, in order.
    pub(crate) fn into_pieces(mut self) -> Vec<Self> {
        let mut pieces = match &mut self.body {
            BlockBody::Message(message) => message.take_settled(),
            BlockBody::Earlier { .. }
            | BlockBody::Item(_)
            | BlockBody::Retried(_)
            | BlockBody::Warned(_)
            | BlockBody::Updated { .. }
            | BlockBody::Suspended
            | BlockBody::Resumed { .. }
            | BlockBody::Ended(_) => Vec::new(),
        };
        pieces.push(self);
        pieces
    }

    /// It can't change any more, whatever it says of itself.
    pub(crate) fn close(&mut self) {
        self.is_final = true;
        if let BlockBody::Message(message) = &mut self.body
            && message.end == MessageEnd::Open
        {
            message.end = MessageEnd::Complete;
        }
    }
}

impl Message {
    /// What was handed out before it.
    pub(crate) fn begun(&self) -> Begun {
        Begun { bytes: self.from_bytes, fence: self.fence.clone(), joint: self.joint }
    }

    /// Takes away what can't change its look any more, in pieces.
    pub(crate) fn take_settled(&mut self) -> Vec<Block> {
        let cuts = settled::cuts(&self.text, self.fence.as_deref());
        let Some(last) = cuts.last() else { return Vec::new() };
        let rest = self.text.split_off(last.at);
        let text = mem::replace(&mut self.text, rest);
        let first_bytes = self.from_bytes;
        let mut from = 0;
        cuts.into_iter()
            .map(|cut| {
                let piece = Self {
                    text: text.get(from..cut.at).unwrap_or_default().to_owned(),
                    fence: mem::replace(&mut self.fence, cut.fence),
                    joint: mem::replace(&mut self.joint, cut.joint),
                    end: MessageEnd::Open,
                    ..*self
                };
                from = cut.at;
                self.from_bytes = first_bytes + from as u64;
                Block::of(BlockBody::Message(piece))
            })
            .collect()
    }
}

fn is_over(item: &Item) -> bool {
    item.completed_at.is_some() || item.status != ItemStatus::InProgress
}

fn message_end(status: &ItemStatus, is_final: bool) -> MessageEnd {
    match status {
        ItemStatus::Discarded => MessageEnd::BrokenOff,
        ItemStatus::InProgress
        | ItemStatus::Completed
        | ItemStatus::Failed
        | ItemStatus::Declined
        | ItemStatus::Interrupted
        | ItemStatus::Unknown(_) => {
            if is_final {
                MessageEnd::Complete
            } else {
                MessageEnd::Open
            }
        }
    }
}

/// What of a text was not handed out.
fn rest(text: &str, handed_bytes: u64) -> String {
    usize::try_from(handed_bytes).ok().and_then(|from| text.get(from..)).unwrap_or_default().to_owned()
}

fn keep_tail(text: &mut String) {
    // Twice as much may gather, so that not every piece moves the whole.
    if text.len() > 2 * LIVE_OUTPUT_BYTES {
        let mut cut = text.len() - LIVE_OUTPUT_BYTES;
        while !text.is_char_boundary(cut) {
            cut += 1;
        }
        text.drain(..cut);
    }
}
