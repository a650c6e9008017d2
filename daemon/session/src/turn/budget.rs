//! Ceilings: of the turn, the session, the session with the agents below it, the day, and the day with one provider. What
//! is spent is looked at before each call and each request, so that a ceiling stops within one of them; time also when it
//! is up, whatever goes on.

use std::borrow::Cow;

use protocol::event::{BudgetWarned, Event};
use protocol::ids::TurnId;
use protocol::turn::{BudgetLevel, LimitKind, Turn, TurnLimits, TurnOutcome};
use protocol::usage::{BudgetUse, CeilingUse, Spending};

use crate::effect::Effect;
use crate::moment::Moment;
use crate::state::{Running, SessionState, ceiling_key};
use crate::turn::calls::calls_so_far;
use crate::turn::{beside, ending};

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
    /// The provider's id, of that level.
    provider: Option<String>,
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
    ceilings(state, running, turn, moment)
        .filter(|ceiling| ceiling.spent >= ceiling.allowed * WARNED_FROM && ceiling.spent < ceiling.allowed)
        .filter(|ceiling| !ceiling.is_warned_of(state, moment))
        .map(|ceiling| {
            let message = ceiling.message();
            let Ceiling { level, limit, .. } = ceiling;
            Event::BudgetWarned(BudgetWarned { turn_id: running.turn_id, level, limit, message })
        })
        .collect()
}

/// Time went by: the turn ends if that was all it may take, and is warned of if it was most.
pub(crate) fn time_passed(state: &SessionState, turn_id: TurnId, moment: &Moment) -> Vec<Effect> {
    let Some((running, turn)) = state.current().filter(|(running, _)| running.turn_id == turn_id) else {
        return Vec::new();
    };
    let is_up = |ceiling: &Ceiling| ceiling.limit == LimitKind::Time && ceiling.spent >= ceiling.allowed;
    if let Some(ceiling) = ceilings(state, running, turn, moment).find(is_up) {
        return ending::cut_short(state, ceiling.outcome(), moment);
    }
    let warnings = warnings(state, running, turn, moment);
    if warnings.is_empty() { Vec::new() } else { vec![Effect::Append(warnings)] }
}

/// In how many milliseconds time may be up, or is to be warned of; nothing while no time is spent that is limited.
pub(crate) fn time_left(state: &SessionState, moment: &Moment) -> Option<u64> {
    let (running, turn) = state.current()?;
    running.working_since?;
    let left = |ceiling: Ceiling| {
        let together = match (&ceiling.limit, &ceiling.level) {
            (LimitKind::Time, BudgetLevel::Tree) => moment.working_beside,
            (LimitKind::Time, BudgetLevel::Day | BudgetLevel::Provider) => moment.working_today,
            (LimitKind::Time | LimitKind::Deadline, _) => 0,
            (LimitKind::Tokens | LimitKind::Cost | LimitKind::ToolCalls | LimitKind::Unknown(_), _) => {
                return None;
            }
        };
        let is_warned = ceiling.is_warned_of(state, moment);
        let next = if is_warned { ceiling.allowed } else { ceiling.allowed * WARNED_FROM };
        // All that work at the same time spend of it.
        Some((next - ceiling.spent) / f64::from(together.saturating_add(1)))
    };
    let soonest = ceilings(state, running, turn, moment).filter_map(left).min_by(f64::total_cmp)?;
    Some(whole_ms(soonest))
}

/// How much of the ceilings is spent.
pub(crate) fn in_use(state: &SessionState, moment: &Moment) -> BudgetUse {
    let (in_turn, beyond) = match state.current() {
        Some((running, turn)) => (Some(ceilings(state, running, turn, moment)), None),
        None => (None, Some(beyond_turn(state, 0, moment))),
    };
    let all = in_turn.into_iter().flatten().chain(beyond.into_iter().flatten());
    let mut ceilings: Vec<_> = all
        .map(|Ceiling { level, provider, limit, spent, allowed }| CeilingUse {
            level,
            provider,
            limit,
            used: spent,
            allowed,
        })
        .collect();
    ceilings.sort_by(|one, other| other.share().total_cmp(&one.share()));
    BudgetUse { ceilings }
}

/// The ceilings that a day has with the session's provider.
pub(crate) fn of_provider(state: &SessionState) -> Option<&TurnLimits> {
    state.settings.budget.providers.get(&state.settings.provider)
}

impl Ceiling {
    fn stops(&self, next: Next) -> bool {
        let stops = match self.limit {
            // A call costs no tokens, and talking no call.
            LimitKind::ToolCalls => next == Next::Call,
            LimitKind::Tokens | LimitKind::Cost | LimitKind::Unknown(_) => next == Next::Request,
            LimitKind::Time => true,
            // Its own timer tells.
            LimitKind::Deadline => false,
        };
        stops && self.spent >= self.allowed
    }

    fn is_warned_of(&self, state: &SessionState, moment: &Moment) -> bool {
        let of_day = matches!(self.level, BudgetLevel::Day | BudgetLevel::Provider);
        let day = state.warned.get(&ceiling_key(&self.level, &self.limit));
        day.is_some_and(|day| !of_day || *day == store::day_of(moment.at))
    }

    fn outcome(self) -> TurnOutcome {
        let message = self.message();
        TurnOutcome::LimitReached { limit: self.limit, level: self.level, message }
    }

    fn message(&self) -> String {
        let whose: Cow<'_, str> = match &self.level {
            BudgetLevel::Turn => "The turn".into(),
            BudgetLevel::Session => "The session".into(),
            BudgetLevel::Tree => "The session with its agents".into(),
            BudgetLevel::Day => "This day".into(),
            BudgetLevel::Provider => {
                format!("This day with the provider `{}`", self.provider.as_deref().unwrap_or_default())
                    .into()
            }
            BudgetLevel::Unknown(level) => level.into(),
        };
        let (spent, allowed) = (self.spent, self.allowed);
        match &self.limit {
            LimitKind::Cost => format!("{whose} was allowed ${allowed} and spent ${spent:.4}"),
            LimitKind::ToolCalls => format!("{whose} was allowed {allowed} tool calls and made {spent}"),
            LimitKind::Time => {
                format!("{whose} was allowed {} of work and worked {}", time(allowed), time(spent))
            }
            LimitKind::Deadline => format!("{whose} was allowed {} and took {}", time(allowed), time(spent)),
            LimitKind::Tokens | LimitKind::Unknown(_) => {
                format!("{whose} was allowed {allowed} tokens and spent {spent}")
            }
        }
    }
}

/// Milliseconds as people read them.
fn time(ms: f64) -> String {
    let seconds = ms / 1000.0;
    if seconds < 60.0 {
        return format!("{} s", (seconds * 10.0).round() / 10.0);
    }
    let (minutes, seconds) = ((seconds / 60.0).floor(), (seconds % 60.0).floor());
    if minutes < 60.0 {
        return format!("{minutes} min {seconds} s");
    }
    format!("{} h {} min", (minutes / 60.0).floor(), minutes % 60.0)
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
    let time_ms = running.worked_ms + state.working_ms(moment.at);
    let spent = Spending { tool_calls, time_ms, usage: turn.usage, cost, ..Spending::default() };
    let deadline = running.limits.deadline_ms.map(|allowed| Ceiling {
        level: BudgetLevel::Turn,
        provider: None,
        limit: LimitKind::Deadline,
        spent: number(moment.at.since(turn.started_at)),
        allowed: number(allowed),
    });
    of(BudgetLevel::Turn, None, &running.limits, spent)
        .chain(deadline)
        .chain(beyond_turn(state, in_flight, moment))
}

/// The ceilings of session, tree and day. Of calls that go on only the session's own are known.
fn beyond_turn(state: &SessionState, in_flight: u64, moment: &Moment) -> impl Iterator<Item = Ceiling> {
    let budget = &state.settings.budget;
    let mut tree = state.spent;
    tree += moment.beside;
    let worked = state.working_ms(moment.at);
    let with_own = |spent: Spending| Spending {
        tool_calls: spent.tool_calls + in_flight,
        time_ms: spent.time_ms + worked,
        ..spent
    };
    let provider = of_provider(state).map(|limits| {
        let id = Some(state.settings.provider.clone());
        of(BudgetLevel::Provider, id, limits, with_own(moment.provider_today))
    });
    of(BudgetLevel::Session, None, &budget.session, with_own(state.spent))
        .chain(of(BudgetLevel::Tree, None, &budget.tree, with_own(tree)))
        .chain(of(BudgetLevel::Day, None, &budget.day, with_own(moment.today)))
        .chain(provider.into_iter().flatten())
}

fn of(
    level: BudgetLevel,
    provider: Option<String>,
    limits: &TurnLimits,
    spent: Spending,
) -> impl Iterator<Item = Ceiling> + use<> {
    let tokens =
        limits.max_tokens.map(|max| (LimitKind::Tokens, number(spent.usage.total_tokens()), number(max)));
    let cost = limits.max_cost.map(|max| (LimitKind::Cost, spent.cost, max));
    let time = limits.max_time_ms.map(|max| (LimitKind::Time, number(spent.time_ms), number(max)));
    let calls =
        limits.max_tool_calls.map(|max| (LimitKind::ToolCalls, number(spent.tool_calls), f64::from(max)));
    let ceilings = [tokens, cost, time, calls].into_iter().flatten();
    ceilings.map(move |(limit, spent, allowed)| Ceiling {
        level: level.clone(),
        provider: provider.clone(),
        limit,
        spent,
        allowed,
    })
}

#[expect(clippy::cast_precision_loss, reason = "tokens, calls and milliseconds are far below 2^52")]
fn number(count: u64) -> f64 {
    count as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it saturates, and is not below 0"
)]
fn whole_ms(ms: f64) -> u64 {
    ms.max(0.0).ceil() as u64
}
