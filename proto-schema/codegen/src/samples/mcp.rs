//! Samples of `mcp/*`.

use protocol::account::{LoginId, SecretText};
use protocol::mcp::{
    McpAnswerPromptParams, McpFinishLoginParams, McpListParams, McpListResult, McpLoginParams,
    McpLoginResult, McpLogoutParams, McpLogoutResult, McpPrompt, McpPromptArgument, McpPromptId,
    McpPromptParams, McpPromptQuestion, McpPromptResult, McpPromptsParams, McpPromptsResult, McpResource,
    McpResourcesParams, McpResourcesResult, McpServerFailure, McpServerState, McpServerStatus, McpToolStatus,
    ToolApproval,
};
use protocol::question::Decision;
use protocol::session::Done;
use serde_json::json;

use super::{Sample, at, sample, session_id, uuid};

pub(super) fn samples() -> Vec<Sample> {
    let server = |name: &str, state, tools| McpServerStatus {
        name: name.to_owned(),
        target: "npx -y @modelcontextprotocol/server-memory".to_owned(),
        state,
        is_required: false,
        is_of_session: false,
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
    let of_session =
        McpServerStatus { is_of_session: true, ..server("editor", McpServerState::Idle, Vec::new()) };
    vec![
        sample("mcp.list.params", &McpListParams { cwd: "/repo".into(), name: None, starts: true }),
        sample(
            "mcp.list.result",
            &McpListResult { servers: vec![ready, server("broken", failed, Vec::new()), of_session] },
        ),
    ]
    .into_iter()
    .chain(logins())
    .chain(prompts())
    .chain(resources())
    .collect()
}

fn logins() -> Vec<Sample> {
    let login_id = LoginId(uuid(0x42));
    let address = SecretText("http://127.0.0.1:40000/callback?code=abc&state=xyz".to_owned());
    vec![
        sample(
            "mcp.login.params",
            &McpLoginParams {
                cwd: "/repo".into(),
                name: "tracker".to_owned(),
                scopes: vec!["issues:read".to_owned()],
            },
        ),
        sample(
            "mcp.login.result",
            &McpLoginResult {
                login_id,
                url: "https://accounts.example.org/authorize?client_id=skein".to_owned(),
                expires_at: at(9),
            },
        ),
        sample("mcp.finishLogin.params", &McpFinishLoginParams { login_id, address }),
        sample("mcp.finishLogin.result", &Done {}),
        sample("mcp.logout.params", &McpLogoutParams { cwd: "/repo".into(), name: "tracker".to_owned() }),
        sample("mcp.logout.result", &McpLogoutResult { was_stored: true }),
    ]
}

fn resources() -> Vec<Sample> {
    let resource = McpResource {
        server: "tracker".to_owned(),
        uri: "issue://7".to_owned(),
        name: "Issue 7".to_owned(),
        description: Some("The sum starts at one".to_owned()),
    };
    let failed = McpServerFailure {
        server: "broken".to_owned(),
        message: "The MCP server `broken` could not be started: it broke off".to_owned(),
    };
    let result = McpResourcesResult {
        resources: vec![resource],
        starting: vec!["memory".to_owned()],
        failed: vec![failed],
    };
    vec![
        sample(
            "mcp.resources.params",
            &McpResourcesParams { cwd: "/repo".into(), session_id: None, starts: true },
        ),
        sample("mcp.resources.result", &result),
    ]
}

fn prompts() -> Vec<Sample> {
    let argument = McpPromptArgument {
        name: "issue".to_owned(),
        description: Some("Its number".to_owned()),
        is_required: true,
    };
    let prompt = McpPrompt {
        server: "tracker".to_owned(),
        name: "fix issue".to_owned(),
        command: "tracker:fix_issue".to_owned(),
        description: Some("Fixes an issue".to_owned()),
        arguments: vec![argument],
    };
    let id = McpPromptId(uuid(0x43));
    let question = McpPromptQuestion {
        id,
        server: "tracker".to_owned(),
        message: "On which branch?".to_owned(),
        schema: json!({"type": "object", "properties": {"branch": {"type": "string"}}}),
    };
    vec![
        sample(
            "mcp.prompts.params",
            &McpPromptsParams { cwd: "/repo".into(), session_id: Some(session_id()) },
        ),
        sample("mcp.prompts.result", &McpPromptsResult { prompts: vec![prompt], is_starting: true }),
        sample(
            "mcp.prompt.params",
            &McpPromptParams {
                cwd: "/repo".into(),
                server: "tracker".to_owned(),
                name: "fix issue".to_owned(),
                arguments: [("issue".to_owned(), "7".to_owned())].into(),
                session_id: None,
                takes_questions: true,
            },
        ),
        sample("mcp.prompt.result", &McpPromptResult { text: String::new(), question: Some(question) }),
        sample(
            "mcp.answerPrompt.params",
            &McpAnswerPromptParams { id, decision: Decision::Content { value: json!({"branch": "main"}) } },
        ),
        sample(
            "mcp.answerPrompt.result",
            &McpPromptResult { text: "Fix the issue 7.".to_owned(), question: None },
        ),
    ]
}
