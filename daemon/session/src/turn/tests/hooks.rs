//! What hooks have a say in.

use protocol::item::{Notice, NoticeLevel};

use super::bench::*;

fn bench(points: &[HookPoint]) -> Bench {
    Bench { hooks: points.iter().copied().collect(), ..Bench::new() }
}

fn says(verdict: HookVerdict) -> HookAnswer {
    HookAnswer { verdict, ..HookAnswer::default() }
}

fn blocks() -> HookAnswer {
    says(HookVerdict::Block { reason: "not here".into() })
}

fn ends() -> HookAnswer {
    says(HookVerdict::End { reason: "enough".into() })
}

impl Bench {
    /// The hooks that were asked last answer.
    fn hooks_answer(&mut self, answer: HookAnswer) -> String {
        let call = self.asked.last().expect("asked").clone();
        self.take(Input::HooksAnswered { call, answer, prepared: None })
    }

    fn hooks_rewrite(&mut self, prepared: Result<ItemBody, String>) -> String {
        let call = self.asked.last().expect("asked").clone();
        let prepared = Some(prepared.map(Box::new));
        self.take(Input::HooksAnswered { call, answer: HookAnswer::default(), prepared })
    }
}

#[test]
fn a_prompt_waits_for_hooks_and_can_be_refused() {
    let mut bench = bench(&[HookPoint::Prompt]);
    assert_eq!(bench.start("go"), "+turnStarted +itemCompleted(userMessage) askHooks =started");
    assert_eq!(bench.hooks_answer(HookAnswer::default()), "+modelRequested callModel");
    bench.says("Done.");
    bench.completes();
    bench.start("secret");
    assert_eq!(
        bench.hooks_answer(blocks()),
        "+itemCompleted(userMessage discarded) cancelWork +turnEnded(failed)"
    );
    let shown = context::history::conversation(&bench.state.turns, &|_| None, &|_| true);
    assert!(!format!("{shown:?}").contains("secret"));
}

#[test]
fn what_hooks_add_to_a_prompt_stands_after_it_and_is_shown_to_the_model() {
    let mut bench = bench(&[HookPoint::Prompt]);
    bench.start("go");
    let context = Some("The branch is main".to_owned());
    let notice = Notice { level: NoticeLevel::Information, text: "Added".into(), context };
    let answer = HookAnswer { notices: vec![notice], ..HookAnswer::default() };
    assert_eq!(bench.hooks_answer(answer), "+itemCompleted(notice) +modelRequested callModel");
    let shown = format!("{:?}", context::history::conversation(&bench.state.turns, &|_| None, &|_| true));
    assert!(shown.find("\"go\"") < shown.find("The branch is main"), "{shown}");
}

#[test]
fn what_is_said_into_a_turn_waits_for_hooks_too() {
    let mut bench = bench(&[HookPoint::Prompt]);
    bench.start("go");
    bench.hooks_answer(HookAnswer::default());
    let steer = Request::Steer { input: text("and this"), expected: None };
    assert_eq!(bench.request(steer), "+itemCompleted(userMessage) =steered askHooks");
    bench.says("Done.");
    assert_eq!(bench.completes(), "+modelResponded", "the turn waits");
    assert_eq!(bench.hooks_answer(blocks()), "+itemCompleted(userMessage discarded) +turnEnded(completed)");
}

#[test]
fn the_model_hears_nothing_before_hooks_heard_all_that_was_said() {
    let mut bench = bench(&[HookPoint::Prompt]);
    bench.start("go");
    let first = bench.asked[0].clone();
    let steer = Request::Steer { input: text("and the secret"), expected: None };
    assert_eq!(bench.request(steer), "+itemCompleted(userMessage) =steered askHooks");
    let answer = Input::HooksAnswered { call: first, answer: HookAnswer::default(), prepared: None };
    assert_eq!(bench.take(answer), "", "the turn waits");
    assert_eq!(
        bench.hooks_answer(blocks()),
        "+itemCompleted(userMessage discarded) +modelRequested callModel"
    );
    let shown = format!("{:?}", context::history::conversation(&bench.state.turns, &|_| None, &|_| true));
    assert!(shown.contains("\"go\"") && !shown.contains("secret"), "{shown}");
}

#[test]
fn what_is_said_while_a_turn_would_end_waits_for_hooks_though_they_make_it_go_on() {
    let mut bench = bench(&[HookPoint::Prompt, HookPoint::Stop]);
    bench.start("go");
    bench.hooks_answer(HookAnswer::default());
    bench.says("Done.");
    assert_eq!(bench.completes(), "+modelResponded askHooks");
    let stop = bench.asked.last().expect("asked").clone();
    bench.request(Request::Steer { input: text("and this"), expected: None });
    let answer = Input::HooksAnswered { call: stop, answer: blocks(), prepared: None };
    assert_eq!(bench.take(answer), "+itemCompleted(notice)", "the turn waits");
    assert_eq!(bench.hooks_answer(HookAnswer::default()), "+modelRequested callModel");
}

#[test]
fn a_call_waits_for_hooks_and_is_made_declined_or_asked_about() {
    let ask = || says(HookVerdict::Ask { reason: "look".into() });
    for (is_escalated, answer, expected) in [
        (false, HookAnswer::default(), "runTool"),
        (false, says(HookVerdict::Allow), "runTool"),
        (false, blocks(), "+itemCompleted(command declined) +modelRequested callModel"),
        (false, ends(), "+itemCompleted(command declined) cancelWork +turnEnded(failed)"),
        (false, ask(), "+questionAsked"),
        (true, HookAnswer::default(), "+questionAsked"),
        // Leaving the sandbox is not theirs to allow.
        (true, says(HookVerdict::Allow), "+questionAsked"),
    ] {
        let mut bench = bench(&[HookPoint::BeforeCall]);
        bench.start("go");
        bench.calls_with(shell("make", is_escalated));
        assert_eq!(bench.completes(), "+modelResponded askHooks");
        assert_eq!(bench.hooks_answer(answer.clone()), expected, "{answer:?}");
    }
}

#[test]
fn a_question_that_hooks_ask_for_is_declined_where_nobody_is_asked() {
    let settings = SessionSettings { approval: ApprovalPolicy::Never, ..settings() };
    let mut bench = Bench { hooks: [HookPoint::BeforeCall].into_iter().collect(), ..Bench::with(settings) };
    bench.start("go");
    bench.calls("make");
    bench.completes();
    let answer = says(HookVerdict::Ask { reason: "look".into() });
    assert_eq!(bench.hooks_answer(answer), "+itemCompleted(command declined) +modelRequested callModel");
}

#[test]
fn a_rewritten_call_goes_through_the_policy_again() {
    let mut bench = bench(&[HookPoint::BeforeCall]);
    bench.start("go");
    let item = bench.calls("make");
    bench.completes();
    assert_eq!(
        bench.hooks_rewrite(Ok(shell("make install", true).1)),
        "+itemStarted(command) +questionAsked"
    );
    assert!(matches!(&bench.item(item).body, ItemBody::Command(command) if command.is_escalated));
    let mut bench = self::bench(&[HookPoint::BeforeCall]);
    bench.start("go");
    bench.calls("make");
    bench.completes();
    let problem = Err("no such tool".to_owned());
    assert_eq!(bench.hooks_rewrite(problem), "+itemCompleted(command declined) +modelRequested callModel");
}

#[test]
fn hooks_can_answer_a_question_before_a_person_is_asked() {
    let settings = || SessionSettings { approval: ApprovalPolicy::Untrusted, ..settings() };
    for (answer, expected) in [
        (HookAnswer::default(), "+questionAsked"),
        (says(HookVerdict::Allow), "runTool"),
        (blocks(), "+itemCompleted(command declined) +modelRequested callModel"),
    ] {
        let hooks = [HookPoint::Permission].into_iter().collect();
        let mut bench = Bench { hooks, ..Bench::with(settings()) };
        bench.start("go");
        bench.calls("touch made");
        assert_eq!(bench.completes(), "+modelResponded askHooks");
        assert_eq!(bench.hooks_answer(answer.clone()), expected, "{answer:?}");
    }
}

#[test]
fn the_outcome_of_a_call_waits_for_hooks_and_can_be_replaced() {
    let mut bench = bench(&[HookPoint::AfterCall]);
    bench.start("go");
    let item = bench.calls("make");
    assert_eq!(bench.completes(), "+modelResponded runTool");
    assert_eq!(bench.tool_ends(item, "as printed"), "askHooks");
    let answer = HookAnswer { output: Some("as told".into()), ..HookAnswer::default() };
    assert_eq!(bench.hooks_answer(answer), "+itemCompleted(command) +modelRequested callModel");
    let told = context::history::text_of(bench.item(item));
    assert!(told.contains("as told") && !told.contains("as printed"), "{told}");
}

#[test]
fn hooks_can_end_the_turn_after_a_call() {
    let mut bench = bench(&[HookPoint::AfterCall]);
    bench.start("go");
    let item = bench.calls("make");
    bench.completes();
    bench.tool_ends(item, "ok");
    assert_eq!(bench.hooks_answer(ends()), "+itemCompleted(command) cancelWork +turnEnded(failed)");
    assert_eq!(
        *bench.outcome(),
        TurnOutcome::Failed { failure: TurnFailure::Hook { reason: "enough".into() } }
    );
}

#[test]
fn hooks_can_make_a_turn_go_on_but_not_for_ever() {
    let mut bench = bench(&[HookPoint::Stop]);
    bench.start("go");
    bench.says("Done.");
    assert_eq!(bench.completes(), "+modelResponded askHooks");
    assert!(matches!(bench.asked.last(), Some(HookCall::Stop { is_active: false, .. })));
    for _ in 0..8 {
        assert_eq!(bench.hooks_answer(blocks()), "+itemCompleted(notice) +modelRequested callModel");
        bench.says("Done again.");
        assert_eq!(bench.completes(), "+modelResponded askHooks");
        assert!(matches!(bench.asked.last(), Some(HookCall::Stop { is_active: true, .. })));
    }
    assert_eq!(bench.hooks_answer(blocks()), "+itemCompleted(notice) +turnEnded(completed)");
}

#[test]
fn a_turn_that_hooks_let_end_ends() {
    let mut bench = bench(&[HookPoint::Stop]);
    bench.start("go");
    bench.says("Done.");
    bench.completes();
    assert_eq!(bench.hooks_answer(HookAnswer::default()), "+turnEnded(completed)");
}

#[test]
fn an_answer_that_comes_after_the_turn_changes_nothing() {
    let mut bench = bench(&[HookPoint::BeforeCall]);
    bench.start("go");
    bench.calls("make");
    bench.completes();
    bench.request(Request::Interrupt { expected: None, reason: InterruptReason::Requested });
    assert_eq!(bench.hooks_answer(HookAnswer::default()), "");
}

#[test]
fn hooks_on_a_prompt_are_asked_again_by_the_next_daemon() {
    let settings = SessionSettings { after_crash: AfterCrash::Continue, ..settings() };
    let mut bench = Bench { hooks: [HookPoint::Prompt].into_iter().collect(), ..Bench::with(settings) };
    bench.start("go");
    assert_eq!(bench.take(Input::Loaded { failure: None }), "+turnResumed askHooks");
    assert_eq!(bench.hooks_answer(HookAnswer::default()), "+modelRequested callModel");
}
