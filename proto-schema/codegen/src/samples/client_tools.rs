//! Samples of tools of clients: how they are registered, and the event.

use protocol::client_tool::{ClientTool, ClientToolsRegistered, SessionRegisterToolsParams};
use protocol::event::Event;
use protocol::session::Done;
use serde_json::json;

use super::{Sample, actor, request_id, sample, session_id};

pub(super) fn samples() -> Vec<Sample> {
    let params = SessionRegisterToolsParams {
        session_id: session_id(),
        tools: vec![tool()],
        timeout_ms: Some(30_000),
        request_id: Some(request_id()),
    };
    vec![sample("session.registerTools.params", &params), sample("session.registerTools.result", &Done {})]
}

pub(super) fn event() -> Event {
    Event::ClientToolsRegistered(ClientToolsRegistered {
        actor: actor(),
        tools: vec![tool()],
        timeout_ms: 30_000,
    })
}

fn tool() -> ClientTool {
    ClientTool {
        name: "open_file".to_owned(),
        description: "Opens a file in the editor".to_owned(),
        schema: json!({"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}),
        is_read_only: true,
    }
}
