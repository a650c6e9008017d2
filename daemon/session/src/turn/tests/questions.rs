//! Questions of the policy, and of tools that run.

use protocol::item::{Refusal, RefusedOperation, ToolConsent};
use protocol::profile::NetworkProtocol;
use protocol::question::{Prompt, QuestionKind};
use protocol::session::SessionStatus;
use tools::tool::Report;

use super::bench::*;

#[test]
fn a_question_waits_for_the_first_answer_and_later_ones_are_told_of_it() {
    for (scope, asks_again) in [
        (GrantScope::Once, true),
        (GrantScope::Turn, false),
        (GrantScope::Session, false),
        (GrantScope::Always, false),
    ] {
        let mut bench = Bench::new();
        bench.start("go");
        let item_id = bench.calls_with(shell("make install", true));
        assert_eq!(bench.completes(), "+modelResponded +questionAsked");
        let question_id = bench.question();
        let decision = Decision::Allow { scope: scope.clone() };
        let answer = || Request::Answer { question_id, decision: decision.clone() };
        let rule = if scope == GrantScope::Always { " rule" } else { "" };
        assert_eq!(bench.request(answer()), format!("+questionAnswered{rule} =answered runTool"));
        assert_eq!(bench.request(answer()), "!Conflict");
        bench.tool_ends(item_id, "ok");
        bench.calls_with(shell("make install", true));
        let expected = if asks_again { "+modelResponded +questionAsked" } else { "+modelResponded runTool" };
        assert_eq!(bench.completes(), expected, "{scope:?}");
    }
}

#[test]
fn nothing_is_allowed_for_good_where_no_rule_can_be_written() {
    let mut bench = Bench::new();
    bench.start("go");
    bench.calls_with(shell("rm -rf /", true));
    assert_eq!(bench.completes(), "+modelResponded +questionAsked");
    let question_id = bench.question();
    let allow = |scope| Request::Answer { question_id, decision: Decision::Allow { scope } };
    assert_eq!(bench.request(allow(GrantScope::Always)), "!InvalidRequest");
    assert_eq!(bench.request(allow(GrantScope::Once)), "+questionAnswered =answered runTool");
}

#[test]
fn a_declined_call_is_told_to_the_model_and_the_turn_goes_on() {
    let mut bench = Bench::new();
    bench.start("go");
    let item_id = bench.calls_with(shell("make install", true));
    bench.completes();
    let decision = Decision::Deny { message: Some("use a venv".into()) };
    let question_id = bench.question();
    assert_eq!(
        bench.request(Request::Answer { question_id, decision }),
        "+questionAnswered +itemCompleted(command declined) =answered +modelRequested callModel"
    );
    assert!(context::history::text_of(bench.item(item_id)).contains("use a venv"));
}

#[test]
fn a_question_that_waits_too_long_counts_as_declined() {
    let mut bench = Bench::with(SessionSettings { question_timeout_ms: Some(500), ..settings() });
    bench.start("go");
    bench.calls_with(shell("make install", true));
    assert_eq!(bench.completes(), "+modelResponded +questionAsked timer500");
    let question_id = bench.question();
    assert_eq!(
        bench.take(Input::QuestionExpired { question_id }),
        "+questionWithdrawn +itemCompleted(command declined) +modelRequested callModel"
    );
    assert_eq!(bench.take(Input::QuestionExpired { question_id }), "");
}

#[test]
fn never_asks_nobody_and_refuses_what_would_need_an_answer() {
    let mut bench = Bench::with(SessionSettings { approval: ApprovalPolicy::Never, ..settings() });
    bench.start("go");
    bench.calls_with(shell("make install", true));
    assert_eq!(
        bench.completes(),
        "+modelResponded +itemCompleted(command declined) +modelRequested callModel"
    );
}

#[test]
fn a_tool_without_a_policy_question_just_runs() {
    let mut bench = Bench::with(SessionSettings { approval: ApprovalPolicy::Untrusted, ..settings() });
    bench.start("go");
    bench.looks(None);
    assert_eq!(bench.completes(), "+modelResponded runTool");
}

fn consent(definition: &str) -> Option<ToolConsent> {
    Some(ToolConsent { reason: "It may write".into(), definition: Some(definition.into()) })
}

#[test]
fn a_tool_that_needs_leave_waits_for_it_and_a_leave_is_for_what_was_described() {
    for (definition, expected) in
        [("one", "+modelResponded runTool"), ("two", "+modelResponded +questionAsked")]
    {
        let mut bench = Bench::with(SessionSettings { approval: ApprovalPolicy::OnRequest, ..settings() });
        bench.start("go");
        let item_id = bench.looks(consent("one"));
        assert_eq!(bench.completes(), "+modelResponded +questionAsked");
        let question_id = bench.question();
        let decision = Decision::Allow { scope: GrantScope::Session };
        let answer = Request::Answer { question_id, decision };
        assert_eq!(bench.request(answer), "+questionAnswered =answered runTool");
        let body = bench.item(item_id).body.clone();
        bench.take(Input::ToolEnded { item_id, status: ItemStatus::Completed, body });
        bench.looks(consent(definition));
        assert_eq!(bench.completes(), expected, "{definition}");
    }
}

#[test]
fn a_tool_that_needs_leave_is_refused_where_nobody_is_asked_and_runs_where_nothing_is_confined() {
    let never = || SessionSettings { approval: ApprovalPolicy::Never, ..settings() };
    let mut bench = Bench::with(never());
    bench.start("go");
    bench.looks(consent("one"));
    let told = bench.completes();
    assert!(told.contains("toolCall declined"), "{told}");
    let mut bench = Bench::with(SessionSettings { sandbox: SandboxMode::DangerFullAccess, ..never() });
    bench.start("go");
    bench.looks(consent("one"));
    assert_eq!(bench.completes(), "+modelResponded runTool");
}

fn network(host: &str) -> QuestionKind {
    QuestionKind::Network { protocol: NetworkProtocol::Https, host: host.into(), port: 443 }
}

fn wants_to_know() -> QuestionKind {
    let prompt = Prompt {
        id: "colour".into(),
        header: "Colour".into(),
        text: "Which?".into(),
        options: Vec::new(),
        takes_text: true,
        takes_several: false,
    };
    QuestionKind::UserInput { prompts: vec![prompt] }
}

impl Bench {
    /// The model calls the tool `look` of a server.
    fn looks(&mut self, consent: Option<ToolConsent>) -> ItemId {
        let call = ToolCall { call_id: "c".into(), name: "look".into(), input: CallInput::Json("{}".into()) };
        let body = ItemBody::ToolCall(OtherToolCall {
            call: call.clone(),
            server: Some("s".into()),
            consent: consent.map(Box::new),
            output: None,
            content: Vec::new(),
            structured: None,
        });
        let item_id = ItemId::generate();
        let made = self.model(Answer::Call { item_id, call, prepared: Ok(Box::new(body)) });
        assert_eq!(made, "+itemStarted(toolCall)");
        item_id
    }

    /// A call that runs.
    pub(super) fn running_call(&mut self) -> ItemId {
        self.start("go");
        let item_id = self.calls("ls");
        assert_eq!(self.completes(), "+modelResponded runTool");
        item_id
    }

    pub(super) fn tool_asks(&mut self, item_id: ItemId, kind: QuestionKind) -> (QuestionId, String) {
        let question_id = QuestionId::generate();
        let asked = Input::ToolAsked { item_id, question_id, kind, reason: "why".into() };
        (question_id, self.take(asked))
    }

    pub(super) fn answers(&mut self, question_id: QuestionId, decision: Decision) -> String {
        self.request(Request::Answer { question_id, decision })
    }
}

pub(super) fn allow(scope: GrantScope) -> Decision {
    Decision::Allow { scope }
}

#[test]
fn a_running_tool_asks_and_hears_the_answer_in_the_middle() {
    let mut bench = Bench::new();
    bench.is_answerable = true;
    let item_id = bench.running_call();
    let (question, asked) = bench.tool_asks(item_id, network("a.org"));
    assert_eq!(asked, "+questionAsked");
    assert!(matches!(bench.state.status(), SessionStatus::Waiting { .. }));
    assert_eq!(bench.answers(question, allow(GrantScope::Once)), "+questionAnswered =answered toolAllowed");
    assert_eq!(bench.item(item_id).status, ItemStatus::InProgress, "it still runs");
    let (question, _) = bench.tool_asks(item_id, network("a.org"));
    let no = Decision::Deny { message: None };
    assert_eq!(bench.answers(question, no), "+questionAnswered =answered toolDenied");
    assert_eq!(bench.tool_ends(item_id, ""), "+itemCompleted(command) +modelRequested callModel");
}

#[test]
fn several_questions_of_a_tool_may_wait_and_one_leave_settles_those_alike() {
    let mut bench = Bench::new();
    bench.is_answerable = true;
    let item_id = bench.running_call();
    let (first, _) = bench.tool_asks(item_id, network("a.org"));
    bench.tool_asks(item_id, network("a.org"));
    let (other, _) = bench.tool_asks(item_id, network("b.org"));
    assert_eq!(bench.state.questions.len(), 3);
    let answered = bench.answers(first, allow(GrantScope::Turn));
    assert_eq!(answered, "+questionAnswered +questionWithdrawn =answered toolAllowed toolAllowed");
    assert_eq!(bench.question(), other);
    assert_eq!(bench.tool_asks(item_id, network("a.org")).1, "toolAllowed", "it is remembered");
    let ended = bench.tool_ends(item_id, "");
    assert_eq!(ended, "+questionWithdrawn +itemCompleted(command) +modelRequested callModel");
}

#[test]
fn a_leave_for_a_turn_ends_with_it_and_one_for_a_session_does_not() {
    for (scope, expected) in [(GrantScope::Turn, "+questionAsked"), (GrantScope::Session, "toolAllowed")] {
        let mut bench = Bench::new();
        bench.is_answerable = true;
        let item_id = bench.running_call();
        let (question, _) = bench.tool_asks(item_id, network("a.org"));
        bench.answers(question, allow(scope.clone()));
        bench.tool_ends(item_id, "");
        bench.says("done");
        bench.completes();
        let item_id = bench.running_call();
        assert_eq!(bench.tool_asks(item_id, network("a.org")).1, expected, "{scope:?}");
    }
}

#[test]
fn a_tool_whose_question_expires_or_is_left_goes_on() {
    let mut bench = Bench::with(SessionSettings { question_timeout_ms: Some(5), ..settings() });
    bench.is_answerable = true;
    let item_id = bench.running_call();
    let (question_id, asked) = bench.tool_asks(item_id, network("a.org"));
    assert_eq!(asked, "+questionAsked timer5");
    assert_eq!(bench.take(Input::QuestionExpired { question_id }), "+questionWithdrawn toolDenied");
    let (question_id, _) = bench.tool_asks(item_id, network("a.org"));
    assert_eq!(bench.take(Input::ToolLeft { question_id }), "+questionWithdrawn");
    assert_eq!(bench.take(Input::ToolLeft { question_id }), "");
    assert_eq!(bench.item(item_id).status, ItemStatus::InProgress);
}

#[test]
fn where_nobody_may_be_asked_a_tool_hears_so_at_once() {
    let never = || SessionSettings { approval: ApprovalPolicy::Never, ..settings() };
    let mut bench = Bench::with(never());
    let item_id = bench.running_call();
    assert_eq!(bench.tool_asks(item_id, network("a.org")).1, "toolDenied");
    assert_eq!(bench.tool_asks(item_id, wants_to_know()).1, "toolDenied");
    bench.is_answerable = true;
    assert_eq!(bench.tool_asks(item_id, network("a.org")).1, "toolDenied", "never is never");
    assert_eq!(bench.tool_asks(item_id, wants_to_know()).1, "+questionAsked");
    bench.request(Request::Interrupt { expected: None, reason: InterruptReason::Requested });
    assert_eq!(bench.tool_asks(item_id, wants_to_know()).1, "toolDenied", "the turn has ended");
}

#[test]
fn a_host_is_asked_about_only_where_somebody_can_answer_and_the_turn_goes_on() {
    for approval in [ApprovalPolicy::OnRequest, ApprovalPolicy::Untrusted] {
        for (is_answerable, expected) in [(true, "+questionAsked"), (false, "toolDenied")] {
            let mut bench = Bench::new();
            let item_id = bench.running_call();
            bench.state.settings.approval = approval;
            bench.is_answerable = is_answerable;
            let (_, asked) = bench.tool_asks(item_id, network("a.org"));
            assert_eq!(asked, expected, "{approval:?} {is_answerable}");
            assert_eq!(bench.item(item_id).status, ItemStatus::InProgress);
        }
    }
}

#[test]
fn an_answer_must_fit_its_question() {
    let mut bench = Bench::new();
    bench.is_answerable = true;
    let item_id = bench.running_call();
    let (question, _) = bench.tool_asks(item_id, wants_to_know());
    let reply = |id: &str| Decision::Reply { answers: [(id.to_owned(), vec!["red".to_owned()])].into() };
    assert_eq!(bench.answers(question, allow(GrantScope::Once)), "!InvalidRequest");
    assert_eq!(bench.answers(question, reply("size")), "!InvalidRequest");
    assert_eq!(bench.answers(question, reply("colour")), "+questionAnswered =answered toolAnswered");
    let (question, _) = bench.tool_asks(item_id, network("a.org"));
    assert_eq!(bench.answers(question, reply("colour")), "!InvalidRequest");
}

#[test]
fn a_tool_that_asked_when_the_daemon_died_is_interrupted_and_its_question_void() {
    for (after_crash, expected) in [
        (
            AfterCrash::Wait,
            "cancelWork +questionWithdrawn +itemCompleted(command interrupted) +turnEnded(interrupted)",
        ),
        (
            AfterCrash::Continue,
            "+turnResumed +questionWithdrawn +itemCompleted(command interrupted) +modelRequested callModel",
        ),
    ] {
        let mut bench = Bench::with(SessionSettings { after_crash, ..settings() });
        bench.is_answerable = true;
        let item_id = bench.running_call();
        bench.tool_asks(item_id, network("a.org"));
        assert_eq!(bench.take(Input::Loaded { failure: None }), expected);
    }
}

#[test]
fn connections_are_in_the_log_once_each() {
    let mut bench = Bench::new();
    let item_id = bench.running_call();
    let connects = |bench: &mut Bench, host: String| {
        let (protocol, reason) = (NetworkProtocol::Https, "a rule".to_owned());
        let report = Report::Connection { protocol, host, port: 443, is_allowed: false, reason };
        bench.take(Input::ToolReported { item_id, report })
    };
    assert_eq!(connects(&mut bench, "a.org".into()), "+connectionAttempted");
    assert_eq!(connects(&mut bench, "a.org".into()), "");
    let told = (0..1000).filter(|number| !connects(&mut bench, format!("{number}.org")).is_empty()).count();
    assert_eq!(told, 199, "and so many at most");
}

/// A command that the sandbox stopped would run outside of it.
fn stopped(command: &str) -> QuestionKind {
    QuestionKind::Command {
        command: command.into(),
        argv: vec!["/bin/bash".into(), "-c".into(), command.into()],
        cwd: "/repo".into(),
        is_escalated: true,
        justification: None,
        refusals: vec![Refusal { operation: RefusedOperation::Write, target: "/opt/x".into() }],
        proposed_rule: None,
    }
}

#[test]
fn what_the_sandbox_stopped_is_asked_about_with_a_rule_only_where_somebody_can_answer() {
    for (approval, is_answerable, expected) in [
        (ApprovalPolicy::OnRequest, true, "+questionAsked"),
        (ApprovalPolicy::Untrusted, true, "+questionAsked"),
        (ApprovalPolicy::OnRequest, false, "toolDenied"),
        (ApprovalPolicy::Never, true, "toolDenied"),
    ] {
        let mut bench = Bench::new();
        let item_id = bench.running_call();
        bench.state.settings.approval = approval;
        bench.is_answerable = is_answerable;
        let (_, asked) = bench.tool_asks(item_id, stopped("make install"));
        assert_eq!(asked, expected, "{approval:?} {is_answerable}");
    }
    let mut bench = Bench::new();
    bench.is_answerable = true;
    let item_id = bench.running_call();
    let (question, _) = bench.tool_asks(item_id, stopped("make install"));
    let QuestionKind::Command { proposed_rule, .. } = &bench.state.questions[0].kind else { panic!("kind") };
    let rule = "outside_rule(pattern=[\"make\", \"install\"], folder=\"/repo\")";
    assert_eq!(proposed_rule.as_deref(), Some(rule));
    assert_eq!(
        bench.answers(question, allow(GrantScope::Always)),
        "+questionAnswered rule =answered toolAllowed"
    );
    // What a rule or a leave lets out has left at once, if it was surely what is meant; this has not.
    assert_eq!(bench.tool_asks(item_id, stopped("make install")).1, "+questionAsked");
    let mut bench = Bench::new();
    bench.is_answerable = true;
    let item_id = bench.running_call();
    let (question, _) = bench.tool_asks(item_id, stopped("make install"));
    bench.answers(question, allow(GrantScope::Session));
    assert_eq!(bench.tool_asks(item_id, stopped("make install")).1, "+questionAsked");
}

#[test]
fn what_is_dangerous_outside_has_no_rule_and_says_why() {
    let mut bench = Bench::new();
    bench.is_answerable = true;
    let item_id = bench.running_call();
    bench.tool_asks(item_id, stopped("git push --force"));
    let question = &bench.state.questions[0];
    assert!(matches!(question.kind, QuestionKind::Command { proposed_rule: None, .. }));
    assert!(question.reason.contains("overwrites what others"), "{}", question.reason);
}
