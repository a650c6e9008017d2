//! LM Studio's own API: `v1` of version 0.4 and later, and `v0` before it, which can only list. It goes on fetching
//! when nobody looks; a pull that is given up is not stopped there.

use std::time::Duration;

use futures_util::stream;
use protocol::catalogue::{LocalModel, Model, ModelFacts, PullProgress};
use serde::Deserialize;
use serde_json::json;

use crate::local::server::{LocalError, LocalKind, LocalServer, Pull, failed};

const KIND: LocalKind = LocalKind::LmStudio;
/// It loads and fetches models for others since this version.
const NEEDED: &str = "0.4.0";
/// Between two looks how far a pull is.
const LOOK: Duration = Duration::from_millis(500);
/// Looks that may fail in a row.
const MAX_FAILED_LOOKS: u32 = 10;

#[derive(Deserialize)]
struct V1 {
    models: Vec<V1Model>,
}

#[derive(Deserialize)]
struct V1Model {
    #[serde(rename = "type", default)]
    kind: String,
    key: String,
    display_name: Option<String>,
    quantization: Option<Quantization>,
    size_bytes: Option<u64>,
    params_string: Option<String>,
    #[serde(default)]
    loaded_instances: Vec<Instance>,
    max_context_length: Option<u64>,
    format: Option<String>,
    capabilities: Option<Capabilities>,
}

#[derive(Deserialize)]
struct Quantization {
    name: Option<String>,
}

#[derive(Deserialize)]
struct Instance {
    id: String,
    #[serde(default)]
    config: InstanceConfig,
}

#[derive(Default, Deserialize)]
struct InstanceConfig {
    context_length: Option<u64>,
}

#[derive(Deserialize)]
struct Capabilities {
    vision: Option<bool>,
    trained_for_tool_use: Option<bool>,
}

#[derive(Deserialize)]
struct V0 {
    data: Vec<V0Model>,
}

#[derive(Deserialize)]
struct V0Model {
    id: String,
    #[serde(rename = "type", default)]
    kind: String,
    compatibility_type: Option<String>,
    quantization: Option<String>,
    state: Option<String>,
    max_context_length: Option<u64>,
    loaded_context_length: Option<u64>,
}

#[derive(Deserialize)]
struct Download {
    job_id: Option<String>,
    status: String,
    total_size_bytes: Option<u64>,
    downloaded_bytes: Option<u64>,
}

pub(crate) async fn probe(server: &LocalServer) -> Result<Option<String>, LocalError> {
    let answer = server.answer(server.quick().get("api/v1/models").await)?;
    if answer.is_good() {
        server.read::<V1>(&answer)?;
        return Ok(None);
    }
    let answer = server.answer(server.quick().get("api/v0/models").await)?;
    server.read::<V0>(&answer).map(|_| None)
}

pub(crate) async fn models(server: &LocalServer) -> Result<Vec<Model>, LocalError> {
    match v1(server).await? {
        Some(models) => Ok(models.into_iter().filter(|model| is_model(&model.kind)).map(of_v1).collect()),
        None => {
            let answer = server.answer(server.quick().get("api/v0/models").await)?;
            let V0 { data } = server.read(&answer)?;
            Ok(data.into_iter().filter(|model| is_model(&model.kind)).map(of_v0).collect())
        }
    }
}

pub(crate) async fn load(
    server: &LocalServer,
    model: &str,
    context: Option<u64>,
) -> Result<String, LocalError> {
    let known = needed(v1(server).await?)?;
    let known = known.into_iter().find(|known| known.key == model);
    let known = known.ok_or_else(|| LocalError::NoModel { kind: KIND, model: model.to_owned() })?;
    let is_enough = |instance: &Instance| match (context, instance.config.context_length) {
        (Some(wanted), Some(has)) => has >= wanted,
        (Some(_), None) => false,
        (None, _) => true,
    };
    if let Some(instance) = known.loaded_instances.iter().find(|instance| is_enough(instance)) {
        return Ok(instance.id.clone());
    }
    // What is there with less would be used in its place.
    for instance in &known.loaded_instances {
        unload_instance(server, &instance.id).await?;
    }
    let mut body = json!({"model": model});
    if let Some(context) = context {
        body["context_length"] = context.into();
    }
    let answer = server.answer(server.slow().post_json("api/v1/models/load", &body).await)?;
    if answer.is_good() { Ok(model.to_owned()) } else { Err(server.refused(&answer)) }
}

pub(crate) async fn unload(server: &LocalServer, model: &str) -> Result<(), LocalError> {
    let known = needed(v1(server).await?)?;
    for instance in known.iter().filter(|known| known.key == model).flat_map(|known| &known.loaded_instances)
    {
        unload_instance(server, &instance.id).await?;
    }
    Ok(())
}

async fn unload_instance(server: &LocalServer, id: &str) -> Result<(), LocalError> {
    let answer =
        server.answer(server.slow().post_json("api/v1/models/unload", &json!({"instance_id": id})).await)?;
    if answer.is_good() { Ok(()) } else { Err(server.refused(&answer)) }
}

pub(crate) fn pull(server: LocalServer, model: String) -> Pull {
    Box::pin(stream::unfold(Watch::Begin { server, model }, Watch::next))
}

/// A pull that is watched.
enum Watch {
    Begin { server: LocalServer, model: String },
    Look { server: LocalServer, job: String, failed: u32 },
    Over,
}

impl Watch {
    async fn next(self) -> Option<(PullProgress, Self)> {
        match self {
            Self::Over => None,
            Self::Begin { server, model } => {
                let begun = server.slow().post_json("api/v1/models/download", &json!({"model": model})).await;
                let begun = match server.answer(begun) {
                    Ok(answer) if answer.status == 404 => needed(None::<Download>),
                    Ok(answer) => server.read::<Download>(&answer),
                    Err(error) => Err(error),
                };
                Some(match begun {
                    Ok(download) => {
                        let job = download.job_id.clone();
                        let progress = progress(&download, job.is_none());
                        let goes_on = matches!(progress, PullProgress::Fetching { .. });
                        match job.filter(|_| goes_on) {
                            Some(job) => (progress, Self::Look { server, job, failed: 0 }),
                            None => (progress, Self::Over),
                        }
                    }
                    Err(error) => (failed(&error), Self::Over),
                })
            }
            Self::Look { server, job, failed: mut in_a_row } => loop {
                tokio::time::sleep(LOOK).await;
                let path = format!("api/v1/models/download/status/{job}");
                let looked = server.answer(server.quick().get(&path).await);
                match looked.and_then(|answer| server.read::<Download>(&answer)) {
                    Ok(download) => {
                        let progress = progress(&download, false);
                        let next = match progress {
                            PullProgress::Fetching { .. } => Self::Look { server, job, failed: 0 },
                            _ => Self::Over,
                        };
                        return Some((progress, next));
                    }
                    Err(_) if in_a_row < MAX_FAILED_LOOKS => in_a_row += 1,
                    Err(error) => return Some((failed(&error), Self::Over)),
                }
            },
        }
    }
}

/// What a look tells; `is_all` where there will be no other.
fn progress(download: &Download, is_all: bool) -> PullProgress {
    let status: String = download.status.chars().filter(|letter| !letter.is_control()).take(300).collect();
    match status.as_str() {
        "completed" | "already_downloaded" => PullProgress::Completed,
        "failed" => failed(&LocalError::Refused { kind: KIND, reason: "fetching it failed".to_owned() }),
        _ if is_all => {
            failed(&LocalError::Malformed { kind: KIND, reason: "it names no download".to_owned() })
        }
        _ => PullProgress::Fetching {
            completed_bytes: download.downloaded_bytes.or(download.total_size_bytes.map(|_| 0)),
            total_bytes: download.total_size_bytes,
            status,
        },
    }
}

/// The list of `v1`; `None` where there is none.
async fn v1(server: &LocalServer) -> Result<Option<Vec<V1Model>>, LocalError> {
    let answer = server.answer(server.quick().get("api/v1/models").await)?;
    if answer.status == 404 {
        return Ok(None);
    }
    server.read::<V1>(&answer).map(|list| Some(list.models))
}

fn needed<T>(found: Option<T>) -> Result<T, LocalError> {
    let version = "before 0.4".to_owned();
    found.ok_or(LocalError::TooOld { kind: KIND, version, needed: NEEDED })
}

fn is_model(kind: &str) -> bool {
    !kind.starts_with("embedding")
}

fn of_v1(model: V1Model) -> Model {
    let loaded = model.loaded_instances.first();
    let capabilities = model.capabilities.as_ref();
    Model {
        title: model.display_name.filter(|title| *title != model.key),
        facts: ModelFacts {
            context_window: model.max_context_length,
            has_tools: capabilities.and_then(|can| can.trained_for_tool_use),
            has_images: capabilities.and_then(|can| can.vision),
            ..ModelFacts::default()
        },
        local: Some(LocalModel {
            size_bytes: model.size_bytes,
            parameters: model.params_string,
            quantization: model.quantization.and_then(|quantization| quantization.name),
            format: model.format,
            is_loaded: loaded.is_some(),
            loaded_context: loaded.and_then(|instance| instance.config.context_length),
        }),
        name: model.key,
    }
}

fn of_v0(model: V0Model) -> Model {
    Model {
        title: None,
        facts: ModelFacts {
            context_window: model.max_context_length,
            has_images: Some(model.kind == "vlm"),
            ..ModelFacts::default()
        },
        local: Some(LocalModel {
            quantization: model.quantization,
            format: model.compatibility_type,
            is_loaded: model.state.as_deref() == Some("loaded"),
            loaded_context: model.loaded_context_length,
            ..LocalModel::default()
        }),
        name: model.id,
    }
}
