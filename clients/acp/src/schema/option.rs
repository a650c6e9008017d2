//! Modes and options of a session, as the editor shows them.

use serde::Serialize;

/// The modes.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ModeState {
    pub(crate) current_mode_id: String,
    pub(crate) available_modes: Vec<ModeEntry>,
}

/// A mode.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct ModeEntry {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) description: String,
}

/// An option, one of whose values is chosen.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ConfigOption {
    pub(crate) id: &'static str,
    pub(crate) name: &'static str,
    pub(crate) description: &'static str,
    pub(crate) category: &'static str,
    #[serde(rename = "type")]
    pub(crate) kind: OptionKind,
    pub(crate) current_value: String,
    pub(crate) options: Vec<OptionValue>,
}

/// How an option is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OptionKind {
    Select,
}

/// What can be chosen.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct OptionValue {
    pub(crate) value: String,
    pub(crate) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<String>,
}
