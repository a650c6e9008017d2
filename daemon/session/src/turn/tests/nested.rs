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

    /// The tool of an item reads something.
    fn nested_read(&mut self, called_by: ItemId, path: &str) -> (ItemId, String) {
        let item_id = ItemId::generate();
        let input = CallInput::Json(format!("{{\"path\":\"{path}\"}}"));
        let call = ToolCall { call_id: path.into(), name: "read_file".into(), input };
        let body = Box::new(ItemBody::ToolCall(OtherToolCall::new(call.clone())));
        (item_id, self.take(Input::ToolCalled { called_by, item_id, call, prepared: Ok(body) }))
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
fn calls_of_a_tool_that_change_nothing_run_side_by_side() {
    let (mut bench, caller) = Bench::with_running_tool(settings());
    let (a, said) = bench.nested_read(caller, "a");
    assert_eq!(said, "+itemStarted(toolCall) runTool");
    let (b, said) = bench.nested_read(caller, "b");
    assert_eq!(said, "+itemStarted(toolCall) runTool");
    // What may change something waits for both, and what reads after it for that.
    let (change, said) = bench.nested(caller, "make", false);
    assert_eq!(said, "+itemStarted(command)");
    let (c, said) = bench.nested_read(caller, "c");
    assert_eq!(said, "+itemStarted(toolCall)");
    assert_eq!(bench.read_ends(b, "b"), "+itemCompleted(toolCall)");
    assert_eq!(bench.read_ends(a, "a"), "+itemCompleted(toolCall) runTool");
    assert_eq!(bench.tool_ends(change, ""), "+itemCompleted(command) runTool");
    assert_eq!(bench.read_ends(c, "c"), "+itemCompleted(toolCall)");
    assert_eq!(bench.tool_ends(caller, "done"), "+itemCompleted(command) +modelRequested callModel");
}

#[test]
fn so_many_reads_of_a_tool_run_at_a_time_and_a_ceiling_counts_those_that_run() {
    let (mut bench, caller) = Bench::with_running_tool(settings());
    let reads: Vec<_> = (0..5).map(|number| bench.nested_read(caller, &number.to_string())).collect();
    let begun = reads.iter().filter(|(_, said)| said.ends_with("runTool")).count();
    assert_eq!(begun, 4);
    assert!(bench.read_ends(reads[2].0, "").ends_with("runTool"));
    let mut bench = Bench::new();
    bench.start_with("go", TurnLimits { max_tool_calls: Some(2), ..TurnLimits::default() });
    let caller = bench.calls("script");
    bench.completes();
    assert!(bench.nested_read(caller, "a").1.ends_with("runTool"));
    assert!(bench.nested_read(caller, "b").1.ends_with("+itemCompleted(toolCall declined)"));
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
