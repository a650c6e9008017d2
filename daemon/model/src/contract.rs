//! What every client holds to, as a check of the events of one answer. The tests of each client run it.

use std::collections::BTreeMap;

use protocol::model::ProviderFailure;

use crate::event::{ModelEvent, OutputItem, StopReason};

/// What is known of one thing of an answer.
#[derive(Default)]
struct Thing {
    text: String,
    is_complete: bool,
}

/// Checks all events of a stream that was read to its end.
///
/// # Errors
/// The first rule that is broken, in words.
pub fn check(events: &[Result<ModelEvent, ProviderFailure>]) -> Result<(), String> {
    let mut things: BTreeMap<u32, Thing> = BTreeMap::new();
    let mut is_over = false;
    for event in events {
        if is_over {
            return Err(format!("{event:?} comes after the end"));
        }
        match event {
            Err(_) => is_over = true,
            Ok(ModelEvent::ReasoningDropped) => {
                if !things.is_empty() {
                    return Err("What is left out of the request is told after its answer began".to_owned());
                }
            }
            Ok(ModelEvent::Spent { .. }) => {}
            Ok(ModelEvent::Completed { stop, .. }) => {
                is_over = true;
                if *stop == StopReason::Finished
                    && let Some((index, _)) = things.iter().find(|(_, thing)| !thing.is_complete)
                {
                    return Err(format!("The answer is complete, but {index} is not"));
                }
            }
            Ok(ModelEvent::Retrying { attempt, max_attempts, .. }) => {
                if !(1..=*max_attempts).contains(attempt) {
                    return Err(format!("Retry {attempt} of {max_attempts}"));
                }
                things.clear();
            }
            Ok(ModelEvent::TextDelta { index, text } | ModelEvent::SummaryDelta { index, text }) => {
                let thing = things.entry(*index).or_default();
                if thing.is_complete {
                    return Err(format!("More of {index} comes after it was complete"));
                }
                thing.text.push_str(text);
            }
            Ok(ModelEvent::OutputItem { index, item }) => {
                let thing = things.entry(*index).or_default();
                if std::mem::replace(&mut thing.is_complete, true) {
                    return Err(format!("{index} is complete twice"));
                }
                let whole = match item {
                    OutputItem::Message(text) | OutputItem::Reasoning { summary: text, .. } => text.as_str(),
                    OutputItem::ToolCall(_) | OutputItem::WebSearch(_) | OutputItem::Compaction(_) => "",
                };
                if !thing.text.is_empty() && thing.text != whole {
                    return Err(format!("The deltas of {index} add up to {:?}, not {whole:?}", thing.text));
                }
            }
        }
    }
    if is_over { Ok(()) } else { Err("The stream ends without an end".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::model::Usage;

    fn text(index: u32, text: &str) -> ModelEvent {
        ModelEvent::TextDelta { index, text: text.into() }
    }

    fn message(index: u32, text: &str) -> ModelEvent {
        ModelEvent::OutputItem { index, item: OutputItem::Message(text.into()) }
    }

    fn end(stop: StopReason) -> ModelEvent {
        ModelEvent::Completed { usage: Usage::default(), stop }
    }

    fn verdict(events: Vec<ModelEvent>) -> Result<(), String> {
        check(&events.into_iter().map(Ok).collect::<Vec<_>>())
    }

    #[test]
    fn good_answers_pass() {
        let finished = end(StopReason::Finished);
        assert_eq!(verdict(vec![text(0, "a"), text(0, "b"), message(0, "ab"), finished.clone()]), Ok(()));
        assert_eq!(verdict(vec![message(0, "no deltas"), finished]), Ok(()));
        assert_eq!(verdict(vec![text(0, "a"), end(StopReason::Stopped("length".into()))]), Ok(()));
    }

    #[test]
    fn each_broken_rule_is_named() {
        let finished = || end(StopReason::Finished);
        for (events, wanted) in [
            (vec![], "without an end"),
            (vec![finished(), finished()], "after the end"),
            (vec![text(0, "a"), finished()], "but 0 is not"),
            (vec![text(0, "a"), message(0, "b"), finished()], "add up to"),
            (vec![message(0, "a"), text(0, "a"), finished()], "after it was complete"),
            (vec![message(0, "a"), message(0, "a"), finished()], "complete twice"),
        ] {
            let verdict = verdict(events).unwrap_err();
            assert!(verdict.contains(wanted), "{verdict}");
        }
    }
}
