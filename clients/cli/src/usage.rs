//! `skein usage`: what was spent, by day, session, model, provider or agent.

use clap::{Args, ValueEnum};
use protocol::api::usage::UsageClient;
use protocol::usage::{Spending, UsageGrouping, UsageKey, UsageReadParams, UsageReadResult};
use view::{escape, words};

use crate::connect::connect;
use crate::error::CliError;
use crate::output::Output;
use crate::select;
use crate::table::{json, table};

/// What to sum up, and how to show it.
#[derive(Args, Debug)]
pub(crate) struct UsageArgs {
    /// What the sums are of
    #[arg(long, value_enum, default_value = "day")]
    by: By,
    /// Only the last so many days (UTC), today included
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..))]
    days: Option<u32>,
    /// Only one session: its id, the beginning of it, or its title
    #[arg(long, value_name = "SESSION")]
    session: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What sums are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum By {
    /// Days (UTC)
    Day,
    /// Sessions
    Session,
    /// Providers and models
    Model,
    /// Providers
    Provider,
    /// Sessions with the agents below them
    Agent,
}

/// Sums up and shows.
pub(crate) async fn run(args: UsageArgs, output: Output) -> Result<(), CliError> {
    let mut connection = connect("skein usage", output).await?;
    let session_id = match &args.session {
        Some(text) => Some(select::by_text(&mut connection, text).await?),
        None => None,
    };
    let by = match args.by {
        By::Day => UsageGrouping::Day,
        By::Session => UsageGrouping::Session,
        By::Model => UsageGrouping::Model,
        By::Provider => UsageGrouping::Provider,
        By::Agent => UsageGrouping::Agent,
    };
    let params = UsageReadParams { by, session_id, days: args.days };
    let found = connection.call(async |rpc| UsageClient::read(rpc, params.clone()).await).await?;
    if args.json { json(&found, output) } else { print(&found, args.by, output) }
}

fn print(found: &UsageReadResult, by: By, output: Output) -> Result<(), CliError> {
    if found.rows.is_empty() {
        output.note(output.err.dim("nothing was spent"));
        return Ok(());
    }
    let heading = match by {
        By::Day => "day",
        By::Session | By::Agent => "session",
        By::Model => "model",
        By::Provider => "provider",
    };
    let headings = [
        heading,
        "cost",
        "input",
        "cached",
        "cache writes",
        "output",
        "reasoning",
        "requests",
        "tool calls",
        "time",
    ];
    let mut rows: Vec<_> = found.rows.iter().map(|row| cells(name(&row.key), &row.spending)).collect();
    if rows.len() > 1 {
        rows.push(cells("total".to_owned(), &found.total));
    }
    output.write(&table(&headings, &rows, output)).map_err(CliError::Output)?;
    if found.total.unpriced_requests > 0 {
        output.note(output.err.dim(format!(
            "the price of {} requests is not known, so their cost is missing; `[model_prices]` sets prices",
            found.total.unpriced_requests
        )));
    }
    if found.total.untold_requests > 0 {
        output.note(output.err.dim(format!(
            "of {} requests the provider did not tell what they took, as of answers that broke off: they are in no sum",
            found.total.untold_requests
        )));
    }
    Ok(())
}

fn name(key: &UsageKey) -> String {
    match key {
        UsageKey::Day { date } => escape::line(date).into_owned(),
        UsageKey::Session { session_id, .. } if session_id.0.is_nil() => "(deleted sessions)".to_owned(),
        UsageKey::Session { session_id, title: None } => session_id.to_string(),
        UsageKey::Session { session_id, title: Some(title) } => {
            format!("{session_id} {}", escape::short_line(title, 40))
        }
        UsageKey::Model { provider, model } => {
            format!("{} ({})", escape::line(model), escape::line(provider))
        }
        UsageKey::Provider { provider } => escape::line(provider).into_owned(),
        UsageKey::Unknown(_) => "?".to_owned(),
    }
}

fn cells(name: String, spending: &Spending) -> Vec<String> {
    let usage = &spending.usage;
    let numbers = [
        usage.input_tokens,
        usage.cached_input_tokens,
        usage.cache_write_input_tokens,
        usage.output_tokens,
        usage.reasoning_output_tokens,
        spending.requests,
        spending.tool_calls,
    ];
    let numbers = numbers.map(|number| number.to_string());
    let time = words::span(spending.time_ms);
    [name, format!("${:.4}", spending.cost)].into_iter().chain(numbers).chain([time]).collect()
}
