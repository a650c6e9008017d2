//! Skills: instructions for particular tasks that people and repositories keep in folders, after the Agent Skills
//! format (agentskills.io). Knows nothing of where they are looked for.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::ConfigurationProblem;

/// Parameters of `skill/list`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SkillListParams {
    /// The folder that a session would work in, absolute.
    pub cwd: PathBuf,
}

/// Result of `skill/list`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SkillListResult {
    /// All that were found, those that can't be used now included; by name.
    pub skills: Vec<Skill>,
    /// What was found and is no skill, and why.
    pub problems: Vec<ConfigurationProblem>,
}

/// Parameters of `skill/read`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SkillReadParams {
    /// As of `skill/list`.
    pub cwd: PathBuf,
    /// Its name. Of several with one name, the one that holds.
    pub name: String,
}

/// Result of `skill/read`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SkillReadResult {
    /// What it is.
    pub skill: Skill,
    /// What it says: Markdown, without what stands before it about the skill itself.
    pub text: String,
}

/// Instructions for a particular task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Skill {
    /// Its name; in an input, `$name` has its text go along.
    pub name: String,
    /// What it is for, on one line.
    pub description: String,
    /// Its file, absolute. What that names lies beside it.
    pub path: PathBuf,
    /// Where it comes from.
    pub source: SkillSource,
    /// Tokens that its mention costs with each request of a model, estimated; 0 where it is not mentioned.
    pub tokens: u64,
    /// Tokens of its text, estimated.
    pub body_tokens: u64,
    /// Whether it is used.
    pub state: SkillState,
}

/// Where a skill comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum SkillSource {
    /// The person's own, in Skein's folder.
    User,
    /// The person's own, in the folder that agents share (`~/.agents`).
    Agents,
    /// The person's own, in Codex's folder.
    Codex,
    /// The person's own, in Claude Code's folder.
    Claude,
    /// The repository's.
    Folder,
    /// A source of a newer protocol.
    #[serde(untagged)]
    Unknown(String),
}

/// Whether a skill is used, and if not, why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum SkillState {
    /// Models are told of it.
    On,
    /// It goes along where a person names it; models are not told of it, because it says so itself.
    ByName,
    /// Switched off in the settings.
    Disabled,
    /// Of a repository, and nobody trusts it.
    Untrusted,
    /// Of a repository, and it was changed since somebody trusted it.
    Changed,
    /// Another one of the same name goes before it.
    Shadowed,
    /// A state of a newer protocol.
    #[serde(untagged)]
    Unknown(String),
}

impl SkillState {
    /// Whether `$name` has its text go along.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        match self {
            Self::On | Self::ByName => true,
            Self::Disabled | Self::Untrusted | Self::Changed | Self::Shadowed | Self::Unknown(_) => false,
        }
    }
}
