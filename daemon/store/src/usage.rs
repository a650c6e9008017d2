//! What was spent, as sums by session, day, provider and model. Knows nothing of prices or ceilings.

use protocol::ids::{SessionId, Timestamp};
use protocol::model::Usage;
use protocol::usage::Spending;
use sqlx::{AssertSqlSafe, SqliteConnection};

use crate::error::StoreError;
use crate::rows::{id_bytes, id_of, signed, unsigned};
use crate::store::Store;

/// Milliseconds of a day.
const DAY_MS: u64 = 86_400_000;

/// Something that was spent, to be added up.
#[derive(Clone, Debug, PartialEq)]
pub struct Spent {
    /// When.
    pub at: Timestamp,
    /// The provider's id in the settings.
    pub provider: String,
    /// The model's name.
    pub model: String,
    /// How much.
    pub spending: Spending,
}

/// What sums are asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UsageFilter {
    /// Only of this session.
    pub session: Option<SessionId>,
    /// Only from this day on.
    pub since_day: u64,
}

/// What a sum is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsageBy {
    /// Days.
    Day,
    /// Sessions.
    Session,
    /// Providers and models.
    Model,
    /// Providers.
    Provider,
    /// Sessions with the agents below them.
    Tree,
}

/// One sum; what it is not of is empty.
#[derive(Clone, Debug, PartialEq)]
pub struct UsageSum {
    /// The session; all zeros stands for those that were deleted.
    pub session: Option<SessionId>,
    /// The day.
    pub day: u64,
    /// The provider.
    pub provider: String,
    /// The model.
    pub model: String,
    /// How much.
    pub spending: Spending,
}

/// The day of a time, counted from 1970-01-01 (UTC).
#[must_use]
pub fn day_of(at: Timestamp) -> u64 {
    at.0 / DAY_MS
}

/// How long sums are kept, in days: what is older is in no budget and on no bill any more.
const KEPT_DAYS: i64 = 3 * 366;

/// Forgets what is too old to matter. If that fails, it is kept until the next start.
pub(crate) async fn forget_old(connection: &mut SqliteConnection) {
    let forget = sqlx::query("DELETE FROM usage WHERE day < unixepoch() / 86400 - ?").bind(KEPT_DAYS);
    if let Err(error) = forget.execute(connection).await {
        tracing::warn!(%error, "what was spent years ago could not be forgotten");
    }
}

/// The sums of a row: ten numbers, and the cost.
type Sums = (i64, i64, i64, i64, i64, i64, i64, i64, i64, i64, f64);

/// A row: session, day, provider, model, and the sums.
type Row = (Vec<u8>, i64, String, String, i64, i64, i64, i64, i64, i64, i64, i64, i64, i64, f64);

const SUMS: &str =
    "coalesce(sum(requests), 0), coalesce(sum(unpriced_requests), 0), coalesce(sum(untold_requests), 0),
    coalesce(sum(tool_calls), 0), coalesce(sum(time_ms), 0),
    coalesce(sum(input_tokens), 0), coalesce(sum(cached_input_tokens), 0),
    coalesce(sum(cache_write_input_tokens), 0), coalesce(sum(output_tokens), 0),
    coalesce(sum(reasoning_output_tokens), 0), coalesce(sum(cost), 0.0)";

/// What was spent, with the session at the top of the tree that spent it.
const TREES: &str = "(SELECT usage.*, coalesce(session.root, usage.session_id) AS tree
    FROM usage LEFT JOIN session ON session.id = usage.session_id)";

impl Store {
    /// What each session of a tree spent, by the one that is no agent.
    ///
    /// # Errors
    /// `Corrupt`, `Sql`, `Closed`.
    pub async fn spent_in_tree(&self, root: SessionId) -> Result<Vec<(SessionId, Spending)>, StoreError> {
        let sql = format!(
            "SELECT session_id, 0, '', '', {SUMS} FROM usage
            WHERE session_id = ?1 OR session_id IN (SELECT id FROM session WHERE root = ?1) GROUP BY session_id"
        );
        let rows: Vec<Row> = sqlx::query_as(AssertSqlSafe(sql))
            .bind(id_bytes(root))
            .fetch_all(self.readers())
            .await
            .map_err(|source| self.sorted(source))?;
        let sums = rows.into_iter().map(sum_of);
        Ok(sums.filter_map(|sum| Some((sum.session?, sum.spending))).collect())
    }

    /// What all sessions together spent on a day, by the provider that they asked.
    ///
    /// # Errors
    /// `Corrupt`, `Sql`, `Closed`.
    pub async fn spent_on(&self, day: u64) -> Result<Vec<(String, Spending)>, StoreError> {
        let rows: Vec<Row> = sqlx::query_as(AssertSqlSafe(format!(
            "SELECT x'', day, provider, '', {SUMS} FROM usage INDEXED BY usage_day WHERE day = ? GROUP BY provider"
        )))
        .bind(signed(day))
        .fetch_all(self.readers())
        .await
        .map_err(|source| self.sorted(source))?;
        Ok(rows.into_iter().map(sum_of).map(|sum| (sum.provider, sum.spending)).collect())
    }

    /// Sums of what was spent. Days: the last one first; others: what cost most, then what took most tokens.
    ///
    /// # Errors
    /// `Corrupt`, `Sql`, `Closed`.
    pub async fn usage(&self, by: UsageBy, filter: UsageFilter) -> Result<Vec<UsageSum>, StoreError> {
        const BY_COST: &str = "total(cost) DESC, sum(input_tokens + output_tokens) DESC";
        let (keys, group, order) = match by {
            UsageBy::Day => ("x'', day, '', ''", "day", "day DESC"),
            UsageBy::Session => ("session_id, 0, '', ''", "session_id", BY_COST),
            UsageBy::Model => ("x'', 0, provider, model", "provider, model", BY_COST),
            UsageBy::Provider => ("x'', 0, provider, ''", "provider", BY_COST),
            UsageBy::Tree => ("tree, 0, '', ''", "tree", BY_COST),
        };
        let (from, session) = match by {
            UsageBy::Day | UsageBy::Session | UsageBy::Model | UsageBy::Provider => ("usage", "session_id"),
            UsageBy::Tree => (TREES, "tree"),
        };
        let sql = format!(
            "SELECT {keys}, {SUMS} FROM {from} WHERE (?1 IS NULL OR {session} = ?1) AND day >= ?2
            GROUP BY {group} ORDER BY {order}"
        );
        let rows: Vec<Row> = sqlx::query_as(AssertSqlSafe(sql))
            .bind(filter.session.map(id_bytes))
            .bind(signed(filter.since_day))
            .fetch_all(self.readers())
            .await
            .map_err(|source| self.sorted(source))?;
        Ok(rows.into_iter().map(sum_of).collect())
    }
}

fn sum_of(row: Row) -> UsageSum {
    let (
        session,
        day,
        provider,
        model,
        requests,
        unpriced,
        untold,
        calls,
        time,
        input,
        cached,
        write,
        output,
        reasoning,
        cost,
    ) = row;
    let sums = (requests, unpriced, untold, calls, time, input, cached, write, output, reasoning, cost);
    UsageSum { session: id_of(&session), day: unsigned(day), provider, model, spending: spending(sums) }
}

fn spending(sums: Sums) -> Spending {
    let (requests, unpriced, untold, calls, time, input, cached, cache_write, output, reasoning, cost) = sums;
    Spending {
        requests: unsigned(requests),
        unpriced_requests: unsigned(unpriced),
        untold_requests: unsigned(untold),
        tool_calls: unsigned(calls),
        time_ms: unsigned(time),
        usage: Usage {
            input_tokens: unsigned(input),
            cached_input_tokens: unsigned(cached),
            cache_write_input_tokens: unsigned(cache_write),
            output_tokens: unsigned(output),
            reasoning_output_tokens: unsigned(reasoning),
        },
        cost,
    }
}
