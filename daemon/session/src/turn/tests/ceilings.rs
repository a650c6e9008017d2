//! What ends a turn that would go on: ceilings, time, and calls that are made again and again.

use protocol::turn::{Budget, BudgetLevel, LimitKind};

use super::bench::*;
use crate::turn::budget;

#[test]
fn ceilings_end_a_turn_before_it_goes_on() {
    let price = Some(ModelPrice { input: 1e4, cached_input: 0.0, cache_write_input: None, output: 0.0 });
    let cases = [
        (
            TurnLimits { max_tokens: Some(100), ..TurnLimits::default() },
            "+itemCompleted(command) +turnEnded(limitReached)",
        ),
        (
            TurnLimits { max_tokens: Some(101), ..TurnLimits::default() },
            "+itemCompleted(command) +modelRequested callModel",
        ),
        (
            TurnLimits { max_cost: Some(0.9), ..TurnLimits::default() },
            "+itemCompleted(command) +turnEnded(limitReached)",
        ),
        (
            TurnLimits { max_cost: Some(0.91), ..TurnLimits::default() },
            "+itemCompleted(command) +modelRequested callModel",
        ),
    ];
    for (limits, expected) in cases {
        let mut bench = Bench::with(SessionSettings { price, ..settings() });
        bench.start_with("go", limits.clone());
        let item_id = bench.calls("ls");
        bench.completes();
        assert_eq!(bench.tool_ends(item_id, ""), expected, "{limits:?}");
    }
    let mut bench = Bench::new();
    bench.start_with("go", TurnLimits { max_tool_calls: Some(1), ..TurnLimits::default() });
    let item_id = bench.calls("ls");
    bench.calls("pwd");
    bench.completes();
    assert_eq!(
        bench.tool_ends(item_id, ""),
        "+itemCompleted(command) +itemCompleted(command interrupted) +turnEnded(limitReached)"
    );
}

#[test]
fn an_answer_within_a_ceiling_that_it_reaches_is_an_answer() {
    let mut bench = Bench::new();
    bench.start_with("go", TurnLimits { max_tokens: Some(1), ..TurnLimits::default() });
    bench.says("done");
    assert_eq!(bench.completes(), "+modelResponded +turnEnded(completed)");
}

#[test]
fn a_cost_can_only_be_limited_where_the_price_is_known() {
    let limits = TurnLimits { max_cost: Some(1.0), ..TurnLimits::default() };
    assert_eq!(Bench::new().start_with("go", limits), "!InvalidRequest");
}

#[test]
fn a_deadline_ends_the_turn_whatever_it_does() {
    let mut bench = Bench::new();
    let limits = TurnLimits { deadline_ms: Some(1500), ..TurnLimits::default() };
    assert_eq!(
        bench.start_with("go", limits),
        "+turnStarted +itemCompleted(userMessage) +modelRequested deadline1500 callModel =started"
    );
    let turn_id = bench.turn_id();
    assert_eq!(bench.take(Input::Deadline { turn_id }), "cancelWork +turnEnded(limitReached)");
}

#[test]
fn a_model_that_repeats_itself_is_told_and_then_stopped() {
    let mut bench = Bench::new();
    bench.start("go");
    let mut trace = Vec::new();
    for _ in 0..7 {
        let item_id = bench.calls("ls");
        let mut words = bench.completes();
        if words.ends_with("runTool") {
            words = bench.tool_ends(item_id, "a");
        }
        trace.push(words);
        if bench.state.running.is_none() {
            break;
        }
    }
    let ran = "+itemCompleted(command) +modelRequested callModel";
    let told = "+modelResponded +itemCompleted(command declined) +modelRequested callModel";
    let ended = "+modelResponded +itemCompleted(command interrupted) +turnEnded(failed)";
    assert_eq!(trace, [ran, ran, ran, told, told, told, ended]);
}

#[test]
fn a_repeated_call_with_another_outcome_is_no_loop() {
    let mut bench = Bench::new();
    bench.start("go");
    for number in 0..20 {
        let item_id = bench.calls("date");
        assert_eq!(bench.completes(), "+modelResponded runTool");
        bench.tool_ends(item_id, &number.to_string());
    }
}

fn tokens(max: u64) -> TurnLimits {
    TurnLimits { max_tokens: Some(max), ..TurnLimits::default() }
}

#[test]
fn a_session_stops_when_it_has_spent_what_it_may() {
    let budget = Budget { session: tokens(150), ..Budget::default() };
    let mut bench = Bench::with(SessionSettings { budget, ..settings() });
    bench.start("go");
    bench.says("done");
    bench.completes();
    bench.start("more");
    let item_id = bench.calls("ls");
    bench.completes();
    let ended = bench.tool_ends(item_id, "");
    assert_eq!(ended, "+itemCompleted(command) +turnEnded(limitReached)");
    let TurnOutcome::LimitReached { level, limit, .. } = bench.outcome() else { panic!("no ceiling") };
    assert_eq!((level, limit), (&BudgetLevel::Session, &LimitKind::Tokens));
    let stillborn = bench.start("once more");
    assert_eq!(stillborn, "+turnStarted +itemCompleted(userMessage) +turnEnded(limitReached) =started");
}

#[test]
fn what_others_spent_on_this_day_counts() {
    let budget = Budget { day: tokens(1000), ..Budget::default() };
    let mut bench = Bench::with(SessionSettings { budget, ..settings() });
    bench.start("go");
    let item_id = bench.calls("ls");
    bench.completes();
    bench.today.usage.input_tokens = 1000;
    let ended = bench.tool_ends(item_id, "");
    assert_eq!(ended, "+itemCompleted(command) +turnEnded(limitReached)");
    let TurnOutcome::LimitReached { level, .. } = bench.outcome() else { panic!("no ceiling") };
    assert_eq!(*level, BudgetLevel::Day);
}

#[test]
fn a_ceiling_that_is_nearly_spent_is_warned_of_once() {
    let budget = Budget { session: tokens(250), ..Budget::default() };
    let mut bench = Bench::with(SessionSettings { budget, ..settings() });
    bench.start("go");
    let item_id = bench.calls("ls");
    assert_eq!(bench.completes(), "+modelResponded runTool", "100 of 250");
    bench.tool_ends(item_id, "");
    let item_id = bench.calls("pwd");
    assert_eq!(bench.completes(), "+modelResponded +budgetWarned runTool", "200 of 250");
    assert_eq!(bench.tool_ends(item_id, ""), "+itemCompleted(command) +modelRequested callModel");
}

#[test]
fn who_is_there_is_asked_about_a_call_that_is_made_again_and_again() {
    let mut bench = Bench::new();
    bench.is_answerable = true;
    bench.start("go");
    for _ in 0..3 {
        let item_id = bench.calls("ls");
        bench.completes();
        bench.tool_ends(item_id, "the same");
    }
    let item_id = bench.calls("ls");
    assert_eq!(bench.completes(), "+modelResponded +questionAsked");
    let (question_id, decision) = (bench.question(), Decision::Allow { scope: GrantScope::Once });
    let answered = bench.request(Request::Answer { question_id, decision });
    assert_eq!(answered, "+questionAnswered =answered runTool");
    bench.tool_ends(item_id, "the same");
}

#[test]
fn a_provider_has_ceilings_of_its_own_on_a_day() {
    let price = Some(ModelPrice { input: 1e4, cached_input: 0.0, cache_write_input: None, output: 0.0 });
    let dollars = |max| TurnLimits { max_cost: Some(max), ..TurnLimits::default() };
    for (provider, is_stopped) in [("p", true), ("another", false)] {
        let providers = [(provider.to_owned(), dollars(1.5))].into();
        let budget = Budget { providers, ..Budget::default() };
        let mut bench = Bench::with(SessionSettings { budget, price, ..settings() });
        bench.start("go");
        let item_id = bench.calls("ls");
        bench.provider_today.cost = 1.25;
        let warned = bench.completes();
        bench.provider_today.cost = 1.6;
        bench.tool_ends(item_id, "");
        assert_eq!(bench.state.running.is_none(), is_stopped, "{provider}");
        if is_stopped {
            assert_eq!(warned, "+modelResponded +budgetWarned runTool");
            let TurnOutcome::LimitReached { level, limit, message } = bench.outcome() else { panic!() };
            assert_eq!((level, limit), (&BudgetLevel::Provider, &LimitKind::Cost));
            assert_eq!(message, "This day with the provider `p` was allowed $1.5 and spent $1.6000");
        }
    }
    let providers = [("p".to_owned(), dollars(1.5))].into();
    let mut bench =
        Bench::with(SessionSettings { budget: Budget { providers, ..Budget::default() }, ..settings() });
    assert_eq!(bench.start("go"), "!InvalidRequest", "a cost can only be limited where the price is known");
}

#[test]
fn the_ceiling_of_which_most_is_spent_is_told_first() {
    let mut providers = std::collections::BTreeMap::new();
    providers.insert("p".to_owned(), tokens(400));
    let budget = Budget { session: tokens(1000), providers, ..Budget::default() };
    let mut bench = Bench::with(SessionSettings { budget, ..settings() });
    let told = |bench: &Bench| {
        let in_use = budget::in_use(&bench.state, &bench.moment());
        in_use
            .ceilings
            .into_iter()
            .map(|ceiling| (ceiling.level.clone(), ceiling.share()))
            .collect::<Vec<_>>()
    };
    bench.start_with("go", tokens(800));
    bench.calls("ls");
    bench.completes();
    bench.provider_today.usage.input_tokens = 100;
    let expected = [(BudgetLevel::Provider, 0.25), (BudgetLevel::Turn, 0.125), (BudgetLevel::Session, 0.1)];
    assert_eq!(told(&bench), expected);
    bench.request(Request::Interrupt { expected: None, reason: InterruptReason::Requested });
    assert_eq!(told(&bench), [(BudgetLevel::Provider, 0.25), (BudgetLevel::Session, 0.1)]);
}
