//! `usage/*`.

use jsonrpsee::core::{RpcResult, async_trait};
use protocol::api::usage::UsageServer;
use protocol::error::{ErrorCode, ProtocolError};
use protocol::usage::{Spending, UsageGrouping, UsageKey, UsageReadParams, UsageReadResult, UsageRow};
use store::{UsageBy, UsageFilter, UsageSum, day_of};

use super::Handlers;
use crate::daemon;

/// Rows of an answer.
const MAX_ROWS: usize = 1000;

#[async_trait]
impl UsageServer for Handlers {
    async fn read(&self, params: UsageReadParams) -> RpcResult<UsageReadResult> {
        let by = match &params.by {
            UsageGrouping::Day => UsageBy::Day,
            UsageGrouping::Session => UsageBy::Session,
            UsageGrouping::Agent => UsageBy::Tree,
            UsageGrouping::Model => UsageBy::Model,
            UsageGrouping::Provider => UsageBy::Provider,
            UsageGrouping::Unknown(word) => {
                let message = format!("`{word}` is no grouping that this daemon knows");
                let error = ProtocolError::new(ErrorCode::InvalidRequest, message);
                return Err(error
                    .with_hint("Groupings are `day`, `session`, `model`, `provider` and `agent`")
                    .into());
            }
        };
        let today = day_of(daemon::now());
        let since_day = params.days.map_or(0, |days| (today + 1).saturating_sub(u64::from(days)));
        let filter = UsageFilter { session: params.session_id, since_day };
        let sums = self.0.store.usage(by, filter).await.map_err(ProtocolError::from)?;
        let mut total = Spending::default();
        let mut rows = Vec::new();
        for sum in sums {
            total += sum.spending;
            if rows.len() < MAX_ROWS {
                let spending = sum.spending;
                rows.push(UsageRow { key: self.key(by, sum).await?, spending });
            }
        }
        Ok(UsageReadResult { rows, total })
    }
}

impl Handlers {
    async fn key(&self, by: UsageBy, sum: UsageSum) -> Result<UsageKey, ProtocolError> {
        Ok(match by {
            UsageBy::Day => UsageKey::Day { date: date(sum.day) },
            UsageBy::Model => UsageKey::Model { provider: sum.provider, model: sum.model },
            UsageBy::Provider => UsageKey::Provider { provider: sum.provider },
            UsageBy::Session | UsageBy::Tree => {
                let session_id = sum.session.ok_or_else(|| {
                    ProtocolError::new(ErrorCode::Internal, "A sum of a session names none")
                })?;
                let summary = self.0.store.summary(session_id).await?;
                UsageKey::Session { session_id, title: summary.and_then(|summary| summary.title) }
            }
        })
    }
}

/// The date of a day since 1970-01-01, after Howard Hinnant's `civil_from_days`.
fn date(day: u64) -> String {
    let shifted = day + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let of_month = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{of_month:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_have_their_dates() {
        for (day, expected) in
            [(0, "1970-01-01"), (11_016, "2000-02-29"), (11_017, "2000-03-01"), (20_782, "2026-11-25")]
        {
            assert_eq!(date(day), expected);
        }
    }
}
