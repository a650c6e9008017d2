//! `skein agents`: the sessions that models started, as a tree.

use clap::Args;
use protocol::agent::{AgentListParams, AgentListResult, AgentNode};
use protocol::api::agent::AgentClient;
use view::{escape, words};

use crate::connect::connect;
use crate::error::CliError;
use crate::output::Output;
use crate::select;
use crate::table::{json, table};

/// Letters of a message that are shown.
const MESSAGE_LETTERS: usize = 60;

/// Which tree, and how.
#[derive(Args, Debug)]
pub(crate) struct AgentsArgs {
    /// A session of the tree: its id, or the beginning of it; else all trees in which an agent works
    #[arg(value_name = "SESSION")]
    session: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Shows trees of agents.
pub(crate) async fn run(args: AgentsArgs, output: Output) -> Result<(), CliError> {
    let mut connection = connect("skein agents", output).await?;
    let session_id = match &args.session {
        Some(text) => Some(select::by_text(&mut connection, text).await?),
        None => None,
    };
    let params = AgentListParams { session_id };
    let listed = connection.call(async |rpc| AgentClient::list(rpc, params.clone()).await).await?;
    let AgentListResult { agents } = &listed;
    if args.json {
        return json(agents, output);
    }
    if agents.is_empty() {
        output.note(output.err.dim("no agent works; `skein agents SESSION` shows those of a session"));
        return Ok(());
    }
    let rows: Vec<_> = agents.iter().map(row).collect();
    let headings = ["AGENT", "SESSION", "STATE", "MODEL", "EFFORT", "TOKENS", "COST", "LAST"];
    output.write(&table(&headings, &rows, output)).map_err(CliError::Output)
}

fn row(node: &AgentNode) -> Vec<String> {
    let AgentNode { summary, status, message, cost } = node;
    let (depth, name) = match &summary.agent {
        Some(agent) => (agent.depth, agent.name.as_str()),
        None => (0, summary.title.as_deref().unwrap_or("(nothing said yet)")),
    };
    // As the settings have it.
    let effort = serde_json::to_value(&summary.settings.reasoning_effort).unwrap_or_default();
    vec![
        format!("{}{}", indent(depth), escape::short_line(name, 40)),
        select::short(summary.id),
        escape::line(words::agent_status(status)).into_owned(),
        escape::line(&summary.settings.model).into_owned(),
        escape::line(effort.as_str().unwrap_or_default()).into_owned(),
        words::thousands(summary.usage.total_tokens()),
        format!("${cost:.4}"),
        message.as_deref().map(|message| escape::short_line(message, MESSAGE_LETTERS)).unwrap_or_default(),
    ]
}

/// What stands before the name of an agent so far below the top.
pub(crate) fn indent(depth: u32) -> String {
    match depth {
        0 => String::new(),
        // What came over the wire is not trusted to be small.
        depth => format!("{}└ ", "  ".repeat(depth.min(16) as usize - 1)),
    }
}
