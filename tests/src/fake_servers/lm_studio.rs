//! LM Studio, as far as Skein asks it (API `v1` of version 0.4).

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::json;

use crate::error::HarnessError;
use crate::fake_servers::http::{Asked, FakeServer, Given};

/// A server with one model.
pub struct FakeLmStudio {
    /// What was asked of it.
    pub server: FakeServer,
}

#[derive(Default)]
struct State {
    /// The context that the model was loaded with.
    loaded: Option<u64>,
    /// Looks at the download so far.
    looks: u64,
}

impl FakeLmStudio {
    /// With this model.
    ///
    /// # Errors
    /// `Server`.
    pub fn start(model: &str) -> Result<Self, HarnessError> {
        let (state, model) = (Arc::new(Mutex::new(State::default())), model.to_owned());
        let server = FakeServer::start(move |asked| {
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            answer(&mut state, &model, asked)
        })?;
        Ok(Self { server })
    }
}

fn answer(state: &mut State, model: &str, asked: &Asked) -> Given {
    let body = asked.json();
    match asked.line().as_str() {
        "GET /api/v1/models" => {
            let instances: Vec<_> = state
                .loaded
                .iter()
                .map(|context| json!({"id": model, "config": {"context_length": context}}))
                .collect();
            Given::json(&json!({"models": [{
                "type": "llm", "key": model, "display_name": "Model", "size_bytes": 4_000_000_000_u64,
                "params_string": "8B", "quantization": {"name": "Q4_K_M"}, "loaded_instances": instances,
                "max_context_length": 40960, "format": "gguf",
                "capabilities": {"vision": false, "trained_for_tool_use": true},
            }]}))
        }
        "POST /api/v1/models/load" => {
            state.loaded = Some(body["context_length"].as_u64().unwrap_or(4096));
            Given::json(&json!({"status": "loaded"}))
        }
        "POST /api/v1/models/unload" => {
            state.loaded = None;
            Given::json(&json!({"instance_id": model}))
        }
        "POST /api/v1/models/download" => Given::json(&json!({
            "job_id": "job-1", "status": "downloading", "total_size_bytes": 100, "downloaded_bytes": 0,
        })),
        "GET /api/v1/models/download/status/job-1" => {
            state.looks += 1;
            let status = if state.looks < 2 { "downloading" } else { "completed" };
            Given::json(&json!({
                "job_id": "job-1", "status": status, "total_size_bytes": 100, "downloaded_bytes": state.looks * 50,
            }))
        }
        "POST /v1/chat/completions" => Given::chat("Hi from the studio."),
        _ => Given::status(404, &json!({"error": "Unexpected endpoint"})),
    }
}
