//! What a session is called where nobody said it. Knows nothing of when it is called that.

use protocol::item::{Item, ItemBody};
use protocol::turn::InputPart;

/// Characters of the first input that become the title.
const TITLE_CHARS: usize = 80;

/// The beginning of the first input, on one line.
pub(crate) fn title_of(item: &Item) -> Option<String> {
    let ItemBody::UserMessage(message) = &item.body else { return None };
    let text = message.content.iter().find_map(|part| match part {
        InputPart::Text { text } => Some(text),
        InputPart::Image { .. }
        | InputPart::StoredImage { .. }
        | InputPart::Skill { .. }
        | InputPart::Resource { .. }
        | InputPart::Unknown(_) => None,
    })?;
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut title: String = line.chars().take(TITLE_CHARS).collect();
    if title.len() < line.len() {
        title.push('…');
    }
    (!title.is_empty()).then_some(title)
}
