//! Samples of `tool/*`.

use protocol::tool::{ToolInput, ToolListParams, ToolListResult, ToolSource, ToolState, ToolStatus};
use serde_json::json;

use super::{Sample, sample, session_id};

pub(super) fn samples() -> Vec<Sample> {
    let own = ToolStatus {
        name: "list_dir".to_owned(),
        description: "Lists a folder.".to_owned(),
        input: Some(ToolInput::Json { schema: json!({"type": "object"}) }),
        source: ToolSource::Own,
        state: ToolState::On,
        reason: None,
        is_read_only: true,
        tokens: 90,
    };
    let found = ToolStatus {
        name: "mcp__tracker__search".to_owned(),
        input: None,
        source: ToolSource::Mcp { server: "tracker".to_owned() },
        state: ToolState::Deferred,
        reason: Some("Found with `tool_search`".to_owned()),
        ..own.clone()
    };
    let of_client = ToolStatus { name: "open_tab".to_owned(), source: ToolSource::Client, ..own.clone() };
    let of_provider = ToolStatus {
        name: "web_search".to_owned(),
        input: None,
        source: ToolSource::Provider,
        state: ToolState::Off,
        reason: Some("`web_search` is \"disabled\" in the settings".to_owned()),
        ..own.clone()
    };
    let suggested = ToolStatus { state: ToolState::Suggested, ..found.clone() };
    let tools = vec![own, found, of_client, of_provider, suggested];
    vec![
        sample("tool.list.params", &ToolListParams { cwd: "/repo".into(), session_id: Some(session_id()) }),
        sample("tool.list.result", &ToolListResult { tools }),
    ]
}
