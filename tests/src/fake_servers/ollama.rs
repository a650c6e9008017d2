//! Ollama, as far as Skein asks it (API of version 0.12).

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

use crate::error::HarnessError;
use crate::fake_servers::http::{Asked, FakeServer, Given};

/// A server with some models.
pub struct FakeOllama {
    /// What was asked of it.
    pub server: FakeServer,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    models: Vec<String>,
    loaded: Vec<(String, u64)>,
    pulls: VecDeque<Given>,
    /// Further headers of answers of models.
    headers: Vec<(&'static str, String)>,
}

impl FakeOllama {
    /// With these models.
    ///
    /// # Errors
    /// `Server`.
    pub fn start(models: &[&str]) -> Result<Self, HarnessError> {
        let models = models.iter().map(|&name| name.to_owned()).collect();
        let state = Arc::new(Mutex::new(State { models, ..State::default() }));
        let served = Arc::clone(&state);
        let server = FakeServer::start(move |asked| {
            let mut state = served.lock().unwrap_or_else(PoisonError::into_inner);
            answer(&mut state, asked)
        })?;
        Ok(Self { server, state })
    }

    /// What `OLLAMA_HOST` must be.
    #[must_use]
    pub fn host(&self) -> String {
        self.server.address()
    }

    /// How the next pulls go; a pull that none is left for completes.
    pub fn next_pull(&self, pull: Given) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).pulls.push_back(pull);
    }

    /// Puts a header into all further answers of models.
    pub fn add_header(&self, name: &'static str, value: &str) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).headers.push((name, value.to_owned()));
    }

    /// The names under which models were asked something.
    #[must_use]
    pub fn models_asked(&self) -> Vec<String> {
        let asked = self.server.asked_for("POST /v1/chat/completions");
        asked.iter().map(|asked| text(&asked.json(), "model")).collect()
    }
}

fn answer(state: &mut State, asked: &Asked) -> Given {
    let body = asked.json();
    let model = text(&body, "model");
    let is_known = state.models.contains(&model);
    match asked.line().as_str() {
        "GET /api/version" => Given::json(&json!({"version": "0.12.6"})),
        "GET /api/tags" => {
            let models: Vec<_> = state.models.iter().map(|name| tag(name)).collect();
            Given::json(&json!({ "models": models }))
        }
        "GET /api/ps" => {
            let loaded = state.loaded.iter().map(|(name, context)| {
                let mut tag = tag(name);
                tag["context_length"] = (*context).into();
                tag
            });
            Given::json(&json!({"models": loaded.collect::<Vec<_>>()}))
        }
        "POST /api/show" if is_known => Given::json(&json!({
            "capabilities": ["completion", "tools"],
            "model_info": {"general.architecture": "qwen3", "qwen3.context_length": 40960},
        })),
        "POST /api/create" => {
            let from = text(&body, "from");
            if !state.models.contains(&from) {
                return missing(&from);
            }
            let context = body["parameters"]["num_ctx"].as_u64().unwrap_or(0);
            state.models.push(model.clone());
            state.loaded.retain(|(name, _)| *name != model);
            state.loaded.push((model, context));
            Given::json(&json!({"status": "success"}))
        }
        "POST /api/generate" if is_known => Given::json(&json!({"model": model, "done": true})),
        "POST /api/pull" => match state.pulls.pop_front() {
            Some(pull) => pull,
            None => {
                state.models.push(model);
                Given::lines(&[pulling(70, 100), json!({"status": "success"})], super::http::Then::End)
            }
        },
        "POST /v1/chat/completions" if is_known => {
            let mut given = Given::chat("Hi from here.");
            given.headers.extend(state.headers.clone());
            given
        }
        _ => missing(&model),
    }
}

/// A line of a pull.
#[must_use]
pub fn pulling(completed: u64, total: u64) -> Value {
    json!({"status": "pulling 6488c96fa5fa", "digest": "sha256:6488c96fa5fa", "total": total, "completed": completed})
}

fn tag(name: &str) -> Value {
    let details = json!({"format": "gguf", "parameter_size": "8.2B", "quantization_level": "Q4_K_M"});
    json!({"name": name, "model": name, "size": 5_225_388_164_u64, "details": details})
}

fn missing(model: &str) -> Given {
    Given::status(404, &json!({"error": format!("model '{model}' not found")}))
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}
