//! The index of sessions: what lists show, and what a start looks for. An index or a page that is damaged is read
//! around. Knows logs only as what may be damaged.

use std::path::PathBuf;

use protocol::ids::{Seq, SessionId, Timestamp};
use protocol::model::Usage;
use protocol::profile::{ApprovalPolicy, NetworkAccess, SandboxMode};
use protocol::session::{AfterCrash, SessionListParams, SessionSettings, SessionStatus, SessionSummary};
use protocol::turn::TurnLimits;
use sqlx::SqlSafeStr;

use crate::error::StoreError;
use crate::rows::{id_bytes, id_of, signed, unsigned};
use crate::store::Store;

/// Sessions in a list whose caller says nothing.
const LIST_LIMIT: u32 = 100;

/// A row of `session`. Text is read as bytes, so that damage in it is this row's alone.
type Columns = (Vec<u8>, i64, i64, Vec<u8>, bool, bool, bool, Vec<u8>);

/// The columns of a row, in their order.
macro_rules! columns {
    ($rest:literal) => {
        concat!(
            "SELECT id, created_at, updated_at, cwd, is_archived, is_active, is_ephemeral, summary FROM session ",
            $rest
        )
    };
}

const LIST: &str = columns!(
    "WHERE updated_at < ?1 AND (?2 OR NOT is_archived) AND (?3 IS NULL OR cwd = ?3)
    AND (?5 OR root IS NULL)
    ORDER BY updated_at DESC, id DESC LIMIT ?4"
);
const LIST_ACTIVE: &str = columns!(
    "WHERE is_active AND updated_at < ?1 AND (?2 OR NOT is_archived) AND (?3 IS NULL OR cwd = ?3)
    AND (?5 OR root IS NULL)
    ORDER BY updated_at DESC, id DESC LIMIT ?4"
);
const FAMILY: &str = columns!("WHERE root = ?1 OR id = ?1 ORDER BY created_at, id");
const ORPHANS: &str = "SELECT id FROM session AS agent WHERE root IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM session WHERE id = agent.parent)";
const ONE: &str = columns!("WHERE id = ?");
const ACTIVE: &str = "SELECT id FROM session WHERE is_active";
const EPHEMERAL: &str = "SELECT id FROM session WHERE is_ephemeral";

// Around damage: the table without any index; then each row by itself, found by an index of its own.
const ALL_ROWS: &str = columns!("NOT INDEXED");
const ALL_IDS: &str = "SELECT id FROM session INDEXED BY sqlite_autoindex_session_1";

/// What is known of a session beside its log.
struct Line {
    id: SessionId,
    created_at: Timestamp,
    updated_at: Timestamp,
    cwd: Vec<u8>,
    is_archived: bool,
    is_active: bool,
    is_ephemeral: bool,
    /// JSON, unless it is damaged.
    summary: Vec<u8>,
}

impl Line {
    fn new(id: SessionId, columns: Columns) -> Self {
        let (_, created_at, updated_at, cwd, is_archived, is_active, is_ephemeral, summary) = columns;
        let (created_at, updated_at) = (Timestamp(unsigned(created_at)), Timestamp(unsigned(updated_at)));
        Self { id, created_at, updated_at, cwd, is_archived, is_active, is_ephemeral, summary }
    }

    /// What is left of a session whose row can't be read.
    fn lost(id: SessionId) -> Self {
        Self::new(id, (Vec::new(), 0, 0, Vec::new(), false, false, false, Vec::new()))
    }

    /// What the queries of lists ask for.
    fn fits(&self, params: &SessionListParams) -> bool {
        params.updated_before.is_none_or(|before| self.updated_at < before)
            && (params.with_archived || !self.is_archived)
            && (!params.only_active || self.is_active)
            && (params.with_agents || !self.is_agent())
            && params.cwd.as_ref().is_none_or(|cwd| cwd.to_string_lossy().as_bytes() == self.cwd)
    }

    /// Whether a model started it, as far as it can be read.
    fn is_agent(&self) -> bool {
        serde_json::from_slice::<SessionSummary>(&self.summary).is_ok_and(|summary| summary.agent.is_some())
    }

    /// The session as lists show it if it is damaged: as far as it can be read.
    fn of_damaged(&self, reason: String) -> SessionSummary {
        let status = SessionStatus::Damaged { reason };
        if let Ok(summary) = serde_json::from_slice::<SessionSummary>(&self.summary)
            && summary.id == self.id
        {
            return SessionSummary { status, ..summary };
        }
        SessionSummary {
            id: self.id,
            title: None,
            status,
            created_at: self.created_at,
            updated_at: self.updated_at,
            seq: Seq::ZERO,
            turn_count: 0,
            usage: Usage::default(),
            // Unknown, so what allows least.
            settings: SessionSettings {
                cwd: PathBuf::from(String::from_utf8_lossy(&self.cwd).into_owned()),
                additional_roots: Vec::new(),
                provider: String::new(),
                model: String::new(),
                reasoning_effort: None,
                reasoning_summary: None,
                developer_instructions: None,
                sandbox: SandboxMode::ReadOnly,
                network: NetworkAccess::Off,
                approval: ApprovalPolicy::OnRequest,
                is_tmp_writable: false,
                permissions: None,
                budget: protocol::turn::Budget::default(),
                limits: TurnLimits::default(),
                price: None,
                is_ephemeral: self.is_ephemeral,
                after_crash: AfterCrash::Wait,
                question_timeout_ms: None,
                model_context: protocol::context::ModelContext::default(),
            },
            agent: None,
            background: Vec::new(),
        }
    }
}

impl Store {
    /// Sessions as lists show them, the one that was updated last first. Damaged ones are among them.
    ///
    /// # Errors
    /// `Corrupt` when no way leads around the damage; `Sql`, `Closed`.
    pub async fn list(&self, params: &SessionListParams) -> Result<Vec<SessionSummary>, StoreError> {
        let limit = params.limit.unwrap_or(LIST_LIMIT);
        let found = sqlx::query_as::<_, Columns>(if params.only_active { LIST_ACTIVE } else { LIST })
            .bind(params.updated_before.map_or(i64::MAX, |before| signed(before.0)))
            .bind(params.with_archived)
            .bind(params.cwd.as_ref().map(|cwd| cwd.to_string_lossy().into_owned()))
            .bind(limit)
            .bind(params.with_agents)
            .fetch_all(self.readers())
            .await;
        let lines = match found.map_err(|source| self.sorted(source)).and_then(|rows| self.lines(rows)) {
            Err(StoreError::Corrupt { reason, .. }) => {
                let mut lines = self.survivors(&reason).await?;
                lines.retain(|line| line.fits(params));
                lines.sort_by_key(|line| std::cmp::Reverse((line.updated_at, line.id)));
                lines.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
                lines
            }
            lines => lines?,
        };
        let mut shown = Vec::with_capacity(lines.len());
        for line in &lines {
            shown.push(self.shown(line).await);
        }
        Ok(shown)
    }

    /// A session as lists show it; `None` if there is none of that id.
    ///
    /// # Errors
    /// `Sql`, `Closed`.
    pub async fn summary(&self, session: SessionId) -> Result<Option<SessionSummary>, StoreError> {
        match self.line(session).await? {
            Some(line) => Ok(Some(self.shown(&line).await)),
            None => Ok(None),
        }
    }

    /// A session and all agents below it, of a session that is none; oldest first.
    ///
    /// # Errors
    /// `Corrupt`, `Sql`, `Closed`.
    pub async fn family(&self, root: SessionId) -> Result<Vec<SessionSummary>, StoreError> {
        let rows = sqlx::query_as::<_, Columns>(FAMILY)
            .bind(id_bytes(root))
            .fetch_all(self.readers())
            .await
            .map_err(|source| self.sorted(source))?;
        let mut family = Vec::with_capacity(rows.len());
        for line in self.lines(rows)? {
            family.push(self.shown(&line).await);
        }
        Ok(family)
    }

    /// Agents whose parent is gone: those of a daemon that did not come to deleting them.
    ///
    /// # Errors
    /// `Corrupt`, `Sql`, `Closed`.
    pub async fn orphans(&self) -> Result<Vec<SessionId>, StoreError> {
        self.read_ids(ORPHANS).await
    }

    /// Sessions that run or wait, as far as lists know, but for damaged ones.
    ///
    /// # Errors
    /// `Corrupt` when no way leads around the damage; `Sql`, `Closed`.
    pub async fn active(&self) -> Result<Vec<SessionId>, StoreError> {
        self.ids(ACTIVE, |line| line.is_active).await
    }

    /// Sessions that nobody wants to keep: those of a daemon that did not come to deleting them.
    ///
    /// # Errors
    /// `Corrupt` when no way leads around the damage; `Sql`, `Closed`.
    pub async fn ephemeral(&self) -> Result<Vec<SessionId>, StoreError> {
        self.ids(EPHEMERAL, |line| line.is_ephemeral).await
    }

    /// All sessions, by the index of their ids.
    pub(crate) async fn all_ids(&self) -> Result<Vec<SessionId>, StoreError> {
        self.read_ids(ALL_IDS).await
    }

    /// Whether a session's row can be read.
    pub(crate) async fn examine_line(&self, session: SessionId) -> Result<(), StoreError> {
        let row = sqlx::query_as::<_, Columns>(ONE)
            .bind(id_bytes(session))
            .fetch_optional(self.readers())
            .await
            .map_err(|source| self.sorted(source))?;
        let Some((.., summary)) = row else { return Ok(()) };
        self.decode::<SessionSummary>(&summary).map(drop)
    }

    async fn ids(
        &self,
        sql: &'static str,
        is_wanted: impl Fn(&Line) -> bool,
    ) -> Result<Vec<SessionId>, StoreError> {
        let mut ids = match self.read_ids(sql).await {
            Err(StoreError::Corrupt { reason, .. }) => {
                let lines = self.survivors(&reason).await?;
                lines.iter().filter(|line| is_wanted(line)).map(|line| line.id).collect()
            }
            ids => ids?,
        };
        ids.retain(|id| self.damage_of(*id).is_none());
        Ok(ids)
    }

    async fn read_ids(&self, sql: &'static str) -> Result<Vec<SessionId>, StoreError> {
        let rows: Vec<Vec<u8>> = sqlx::query_scalar(sql.into_sql_str())
            .fetch_all(self.readers())
            .await
            .map_err(|source| self.sorted(source))?;
        rows.iter().map(|bytes| self.id(bytes)).collect()
    }

    /// The session's row; a lost one, set aside, where it can't be read.
    async fn line(&self, session: SessionId) -> Result<Option<Line>, StoreError> {
        let row = sqlx::query_as::<_, Columns>(ONE)
            .bind(id_bytes(session))
            .fetch_optional(self.readers())
            .await
            .map_err(|source| self.sorted(source));
        match row {
            Ok(row) => Ok(row.map(|columns| Line::new(session, columns))),
            Err(StoreError::Corrupt { reason, .. }) => {
                self.set_aside(session, reason).await;
                Ok(Some(Line::lost(session)))
            }
            Err(error) => Err(error),
        }
    }

    /// The rows that are left, when the usual way to them is damaged.
    async fn survivors(&self, reason: &str) -> Result<Vec<Line>, StoreError> {
        tracing::error!(reason, "the index of sessions is damaged; reading around it");
        let found = sqlx::query_as::<_, Columns>(ALL_ROWS).fetch_all(self.readers()).await;
        match found.map_err(|source| self.sorted(source)).and_then(|rows| self.lines(rows)) {
            Err(StoreError::Corrupt { .. }) => {}
            lines => return lines,
        }
        let mut lines = Vec::new();
        for id in self.all_ids().await? {
            lines.extend(self.line(id).await?);
        }
        Ok(lines)
    }

    fn lines(&self, rows: Vec<Columns>) -> Result<Vec<Line>, StoreError> {
        rows.into_iter().map(|columns| Ok(Line::new(self.id(&columns.0)?, columns))).collect()
    }

    fn id(&self, bytes: &[u8]) -> Result<SessionId, StoreError> {
        id_of(bytes).ok_or_else(|| self.corrupt("a session's id is none".to_owned()))
    }

    /// What lists show of a row; it is set aside if that can't be read.
    async fn shown(&self, line: &Line) -> SessionSummary {
        if let Some(reason) = self.damage_of(line.id) {
            return line.of_damaged(reason);
        }
        match serde_json::from_slice(&line.summary) {
            Ok(summary) => summary,
            Err(error) => {
                let reason = format!("what lists show of it can't be read: {error}");
                self.set_aside(line.id, reason.clone()).await;
                line.of_damaged(reason)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use sqlx::AssertSqlSafe;

    use super::*;
    use crate::database::Database;
    use crate::store::Durability;

    /// Each query that a start or a list makes, and how it finds its rows: never by passing over all sessions.
    #[tokio::test]
    async fn nothing_is_found_by_looking_at_all_sessions() {
        let scratch = tempfile::tempdir().expect("scratch");
        let mut database =
            Database::open(&scratch.path().join("skein.db"), Durability::Process).await.expect("database");
        for (query, wanted) in [
            (LIST, "SEARCH session USING INDEX session_list (updated_at<?)"),
            (LIST_ACTIVE, "SEARCH session USING INDEX session_active (updated_at<?)"),
            (ONE, "SEARCH session USING INDEX sqlite_autoindex_session_1 (id=?)"),
            // Indexes that hold only those that are looked for.
            (ACTIVE, "SCAN session USING COVERING INDEX session_active"),
            (EPHEMERAL, "SCAN session USING COVERING INDEX session_ephemeral"),
        ] {
            let plan: Vec<(i64, i64, i64, String)> =
                sqlx::query_as(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {query}")))
                    .fetch_all(&mut database.writer)
                    .await
                    .expect("plan");
            let steps: Vec<&str> = plan.iter().map(|(_, _, _, step)| &**step).collect();
            assert_eq!(steps, [wanted], "{query}");
        }
    }
}
