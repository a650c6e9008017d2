//! What of a session can be chosen in the editor: its mode, its model, how hard the model thinks.

use protocol::catalogue::{Model, ModelListResult, ProviderState};
use protocol::profile::{ApprovalPolicy, SandboxMode};
use protocol::session::{SessionSettings, SettingOverride, SettingsOverrides};
use view::effort_text;

use crate::rpc::RpcError;
use crate::schema::option::{ConfigOption, ModeEntry, ModeState, OptionKind, OptionValue};

/// Most models that an editor is shown.
const MAX_MODELS: usize = 200;
/// The mode of a session whose settings are none of ours.
const CUSTOM: &str = "custom";

const MODE: &str = "mode";
const MODEL: &str = "model";
const EFFORT: &str = "effort";

/// A mode: what commands may touch, and when a person is asked.
struct Mode {
    id: &'static str,
    name: &'static str,
    description: &'static str,
    sandbox: SandboxMode,
    approval: ApprovalPolicy,
}

const MODES: [Mode; 4] = [
    Mode {
        id: "read-only",
        name: "Read only",
        description: "Reads and runs in the sandbox; changes nothing without being asked for more",
        sandbox: SandboxMode::ReadOnly,
        approval: ApprovalPolicy::OnRequest,
    },
    Mode {
        id: "careful",
        name: "Ask first",
        description: "Asks before each change of a file and each command that is not known to be harmless",
        sandbox: SandboxMode::WorkspaceWrite,
        approval: ApprovalPolicy::Untrusted,
    },
    Mode {
        id: "workspace",
        name: "Work in the folder",
        description: "Works in the sandbox; asks before it leaves it",
        sandbox: SandboxMode::WorkspaceWrite,
        approval: ApprovalPolicy::OnRequest,
    },
    Mode {
        id: "full-access",
        name: "Full access (no sandbox)",
        description: "Runs everything with all of your rights",
        sandbox: SandboxMode::DangerFullAccess,
        approval: ApprovalPolicy::OnRequest,
    },
];

/// The models that can be chosen.
#[derive(Debug, Default)]
pub(crate) struct Choices {
    models: Vec<Choice>,
}

#[derive(Debug)]
struct Choice {
    provider: String,
    model: Model,
}

impl Choices {
    /// The models of all providers that can be used.
    pub(crate) fn of(list: ModelListResult) -> Self {
        let mut models = Vec::new();
        for provider in list.providers {
            let is_ready = match provider.state {
                ProviderState::Ready { .. } => true,
                ProviderState::NoCredential { .. }
                | ProviderState::NotRunning { .. }
                | ProviderState::Failed { .. }
                | ProviderState::Unknown(_) => false,
            };
            if is_ready {
                let choice = |model| Choice { provider: provider.id.clone(), model };
                models.extend(provider.models.into_iter().map(choice));
            }
        }
        models.truncate(MAX_MODELS);
        Self { models }
    }

    /// The modes and the one that holds.
    pub(crate) fn modes(settings: &SessionSettings) -> ModeState {
        let entry = |mode: &Mode| ModeEntry {
            id: mode.id.to_owned(),
            name: mode.name.to_owned(),
            description: mode.description.to_owned(),
        };
        let mut available_modes: Vec<ModeEntry> = MODES.iter().map(entry).collect();
        let current_mode_id = mode_of(settings).to_owned();
        if current_mode_id == CUSTOM {
            let description = match &settings.permissions {
                Some(permissions) => format!("The permissions `{}` of the settings", permissions.name),
                None => {
                    format!("Sandbox {}, approvals {}", settings.sandbox.as_str(), settings.approval.as_str())
                }
            };
            available_modes.push(ModeEntry {
                id: CUSTOM.to_owned(),
                name: "As the settings say".to_owned(),
                description,
            });
        }
        ModeState { current_mode_id, available_modes }
    }

    /// The options and what holds of each.
    pub(crate) fn options(&self, settings: &SessionSettings) -> Vec<ConfigOption> {
        let modes = Self::modes(settings);
        let value = |entry: ModeEntry| OptionValue {
            value: entry.id,
            name: entry.name,
            description: Some(entry.description),
        };
        let mut options = vec![
            ConfigOption {
                id: MODE,
                name: "Mode",
                description: "What commands may touch, and when you are asked",
                category: "mode",
                kind: OptionKind::Select,
                current_value: modes.current_mode_id,
                options: modes.available_modes.into_iter().map(value).collect(),
            },
            ConfigOption {
                id: MODEL,
                name: "Model",
                description: "Which model answers",
                category: "model",
                kind: OptionKind::Select,
                current_value: model_value(&settings.provider, &settings.model),
                options: self.model_values(settings),
            },
        ];
        let efforts = self.effort_values(settings);
        if !efforts.is_empty() {
            let current = settings.reasoning_effort.as_ref().map_or(DEFAULT_EFFORT, effort_text);
            options.push(ConfigOption {
                id: EFFORT,
                name: "Effort",
                description: "How hard the model thinks",
                category: "thought_level",
                kind: OptionKind::Select,
                current_value: current.to_owned(),
                options: efforts,
            });
        }
        options
    }

    /// The change of settings that a choice of a mode means; `None` if it means none.
    pub(crate) fn mode(id: &str) -> Result<Option<SettingsOverrides>, RpcError> {
        if id == CUSTOM {
            return Ok(None);
        }
        let mode = MODES.iter().find(|mode| mode.id == id).ok_or_else(|| no_such("mode", id))?;
        Ok(Some(SettingsOverrides {
            sandbox: Some(mode.sandbox),
            approval: Some(mode.approval),
            ..SettingsOverrides::default()
        }))
    }

    /// The change of settings that the choice of an option's value means; `None` if it means none.
    pub(crate) fn option(
        &self,
        id: &str,
        value: &str,
        settings: &SessionSettings,
    ) -> Result<Option<SettingsOverrides>, RpcError> {
        match id {
            MODE => Self::mode(value),
            MODEL => {
                if value == model_value(&settings.provider, &settings.model) {
                    return Ok(None);
                }
                let named = |choice: &&Choice| model_value(&choice.provider, &choice.model.name) == value;
                let choice = self.models.iter().find(named).ok_or_else(|| no_such("model", value))?;
                Ok(Some(SettingsOverrides {
                    model: Some(choice.model.name.clone()),
                    values: vec![SettingOverride::text("model_provider", &choice.provider)],
                    ..SettingsOverrides::default()
                }))
            }
            EFFORT => {
                let is_offered = self.effort_values(settings).iter().any(|offered| offered.value == value);
                if !is_offered {
                    return Err(no_such("effort", value));
                }
                if value == DEFAULT_EFFORT {
                    return Ok(None);
                }
                let values = vec![SettingOverride::text("model_reasoning_effort", value)];
                Ok(Some(SettingsOverrides { values, ..SettingsOverrides::default() }))
            }
            _ => Err(no_such("option", id)),
        }
    }

    fn current(&self, settings: &SessionSettings) -> Option<&Choice> {
        let is_it =
            |choice: &&Choice| choice.provider == settings.provider && choice.model.name == settings.model;
        self.models.iter().find(is_it)
    }

    fn model_values(&self, settings: &SessionSettings) -> Vec<OptionValue> {
        let value = |choice: &Choice| OptionValue {
            value: model_value(&choice.provider, &choice.model.name),
            name: choice.model.title.clone().unwrap_or_else(|| choice.model.name.clone()),
            description: Some(format!("By `{}`", choice.provider)),
        };
        let mut values: Vec<OptionValue> = self.models.iter().map(value).collect();
        if self.current(settings).is_none() {
            values.insert(
                0,
                OptionValue {
                    value: model_value(&settings.provider, &settings.model),
                    name: settings.model.clone(),
                    description: Some(format!("By `{}`", settings.provider)),
                },
            );
        }
        values
    }

    /// The efforts of the session's model. That nothing was chosen is one as long as nothing was.
    fn effort_values(&self, settings: &SessionSettings) -> Vec<OptionValue> {
        let known = self.current(settings).map(|choice| choice.model.facts.efforts.as_slice());
        let known = known.unwrap_or_default();
        if known.is_empty() {
            return Vec::new();
        }
        let value =
            |word: &str| OptionValue { value: word.to_owned(), name: word.to_owned(), description: None };
        let mut values: Vec<OptionValue> = known.iter().map(effort_text).map(value).collect();
        let current = settings.reasoning_effort.as_ref().map_or(DEFAULT_EFFORT, effort_text);
        if values.iter().all(|known| known.value != current) {
            values.insert(0, value(current));
        }
        values
    }
}

/// The effort of a session where none was chosen.
const DEFAULT_EFFORT: &str = "default";

fn mode_of(settings: &SessionSettings) -> &'static str {
    let is_it = |mode: &&Mode| {
        settings.permissions.is_none()
            && mode.sandbox == settings.sandbox
            && mode.approval == settings.approval
    };
    MODES.iter().find(is_it).map_or(CUSTOM, |mode| mode.id)
}

fn model_value(provider: &str, model: &str) -> String {
    format!("{provider}/{model}")
}

fn no_such(what: &str, id: &str) -> RpcError {
    RpcError::invalid_params(format!("There is no {what} `{}`", view::escape::short_line(id, 100)))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn settings() -> SessionSettings {
        serde_json::from_value(json!({
            "cwd": "/repo", "provider": "one", "model": "small", "sandbox": "workspace-write",
            "approval": "on-request", "isTmpWritable": true,
        }))
        .unwrap()
    }

    fn choices() -> Choices {
        let ready = json!({ "type": "ready", "through": "a key" });
        let provider = |id: &str, state: &Value, model: &str, efforts: &[&str]| {
            let facts = json!({ "contextWindow": 1000, "efforts": efforts });
            json!({ "id": id, "name": id, "state": state, "models": [{ "name": model, "facts": facts }] })
        };
        let listed = json!({
            "choice": { "reason": "" },
            "providers": [
                provider("one", &ready, "small", &["low"]),
                provider("two", &ready, "a\"b/c", &[]),
                provider("three", &json!({ "type": "noCredential", "hint": "" }), "unusable", &[]),
            ],
        });
        Choices::of(serde_json::from_value(listed).unwrap())
    }

    fn ids(options: &[ConfigOption]) -> Vec<&str> {
        options.iter().map(|option| option.id).collect()
    }

    #[test]
    fn what_holds_is_among_what_can_be_chosen() {
        let (choices, mut settings) = (choices(), settings());
        for (provider, model) in [("one", "small"), ("gone", "unknown"), ("two", "a\"b/c")] {
            (settings.provider, settings.model) = (provider.to_owned(), model.to_owned());
            for option in choices.options(&settings) {
                let is_there = option.options.iter().any(|value| value.value == option.current_value);
                assert!(is_there, "{provider}: {option:?}");
            }
        }
        assert_eq!(ids(&choices.options(&settings)), ["mode", "model"], "no efforts are known of it");
    }

    #[test]
    fn models_of_providers_that_can_not_be_used_are_not_offered() {
        let options = choices().options(&settings());
        assert_eq!(ids(&options), ["mode", "model", "effort"]);
        let values: Vec<&str> = options[1].options.iter().map(|value| value.value.as_str()).collect();
        assert_eq!(values, ["one/small", "two/a\"b/c"]);
    }

    #[test]
    fn a_choice_is_a_change_of_settings() {
        let (choices, settings) = (choices(), settings());
        let change = choices.option("model", "two/a\"b/c", &settings).unwrap().unwrap();
        assert_eq!(change.model.as_deref(), Some("a\"b/c"));
        assert_eq!(change.values, [SettingOverride::text("model_provider", "two")]);
        assert_eq!(choices.option("model", "one/small", &settings).unwrap(), None);
        let change = choices.option("effort", "low", &settings).unwrap().unwrap();
        assert_eq!(change.values[0].value, "\"low\"");
        let change = choices.option("mode", "read-only", &settings).unwrap().unwrap();
        assert_eq!(change.sandbox, Some(SandboxMode::ReadOnly));
        for (id, value) in [("model", "three/unusable"), ("effort", "high"), ("mode", "x"), ("x", "y")] {
            assert_eq!(choices.option(id, value, &settings).unwrap_err().code, -32602, "{id}");
        }
    }

    #[test]
    fn settings_that_are_no_mode_are_one_of_their_own() {
        let mut settings = settings();
        assert_eq!(Choices::modes(&settings).current_mode_id, "workspace");
        settings.approval = ApprovalPolicy::Never;
        let state = Choices::modes(&settings);
        assert_eq!(state.current_mode_id, "custom");
        assert!(state.available_modes.iter().any(|mode| mode.id == "custom"));
        assert_eq!(Choices::mode("custom").unwrap(), None);
    }
}
