//! The tools that models have, and those that they could have, as clients see them.

use config::WebSearch;
use protocol::mcp::{McpServerState, McpServerStatus, McpToolStatus, ToolApproval};
use protocol::tool::{ToolSource, ToolState, ToolStatus};
use tools::registry::{Listing, Registry};

use crate::mcp::called;

/// Those that every session has or, where it is about one session, those that it has; then what MCP servers and the
/// provider have beside, and the tools of servers that are switched off by themselves.
pub(crate) fn list(
    own: &Registry,
    of_session: Option<Vec<Listing>>,
    servers: &[McpServerStatus],
    off: &[(String, String)],
    search: WebSearch,
) -> Vec<ToolStatus> {
    let is_of_session = of_session.is_some();
    let listed = of_session.unwrap_or_else(|| own.listing());
    let mut tools: Vec<_> = listed.into_iter().map(|tool| listed_tool(tool, servers)).collect();
    for server in servers {
        match why_without(server) {
            Some((state, reason)) => tools.push(without_tools(server, state, reason)),
            // What a session has of it, it has.
            None if is_of_session => {}
            None => tools.extend(server.tools.iter().map(|tool| of_server(server, tool))),
        }
    }
    // A person may have enabled it for the session.
    let is_had = |server: &str, tool: &str| {
        let name = format!("mcp__{server}__{tool}");
        tools.iter().any(|known| known.name == name)
    };
    let off: Vec<_> = off.iter().filter(|(server, tool)| !is_had(server, tool)).collect();
    tools.extend(off.into_iter().map(|(server, tool)| switched_off(server, tool)));
    tools.push(web_search(search));
    tools
}

fn listed_tool(tool: Listing, servers: &[McpServerStatus]) -> ToolStatus {
    let Listing { specification, is_read_only, tokens, is_told, is_own } = tool;
    let name = specification.name;
    let server = servers.iter().find(|server| server.tools.iter().any(|tool| tool.offered_as == name));
    let source = match server {
        Some(server) => ToolSource::Mcp { server: server.name.clone() },
        None if is_own || name == tools::tool_search::NAME || name == tools::tool_suggest::NAME => {
            ToolSource::Own
        }
        None => ToolSource::Client,
    };
    let (state, reason) = if is_told { (ToolState::On, None) } else { deferred() };
    ToolStatus {
        name,
        description: specification.description,
        input: Some(specification.input),
        source,
        state,
        reason,
        is_read_only,
        tokens: u64::try_from(tokens).unwrap_or(u64::MAX),
    }
}

fn deferred() -> (ToolState, Option<String>) {
    (ToolState::Deferred, Some("Found with `tool_search`".to_owned()))
}

fn of_server(server: &McpServerStatus, tool: &McpToolStatus) -> ToolStatus {
    let (state, reason) = match tool.approval {
        ToolApproval::Deny => (ToolState::Off, Some("The settings deny it".to_owned())),
        ToolApproval::Auto | ToolApproval::Prompt | ToolApproval::Approve | ToolApproval::Unknown(_) => {
            if tool.is_deferred {
                deferred()
            } else {
                (ToolState::On, None)
            }
        }
    };
    ToolStatus {
        name: tool.offered_as.clone(),
        description: tool.description.clone(),
        input: None,
        source: ToolSource::Mcp { server: server.name.clone() },
        state,
        reason,
        is_read_only: tool.is_read_only,
        tokens: tool.tokens,
    }
}

/// Why a server has no tools to offer, if it has none.
fn why_without(server: &McpServerStatus) -> Option<(ToolState, String)> {
    let name = &server.name;
    match &server.state {
        McpServerState::Disabled => {
            Some((ToolState::Suggested, "Switched off in the settings; a model may suggest it".to_owned()))
        }
        McpServerState::LoginRequired => {
            Some((ToolState::Off, format!("It needs a sign-in: `skein mcp login {name}`")))
        }
        McpServerState::Failed { message } => Some((ToolState::Off, message.clone())),
        McpServerState::Idle | McpServerState::Starting | McpServerState::Ready => {
            server.tools.is_empty().then(|| (ToolState::Off, "No tools of it are known yet".to_owned()))
        }
        McpServerState::Unknown(_) => None,
    }
}

fn without_tools(server: &McpServerStatus, state: ToolState, reason: String) -> ToolStatus {
    ToolStatus {
        name: server.name.clone(),
        description: format!("The MCP server `{}`", server.name),
        input: None,
        source: ToolSource::Mcp { server: server.name.clone() },
        state,
        reason: Some(reason),
        is_read_only: false,
        tokens: 0,
    }
}

fn switched_off(server: &str, tool: &str) -> ToolStatus {
    ToolStatus {
        name: called(server, tool),
        description: format!("A tool of the MCP server `{server}`"),
        input: None,
        source: ToolSource::Mcp { server: server.to_owned() },
        state: ToolState::Suggested,
        reason: Some("`disabled_tools` names it; a model may suggest it".to_owned()),
        is_read_only: false,
        tokens: 0,
    }
}

fn web_search(search: WebSearch) -> ToolStatus {
    let (state, reason) = match search {
        WebSearch::Disabled => (ToolState::Off, "`web_search` is \"disabled\" in the settings"),
        WebSearch::Cached => (ToolState::On, "Cached pages, with providers that have it"),
        WebSearch::Live => (ToolState::On, "Live, with providers that have it"),
    };
    ToolStatus {
        name: "web_search".to_owned(),
        description: "Has the provider search the web.".to_owned(),
        input: None,
        source: ToolSource::Provider,
        state,
        reason: Some(reason.to_owned()),
        is_read_only: true,
        tokens: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(name: &str, state: McpServerState, tools: &[(&str, bool, ToolApproval)]) -> McpServerStatus {
        let tool = |(tool, is_deferred, approval): &(&str, bool, ToolApproval)| McpToolStatus {
            name: (*tool).to_owned(),
            offered_as: format!("mcp__{name}__{tool}"),
            description: String::new(),
            approval: approval.clone(),
            is_read_only: false,
            is_deferred: *is_deferred,
            tokens: 10,
        };
        McpServerStatus {
            name: name.to_owned(),
            target: String::new(),
            state,
            is_required: false,
            is_of_session: false,
            protocol: None,
            software: None,
            tools: tools.iter().map(tool).collect(),
            tokens: 0,
        }
    }

    #[test]
    fn each_tool_tells_its_state_and_why() {
        use ToolApproval::{Auto, Deny};
        let servers = [
            server(
                "a",
                McpServerState::Ready,
                &[("on", false, Auto), ("far", true, Auto), ("no", false, Deny)],
            ),
            server("off", McpServerState::Disabled, &[]),
            server("in", McpServerState::LoginRequired, &[]),
            server("bad", McpServerState::Failed { message: "It broke".to_owned() }, &[("x", false, Auto)]),
        ];
        let specification = |name: &str| protocol::tool::ToolSpecification {
            name: name.to_owned(),
            description: String::new(),
            input: protocol::tool::ToolInput::Json { schema: serde_json::json!({"type": "object"}) },
        };
        let listing = |name: &str, is_told, is_own| Listing {
            specification: specification(name),
            is_read_only: true,
            tokens: 1,
            is_told,
            is_own,
        };
        let launcher = std::sync::Arc::new(sandbox::Launcher::new("/nowhere".into(), None));
        let own = tools::standard::registry(launcher, Vec::new());
        let shown = |tools: Vec<ToolStatus>| {
            let row = |tool: &ToolStatus| {
                let reason = tool.reason.clone().unwrap_or_default();
                (tool.name.clone(), format!("{:?} {:?} {reason}", tool.source, tool.state))
            };
            tools.iter().map(row).collect::<Vec<_>>()
        };
        let off = ["quiet", "far"].map(|tool| ("a".to_owned(), tool.to_owned()));
        let all = shown(list(&own, None, &servers, &off[..1], WebSearch::Disabled));
        let of = |name: &str| all.iter().find(|(known, _)| known == name).map(|(_, text)| text.as_str());
        assert_eq!(of("grep"), Some("Own On "));
        assert_eq!(of("mcp__a__on"), Some("Mcp { server: \"a\" } On "));
        assert_eq!(of("mcp__a__far"), Some("Mcp { server: \"a\" } Deferred Found with `tool_search`"));
        assert_eq!(of("mcp__a__no"), Some("Mcp { server: \"a\" } Off The settings deny it"));
        assert!(of("a/quiet").is_some_and(|text| text.contains("Suggested `disabled_tools`")), "{all:?}");
        assert!(of("off").is_some_and(|text| text.contains("Suggested")));
        assert!(of("in").is_some_and(|text| text.contains("skein mcp login in")));
        assert_eq!((of("bad"), of("mcp__bad__x")), (Some("Mcp { server: \"bad\" } Off It broke"), None));
        assert!(of("web_search").is_some_and(|text| text.contains("\"disabled\"")));
        let of_session = vec![
            listing("grep", true, true),
            listing("mcp__a__far", true, false),
            listing("tab", true, false),
        ];
        let all = shown(list(&own, Some(of_session), &servers[..1], &off, WebSearch::Live));
        let names: Vec<_> = all.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["grep", "mcp__a__far", "tab", "a/quiet", "web_search"]);
        assert!(all[1].1.starts_with("Mcp") && all[2].1.starts_with("Client On"), "{all:?}");
    }
}
