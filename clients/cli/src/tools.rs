//! `skein tools`: the tools that models have, whether they are told of each, and what it costs with every request.

use clap::Args;
use protocol::api::tool::ToolsClient;
use protocol::tool::{ToolListParams, ToolSource, ToolState, ToolStatus};
use view::escape;

use crate::connect::connect;
use crate::error::CliError;
use crate::output::Output;
use crate::select;
use crate::table::{json, table};

const HELP_AFTER: &str = "\
Tokens are estimated: a tool's name, description and schema are sent with every request. A tool that is `deferred` costs
nothing until a model has looked for it; one that is `suggested` is off, and a model may ask you to enable it.

Examples:
  skein tools
  skein tools --session 0192
  skein tools --json | jq '.[] | select(.name == \"grep\").input'";

/// How to list them.
#[derive(Args, Debug)]
#[command(after_help = HELP_AFTER)]
pub(crate) struct ToolsArgs {
    /// Those of this session, which clients may have added to: its id, or the beginning of it
    #[arg(long, value_name = "SESSION")]
    session: Option<String>,
    /// Print one JSON array, with descriptions and schemas
    #[arg(long)]
    json: bool,
}

/// Lists them.
pub(crate) async fn run(args: ToolsArgs, output: Output) -> Result<(), CliError> {
    let cwd = std::env::current_dir()
        .map_err(|source| CliError::System { what: "Can't tell the current folder", source })?;
    let mut connection = connect("skein tools", output).await?;
    let session_id = match args.session.as_deref() {
        Some(session) => Some(select::named(&mut connection, Some(session), false).await?),
        None => None,
    };
    let params = ToolListParams { cwd, session_id };
    let tools = connection.call(async |rpc| rpc.list_tools(params.clone()).await).await?.tools;
    if args.json {
        return json(&tools, output);
    }
    let rows: Vec<_> = tools.iter().map(row).collect();
    let mut text = table(&["NAME", "STATE", "FROM", "RUNS", "TOKENS", "WHAT IT DOES"], &rows, output);
    let on = tools.iter().filter(|tool| tool.state == ToolState::On);
    text.push_str(&format!("{} tokens together\n", on.map(|tool| tool.tokens).sum::<u64>()));
    output.write(&text).map_err(CliError::Output)
}

fn row(tool: &ToolStatus) -> Vec<String> {
    let state = match &tool.state {
        ToolState::On => "on",
        ToolState::Deferred => "deferred",
        ToolState::Off => "off",
        ToolState::Suggested => "suggested",
        ToolState::Unknown(_) => "?",
    };
    let source = match &tool.source {
        ToolSource::Own => "Skein",
        ToolSource::Mcp { server } => server,
        ToolSource::Client => "a client",
        ToolSource::Provider => "the provider",
        ToolSource::Unknown(_) => "?",
    };
    let runs = if tool.is_read_only { "side by side" } else { "in order" };
    let first = tool.description.lines().next().unwrap_or_default();
    let told = match &tool.reason {
        Some(reason) if tool.state != ToolState::On => format!("{reason}. {first}"),
        Some(reason) => format!("{first} ({reason})"),
        None => first.to_owned(),
    };
    let shown = |text: &str| escape::line(text).into_owned();
    vec![
        shown(&tool.name),
        state.to_owned(),
        shown(source),
        runs.to_owned(),
        tool.tokens.to_string(),
        shown(&told),
    ]
}
