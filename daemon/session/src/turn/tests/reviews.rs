//! What stands at the end of a review.

use protocol::review::{Review, answer_schema};
use serde_json::{Value, json};

use super::bench::*;

/// A session in which a turn with this schema has begun.
fn begun(schema: Value) -> Bench {
    let mut bench = Bench::new();
    bench.request(Request::Start {
        input: text("review"),
        output_schema: Some(schema),
        limits: TurnLimits::default(),
        expected_seq: None,
    });
    bench
}

fn answer() -> String {
    let finding =
        json!({"file": "a.rs", "startLine": 1, "endLine": 2, "severity": "high", "title": "t", "text": "x"});
    json!({"findings": [finding], "verdict": "needsWork", "summary": "One."}).to_string()
}

fn found(bench: &Bench) -> Vec<&Review> {
    let items = bench.state.turns.iter().flat_map(|turn| &turn.items);
    items
        .filter_map(|item| if let ItemBody::Review(review) = &item.body { Some(review) } else { None })
        .collect()
}

#[test]
fn a_review_ends_with_its_findings_as_an_item_that_the_model_is_not_shown() {
    let mut bench = begun(answer_schema());
    let call = bench.calls("ls");
    bench.says("I look around first.");
    assert_eq!(bench.completes(), "+modelResponded runTool");
    bench.tool_ends(call, "a.rs");
    bench.says(&answer());
    assert_eq!(bench.completes(), "+modelResponded +itemCompleted(review) +turnEnded(completed)");
    let [review] = found(&bench)[..] else { panic!("{:?}", bench.state.turns) };
    assert_eq!(review.findings[0].path.as_deref(), Some(std::path::Path::new("/repo/a.rs")));
    assert_eq!(review.message, None);
    let shown = format!("{:?}", context::history::conversation(&bench.state.turns, &|_| None, &|_| true));
    assert_eq!(shown.matches("startLine").count(), 1, "as it said it, and no second time: {shown}");
}

#[test]
fn an_answer_that_is_no_review_is_told_as_one_that_failed() {
    let mut bench = begun(answer_schema());
    bench.says("It all looks fine to me.");
    assert_eq!(bench.completes(), "+modelResponded +itemCompleted(review failed) +turnEnded(completed)");
    assert!(found(&bench)[0].message.as_deref().is_some_and(|message| message.contains("did not answer")));
}

#[test]
fn only_a_review_that_came_to_its_end_has_findings() {
    let mut bench = begun(json!({"type": "object"}));
    bench.says(&answer());
    assert_eq!(bench.completes(), "+modelResponded +turnEnded(completed)", "another schema");
    let mut bench = begun(answer_schema());
    bench.says(&answer());
    let interrupt = Request::Interrupt { expected: None, reason: InterruptReason::Requested };
    assert!(!bench.request(interrupt).contains("review"), "it was interrupted");
    bench.start("and now something else");
    bench.says(&answer());
    assert_eq!(bench.completes(), "+modelResponded +turnEnded(completed)", "a turn after a review is none");
}
