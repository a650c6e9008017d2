//! Modes: what the agent may do and what it is told besides, under a name. `plan` is built in; a person's own stand in
//! `modes/NAME.md` beside the settings. A session is in the mode whose words it carries, so that every client sees it.
//! Knows nothing of keys.

use std::path::Path;

use protocol::profile::{ApprovalPolicy, SandboxMode};
use protocol::session::{SessionSettings, SettingOverride, SettingsOverrides};
use serde_json::{Value, json};
use view::NamedInstructions;

use crate::command::{APPROVALS, SANDBOXES};
use crate::template::Template;

const PLAN: &str = include_str!("modes/plan.md");
/// The fields that a file may have.
const FIELDS: [&str; 6] = ["description", "sandbox", "approval", "model", "effort", "plans"];

/// A mode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SessionMode {
    pub(crate) name: String,
    pub(crate) meaning: String,
    sandbox: Option<SandboxMode>,
    approval: Option<ApprovalPolicy>,
    model: Option<String>,
    effort: Option<String>,
    /// Whether what it ends with is a plan to be approved.
    pub(crate) has_plan: bool,
    /// What the model is told. Invariant: not empty.
    instructions: String,
}

/// What held before a mode was entered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Before {
    sandbox: SandboxMode,
    /// The permissions of this name in its place.
    permissions: Option<String>,
    approval: ApprovalPolicy,
    model: String,
    effort: Option<String>,
    instructions: Option<String>,
}

impl SessionMode {
    /// The built-in ones.
    pub(crate) fn built_in() -> Vec<Self> {
        Self::of(Template::parse("plan", PLAN)).into_iter().collect()
    }

    /// The built-in ones and those beside the settings, and what can't be used. One of the same name as a built-in one
    /// stands in its place.
    pub(crate) fn of_folder(folder: &Path) -> (Vec<Self>, Vec<String>) {
        let mut modes = Self::built_in();
        let (templates, mut wrong) = Template::of_folder(&folder.join("modes"));
        for template in templates {
            let name = template.name.clone();
            match Self::of(template) {
                Ok(mode) => match modes.iter_mut().find(|known| known.name == mode.name) {
                    Some(known) => *known = mode,
                    None => modes.push(mode),
                },
                Err(reason) => wrong.push(format!("`modes/{name}.md` {reason}")),
            }
        }
        (modes, wrong)
    }

    fn of(template: Template) -> Result<Self, String> {
        if let Some(key) = template.keys().find(|key| !FIELDS.contains(key)) {
            return Err(format!("has a field `{key}` that is unknown; it may have {}", FIELDS.join(", ")));
        }
        if template.body.is_empty() {
            return Err("says nothing to the model".to_owned());
        }
        let sandbox = template.field("sandbox").map(|word| {
            let mode = SANDBOXES.into_iter().find(|mode| mode.as_str() == word);
            mode.ok_or_else(|| format!("has a `sandbox` that is none: `{word}`"))
        });
        let approval = template.field("approval").map(|word| {
            let policy = APPROVALS.into_iter().find(|policy| policy.as_str() == word);
            policy.ok_or_else(|| format!("has an `approval` that is none: `{word}`"))
        });
        let owned = |key| template.field(key).map(str::to_owned);
        Ok(Self {
            meaning: owned("description").unwrap_or_default(),
            sandbox: sandbox.transpose()?,
            approval: approval.transpose()?,
            model: owned("model"),
            effort: owned("effort"),
            has_plan: template.field("plans") == Some("true"),
            name: template.name,
            instructions: template.body,
        })
    }

    /// What the model is told in it, under its name.
    pub(crate) fn named(&self) -> NamedInstructions {
        NamedInstructions { name: self.name.clone(), text: self.instructions.clone() }
    }

    /// Whether a session is in it.
    pub(crate) fn holds(&self, settings: &SessionSettings) -> bool {
        settings.developer_instructions.as_deref().is_some_and(|text| text.trim() == self.instructions)
    }
}

impl Before {
    /// What holds now; `effort` as it stands in settings.
    pub(crate) fn of(settings: &SessionSettings, effort: Option<&str>) -> Self {
        Self {
            sandbox: settings.sandbox,
            permissions: settings.permissions.as_ref().map(|permissions| permissions.name.clone()),
            approval: settings.approval,
            model: settings.model.clone(),
            effort: effort.map(str::to_owned),
            instructions: settings.developer_instructions.clone(),
        }
    }

    /// As `of`, where somebody else entered the mode, so that what held before is not known: all stays but the words. What
    /// may be touched is never widened by a guess.
    pub(crate) fn unknown(settings: &SessionSettings, effort: Option<&str>) -> Self {
        Self { instructions: None, ..Self::of(settings, effort) }
    }

    /// As it is kept.
    pub(crate) fn written(&self) -> Value {
        json!({
            "sandbox": self.sandbox.as_str(),
            "permissions": self.permissions,
            "approval": self.approval.as_str(),
            "model": self.model,
            "effort": self.effort,
            "instructions": self.instructions,
        })
    }

    /// What was kept.
    pub(crate) fn read(value: &Value) -> Option<Self> {
        let text = |key: &str| value[key].as_str().map(str::to_owned);
        let (sandbox, approval) = (value["sandbox"].as_str()?, value["approval"].as_str()?);
        Some(Self {
            sandbox: SANDBOXES.into_iter().find(|mode| mode.as_str() == sandbox)?,
            permissions: text("permissions"),
            approval: APPROVALS.into_iter().find(|policy| policy.as_str() == approval)?,
            model: text("model")?,
            effort: text("effort"),
            instructions: text("instructions"),
        })
    }

    /// The changes that lead to a mode, or back to what held before.
    pub(crate) fn change_to(&self, mode: Option<&SessionMode>) -> SettingsOverrides {
        let text = SettingOverride::text;
        let instructions = mode.map(|mode| mode.instructions.as_str()).or(self.instructions.as_deref());
        let mut values = vec![text("developer_instructions", instructions.unwrap_or_default())];
        let effort = mode.and_then(|mode| mode.effort.as_deref()).or(self.effort.as_deref());
        // Empty: as the provider does it.
        values.push(text("model_reasoning_effort", effort.unwrap_or_default()));
        let sandbox = mode.and_then(|mode| mode.sandbox);
        let permissions = self.permissions.clone().filter(|_| sandbox.is_none());
        SettingsOverrides {
            values,
            model: Some(mode.and_then(|mode| mode.model.clone()).unwrap_or_else(|| self.model.clone())),
            sandbox: sandbox.or(Some(self.sandbox).filter(|_| permissions.is_none())),
            approval: Some(mode.and_then(|mode| mode.approval).unwrap_or(self.approval)),
            permissions,
            ..SettingsOverrides::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::tests::session;

    fn value<'a>(overrides: &'a SettingsOverrides, key: &str) -> Option<&'a str> {
        overrides.values.iter().find(|value| value.key == key).map(|value| value.value.as_str())
    }

    #[test]
    fn a_mode_is_entered_and_left_as_it_was() {
        let mut settings = session("x").summary.settings;
        settings.developer_instructions = Some("Be \"brief\".".to_owned());
        let before = Before::of(&settings, Some("high"));
        let plan = &SessionMode::built_in()[0];
        let entered = before.change_to(Some(plan));
        assert_eq!(entered.sandbox, Some(SandboxMode::ReadOnly));
        assert_eq!(entered.approval, Some(settings.approval), "a plan may ask");
        let told = value(&entered, "developer_instructions").unwrap();
        settings.developer_instructions = Some(serde_json::from_str(told).unwrap());
        assert!(plan.holds(&settings) && plan.has_plan);
        let left = before.change_to(None);
        assert_eq!(left.sandbox, Some(SandboxMode::WorkspaceWrite));
        assert_eq!(value(&left, "developer_instructions"), Some(r#""Be \"brief\".""#));
        assert_eq!(value(&left, "model_reasoning_effort"), Some("\"high\""));
        let unset = Before::of(&settings, None).change_to(None);
        assert_eq!(value(&unset, "model_reasoning_effort"), Some("\"\""));
    }

    #[test]
    fn what_held_before_is_kept_and_never_guessed() {
        let mut settings = session("x").summary.settings;
        settings.sandbox = SandboxMode::ReadOnly;
        settings.developer_instructions = Some("Be brief.".to_owned());
        let before = Before::of(&settings, None);
        assert_eq!(Before::read(&before.written()), Some(before));
        assert_eq!(Before::read(&serde_json::json!({"sandbox": "all"})), None);
        let left = Before::unknown(&settings, None).change_to(None);
        assert_eq!(left.sandbox, Some(SandboxMode::ReadOnly), "not wider than it is");
    }

    #[test]
    fn a_person_adds_modes() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            std::fs::create_dir_all(folder.path().join("modes")).unwrap();
            std::fs::write(folder.path().join("modes").join(name), text).unwrap();
        };
        write(
            "teach.md",
            "---\ndescription: Explains\nsandbox: read-only\neffort: low\n---\nExplain it all.",
        );
        write("plan.md", "My own plan.");
        write("empty.md", "---\nsandbox: read-only\n---\n");
        write("bad.md", "---\nsandbox: none\n---\nx");
        write("odd.md", "---\nsandbx: read-only\n---\nx");
        let (modes, wrong) = SessionMode::of_folder(folder.path());
        assert_eq!(modes.iter().map(|mode| mode.name.as_str()).collect::<Vec<_>>(), ["plan", "teach"]);
        assert_eq!(modes[0].instructions, "My own plan.");
        assert_eq!(wrong.len(), 3, "{wrong:?}");
    }
}
