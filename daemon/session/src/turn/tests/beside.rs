//! Calls that go on side by side, and what does not.

use protocol::turn::{Budget, BudgetLevel};

use super::bench::*;

const ENDED: &str = "+itemCompleted(toolCall)";
const ASKED_AGAIN: &str = "+itemCompleted(toolCall) +modelRequested callModel";

fn told(bench: &Bench, item_id: ItemId) -> String {
    context::history::text_of(bench.item(item_id))
}

/// A turn whose answer reads these.
fn reading<const COUNT: usize>(bench: &mut Bench, paths: [&str; COUNT]) -> [ItemId; COUNT] {
    bench.start("go");
    paths.map(|path| bench.reads(path))
}

#[test]
fn calls_that_change_nothing_go_on_together_a_few_at_a_time() {
    let mut bench = Bench::new();
    let [a, b, c, d, e, f] = reading(&mut bench, ["a", "b", "c", "d", "e", "f"]);
    assert_eq!(bench.completes(), "+modelResponded runTool runTool runTool runTool");
    assert_eq!(bench.read_ends(d, ""), "+itemCompleted(toolCall) runTool");
    for item_id in [b, a] {
        bench.read_ends(item_id, "");
    }
    assert_eq!(bench.read_ends(e, ""), ENDED);
    assert_eq!(bench.read_ends(f, ""), ENDED);
    assert_eq!(bench.read_ends(c, ""), ASKED_AGAIN);
}

#[test]
fn a_call_that_may_change_something_goes_alone_in_its_turn() {
    let mut bench = Bench::new();
    bench.start("go");
    let (a, b) = (bench.reads("a"), bench.reads("b"));
    let make = bench.calls("make");
    let (c, d) = (bench.reads("c"), bench.reads("d"));
    assert_eq!(bench.completes(), "+modelResponded runTool runTool");
    assert_eq!(bench.read_ends(b, ""), ENDED);
    assert_eq!(bench.read_ends(a, ""), "+itemCompleted(toolCall) runTool");
    assert_eq!(bench.tool_ends(make, ""), "+itemCompleted(command) runTool runTool");
    assert_eq!(bench.read_ends(d, ""), ENDED);
    assert_eq!(bench.read_ends(c, ""), ASKED_AGAIN);
}

#[test]
fn a_ceiling_counts_calls_that_go_on() {
    let two = TurnLimits { max_tool_calls: Some(2), ..TurnLimits::default() };
    let of_day = Budget { day: two.clone(), ..Budget::default() };
    for (limits, budget, level) in
        [(two, Budget::default(), BudgetLevel::Turn), (TurnLimits::default(), of_day, BudgetLevel::Day)]
    {
        let mut bench = Bench::with(SessionSettings { budget, ..settings() });
        bench.start_with("go", limits);
        let [a, b, c] = ["a", "b", "c"].map(|path| bench.reads(path));
        assert_eq!(bench.completes(), "+modelResponded runTool runTool");
        bench.today.tool_calls = 1;
        assert_eq!(bench.read_ends(b, ""), ENDED, "{level:?}");
        bench.today.tool_calls = 2;
        assert_eq!(
            bench.read_ends(a, ""),
            "+itemCompleted(toolCall) +itemCompleted(toolCall interrupted) +turnEnded(limitReached)"
        );
        assert_eq!(told(&bench, c), "Not run: the turn ended before.");
        let TurnOutcome::LimitReached { level: reached, .. } = bench.outcome() else { panic!("no ceiling") };
        assert_eq!(*reached, level);
    }
}

#[test]
fn one_call_waits_for_an_equal_one_and_is_stopped_by_it() {
    let mut bench = Bench::new();
    let [first, second, third, fourth] = reading(&mut bench, ["a"; 4]);
    assert_eq!(bench.completes(), "+modelResponded runTool");
    assert_eq!(bench.read_ends(first, "same"), "+itemCompleted(toolCall) runTool");
    assert_eq!(bench.read_ends(second, "same"), "+itemCompleted(toolCall) runTool");
    assert_eq!(
        bench.read_ends(third, "same"),
        "+itemCompleted(toolCall) +itemCompleted(toolCall declined) +modelRequested callModel"
    );
    assert!(told(&bench, fourth).contains("made 3 times in a row"));
}

#[test]
fn another_call_between_equal_ones_is_seen_while_it_goes_on() {
    let mut bench = Bench::new();
    bench.start("go");
    for _ in 0..3 {
        let read = bench.reads("a");
        bench.completes();
        bench.read_ends(read, "same");
    }
    bench.reads("b");
    bench.reads("a");
    assert_eq!(bench.completes(), "+modelResponded runTool runTool");
}

#[test]
fn a_turn_that_ends_tells_which_calls_had_begun() {
    for input in [
        Input::Request {
            actor: actor(),
            request_id: None,
            request: Request::Interrupt { expected: None, reason: InterruptReason::Requested },
        },
        Input::Loaded { failure: None },
    ] {
        let mut bench = Bench::new();
        let [a, b, c, d, e] = reading(&mut bench, ["a", "b", "c", "d", "e"]);
        bench.completes();
        bench.read_ends(a, "");
        bench.take(input);
        // The fifth took the place of the first.
        for begun in [b, c, d, e] {
            assert!(told(&bench, begun).contains("unknown"), "{}", told(&bench, begun));
        }
    }
    let mut bench = Bench::new();
    let made = reading(&mut bench, ["a", "b", "c", "d", "e"]);
    bench.completes();
    bench.take(Input::Stopping { hand_over: false, is_call_running: true });
    assert_eq!(
        made.map(|item_id| told(&bench, item_id).starts_with("Not run")),
        [false, false, false, false, true]
    );
}

#[test]
fn calls_that_only_read_are_made_again_after_a_crash() {
    let mut bench = Bench::with(SessionSettings { after_crash: AfterCrash::Continue, ..settings() });
    bench.start("go");
    let (a, b) = (bench.reads("a"), bench.reads("b"));
    bench.calls("make");
    bench.completes();
    bench.read_ends(b, "");
    // What a daemon that is gone had begun is not known to the next one.
    bench.state.running.as_mut().expect("runs").begun.clear();
    assert_eq!(bench.take(Input::Loaded { failure: None }), "+turnResumed runTool");
    assert_eq!(bench.read_ends(a, ""), "+itemCompleted(toolCall) runTool");
}

#[test]
fn a_person_is_asked_when_nothing_else_goes_on() {
    let mut bench = Bench::new();
    bench.hooks = [HookPoint::BeforeCall].into_iter().collect();
    let [a, b, c] = reading(&mut bench, ["a", "b", "c"]);
    assert_eq!(bench.completes(), "+modelResponded askHooks askHooks askHooks");
    let hooked = |item_id, verdict| {
        let turn_id = TurnId(uuid::Uuid::nil());
        (HookCall::BeforeCall { turn_id, item_id }, HookAnswer { verdict, ..HookAnswer::default() })
    };
    let answers = |bench: &mut Bench, (call, answer): (HookCall, HookAnswer)| {
        let turn_id = bench.turn_id();
        let HookCall::BeforeCall { item_id, .. } = call else { panic!("another call") };
        let call = HookCall::BeforeCall { turn_id, item_id };
        bench.take(Input::HooksAnswered { call, answer, prepared: None })
    };
    assert_eq!(answers(&mut bench, hooked(a, HookVerdict::None)), "runTool");
    let asks = HookVerdict::Ask { reason: "it is secret".into() };
    assert_eq!(answers(&mut bench, hooked(b, asks)), "");
    assert_eq!(answers(&mut bench, hooked(c, HookVerdict::None)), "");
    assert_eq!(bench.read_ends(a, ""), "+itemCompleted(toolCall) +questionAsked");
    // It survives the daemon, as nothing runs beside it.
    assert_eq!(bench.take(Input::Stopping { hand_over: false, is_call_running: false }), "");
    let (question_id, decision) = (bench.question(), Decision::Allow { scope: GrantScope::Once });
    let answered = bench.request(Request::Answer { question_id, decision });
    assert_eq!(answered, "+questionAnswered =answered runTool runTool");
}
