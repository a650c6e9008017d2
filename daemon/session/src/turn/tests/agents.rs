//! What agents tell a session, and what they spend beside it.

use protocol::agent::{AgentReport, AgentStatus};
use protocol::turn::{Budget, BudgetLevel, LimitKind};

use super::bench::*;

fn report(status: AgentStatus) -> AgentReport {
    AgentReport {
        session_id: SessionId::generate(),
        turn_id: TurnId::generate(),
        name: "scout".into(),
        status,
        message: Some("found it".into()),
        usage: Usage::default(),
        cost: None,
    }
}

/// The texts that the model is shown as said to it.
fn shown(bench: &Bench) -> String {
    format!("{:?}", context::history::conversation(&bench.state.turns, &|_| None, &|_| true))
}

#[test]
fn what_an_agent_came_to_is_kept_once_and_asks_for_no_request() {
    let mut bench = Bench::new();
    bench.start("go");
    bench.completes();
    let ended = report(AgentStatus::Completed);
    assert_eq!(bench.take(Input::AgentReported(ended.clone())), "+itemCompleted(agent)", "the turn is over");
    assert_eq!(bench.take(Input::AgentReported(ended)), "");
    assert!(shown(&bench).contains("the agent `scout`"));
    assert!(!shown(&bench).contains("found it"), "its last message is fetched, so it is there once");
}

#[test]
fn that_an_agent_waits_is_for_people_only() {
    let mut bench = Bench::new();
    bench.start("go");
    let waiting = report(AgentStatus::Waiting);
    assert_eq!(bench.take(Input::AgentReported(waiting.clone())), "+itemCompleted(agent)");
    assert_eq!(bench.take(Input::AgentReported(waiting)), "+itemCompleted(agent)", "it waits once more");
    assert_eq!(bench.completes(), "+modelResponded +turnEnded(completed)");
    assert!(!shown(&bench).contains("scout"));
}

#[test]
fn what_the_others_of_a_tree_spent_counts_for_the_tree_and_not_for_the_session() {
    let ceiling = || TurnLimits { max_tokens: Some(1_000), ..TurnLimits::default() };
    let trees = Budget { tree: ceiling(), ..Budget::default() };
    let sessions = Budget { session: ceiling(), ..Budget::default() };
    for (budget, is_stopped) in [(trees, true), (sessions, false)] {
        let mut bench = Bench::with(SessionSettings { budget, ..settings() });
        let usage = Usage { input_tokens: 1_000, ..Usage::default() };
        bench.beside = Spending { usage, ..Spending::default() };
        bench.start("go");
        let ended = bench.state.turns[0].outcome.clone();
        let is_of_tree = matches!(
            ended,
            Some(TurnOutcome::LimitReached { limit: LimitKind::Tokens, level: BudgetLevel::Tree, .. })
        );
        assert_eq!(is_of_tree, is_stopped, "{ended:?}");
    }
}
