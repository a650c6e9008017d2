//! Ollama's own API: version, list, what is loaded, what a model can, load, unload, pull. Its Chat Completions API
//! takes no size of the context, so a model that is to have one gets a name of its own there, as Ollama documents
//! it; that costs no space.

use std::time::Duration;

use bytes::BytesMut;
use futures_util::{StreamExt, stream};
use protocol::catalogue::{LocalModel, Model, ModelFacts, PullProgress};
use reqwest::{Method, Response};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::local::server::{LocalError, LocalKind, LocalServer, Pull, failed};
use crate::plain::NoAnswer;

const KIND: LocalKind = LocalKind::Ollama;
/// It tells what a model can since this version.
const NEEDED: &str = "0.6.4";
/// What we make begins so; lists leave it out.
const OURS: &str = "skein/";
/// Models that are asked about one by one.
const MAX_SHOWN: usize = 100;
/// How many at a time.
const AT_ONCE: usize = 4;
/// How long a model stays in memory after its last use.
const KEEP_ALIVE: &str = "30m";
/// A line of a pull is no longer.
const MAX_LINE_BYTES: usize = 64 * 1024;
/// How long a pull may say nothing. It tells of its progress several times a second, but looks over large files in
/// silence.
const SILENCE_LIMIT: Duration = Duration::from_secs(120);

#[derive(Deserialize)]
struct Version {
    version: String,
}

#[derive(Deserialize)]
struct Tags {
    #[serde(default)]
    models: Vec<Tag>,
}

#[derive(Deserialize)]
struct Tag {
    name: String,
    size: Option<u64>,
    #[serde(default)]
    details: Details,
    context_length: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Details {
    format: Option<String>,
    parameter_size: Option<String>,
    quantization_level: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Shown {
    model_info: Map<String, Value>,
    capabilities: Vec<String>,
}

#[derive(Deserialize)]
struct Line {
    #[serde(default)]
    status: String,
    total: Option<u64>,
    completed: Option<u64>,
    error: Option<String>,
}

pub(crate) async fn probe(server: &LocalServer) -> Result<Option<String>, LocalError> {
    let answer = server.answer(server.quick().get("api/version").await)?;
    let Version { version } = server.read(&answer)?;
    let version: String = version.chars().filter(|letter| !letter.is_control()).take(40).collect();
    // A build from source has no number.
    if numbers(&version) != [0, 0, 0] && numbers(&version) < numbers(NEEDED) {
        return Err(LocalError::TooOld { kind: KIND, version, needed: NEEDED });
    }
    Ok(Some(version))
}

pub(crate) async fn models(server: &LocalServer) -> Result<Vec<Model>, LocalError> {
    let tags: Tags = server.read(&server.answer(server.quick().get("api/tags").await)?)?;
    // Without knowing what is loaded, nothing is.
    let loaded: Vec<Tag> = match server.answer(server.quick().get("api/ps").await) {
        Ok(answer) => server.read::<Tags>(&answer).map(|tags| tags.models).unwrap_or_default(),
        Err(_) => Vec::new(),
    };
    let named = tags.models.into_iter().filter(|tag| !tag.name.starts_with(OURS)).enumerate();
    let models = stream::iter(named).map(|(number, tag)| {
        let running =
            loaded.iter().find(|running| running.name == tag.name || is_made_of(&running.name, &tag.name));
        let (is_loaded, loaded_context) =
            (running.is_some(), running.and_then(|running| running.context_length));
        async move {
            let shown = if number < MAX_SHOWN {
                show(server, &tag.name).await.unwrap_or_default()
            } else {
                Shown::default()
            };
            let local = LocalModel {
                size_bytes: tag.size,
                parameters: tag.details.parameter_size,
                quantization: tag.details.quantization_level,
                format: tag.details.format,
                is_loaded,
                loaded_context,
            };
            Model { name: tag.name, title: None, facts: facts(&shown), local: Some(local) }
        }
    });
    Ok(models.buffer_unordered(AT_ONCE).collect().await)
}

pub(crate) async fn load(
    server: &LocalServer,
    model: &str,
    context: Option<u64>,
) -> Result<String, LocalError> {
    show(server, model).await?;
    let name = match context {
        None => model.to_owned(),
        Some(context) => {
            let name = made_of(model, context);
            let body =
                json!({"model": name, "from": model, "parameters": {"num_ctx": context}, "stream": false});
            let answer = server.answer(server.slow().post_json("api/create", &body).await)?;
            if !answer.is_good() {
                return Err(server.refused(&answer));
            }
            name
        }
    };
    let body = json!({"model": name, "keep_alive": KEEP_ALIVE, "stream": false});
    let answer = server.answer(server.slow().post_json("api/generate", &body).await)?;
    if answer.is_good() { Ok(name) } else { Err(server.refused(&answer)) }
}

pub(crate) async fn unload(server: &LocalServer, model: &str) -> Result<(), LocalError> {
    let loaded: Tags = server.read(&server.answer(server.quick().get("api/ps").await)?)?;
    for running in loaded.models {
        if running.name == model || is_made_of(&running.name, model) {
            let body = json!({"model": running.name, "keep_alive": 0, "stream": false});
            let answer = server.answer(server.quick().post_json("api/generate", &body).await)?;
            if !answer.is_good() {
                return Err(server.refused(&answer));
            }
        }
    }
    Ok(())
}

pub(crate) fn pull(server: LocalServer, model: String) -> Pull {
    let begin = async move {
        let body = json!({"model": model}).to_string();
        let sent = server.slow().send(Method::POST, "api/pull", Some(("application/json", body)));
        let response = match tokio::time::timeout(SILENCE_LIMIT, sent).await {
            Ok(Ok(response)) => response,
            Ok(Err(NoAnswer::Unreachable(reason))) => {
                let error = LocalError::NotRunning { kind: KIND, address: server.address(), reason };
                return Lines { state: State::Failed(error) };
            }
            Ok(Err(NoAnswer::Broken(reason))) => return Lines { state: State::Failed(refused(reason)) },
            Err(_) => return Lines { state: State::Failed(silent()) },
        };
        if response.status().is_success() {
            return Lines { state: State::Open(response, BytesMut::new()) };
        }
        // The reason is in the body, as in a line.
        Lines { state: State::Open(response, BytesMut::new()) }
    };
    Box::pin(stream::once(begin).flat_map(|lines| stream::unfold(lines, Lines::next)))
}

/// The lines of a pull.
struct Lines {
    state: State,
}

enum State {
    Open(Response, BytesMut),
    Failed(LocalError),
    Over,
}

impl Lines {
    async fn next(self) -> Option<(PullProgress, Self)> {
        match self.state {
            State::Over => None,
            State::Failed(error) => Some((failed(&error), Self { state: State::Over })),
            State::Open(mut response, mut buffer) => match line(&mut response, &mut buffer).await {
                Ok(progress @ (PullProgress::Completed | PullProgress::Failed { .. })) => {
                    Some((progress, Self { state: State::Over }))
                }
                Ok(progress) => Some((progress, Self { state: State::Open(response, buffer) })),
                Err(error) => Some((failed(&error), Self { state: State::Over })),
            },
        }
    }
}

async fn line(response: &mut Response, buffer: &mut BytesMut) -> Result<PullProgress, LocalError> {
    loop {
        if let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
            let line = buffer.split_to(end + 1);
            if line.trim_ascii().is_empty() {
                continue;
            }
            return read_line(&line);
        }
        if buffer.len() > MAX_LINE_BYTES {
            return Err(malformed("a line is too long".to_owned()));
        }
        let piece = tokio::time::timeout(SILENCE_LIMIT, response.chunk()).await.map_err(|_| silent())?;
        match piece {
            Ok(Some(piece)) => buffer.extend_from_slice(&piece),
            Ok(None) if buffer.trim_ascii().is_empty() => {
                return Err(malformed("it ended before the model was there".to_owned()));
            }
            Ok(None) => return read_line(&buffer.split()),
            Err(_) => {
                return Err(malformed("it broke off; the next pull goes on where it stopped".to_owned()));
            }
        }
    }
}

fn read_line(line: &[u8]) -> Result<PullProgress, LocalError> {
    let line: Line = serde_json::from_slice(line).map_err(|error| malformed(error.to_string()))?;
    let short = |text: &str| text.chars().filter(|letter| !letter.is_control()).take(300).collect::<String>();
    Ok(match line {
        Line { error: Some(reason), .. } => failed(&refused(short(&reason))),
        Line { status, .. } if status == "success" => PullProgress::Completed,
        Line { status, total, completed, .. } => {
            let completed_bytes = total.map(|_| completed.unwrap_or(0));
            PullProgress::Fetching { status: short(&status), completed_bytes, total_bytes: total }
        }
    })
}

fn refused(reason: String) -> LocalError {
    LocalError::Refused { kind: KIND, reason }
}

fn malformed(reason: String) -> LocalError {
    LocalError::Malformed { kind: KIND, reason }
}

fn silent() -> LocalError {
    malformed(format!("nothing came for {} s", SILENCE_LIMIT.as_secs()))
}

async fn show(server: &LocalServer, model: &str) -> Result<Shown, LocalError> {
    let answer = server.answer(server.quick().post_json("api/show", &json!({"model": model})).await)?;
    match answer.status {
        404 => Err(LocalError::NoModel { kind: KIND, model: model.to_owned() }),
        _ => server.read(&answer),
    }
}

fn facts(shown: &Shown) -> ModelFacts {
    let architecture = shown.model_info.get("general.architecture").and_then(Value::as_str);
    let context = architecture.and_then(|name| shown.model_info.get(&format!("{name}.context_length")));
    let has = |ability: &str| {
        (!shown.capabilities.is_empty()).then(|| shown.capabilities.iter().any(|known| known == ability))
    };
    ModelFacts {
        context_window: context.and_then(Value::as_u64),
        has_tools: has("tools"),
        has_images: has("vision"),
        has_reasoning: has("thinking"),
        ..ModelFacts::default()
    }
}

/// What a model is called that has a context of its own: `skein/qwen3-8b:ctx32768`.
fn made_of(model: &str, context: u64) -> String {
    format!("{OURS}{}:ctx{context}", flat(model))
}

fn is_made_of(name: &str, model: &str) -> bool {
    name.strip_prefix(OURS)
        .and_then(|rest| rest.split_once(":ctx"))
        .is_some_and(|(base, _)| base == flat(model))
}

fn flat(model: &str) -> String {
    model.replace(|letter: char| !letter.is_ascii_alphanumeric() && letter != '.', "-")
}

/// The numbers of a version; what follows a sign is left out.
fn numbers(version: &str) -> [u64; 3] {
    let plain = version.trim_start_matches('v').split(['-', '+', ' ']).next().unwrap_or_default();
    let mut parts = plain.split('.').map(|part| part.parse().unwrap_or(0));
    [(); 3].map(|()| parts.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_their_numbers() {
        assert!(numbers("0.12.6") > numbers(NEEDED) && numbers("0.6.3") < numbers(NEEDED));
        assert_eq!(numbers("0.6.4-rc1+x"), [0, 6, 4]);
        assert_eq!(numbers("0.0.0"), [0, 0, 0]);
    }

    #[test]
    fn a_line_of_a_pull_is_progress_an_end_or_a_failure() {
        let read = |text: &str| read_line(text.as_bytes());
        assert_eq!(read(r#"{"status":"success"}"#), Ok(PullProgress::Completed));
        let fetching = PullProgress::Fetching {
            status: "pulling abc".into(),
            completed_bytes: Some(0),
            total_bytes: Some(7),
        };
        assert_eq!(read(r#"{"status":"pulling abc","digest":"sha256:x","total":7}"#), Ok(fetching));
        let Ok(PullProgress::Failed { message, .. }) = read(r#"{"error":"no \u001b[31mspace"}"#) else {
            panic!()
        };
        assert_eq!(message, "Ollama refused: no [31mspace");
        assert!(read("<html>").is_err());
    }

    #[test]
    fn a_model_with_a_context_is_known_by_its_name() {
        let name = made_of("hf.co/a/Qwen3:8b", 32768);
        assert_eq!(name, "skein/hf.co-a-Qwen3-8b:ctx32768");
        assert!(is_made_of(&name, "hf.co/a/Qwen3:8b") && !is_made_of(&name, "other:8b"));
    }
}
