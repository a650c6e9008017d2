//! Calls that a running tool makes of others.

use super::bench::*;

impl Bench {
    /// A turn whose tool runs; its item.
    fn with_running_tool(settings: SessionSettings) -> (Self, ItemId) {
        let mut bench = Self::with(settings);
        bench.start("go");
        let caller = bench.calls("script");
        assert!(bench.completes().ends_with("runTool"));
        (bench, caller)
    }

    /// The tool of an item makes a call.
    fn nested(&mut self, called_by: ItemId, command: &str, is_escalated: bool) -> (ItemId, String) {
        let item_id = ItemId::generate();
        let (call, body) = shell(command, is_escalated);
        let called = Input::ToolCalled { called_by, item_id, call, prepared: Ok(Box::new(body)) };
        (item_id, self.take(called))
    }
}

#[test]
fn calls_of_a_tool_run_one_after_the_other_and_the_model_goes_on_after_their_caller() {
    let (mut bench, caller) = Bench::with_running_tool(settings());
    let (first, said) = bench.nested(caller, "ls", false);
    assert_eq!(said, "+itemStarted(command) runTool");
    assert_eq!(bench.item(first).called_by, Some(caller));
    let (second, said) = bench.nested(caller, "ls", false);
    assert_eq!(said, "+itemStarted(command)");
    assert_eq!(bench.tool_ends(first, "a"), "+itemCompleted(command) runTool");
    assert_eq!(bench.tool_ends(second, "a"), "+itemCompleted(command)");
    assert_eq!(bench.tool_ends(caller, "done"), "+itemCompleted(command) +modelRequested callModel");
}

#[test]
fn a_call_of_a_tool_is_asked_about_and_declined_as_any_other() {
    let (mut bench, caller) = Bench::with_running_tool(settings());
    let (asked, said) = bench.nested(caller, "make install", true);
    assert_eq!(said, "+itemStarted(command) +questionAsked");
    let question_id = bench.question();
    let no = Request::Answer { question_id, decision: Decision::Deny { message: None } };
    assert_eq!(bench.request(no), "+questionAnswered +itemCompleted(command declined) =answered");
    assert!(context::history::text_of(bench.item(asked)).contains("declined"));
    let (asked, _) = bench.nested(caller, "make install", true);
    let question_id = bench.question();
    let yes = Request::Answer { question_id, decision: Decision::Allow { scope: GrantScope::Once } };
    assert_eq!(bench.request(yes), "+questionAnswered =answered runTool");
    assert_eq!(bench.tool_ends(asked, "a"), "+itemCompleted(command)");
    let (mut bench, caller) =
        Bench::with_running_tool(SessionSettings { approval: ApprovalPolicy::Never, ..settings() });
    let (_, said) = bench.nested(caller, "make install", true);
    assert_eq!(said, "+itemStarted(command) +itemCompleted(command declined)");
}

#[test]
fn a_ceiling_declines_the_calls_of_a_tool_and_then_ends_the_turn() {
    let mut bench = Bench::new();
    bench.start_with("go", TurnLimits { max_tool_calls: Some(1), ..TurnLimits::default() });
    let caller = bench.calls("script");
    bench.completes();
    let (first, _) = bench.nested(caller, "ls", false);
    bench.tool_ends(first, "a");
    let (second, said) = bench.nested(caller, "ls", false);
    assert_eq!(said, "+itemStarted(command) +itemCompleted(command declined)");
    assert!(context::history::text_of(bench.item(second)).contains("1 tool calls"));
}

#[test]
fn a_call_of_a_tool_that_does_not_run_comes_too_late() {
    let (mut bench, caller) = Bench::with_running_tool(settings());
    let other = ItemId::generate();
    assert_eq!(bench.nested(other, "ls", false).1, "");
    bench.tool_ends(caller, "done");
    assert_eq!(bench.nested(caller, "ls", false).1, "");
}

#[test]
fn what_a_tool_of_a_daemon_that_died_called_is_closed_with_it() {
    for is_escalated in [false, true] {
        let continuing = SessionSettings { after_crash: AfterCrash::Continue, ..settings() };
        let (mut bench, caller) = Bench::with_running_tool(continuing);
        let (called, _) = bench.nested(caller, "make", is_escalated);
        let said = bench.take(Input::Loaded { failure: None });
        let withdrawn = if is_escalated { "+questionWithdrawn " } else { "" };
        let closed = "+itemCompleted(command interrupted) +itemCompleted(command interrupted)";
        assert_eq!(said, format!("+turnResumed {withdrawn}{closed} +modelRequested callModel"));
        assert_eq!(bench.item(called).status, ItemStatus::Interrupted);
        let (mut bench, caller) = Bench::with_running_tool(settings());
        bench.nested(caller, "make", is_escalated);
        assert!(bench.take(Input::Loaded { failure: None }).ends_with("+turnEnded(interrupted)"));
        assert_eq!(bench.item(caller).status, ItemStatus::Interrupted);
    }
}
