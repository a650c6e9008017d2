//! The models that a provider lists, with what it tells of them. Each has a list of its own form; what is not there
//! is not known.

use std::time::Duration;

use protocol::catalogue::{Model, ModelFacts};
use protocol::session::ModelPrice;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::Value;

use crate::plain::Plain;
use crate::provider::trust;
use crate::settings::{Key, ProviderSettings};

/// How long connecting and a list may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
const LIST_LIMIT: Duration = Duration::from_secs(15);
/// Models that are taken of a list.
const MAX_MODELS: usize = 2000;

/// Whose list it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListForm {
    /// `GET models`, as OpenAI has it and nearly everybody else.
    OpenAi,
    /// Anthropic's.
    Anthropic,
    /// Gemini's.
    Gemini,
}

#[derive(Deserialize)]
struct List {
    #[serde(alias = "models")]
    data: Vec<Value>,
}

/// Asks a provider.
///
/// # Errors
/// Why there is no list, for a person.
pub async fn models(form: ListForm, provider: &ProviderSettings) -> Result<Vec<Model>, String> {
    let mut headers = HeaderMap::new();
    let mut add = |name: &str, value: &str| -> Result<(), String> {
        let parsed = HeaderName::try_from(name).ok().zip(HeaderValue::try_from(value).ok());
        let (header, mut value) = parsed.ok_or_else(|| format!("HTTP does not allow the header `{name}`"))?;
        value.set_sensitive(true);
        headers.insert(header, value);
        Ok(())
    };
    if let Key::Present(key) = &provider.key {
        match form {
            ListForm::OpenAi => add(AUTHORIZATION.as_str(), &format!("Bearer {}", key.reveal()))?,
            ListForm::Anthropic => add("x-api-key", key.reveal())?,
            ListForm::Gemini => add("x-goog-api-key", key.reveal())?,
        }
    }
    if form == ListForm::Anthropic {
        add("anthropic-version", "2023-06-01")?;
    }
    for (name, value) in &provider.http_headers {
        add(name, value)?;
    }
    let trust = trust(provider).map_err(|error| error.to_string())?;
    let base = &provider.base_url;
    let plain = Plain::new(base, trust, CONNECT_LIMIT, LIST_LIMIT)
        .ok_or_else(|| format!("`{base}` is no address"))?;
    let plain = plain.with_headers(headers);
    let answer = plain.get("models").await.map_err(|error| error.reason())?;
    if !answer.is_good() {
        return Err(answer.complaint());
    }
    let list: List = answer.json()?;
    let mut models: Vec<Model> =
        list.data.iter().take(MAX_MODELS).filter_map(|model| read(form, model)).collect();
    models.sort_by(|one, other| one.name.cmp(&other.name));
    models.dedup_by(|one, other| one.name == other.name);
    Ok(models)
}

fn read(form: ListForm, model: &Value) -> Option<Model> {
    let text = |key: &str| model[key].as_str().map(str::to_owned);
    let (name, title, facts) = match form {
        ListForm::OpenAi => (text("id")?, text("name"), of_open_ai(model)),
        ListForm::Anthropic => {
            let facts = ModelFacts {
                context_window: model["max_input_tokens"].as_u64(),
                max_output_tokens: model["max_tokens"].as_u64(),
                ..ModelFacts::default()
            };
            (text("id")?, text("display_name"), facts)
        }
        ListForm::Gemini => {
            let speaks = model["supportedGenerationMethods"].as_array();
            if speaks.is_some_and(|methods| !methods.iter().any(|method| method == "generateContent")) {
                return None;
            }
            let facts = ModelFacts {
                context_window: model["inputTokenLimit"].as_u64(),
                max_output_tokens: model["outputTokenLimit"].as_u64(),
                has_reasoning: model["thinking"].as_bool(),
                ..ModelFacts::default()
            };
            (text("name")?.trim_start_matches("models/").to_owned(), text("displayName"), facts)
        }
    };
    let is_sound = |text: &str| !text.is_empty() && text.len() <= 200 && !text.contains(char::is_control);
    let title = title.filter(|title| is_sound(title) && *title != name);
    is_sound(&name).then_some(Model { name, title, facts, local: None })
}

/// With what OpenRouter, vLLM and their like add.
fn of_open_ai(model: &Value) -> ModelFacts {
    let context = model["context_length"].as_u64().or_else(|| model["max_model_len"].as_u64());
    // Dollars for one token, as text.
    let money = |key: &str| model["pricing"][key].as_str()?.parse::<f64>().ok().filter(|price| *price >= 0.0);
    let per_million = |price: f64| (price * 1e12).round() / 1e6;
    let price = money("prompt").zip(money("completion")).map(|(input, output)| ModelPrice {
        input: per_million(input),
        cached_input: per_million(money("input_cache_read").unwrap_or(input)),
        cache_write_input: money("input_cache_write").map(per_million),
        output: per_million(output),
    });
    let parameters = model["supported_parameters"].as_array();
    let takes = |name: &str| parameters.map(|all| all.iter().any(|parameter| parameter == name));
    let sees = model["architecture"]["input_modalities"].as_array();
    ModelFacts {
        context_window: context,
        max_output_tokens: model["top_provider"]["max_completion_tokens"].as_u64(),
        price,
        has_tools: takes("tools"),
        has_images: sees.map(|kinds| kinds.iter().any(|kind| kind == "image")),
        has_reasoning: takes("reasoning"),
        has_structured_output: takes("structured_outputs"),
        ..ModelFacts::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_form_tells_what_it_knows() {
        let router = json!({"id": "a/b", "name": "A: B", "context_length": 1000,
            "pricing": {"prompt": "0.0000025", "completion": "0.00001", "input_cache_read": "0.00000025"},
            "supported_parameters": ["tools", "reasoning"], "architecture": {"input_modalities": ["text", "image"]}});
        let model = read(ListForm::OpenAi, &router).unwrap();
        let price = model.facts.price.unwrap();
        assert_eq!((price.input, price.cached_input, price.output), (2.5, 0.25, 10.0));
        assert_eq!(model.facts.context_window, Some(1000));
        assert_eq!((model.facts.has_tools, model.facts.has_images), (Some(true), Some(true)));
        assert_eq!(model.facts.has_structured_output, Some(false));
        let gemini = json!({"name": "models/g", "inputTokenLimit": 5, "supportedGenerationMethods": ["generateContent"]});
        assert_eq!(read(ListForm::Gemini, &gemini).unwrap().name, "g");
        let embedding = json!({"name": "models/e", "supportedGenerationMethods": ["embedContent"]});
        assert_eq!(read(ListForm::Gemini, &embedding), None);
        assert_eq!(read(ListForm::OpenAi, &json!({"id": "\u{1b}[2J"})), None);
        assert_eq!(read(ListForm::OpenAi, &json!({"id": "x"})).unwrap().facts, ModelFacts::default());
    }
}
