//! Ceilings: of the turn, the session, the session with the agents below it, and the day. What is spent is looked at
//! before each call and each request, so that a ceiling stops within one of them.

use protocol::event::{BudgetWarned, Event};
use protocol::turn::{BudgetLevel, LimitKind, Turn, TurnLimits, TurnOutcome};
use protocol::usage::Spending;

use crate::moment::Moment;
use crate::state::{Running, SessionState, ceiling_key};
use crate::turn::beside;
use crate::turn::calls::calls_so_far;

/// The share of a ceiling from which on it is warned of.
const WARNED_FROM: f64 = 0.8;

/// What is about to be done.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Ask the model.
    Request,
    /// Call a tool.
    Call,
}

/// One ceiling, and how far it is spent.
struct Ceiling {
    level: BudgetLevel,
    limit: LimitKind,
    spent: f64,
    allowed: f64,
}

/// The ceiling that keeps the turn from going on, if there is one.
pub(crate) fn reached(
    state: &SessionState,
    running: &Running,
    turn: &Turn,
    next: Next,
    moment: &Moment,
) -> Option<TurnOutcome> {
    ceilings(state, running, turn, moment).find(|ceiling| ceiling.stops(next)).map(Ceiling::outcome)
}

/// The ceiling that keeps a turn from beginning: one that is not the turn's own.
pub(crate) fn reached_before(state: &SessionState, moment: &Moment) -> Option<TurnOutcome> {
    beyond_turn(state, 0, moment).find(|ceiling| ceiling.stops(Next::Request)).map(Ceiling::outcome)
}

/// Warns of ceilings that are nearly spent, of each once; of a day's once on that day.
pub(crate) fn warnings(state: &SessionState, running: &Running, turn: &Turn, moment: &Moment) -> Vec<Event> {
    let today = store::day_of(moment.at);
    ceilings(state, running, turn, moment)
        .filter(|ceiling| ceiling.spent >= ceiling.allowed * WARNED_FROM && ceiling.spent < ceiling.allowed)
        .filter(|ceiling| match state.warned.get(&ceiling_key(&ceiling.level, &ceiling.limit)) {
            None => true,
            Some(day) => ceiling.level == BudgetLevel::Day && *day != today,
        })
        .map(|ceiling| {
            let message = ceiling.message();
            let Ceiling { level, limit, .. } = ceiling;
            Event::BudgetWarned(BudgetWarned { turn_id: running.turn_id, level, limit, message })
        })
        .collect()
}

impl Ceiling {
    fn stops(&self, next: Next) -> bool {
        // A call costs no tokens, and talking no call.
        let is_of_calls = self.limit == LimitKind::ToolCalls;
        is_of_calls == (next == Next::Call) && self.spent >= self.allowed
    }

    fn outcome(self) -> TurnOutcome {
        let message = self.message();
        TurnOutcome::LimitReached { limit: self.limit, level: self.level, message }
    }

    fn message(&self) -> String {
        let whose = match &self.level {
            BudgetLevel::Turn => "The turn",
            BudgetLevel::Session => "The session",
            BudgetLevel::Tree => "The session with its agents",
            BudgetLevel::Day => "This day",
            BudgetLevel::Unknown(level) => level,
        };
        let (spent, allowed) = (self.spent, self.allowed);
        match &self.limit {
            LimitKind::Cost => format!("{whose} was allowed ${allowed} and spent ${spent:.4}"),
            LimitKind::ToolCalls => format!("{whose} was allowed {allowed} tool calls and made {spent}"),
            LimitKind::Tokens | LimitKind::Deadline | LimitKind::Unknown(_) => {
                format!("{whose} was allowed {allowed} tokens and spent {spent}")
            }
        }
    }
}

/// All ceilings. A call counts from when it begins, so that those that go on side by side stop at a ceiling, too.
fn ceilings(
    state: &SessionState,
    running: &Running,
    turn: &Turn,
    moment: &Moment,
) -> impl Iterator<Item = Ceiling> {
    let in_flight = beside::in_flight(turn, running) as u64;
    let tool_calls = u64::from(calls_so_far(turn)) + in_flight;
    let cost = turn.cost.unwrap_or_default();
    let spent = Spending { tool_calls, usage: turn.usage, cost, ..Spending::default() };
    of(BudgetLevel::Turn, &running.limits, spent).chain(beyond_turn(state, in_flight, moment))
}

/// The ceilings of session, tree and day. Of calls that go on only the session's own are known.
fn beyond_turn(state: &SessionState, in_flight: u64, moment: &Moment) -> impl Iterator<Item = Ceiling> {
    let budget = &state.settings.budget;
    let mut tree = state.spent;
    tree += moment.beside;
    let with_calls = |spent: Spending| Spending { tool_calls: spent.tool_calls + in_flight, ..spent };
    of(BudgetLevel::Session, &budget.session, with_calls(state.spent))
        .chain(of(BudgetLevel::Tree, &budget.tree, with_calls(tree)))
        .chain(of(BudgetLevel::Day, &budget.day, with_calls(moment.today)))
}

#[expect(clippy::cast_precision_loss, reason = "tokens and calls are far below 2^52")]
fn of(level: BudgetLevel, limits: &TurnLimits, spent: Spending) -> impl Iterator<Item = Ceiling> + use<> {
    let tokens =
        limits.max_tokens.map(|max| (LimitKind::Tokens, spent.usage.total_tokens() as f64, max as f64));
    let cost = limits.max_cost.map(|max| (LimitKind::Cost, spent.cost, max));
    let calls =
        limits.max_tool_calls.map(|max| (LimitKind::ToolCalls, spent.tool_calls as f64, f64::from(max)));
    let ceilings = [tokens, cost, calls].into_iter().flatten();
    ceilings.map(move |(limit, spent, allowed)| Ceiling { level: level.clone(), limit, spent, allowed })
}
