//! Settings while their layers are applied, with the places that later checks point to. Knows nothing of how
//! a layer is read.

use std::collections::BTreeMap;

use protocol::session::ModelPrice;

use crate::mcp::McpDraft;
use crate::permissions::{self, PermissionProfile};
use crate::settings::{LOCAL, Settings, WireApi};
use crate::value::{Place, nearest};

/// Settings on their way.
#[derive(Clone, Default)]
pub(crate) struct Draft<'a> {
    /// What holds so far.
    pub(crate) settings: Settings,
    /// Where the provider was chosen.
    pub(crate) provider_place: Option<Place<'a>>,
    /// Where each provider was first described.
    pub(crate) provider_places: BTreeMap<String, Place<'a>>,
    /// What commands may touch.
    pub(crate) permissions: PermissionsDraft<'a>,
    prices: BTreeMap<String, PriceDraft<'a>>,
    mcp_servers: BTreeMap<String, (McpDraft, Place<'a>)>,
}

/// The permissions that are described, and which of them were chosen.
#[derive(Clone)]
pub(crate) struct PermissionsDraft<'a> {
    /// All of them, by their names.
    pub(crate) described: BTreeMap<String, PermissionProfile>,
    chosen: Option<(String, Place<'a>)>,
    /// Those that a sandbox mode of a later layer stands in place of, and where that was chosen.
    replaced: Option<(String, Place<'a>)>,
}

impl Default for PermissionsDraft<'_> {
    fn default() -> Self {
        Self { described: permissions::built_in(), chosen: None, replaced: None }
    }
}

impl<'a> PermissionsDraft<'a> {
    /// Chooses them by name, in place of what was chosen before.
    pub(crate) fn choose(&mut self, name: String, place: &Place<'a>) {
        self.chosen = Some((name, place.clone()));
        self.replaced = None;
    }

    /// Takes note of a sandbox mode, which stands in place of what was chosen before.
    pub(crate) fn replace_by_mode(&mut self, place: &Place<'a>) {
        if let Some((name, _)) = self.chosen.take() {
            self.replaced = Some((name, place.clone()));
        }
    }

    /// Complains if the chosen ones do not exist, unless `base` chose them already.
    pub(crate) fn check_beyond(&self, base: &Self) {
        let name = |draft: &Self| draft.chosen.as_ref().map(|(name, _)| name.clone());
        if self.chosen.is_some() && name(self) != name(base) {
            self.found();
        }
    }

    /// Those that hold; complains if they do not exist, and warns if they were replaced.
    fn found(&self) -> Option<&PermissionProfile> {
        if let Some((name, place)) = &self.replaced {
            place.warn(format!("`sandbox_mode` is used in place of the permissions `{name}`"), None);
        }
        let (name, place) = self.chosen.as_ref()?;
        let found = self.described.get(name);
        if found.is_none() {
            let meant = nearest(name, self.described.keys().map(String::as_str));
            let hint = if permissions::is_mode(name) {
                "; `sandbox_mode` chooses that".to_owned()
            } else {
                format!(", only {}", listed(self.described.keys()))
            };
            place.error(format!("There are no permissions `{name}`{hint}"), meant);
        }
        found
    }
}

/// Names, the first of many.
fn listed<'n>(names: impl ExactSizeIterator<Item = &'n String>) -> String {
    const MOST: usize = 12;
    let more = names.len().saturating_sub(MOST);
    let mut text = names.take(MOST).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    if more > 0 {
        text.push_str(&format!(" and {more} more"));
    }
    text
}

/// A price on its way.
#[derive(Clone)]
pub(crate) struct PriceDraft<'a> {
    pub(crate) input: Option<f64>,
    pub(crate) cached_input: Option<f64>,
    pub(crate) cache_write_input: Option<f64>,
    pub(crate) output: Option<f64>,
    place: Place<'a>,
}

impl<'a> Draft<'a> {
    /// The price of a model, which `place` describes.
    pub(crate) fn price(&mut self, model: &str, place: &Place<'a>) -> &mut PriceDraft<'a> {
        self.prices.entry(model.to_owned()).or_insert_with(|| PriceDraft {
            input: None,
            cached_input: None,
            cache_write_input: None,
            output: None,
            place: place.clone(),
        })
    }

    /// An MCP server, which `place` describes.
    pub(crate) fn mcp_server(&mut self, name: &str, place: &Place<'a>) -> &mut McpDraft {
        let entry = self.mcp_servers.entry(name.to_owned());
        &mut entry.or_insert_with(|| (McpDraft::default(), place.clone())).0
    }

    /// Complains if the chosen provider does not exist.
    pub(crate) fn check_choice(&self) {
        let (chosen, known) = (&self.settings.model_provider, &self.settings.model_providers);
        if let Some(place) = &self.provider_place
            && chosen != LOCAL
            && !known.contains_key(chosen)
        {
            let message = format!("No provider `{chosen}` is described in `model_providers`");
            place.error(message, nearest(chosen, known.keys().map(String::as_str)));
        }
    }

    /// Complains of what is still missing, and fills in what follows from the rest.
    pub(crate) fn finish(self) -> Settings {
        self.check_choice();
        for (id, place) in &self.provider_places {
            let missing =
                self.settings.model_providers.get(id).and_then(|provider| match provider.wire_api {
                    WireApi::Responses | WireApi::ChatCompletions | WireApi::Messages | WireApi::Gemini => {
                        provider.base_url.is_empty().then_some("base_url")
                    }
                    WireApi::Replay => provider.script.is_none().then_some("script"),
                });
            if let Some(missing) = missing {
                place.error(format!("`{}` has no `{missing}`", place.key()), None);
            }
        }
        let permissions = self.permissions.found().cloned();
        let mut settings = self.settings;
        if let Some(permissions) = permissions {
            settings.sandbox_mode = permissions.base;
            if let Some(environment) = &permissions.environment {
                settings.shell_environment_policy = environment.clone();
            }
            settings.permissions = Some(permissions);
        }
        for (name, (draft, place)) in self.mcp_servers {
            settings.mcp_servers.extend(draft.finish(&name, &place).map(|server| (name, server)));
        }
        for (model, draft) in self.prices {
            let (Some(input), Some(output)) = (draft.input, draft.output) else {
                draft.place.error(format!("`{}` needs both `input` and `output`", draft.place.key()), None);
                continue;
            };
            let cached_input = draft.cached_input.unwrap_or(input);
            let cache_write_input = draft.cache_write_input;
            let price = ModelPrice { input, cached_input, cache_write_input, output };
            settings.model_prices.insert(model, price);
        }
        settings
    }
}
