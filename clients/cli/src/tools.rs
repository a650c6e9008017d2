//! `skein tools`: the tools that every session has, and what each costs with every request.

use clap::Args;
use protocol::tool::ToolInput;
use serde_json::json;

use crate::error::CliError;
use crate::local::{Local, ToolListing};
use crate::output::Output;
use crate::table::table;

const HELP_AFTER: &str = "\
Tokens are estimated: a tool's name, description and schema are sent with every request. Tools of MCP servers are not
listed here.

Examples:
  skein tools
  skein tools --json | jq '.[] | select(.name == \"grep\").input'";

/// How to list them.
#[derive(Args, Debug)]
#[command(after_help = HELP_AFTER)]
pub(crate) struct ToolsArgs {
    /// Print one JSON array, with descriptions and schemas
    #[arg(long)]
    json: bool,
}

/// Lists them.
pub(crate) fn run(args: &ToolsArgs, local: &dyn Local, output: Output) -> Result<(), CliError> {
    let tools = local.tools()?;
    let text = if args.json {
        let tools: Vec<_> = tools.iter().map(as_json).collect();
        format!("{}\n", json!(tools))
    } else {
        let total: usize = tools.iter().map(|tool| tool.tokens).sum();
        let row = |tool: &ToolListing| {
            let first = tool.specification.description.lines().next().unwrap_or_default();
            let runs = if tool.is_read_only { "side by side" } else { "in order" };
            let tokens = tool.tokens.to_string();
            vec![tool.specification.name.clone(), "on".to_owned(), runs.to_owned(), tokens, first.to_owned()]
        };
        let rows: Vec<_> = tools.iter().map(row).collect();
        let listed = table(&["NAME", "STATE", "RUNS", "TOKENS", "WHAT IT DOES"], &rows, output);
        format!("{listed}{total} tokens together\n")
    };
    output.write(&text).map_err(CliError::Output)
}

fn as_json(tool: &ToolListing) -> serde_json::Value {
    let specification = &tool.specification;
    let input = match &specification.input {
        ToolInput::Json { schema } => json!({ "type": "json", "schema": schema }),
        ToolInput::Freeform { grammar } => json!({ "type": "freeform", "grammar": grammar }),
    };
    json!({
        "name": specification.name,
        "description": specification.description,
        "state": "on",
        "isReadOnly": tool.is_read_only,
        "tokens": tool.tokens,
        "input": input,
    })
}
