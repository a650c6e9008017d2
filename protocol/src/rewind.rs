//! Going back to how things were before a turn: what turns changed in files, what a rewind took back, and the calls
//! for it. Knows nothing of where contents are kept.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{BlobId, ItemId, RequestId, Seq, SessionId, TurnId};
use crate::turn::Actor;

/// What stands under a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum FileKind {
    /// A file.
    File,
    /// A symbolic link; its content is where it leads.
    Link,
    /// A folder.
    Folder,
    /// A kind of a newer protocol.
    #[serde(untagged)]
    Unknown(String),
}

/// What stood under a path at some time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FileVersion {
    /// What it is.
    pub kind: FileKind,
    /// Its permission bits, 0 to 0o777; 0 for links.
    pub mode: u32,
    /// Bytes of its content.
    pub size_bytes: u64,
    /// Its content; absent for folders, and where it was too large to be kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<BlobId>,
}

/// One path, before and after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChangedFile {
    /// Absolute.
    pub path: PathBuf,
    /// What stood there; absent: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<FileVersion>,
    /// What stands there now; absent: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<FileVersion>,
}

/// Files changed while a call ran.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FilesChanged {
    /// In this turn.
    pub turn_id: TurnId,
    /// The call's item.
    pub item_id: ItemId,
    /// How many.
    pub count: u32,
    /// The first of them, absolute.
    pub paths: Vec<PathBuf>,
    /// All of them: a JSON array of `ChangedFile`.
    pub changes: BlobId,
    /// Of these, files that something runs later without a word, such as `Makefile`; absolute, the first of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runs_later: Vec<PathBuf>,
    /// Whether they changed between two calls, while a command of the call's went on in the background: it may have been
    /// that command, or a person. A rewind takes them for conflicts.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_meanwhile: bool,
}

/// What a rewind takes back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum RewindScope {
    /// What the turns changed in files.
    Code,
    /// What was said: the model does not see the turns any more.
    Chat,
    /// Both.
    #[default]
    Both,
    /// A scope of a newer protocol.
    #[serde(untagged)]
    Unknown(String),
}

impl RewindScope {
    /// Whether files are taken back.
    #[must_use]
    pub fn has_code(&self) -> bool {
        matches!(self, Self::Code | Self::Both)
    }

    /// Whether what was said is taken back.
    #[must_use]
    pub fn has_chat(&self) -> bool {
        matches!(self, Self::Chat | Self::Both)
    }
}

/// How far back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum RewindTarget {
    /// To before the last turn that was not taken back.
    #[default]
    LastTurn,
    /// To before this turn.
    #[serde(rename_all = "camelCase")]
    Turn {
        /// Which.
        turn_id: TurnId,
    },
    /// To before the last rewind.
    Undo,
    /// A target of a newer protocol.
    #[serde(untagged)]
    Unknown(serde_json::Value),
}

/// What becomes of files that somebody else changed meanwhile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ConflictChoice {
    /// They stay as they are.
    Keep,
    /// They are taken back like the others; undoing the rewind brings them again.
    Theirs,
    /// They are taken back, and what was there is put beside, with `.kept` after its name.
    Both,
    /// A choice of a newer protocol.
    #[serde(untagged)]
    Unknown(String),
}

/// Turns were taken back. Written before files are touched: `RewindEnded` follows when that is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionRewound {
    /// By whom.
    pub actor: Actor,
    /// What was taken back.
    pub scope: RewindScope,
    /// The turns that the model does not see any more; of an undo, those that it sees again.
    pub turns: Vec<TurnId>,
    /// The place of the rewind that this one undoes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undoes: Option<Seq>,
    /// How many files are taken back.
    pub count: u32,
    /// These: a JSON array of `ChangedFile`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes: Option<BlobId>,
}

/// The files of a rewind are back, but for those that are named.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RewindEnded {
    /// How many are back.
    pub restored: u32,
    /// Those that could not be taken back, the first of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<LeftFile>,
}

/// A file that could not be taken back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LeftFile {
    /// Absolute.
    pub path: PathBuf,
    /// Why, for a person.
    pub reason: String,
}

/// Parameters of `rewind/preview` and `rewind/start`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RewindParams {
    /// The session; a running turn is a conflict.
    pub session_id: SessionId,
    /// How far back.
    #[serde(default)]
    pub target: RewindTarget,
    /// What is taken back.
    #[serde(default)]
    pub scope: RewindScope,
    /// What becomes of conflicts; absent: where there are any, nothing is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conflicts: Option<ConflictChoice>,
    /// Names the request, so that it can be sent again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<RequestId>,
}

/// What happens to one path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum RewindAction {
    /// It comes back.
    Recreated,
    /// It gets its content, its mode or its kind back.
    Restored,
    /// It goes.
    Removed,
    /// An action of a newer protocol.
    #[serde(untagged)]
    Unknown(String),
}

/// One path of a rewind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RewoundFile {
    /// Absolute.
    pub path: PathBuf,
    /// What happens to it.
    pub action: RewindAction,
    /// Whether somebody else changed it meanwhile.
    pub is_conflict: bool,
}

/// Result of `rewind/preview` and `rewind/start`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RewindResult {
    /// Whether it was done; not in a preview, and not where conflicts need a choice.
    pub is_done: bool,
    /// The turns that are taken back, or that come back.
    pub turns: Vec<TurnId>,
    /// The files, at most 1,000.
    pub files: Vec<RewoundFile>,
    /// How many files there are in all.
    pub count: u32,
    /// How many of them are conflicts.
    pub conflicts: u32,
    /// What can't be taken back, at most 1,000: it was too large to be kept, or it failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<LeftFile>,
}
