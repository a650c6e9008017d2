//! The text that is being said, for APIs whose pieces don't tell which thing of the answer they belong to: a thing
//! goes on as long as pieces of its kind come.

use std::collections::VecDeque;

use model::event::{ModelEvent, OutputItem};
use protocol::item::OpaqueReasoning;

/// The kinds of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Of a message.
    Message,
    /// Of reasoning.
    Reasoning,
}

/// The things of one answer, in the order in which they come.
#[derive(Clone, Debug, Default)]
pub(crate) struct Draft {
    next: u32,
    open: Option<(Kind, String)>,
}

impl Draft {
    /// What is being said, if anything is.
    pub(crate) fn open(&self) -> Option<(Kind, &str)> {
        self.open.as_ref().map(|(kind, text)| (*kind, text.as_str()))
    }

    /// Says more. Another kind of text must have been ended.
    pub(crate) fn say(&mut self, kind: Kind, text: String, events: &mut VecDeque<ModelEvent>) {
        if text.is_empty() {
            return;
        }
        self.open.get_or_insert_with(|| (kind, String::new())).1.push_str(&text);
        let index = self.next;
        events.push_back(match kind {
            Kind::Message => ModelEvent::TextDelta { index, text },
            Kind::Reasoning => ModelEvent::SummaryDelta { index, text },
        });
    }

    /// Ends what is being said, if anything is. `opaque` is kept with reasoning.
    pub(crate) fn end(&mut self, opaque: Option<OpaqueReasoning>, events: &mut VecDeque<ModelEvent>) {
        if let Some((kind, text)) = self.open.take() {
            self.add(
                match kind {
                    Kind::Message => OutputItem::Message(text),
                    Kind::Reasoning => OutputItem::Reasoning { summary: text, opaque },
                },
                events,
            );
        }
    }

    /// Adds a whole thing. Nothing may be open.
    pub(crate) fn add(&mut self, item: OutputItem, events: &mut VecDeque<ModelEvent>) {
        events.push_back(ModelEvent::OutputItem { index: self.next, item });
        self.next += 1;
    }
}
