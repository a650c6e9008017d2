//! A conversation as one text, cut to a size: for a summary where the conversation itself is too long to be sent, or
//! the model answers it with anything but words. Knows nothing of what is asked about it.

use model::request::{InputItem, text_of};

use crate::shorten;

/// Of one thing so many bytes at most.
const MOST_OF_ONE: usize = 8 * 1024;
/// Of the first thing, which is often the order, the share that it may have.
const SHARE_OF_FIRST: usize = 4;

/// The conversation in so many bytes: its beginning and as much of its end as fits. What is left out is said.
#[must_use]
pub fn of(input: &[InputItem], most: usize) -> String {
    let one = MOST_OF_ONE.min(most / SHARE_OF_FIRST);
    let told: Vec<String> = input.iter().filter_map(|item| told(item, one)).collect();
    let whole: usize = told.iter().map(|text| text.len() + 1).sum();
    if whole <= most {
        return told.join("\n");
    }
    let mut told = told.into_iter();
    let first = told.next().unwrap_or_default();
    let room = most.saturating_sub(first.len() + 80);
    let (last, left_out) = shorten::newest(told.collect(), room);
    format!("{first}\n[… {left_out} entries left out …]\n{}", last.join("\n"))
}

fn told(item: &InputItem, most: usize) -> Option<String> {
    let (who, text) = match item {
        InputItem::UserMessage(content) => ("The user's side".to_owned(), text_of(content).into_owned()),
        InputItem::AgentMessage(text) => ("You".to_owned(), text.clone()),
        InputItem::Reasoning(_) => return None,
        InputItem::ToolCall(call) => (format!("You called `{}`", call.name), call.input.text().to_owned()),
        InputItem::ToolOutput { name, output, .. } => {
            (format!("Outcome of `{name}`"), text_of(output).into_owned())
        }
    };
    // Room for the words that tell who it was, and that something was cut.
    let most = most.saturating_sub(who.len() + 80).max(1);
    Some(format!("### {who}\n{}", shorten::middle(&text, most)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::request::InputContent;

    #[test]
    fn a_transcript_keeps_to_its_size_and_tells_the_first_and_the_last() {
        let said = |text: String| InputItem::UserMessage(vec![InputContent::Text(text)]);
        let mut input = vec![said("the order".to_owned())];
        input.extend((0..50).map(|at| InputItem::AgentMessage(format!("{at} {}", "x".repeat(300)))));
        input.push(said("y".repeat(5000)));
        for most in [500, 1000, 5000, 100_000] {
            let text = of(&input, most);
            assert!(text.len() <= most, "{} of {most}", text.len());
            assert!(text.starts_with("### The user's side\nthe order"), "{text}");
            assert_eq!(text.contains("entries left out"), most < 100_000);
        }
        assert!(of(&input, 5000).ends_with('y'));
    }
}
