//! Settings: `config.toml`, profiles and overrides, with the place of everything that is wrong in them. Knows
//! nothing of what the settings are for; looks at no environment variable.
//!
//! Layers, each over the one before: defaults, the file, the chosen profile, the overrides in their order (the
//! typed ones last). Every layer is read straight into one draft, by the functions of `keys`, which are the
//! list of what exists. A `section` hands out the values of a table and knows afterwards which keys nobody
//! asked for; a `value` is read as what it should be, or complains at its place; a `source` turns places into
//! line, column and excerpt. So nothing is reported without its origin, and everything is reported, not just
//! the first. Only malformed TOML ends it early: of a file that can't be read as a whole, its malformed lines
//! are reported and nothing else.
//!
//! What was not understood is a warning if it can be left out (a key that is not known, a value that is
//! lowered to what is allowed), and an error if it can't.

mod draft;
mod duration;
mod hooks;
mod keys;
mod language_servers;
mod mcp;
mod overrides;
mod permissions;
mod section;
mod settings;
mod source;
#[cfg(test)]
mod tests;
mod value;

use std::path::Path;

use protocol::config::ConfigCheckResult;
use protocol::error::ConfigurationProblem;
use protocol::session::SettingsOverrides;

pub use language_servers::{Diagnostics, LanguageServer};
pub use mcp::{McpServer, McpSignIn, McpTransport};
pub use permissions::PermissionProfile;
pub use settings::{
    AgentLimits, AuthCommand, CHATGPT, DaemonSettings, Durability, LOCAL, LocalProgram, LogLevel,
    MAX_RETRIES, ModelProvider, OAuthServer, OPENAI, Settings, WebSearch, WireApi, WorkspaceWrite,
};

use crate::draft::Draft;
use crate::section::Section;
use crate::source::Source;
use crate::value::{Place, Problems, Value, nearest};

/// Settings, and what of them was not understood.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// What holds.
    pub settings: Settings,
    /// What is ignored, or is not as it was asked for.
    pub warnings: Vec<ConfigurationProblem>,
}

/// Reads the file, an absolute path, if it exists, and applies all layers. Blocks for as long as reading a
/// file takes.
///
/// # Errors
/// All that keeps the settings from being used: that of the file in its order, then that of the overrides.
pub fn load(file: &Path, overrides: &SettingsOverrides) -> Result<Loaded, Vec<ConfigurationProblem>> {
    let problems = Problems::default();
    let settings = settle(file, overrides, &problems);
    let (errors, warnings) = problems.into_lists();
    match settings {
        Some(settings) if errors.is_empty() => Ok(Loaded { settings, warnings }),
        Some(_) | None => Err(errors),
    }
}

/// Checks the file alone, with all its profiles.
#[must_use]
pub fn check(file: &Path) -> ConfigCheckResult {
    let problems = Problems::default();
    settle(file, &SettingsOverrides::default(), &problems);
    let (errors, warnings) = problems.into_lists();
    ConfigCheckResult { file: file.to_owned(), exists: file.exists(), errors, warnings }
}

/// Applies all layers; `None` if the file can't be read as a whole, so that nothing is known of it.
fn settle(file: &Path, overrides: &SettingsOverrides, problems: &Problems) -> Option<Settings> {
    let complain = |found: Vec<ConfigurationProblem>| found.into_iter().for_each(|one| problems.error(one));
    let file = Source::read(file).map_err(|problem| problems.error(*problem)).ok()?;
    let given: Vec<Source> = overrides::all(overrides)
        .iter()
        .filter_map(|given| overrides::source(given).map_err(|problem| problems.error(*problem)).ok())
        .collect();
    let mut tables = Vec::new();
    if let Some(file) = &file {
        tables.push((file, file.parse().map_err(complain).ok()?));
    }
    for source in &given {
        tables.extend(source.parse().map_err(complain).ok().map(|table| (source, table)));
    }

    let mut draft = Draft::default();
    let mut profile = None;
    let mut profiles = Vec::new();
    let mut layers = Vec::new();
    for (source, table) in &tables {
        let mut section = Section::new(Place::whole(source, problems), table);
        profile = section.get("profile").or(profile);
        match source.folder() {
            Some(_) => {
                keys::catalogue(&mut section, &mut draft);
                keys::session(&mut section, &mut draft);
                profiles = keys::of_the_file(&mut section, &mut draft);
                section.finish();
            }
            None => layers.push(section),
        }
    }
    apply_profiles(&profiles, profile.as_ref(), &mut draft);
    for mut section in layers {
        keys::catalogue(&mut section, &mut draft);
        keys::session(&mut section, &mut draft);
        keys::refuse_those_of_the_file(&mut section);
        section.finish();
    }
    Some(draft.finish())
}

/// Reads every profile, so that what is wrong in one is known before it is needed; keeps the chosen one.
fn apply_profiles<'a>(profiles: &[(&'a str, Value<'a>)], chosen: Option<&Value<'a>>, draft: &mut Draft<'a>) {
    let name = chosen.and_then(|value| value.text());
    let base = draft.clone();
    for (id, value) in profiles {
        let Some(mut section) = value.section() else { continue };
        let mut with_profile = base.clone();
        let inherited = with_profile.provider_place.take();
        keys::session(&mut section, &mut with_profile);
        section.finish();
        if name.as_deref() == Some(*id) {
            with_profile.provider_place = with_profile.provider_place.or(inherited);
            *draft = with_profile;
        } else {
            with_profile.check_choice();
            with_profile.permissions.check_beyond(&base.permissions);
        }
    }
    if let (Some(value), Some(name)) = (chosen, name)
        && !profiles.iter().any(|(id, _)| *id == name)
    {
        let meant = nearest(&name, profiles.iter().map(|(id, _)| *id));
        value.place().error(format!("There is no profile `{name}`"), meant);
    }
}
