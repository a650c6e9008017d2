//! What folders declare that would be run or obeyed, and whether a person trusts it.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Parameters of `trust/read`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TrustReadParams {
    /// A folder, absolute. Meant is the repository that it is in, or itself where it is in none.
    pub folder: PathBuf,
}

/// What a folder declares, and what of that is trusted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FolderTrust {
    /// The repository or folder, its real path.
    pub folder: PathBuf,
    /// All that it declares and that could be used, in the order of the files.
    pub declarations: Vec<Declaration>,
    /// What it declares and that can't be used, with the reason, for a person.
    pub problems: Vec<String>,
}

impl FolderTrust {
    /// How much of what is declared is not trusted.
    #[must_use]
    pub fn untrusted(&self) -> usize {
        self.declarations.iter().filter(|one| one.state != DeclarationState::Trusted).count()
    }
}

/// One thing that would be run or obeyed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Declaration {
    /// What it is.
    pub kind: DeclarationKind,
    /// The file that it stands in, from the folder.
    pub file: PathBuf,
    /// What it is called there: the event of a hook, the name of a server.
    pub name: String,
    /// What it says: the command of a hook, the whole text of a file of rules.
    pub text: String,
    /// Files that it names and that are not the machine's, from the folder; their content counts for the hash.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<PathBuf>,
    /// SHA-256 of all that matters about it, in hexadecimal.
    pub hash: String,
    /// Whether a person trusts exactly this.
    pub state: DeclarationState,
}

/// What a declaration is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum DeclarationKind {
    /// A program that is run when something happens.
    Hook,
    /// A file of rules on commands and hosts.
    Rules,
    /// An MCP server.
    McpServer,
    /// Instructions for a particular task.
    Skill,
    /// That language servers may work on the folder, and run what its build says.
    LanguageServers,
    /// A kind of a newer protocol.
    #[serde(untagged)]
    Unknown(String),
}

/// Whether a declaration is trusted. What is not is not used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum DeclarationState {
    /// A person trusts exactly this.
    Trusted,
    /// Nobody trusted it.
    New,
    /// What is trusted under this name said something else.
    Changed,
    /// A state of a newer protocol.
    #[serde(untagged)]
    Unknown(String),
}

/// Parameters of `trust/set`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TrustSetParams {
    /// As of `trust/read`.
    pub folder: PathBuf,
    /// The hashes of what is trusted from now on, in place of what was. All must be declared now, so that nobody
    /// trusts what they have not seen. Empty: nothing is trusted.
    pub hashes: Vec<String>,
}
