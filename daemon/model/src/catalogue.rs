//! What is known of models without asking anybody: `catalogue.toml`, which is part of the program. Read when it is
//! first needed. Knows nothing of settings, which go before it, nor of what a provider lists.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use protocol::catalogue::{Model, ModelFacts};
use protocol::model::ReasoningEffort;
use protocol::session::ModelPrice;
use serde::Deserialize;

/// The section of models that lie on servers of this machine.
const OPEN: &str = "open";

/// Everything that is known.
pub struct Catalogue {
    providers: BTreeMap<String, Provider>,
}

#[derive(Deserialize)]
struct Provider {
    default: Option<String>,
    models: BTreeMap<String, Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    context_window: Option<u64>,
    max_output_tokens: Option<u64>,
    price: Option<Price>,
    tools: Option<bool>,
    images: Option<bool>,
    structured_output: Option<bool>,
    reasoning: Option<bool>,
    #[serde(default)]
    efforts: Vec<ReasoningEffort>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct Price {
    input: f64,
    cached_input: f64,
    cache_write_input: Option<f64>,
    output: f64,
}

/// The catalogue of this program.
pub fn built_in() -> &'static Catalogue {
    static BUILT_IN: OnceLock<Catalogue> = OnceLock::new();
    BUILT_IN.get_or_init(|| {
        // A test reads the file, so that it can't be malformed here; a program without one would still work.
        let providers = read().unwrap_or_else(|_| BTreeMap::new());
        Catalogue { providers }
    })
}

fn read() -> Result<BTreeMap<String, Provider>, toml::de::Error> {
    toml::from_str(include_str!("catalogue.toml"))
}

impl Catalogue {
    /// What is known of a provider's model; nothing if it is not known. A name with a date at its end is that
    /// without one.
    #[must_use]
    pub fn facts(&self, provider: &str, model: &str) -> Option<ModelFacts> {
        let models = &self.providers.get(provider)?.models;
        let row = models.get(model).or_else(|| models.get(without_date(model)?))?;
        Some(row.facts())
    }

    /// What is known of an open model by the beginning of its name, wherever it runs. Such a model costs nothing.
    #[must_use]
    pub fn open_facts(&self, model: &str) -> Option<ModelFacts> {
        let name = model.rsplit('/').next().unwrap_or(model).to_ascii_lowercase();
        let models = &self.providers.get(OPEN)?.models;
        let (_, row) = models
            .iter()
            .filter(|(known, _)| name.starts_with(known.as_str()))
            .max_by_key(|(known, _)| known.len())?;
        Some(row.facts())
    }

    /// The model of a provider that is taken when nobody chooses one.
    #[must_use]
    pub fn default_model(&self, provider: &str) -> Option<&str> {
        self.providers.get(provider)?.default.as_deref()
    }

    /// Whether this provider is in it.
    #[must_use]
    pub fn has_provider(&self, provider: &str) -> bool {
        provider != OPEN && self.providers.contains_key(provider)
    }

    /// The models of a provider, by name.
    #[must_use]
    pub fn models(&self, provider: &str) -> Vec<Model> {
        let models = self.providers.get(provider).into_iter().flat_map(|provider| &provider.models);
        let model = |(name, row): (&String, &Row)| Model {
            name: name.clone(),
            title: None,
            facts: row.facts(),
            local: None,
        };
        models.map(model).collect()
    }
}

impl Row {
    fn facts(&self) -> ModelFacts {
        ModelFacts {
            context_window: self.context_window,
            max_output_tokens: self.max_output_tokens,
            price: self.price.map(|price| ModelPrice {
                input: price.input,
                cached_input: price.cached_input,
                cache_write_input: price.cache_write_input,
                output: price.output,
            }),
            has_tools: self.tools,
            has_images: self.images,
            has_reasoning: self.reasoning,
            efforts: self.efforts.clone(),
            has_structured_output: self.structured_output,
        }
    }
}

/// The name before `-20260416` or `-2026-04-16`; `None` if there is no date.
fn without_date(model: &str) -> Option<&str> {
    let digits_from = model.trim_end_matches(|letter: char| letter.is_ascii_digit() || letter == '-');
    let tail = &model[digits_from.len()..];
    let digits = tail.chars().filter(char::is_ascii_digit).count();
    // A number of the name itself, such as `-4-5-20250929`, stays with the name.
    let date = match tail {
        _ if digits < 8 => return None,
        _ if tail.len() >= 11 && is_date(&tail[tail.len() - 11..], &[4, 2, 2]) => 11,
        _ if is_date(&tail[tail.len().checked_sub(9)?..], &[8]) => 9,
        _ => return None,
    };
    Some(&model[..model.len() - date])
}

/// Whether it is groups of so many digits, each after a `-`.
fn is_date(text: &str, groups: &[usize]) -> bool {
    let Some(text) = text.strip_prefix('-') else { return false };
    let parts: Vec<&str> = text.split('-').collect();
    let is_digits = |part: &str| part.chars().all(|letter| letter.is_ascii_digit());
    parts.iter().map(|part| part.len()).eq(groups.iter().copied()) && parts.iter().all(|part| is_digits(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_well_formed_and_makes_sense() {
        let providers = read().unwrap();
        for (id, provider) in &providers {
            if id != OPEN {
                let default = provider.default.as_ref().unwrap();
                assert!(provider.models.contains_key(default), "{id} has no `{default}`");
            }
            for (name, row) in &provider.models {
                let price = row.price.is_none_or(|price| {
                    price.cached_input <= price.input && price.input <= price.output && price.input > 0.0
                });
                assert!(price, "the price of {name}");
                assert!(row.max_output_tokens <= row.context_window, "the tokens of {name}");
            }
        }
        for provider in ["openai", "anthropic", "gemini"] {
            for model in built_in().models(provider) {
                assert!(
                    model.facts.price.is_some() && model.facts.context_window.is_some(),
                    "{}",
                    model.name
                );
            }
        }
    }

    #[test]
    fn a_dated_name_is_that_without_the_date() {
        let facts = |provider, model| built_in().facts(provider, model);
        assert!(facts("openai", "gpt-5.5").is_some());
        assert_eq!(facts("openai", "gpt-5.5-2026-04-23"), facts("openai", "gpt-5.5"));
        assert_eq!(facts("anthropic", "claude-sonnet-4-5-20250929"), facts("anthropic", "claude-sonnet-4-5"));
        for unknown in ["gpt-5.5-mega", "", "-", "20260416", "-20260416", "ä-20260416"] {
            assert_eq!(facts("openai", unknown), None, "{unknown}");
        }
        assert_eq!(facts("nobody", "gpt-5.5"), None);
    }

    #[test]
    fn an_open_model_is_known_by_the_longest_beginning_of_its_name() {
        let open = |model| built_in().open_facts(model);
        assert_eq!(open("qwen3-coder:30b").unwrap().context_window, Some(262_144));
        assert_eq!(open("hf.co/x/Qwen3-8B").unwrap().context_window, Some(40_960));
        assert_eq!(open("mystery"), None);
        assert!(!built_in().has_provider(OPEN));
    }
}
