//! Ceilings of time: what counts, when it is up, and when it is looked at again.

use protocol::turn::{Budget, BudgetLevel, LimitKind};

use super::bench::*;
use crate::turn::budget;

fn time(max_time_ms: u64) -> TurnLimits {
    TurnLimits { max_time_ms: Some(max_time_ms), ..TurnLimits::default() }
}

fn with(budget: Budget) -> Bench {
    Bench::with(SessionSettings { budget, ..settings() })
}

impl Bench {
    fn passes(&mut self, ms: u64) {
        self.clock += ms;
    }

    fn time_passes(&mut self) -> String {
        let turn_id = self.turn_id();
        self.take(Input::TimePassed { turn_id })
    }

    fn time_left(&self) -> Option<u64> {
        budget::time_left(&self.state, &self.moment())
    }

    fn reached(&self) -> (BudgetLevel, LimitKind) {
        match self.outcome() {
            TurnOutcome::LimitReached { level, limit, .. } => (level.clone(), limit.clone()),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn time_that_is_up_ends_the_turn_at_each_level_whatever_goes_on() {
    let others = Spending { time_ms: 900, ..Spending::default() };
    let budgets = [
        (Budget { session: time(100), ..Budget::default() }, BudgetLevel::Session),
        (Budget { tree: time(1000), ..Budget::default() }, BudgetLevel::Tree),
        (Budget { day: time(1000), ..Budget::default() }, BudgetLevel::Day),
        (
            Budget { providers: [("p".to_owned(), time(1000))].into(), ..Budget::default() },
            BudgetLevel::Provider,
        ),
    ];
    for (budget, level) in budgets {
        let mut bench = with(budget);
        (bench.beside, bench.today, bench.provider_today) = (others, others, others);
        bench.start("go");
        bench.passes(98);
        assert_eq!(bench.time_passes(), "+budgetWarned", "{level:?}: 99 of 100 are left to this one");
        assert_eq!(bench.time_passes(), "cancelWork +turnEnded(limitReached)");
        assert_eq!(bench.reached(), (level.clone(), LimitKind::Time));
        let (_, limit) = bench.reached();
        assert_eq!(limit, LimitKind::Time);
        bench.today.time_ms = 1000;
        bench.provider_today.time_ms = 1000;
        let stillborn = bench.start("more");
        assert_eq!(stillborn, "+turnStarted +itemCompleted(userMessage) +turnEnded(limitReached) =started");
    }
}

#[test]
fn the_time_of_a_turn_begins_anew_with_each() {
    let mut bench = Bench::new();
    bench.start_with("go", time(50));
    bench.passes(40);
    bench.says("done");
    bench.completes();
    bench.start_with("more", time(50));
    assert_eq!(bench.time_passes(), "");
    bench.passes(48);
    assert_eq!(bench.time_passes(), "cancelWork +turnEnded(limitReached)");
    assert_eq!(bench.reached(), (BudgetLevel::Turn, LimitKind::Time));
}

#[test]
fn what_a_turn_waits_for_a_person_is_no_work() {
    let mut bench = with(Budget { session: time(100), ..Budget::default() });
    bench.is_answerable = true;
    bench.start("go");
    bench.passes(40);
    bench.calls_with(shell("rm -r x", true));
    assert_eq!(bench.completes(), "+modelResponded +questionAsked");
    assert_eq!(bench.time_left(), None, "nothing is spent while it waits");
    bench.passes(10_000);
    let (question_id, decision) = (bench.question(), Decision::Allow { scope: GrantScope::Once });
    let answered = bench.request(Request::Answer { question_id, decision });
    assert_eq!(answered, "+questionAnswered =answered runTool");
    assert_eq!(bench.state.spent.time_ms, 42, "up to the question");
    bench.passes(20);
    assert_eq!(bench.time_left(), Some(18), "until it is warned of");
}

#[test]
fn what_a_daemon_was_not_there_is_no_work() {
    for after_crash in [AfterCrash::Continue, AfterCrash::Wait] {
        let mut bench = Bench::with(SessionSettings { after_crash: after_crash.clone(), ..settings() });
        bench.start("go");
        bench.passes(30);
        bench.calls("ls");
        bench.completes();
        assert_eq!(bench.state.spent.time_ms, 32);
        bench.passes(1_000_000);
        bench.take(Input::Loaded { failure: None });
        assert_eq!(bench.state.spent.time_ms, 32, "{after_crash:?}");
        bench.passes(5);
        if after_crash == AfterCrash::Continue {
            bench.says("done");
            bench.completes();
            assert_eq!(bench.state.spent.time_ms, 39);
        }
    }
}

#[test]
fn what_was_handed_over_counts_up_to_there() {
    let mut bench = Bench::new();
    bench.start("go");
    bench.passes(30);
    bench.take(Input::Stopping { hand_over: true, is_call_running: false });
    assert_eq!(bench.state.spent.time_ms, 31);
    bench.passes(1_000_000);
    bench.take(Input::Loaded { failure: None });
    bench.passes(10);
    bench.says("done");
    bench.completes();
    assert_eq!(bench.state.spent.time_ms, 31 + 12);
}

#[test]
fn it_is_looked_at_again_when_time_may_be_up() {
    let mut bench = with(Budget { session: time(1000), day: time(500), ..Budget::default() });
    assert_eq!(bench.time_left(), None);
    bench.start("go");
    assert_eq!(bench.time_left(), Some(400), "the day's is the first to be warned of");
    let mut moment = bench.moment();
    moment.working_today = 3;
    assert_eq!(budget::time_left(&bench.state, &moment), Some(100), "three others work, too");
    bench.today.time_ms = 499;
    bench.passes(10);
    assert_eq!(bench.time_left(), Some(0));
}

#[test]
fn a_deadline_is_warned_of_and_ends_by_its_own_timer() {
    let mut bench = Bench::new();
    bench.start_with("go", TurnLimits { deadline_ms: Some(100), ..TurnLimits::default() });
    assert_eq!(bench.time_left(), Some(80));
    bench.passes(85);
    assert_eq!(bench.time_passes(), "+budgetWarned");
    bench.passes(100);
    assert_eq!(bench.time_passes(), "");
    let turn_id = bench.turn_id();
    assert_eq!(bench.take(Input::Deadline { turn_id }), "cancelWork +turnEnded(limitReached)");
    assert_eq!(bench.reached(), (BudgetLevel::Turn, LimitKind::Deadline));
}
