//! What happens to a session that outgrows its model, or that somebody has compacted.

use protocol::context::{CompactionReason, ModelContext};

use super::bench::*;

/// A session of a model with a window, that had one turn.
fn bench() -> Bench {
    let mut bench = Bench::with(narrow());
    bench.start("first");
    bench.says("yes");
    bench.completes();
    bench
}

fn narrow() -> SessionSettings {
    let window_tokens = Some(10_000);
    SessionSettings { model_context: ModelContext { window_tokens, ..ModelContext::default() }, ..settings() }
}

impl Bench {
    fn is_full(&mut self, tokens: u64) -> String {
        let turn_id = self.turn_id();
        self.take(Input::ContextFull { turn_id, tokens })
    }

    fn compact(&mut self) -> String {
        self.request(Request::Compact { instructions: None })
    }

    /// The summary is told and complete.
    fn summed_up(&mut self, text: &str) -> String {
        self.model(Answer::Text { item_id: ItemId::generate(), text: text.into() });
        self.completes()
    }

    /// The last compaction.
    fn compaction(&self) -> (ItemStatus, protocol::context::Compaction) {
        let items = self.state.turns.iter().flat_map(|turn| &turn.items);
        let last = items.rev().find_map(|item| match &item.body {
            ItemBody::Compaction(compaction) => Some((item.status.clone(), compaction.clone())),
            _ => None,
        });
        last.expect("a compaction")
    }

    fn failure(&self) -> ProviderFailure {
        let TurnOutcome::Failed { failure: TurnFailure::Provider(failure) } = self.outcome() else {
            panic!("{:?}", self.outcome())
        };
        failure.clone()
    }

    fn fails(&mut self, kind: ProviderFailureKind) -> String {
        let failure = ProviderFailure { provider: "p".into(), kind, status: None, message: "no".into() };
        self.model(Answer::Failed(failure))
    }

    fn answers_hooks(&mut self, verdict: HookVerdict) -> String {
        let call = self.asked.pop().expect("hooks are asked");
        let answer = HookAnswer { verdict, ..HookAnswer::default() };
        self.take(Input::HooksAnswered { call, answer, prepared: None })
    }
}

const DONE: &str = "+modelResponded +itemCompleted(compaction)";
const GOES_ON: &str = "+modelResponded +itemCompleted(compaction) +modelRequested callModel";

#[test]
fn a_request_that_would_not_fit_waits_for_a_summary() {
    let mut bench = bench();
    bench.start("second");
    assert_eq!(bench.is_full(9_000), "+itemStarted(compaction) compact");
    let item_id = ItemId::generate();
    assert_eq!(bench.model(Answer::Text { item_id, text: "It was".into() }), "~It was@0");
    assert_eq!(bench.model(Answer::Message { item_id, text: "It was".into() }), "", "it is known by then");
    let call = shell("ls", false).0;
    assert_eq!(bench.model(Answer::Call { item_id, call, prepared: Err(String::new()) }), "");
    assert_eq!(bench.completes(), GOES_ON);
    let (status, compaction) = bench.compaction();
    assert_eq!((status, compaction.reason.clone()), (ItemStatus::Completed, CompactionReason::Full));
    assert_eq!((compaction.summary.as_str(), compaction.tokens_before), ("It was", Some(9_000)));
    assert!(compaction.carried.contains("first") && !compaction.carried.contains("second"), "{compaction:?}");
    bench.says("done");
    assert_eq!(bench.completes(), "+modelResponded +turnEnded(completed)");
    assert_eq!(bench.state.usage.total_tokens(), 300, "the summary is paid for");
}

#[test]
fn what_still_does_not_fit_ends_the_turn() {
    let mut bench = bench();
    bench.start("second");
    bench.is_full(9_000);
    bench.summed_up("notes");
    assert_eq!(bench.is_full(11_000), "+turnEnded(failed)");
    let failure = bench.failure();
    assert_eq!(failure.kind, ProviderFailureKind::ContextTooLong);
    assert!(failure.message.contains("about 11000 tokens even though"), "{failure:?}");
}

#[test]
fn a_request_that_the_provider_finds_too_long_is_made_once_more() {
    let mut bench = bench();
    bench.start("second");
    let item_id = ItemId::generate();
    bench.model(Answer::Text { item_id, text: "ha".into() });
    let refused = bench.fails(ProviderFailureKind::ContextTooLong);
    assert_eq!(refused, "+itemCompleted(agentMessage discarded) +itemStarted(compaction) compact");
    assert_eq!(bench.summed_up("notes"), GOES_ON);
    assert_eq!(bench.fails(ProviderFailureKind::ContextTooLong), "+turnEnded(failed)", "once");
    assert_eq!(bench.failure().message, "no");
}

#[test]
fn where_nothing_was_said_there_is_nothing_to_compact() {
    let mut bench = Bench::with(narrow());
    assert_eq!(bench.compact(), "!InvalidRequest");
    bench.start("too long at once");
    assert!(!crate::turn::compaction::is_too_long(&bench.state, 1_000_000));
    assert_eq!(bench.fails(ProviderFailureKind::ContextTooLong), "+turnEnded(failed)");
}

#[test]
fn a_summary_that_is_none_is_asked_for_a_few_times() {
    let mut bench = bench();
    bench.start("second");
    bench.is_full(9_000);
    let again = "+itemCompleted(compaction discarded) +itemStarted(compaction) compact";
    assert_eq!(bench.completes(), format!("+modelResponded {again}"));
    assert_eq!(bench.fails(ProviderFailureKind::ContextTooLong), again);
    assert_eq!(bench.completes(), "+modelResponded +itemCompleted(compaction failed) +turnEnded(failed)");
    assert!(bench.failure().message.contains("gave no summary"), "{:?}", bench.failure());
    bench.start("third");
    bench.is_full(9_000);
    let ended = bench.fails(ProviderFailureKind::Unreachable);
    assert_eq!(ended, "+itemCompleted(compaction failed) +turnEnded(failed)");
    assert_eq!(bench.failure().kind, ProviderFailureKind::Unreachable);
}

#[test]
fn a_summary_whose_stream_broke_begins_anew() {
    let mut bench = bench();
    bench.start("second");
    bench.is_full(9_000);
    bench.model(Answer::Text { item_id: ItemId::generate(), text: "half".into() });
    let failure = ProviderFailure {
        provider: "p".into(),
        kind: ProviderFailureKind::Cut,
        status: None,
        message: "cut".into(),
    };
    let retrying = Answer::Retrying { attempt: 1, max_attempts: 5, delay: Duration::ZERO, failure };
    assert_eq!(
        bench.model(retrying),
        "+itemCompleted(compaction interrupted) +modelRetried +itemStarted(compaction)"
    );
    assert_eq!(bench.summed_up("whole"), GOES_ON);
    assert_eq!(bench.compaction().1.summary, "whole");
}

#[test]
fn somebody_may_have_it_done_as_a_turn_of_its_own() {
    let mut bench = bench();
    assert_eq!(bench.compact(), "+turnStarted +itemStarted(compaction) compact =started");
    assert_eq!(bench.compact(), "!Conflict");
    assert_eq!(bench.summed_up("notes"), format!("{DONE} +turnEnded(completed)"));
    assert_eq!(bench.compact(), "!InvalidRequest", "nothing was said since");
    bench.start("second");
    bench.says("done");
    bench.completes();
    assert!(bench.compact().ends_with("compact =started"));
    bench.request(Request::Steer { input: text("and then"), expected: None });
    assert_eq!(bench.summed_up("more notes"), GOES_ON, "what was said meanwhile is heard");
}

#[test]
fn what_is_said_while_it_is_compacted_belongs_to_the_request_that_waits() {
    let mut bench = bench();
    bench.start("second");
    bench.is_full(9_000);
    bench.request(Request::Steer { input: text("more"), expected: None });
    bench.summed_up("notes");
    bench.says("done");
    assert_eq!(bench.completes(), "+modelResponded +turnEnded(completed)");
}

#[test]
fn hooks_may_forbid_it_and_hear_of_it() {
    let points = || [HookPoint::BeforeCompaction, HookPoint::AfterCompaction].into_iter().collect();
    let mut bench = Bench { hooks: points(), ..bench() };
    bench.start("second");
    assert_eq!(bench.is_full(9_000), "+itemStarted(compaction) askHooks");
    assert_eq!(bench.answers_hooks(HookVerdict::None), "compact");
    assert_eq!(bench.summed_up("notes"), format!("{DONE} askHooks"));
    assert_eq!(bench.answers_hooks(HookVerdict::None), "+modelRequested callModel");
    bench.says("done");
    bench.completes();
    bench.start("third");
    bench.is_full(9_000);
    let declined = bench.answers_hooks(HookVerdict::Block { reason: "not now".into() });
    assert_eq!(declined, "+itemCompleted(compaction declined) +modelRequested callModel");
    assert!(!crate::turn::compaction::is_too_long(&bench.state, 9_000), "the provider is to decide");
    assert_eq!(bench.fails(ProviderFailureKind::ContextTooLong), "+turnEnded(failed)");
    assert!(bench.compact().ends_with("askHooks =started"));
    let declined = bench.answers_hooks(HookVerdict::Block { reason: "not now".into() });
    assert_eq!(declined, "+itemCompleted(compaction declined) +turnEnded(completed)");
}

#[test]
fn a_daemon_that_died_over_it_begins_it_anew() {
    let mut bench = Bench::with(SessionSettings { after_crash: AfterCrash::Continue, ..narrow() });
    bench.start("first");
    bench.says("yes");
    bench.completes();
    bench.start("second");
    bench.is_full(9_000);
    bench.model(Answer::Text { item_id: ItemId::generate(), text: "half".into() });
    let anew = "+turnResumed +itemCompleted(compaction interrupted) +itemStarted(compaction) compact";
    assert_eq!(bench.take(Input::Loaded { failure: None }), anew);
    assert_eq!(bench.summed_up("whole"), GOES_ON);
    assert_eq!(bench.compaction().1.summary, "whole");
}

#[test]
fn an_interrupt_and_a_deadline_end_it() {
    for cut in [0, 1] {
        let mut bench = bench();
        bench.start_with("second", TurnLimits { deadline_ms: Some(5), ..TurnLimits::default() });
        bench.is_full(9_000);
        let turn_id = bench.turn_id();
        let ended = match cut {
            0 => bench.request(Request::Interrupt { expected: None, reason: InterruptReason::Requested }),
            _ => bench.take(Input::Deadline { turn_id }),
        };
        assert!(ended.starts_with("cancelWork +itemCompleted(compaction interrupted) +turnEnded"), "{ended}");
        bench.start("third");
        assert_eq!(bench.is_full(9_000), "+itemStarted(compaction) compact", "it is done then");
    }
}

#[test]
fn a_ceiling_stops_after_the_summary() {
    let mut bench = bench();
    bench.start_with("second", TurnLimits { max_tokens: Some(100), ..TurnLimits::default() });
    bench.is_full(9_000);
    assert_eq!(bench.summed_up("notes"), format!("{DONE} +turnEnded(limitReached)"));
}
