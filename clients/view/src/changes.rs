//! What a change of settings means to a person. Knows the settings that people look at.

use protocol::event::SessionUpdated;
use protocol::session::SessionSettings;

use crate::status::effort_text;
use crate::words::thousands;

/// One thing that is different now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What it is called.
    pub what: &'static str,
    /// What it is now.
    pub to: String,
}

/// Instructions of a session that people know by a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedInstructions {
    /// The name: a mode's.
    pub name: String,
    /// What the model is told; white space around it does not matter.
    pub text: String,
}

/// What is different after an update; settings that no screen shows are left out. Instructions that have a name are
/// called by it.
pub(crate) fn between(
    title: Option<&str>,
    before: Option<&SessionSettings>,
    updated: &SessionUpdated,
    named: &[NamedInstructions],
) -> Vec<Change> {
    let mut changes = Vec::new();
    if let Some(to) = updated.title.as_deref().filter(|to| Some(*to) != title) {
        changes.push(Change { what: "title", to: to.to_owned() });
    }
    let Some(before) = before else { return changes };
    let after = &updated.settings;
    let mut note = |what, before: String, after: String| {
        if before != after {
            changes.push(Change { what, to: after });
        }
    };
    let effort = |settings: &SessionSettings| {
        settings.reasoning_effort.as_ref().map_or("default", effort_text).to_owned()
    };
    note("model", before.model.clone(), after.model.clone());
    note("effort", effort(before), effort(after));
    let name = |settings: &SessionSettings| {
        let text = settings.developer_instructions.as_deref()?.trim();
        named.iter().find(|named| named.text.trim() == text).map(|named| named.name.clone())
    };
    let instructions = |settings: &SessionSettings| match &settings.developer_instructions {
        Some(text) => format!("{} letters", thousands(text.chars().count() as u64)),
        None => "none".to_owned(),
    };
    match (name(before), name(after)) {
        (None, None) => note("instructions", instructions(before), instructions(after)),
        (before, after) => {
            let name = |name: Option<String>| name.unwrap_or_else(|| "none".to_owned());
            note("mode", name(before), name(after));
        }
    }
    note("sandbox", before.sandbox.as_str().to_owned(), after.sandbox.as_str().to_owned());
    note("approvals", before.approval.as_str().to_owned(), after.approval.as_str().to_owned());
    changes
}
