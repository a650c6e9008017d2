//! Samples of `mcp/*`.

use protocol::mcp::{
    McpListParams, McpListResult, McpServerState, McpServerStatus, McpToolStatus, ToolApproval,
};

use super::{Sample, sample};

pub(super) fn samples() -> Vec<Sample> {
    let server = |name: &str, state, tools| McpServerStatus {
        name: name.to_owned(),
        target: "npx -y @modelcontextprotocol/server-memory".to_owned(),
        state,
        is_required: false,
        protocol: None,
        software: None,
        tools,
        tokens: 0,
    };
    let failed = McpServerState::Failed { message: "It ended while it started".to_owned() };
    let tool = McpToolStatus {
        name: "read_graph".to_owned(),
        offered_as: "mcp__memory__read_graph".to_owned(),
        description: "Read the entire knowledge graph".to_owned(),
        approval: ToolApproval::Auto,
        is_read_only: true,
        is_deferred: false,
        tokens: 31,
    };
    let ready = McpServerStatus {
        protocol: Some("2025-11-25".to_owned()),
        software: Some("memory-server 0.6.3".to_owned()),
        tokens: 31,
        ..server("memory", McpServerState::Ready, vec![tool])
    };
    vec![
        sample("mcp.list.params", &McpListParams { cwd: "/repo".into(), name: None, starts: true }),
        sample(
            "mcp.list.result",
            &McpListResult { servers: vec![ready, server("broken", failed, Vec::new())] },
        ),
    ]
}
