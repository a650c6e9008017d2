//! What the model is told of what the sandbox stopped. Knows nothing of how it was noticed.

use protocol::item::{Command, Refusal, RefusedOperation};

/// Refusals that are told one by one.
const TOLD: usize = 10;

/// Adds what was stopped to what is told of a command.
pub(crate) fn tell(command: &mut Command, refusals: &[Refusal]) {
    if let Some(note) = note(refusals) {
        add(command, note);
    }
}

/// Adds a line to what is told of a command.
pub(crate) fn add(command: &mut Command, line: String) {
    command.message = Some(match command.message.take() {
        Some(before) => format!("{before}\n{line}"),
        None => line,
    });
}

fn note(refusals: &[Refusal]) -> Option<String> {
    if refusals.is_empty() {
        return None;
    }
    let mut told: Vec<_> = refusals.iter().take(TOLD).map(describe).collect();
    if refusals.len() > TOLD {
        told.push(format!("{} more", refusals.len() - TOLD));
    }
    Some(format!("The sandbox stopped: {}", told.join(", ")))
}

/// Paths are the command's choice, so what is no text in them is escaped.
fn describe(refusal: &Refusal) -> String {
    let tried = match &refusal.operation {
        RefusedOperation::Read => "reading",
        RefusedOperation::Write => "writing",
        RefusedOperation::Connect => "connecting to",
        RefusedOperation::Execute => "executing",
        RefusedOperation::Unknown(_) => "something with",
    };
    let target: String = refusal.target.chars().flat_map(visible).collect();
    format!("{tried} `{target}`")
}

fn visible(character: char) -> Vec<char> {
    if character.is_control() { character.escape_default().collect() } else { vec![character] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_stopped_is_named_up_to_a_bound() {
        assert_eq!(note(&[]), None);
        let refusal = |operation, target: &str| Refusal { operation, target: target.to_owned() };
        let two = [refusal(RefusedOperation::Write, "/a\nb"), refusal(RefusedOperation::Connect, "h:1")];
        let expected = r"The sandbox stopped: writing `/a\nb`, connecting to `h:1`";
        assert_eq!(note(&two).as_deref(), Some(expected));
        let many = vec![refusal(RefusedOperation::Write, "/x"); TOLD + 3];
        assert!(note(&many).is_some_and(|note| note.ends_with(", 3 more")));
    }
}
