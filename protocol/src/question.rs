//! Questions: anything that waits for a person. A question is an event, an answer a call; the first wins.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::agent::AgentOrigin;
use crate::ids::{ItemId, QuestionId, RequestId, SessionId, Timestamp, TurnId};
use crate::item::Refusal;
use crate::profile::{NetworkProtocol, PathRule};
use crate::turn::Actor;

/// Something that waits for a person.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Question {
    /// Its identity.
    pub id: QuestionId,
    /// The turn that waits.
    pub turn_id: TurnId,
    /// The item that waits.
    pub item_id: ItemId,
    /// When it was asked.
    pub asked_at: Timestamp,
    /// What is asked.
    pub kind: QuestionKind,
    /// Why it is asked, for a person.
    pub reason: String,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum QuestionKind {
    /// May this command run?
    #[serde(rename_all = "camelCase")]
    Command {
        /// The command as a person would type it.
        command: String,
        /// The argument vector that would be executed.
        argv: Vec<String>,
        /// The folder it would run in.
        cwd: PathBuf,
        /// Whether it would run outside the sandbox.
        is_escalated: bool,
        /// Why the model wants it, in its words.
        #[serde(skip_serializing_if = "Option::is_none")]
        justification: Option<String>,
        /// What the sandbox stopped when it ran inside; empty if it has not run.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        refusals: Vec<Refusal>,
        /// The rule that `always` would write, as it would stand in the file; absent where none can be made.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        proposed_rule: Option<String>,
    },
    /// May these files be changed?
    #[serde(rename_all = "camelCase")]
    FileChange {
        /// The patch as the model wrote it.
        patch: String,
    },
    /// May commands reach this host?
    #[serde(rename_all = "camelCase")]
    Network {
        /// How.
        protocol: NetworkProtocol,
        /// The host's name or address.
        host: String,
        /// The port.
        port: u16,
    },
    /// May the agent have more than its profile gives?
    #[serde(rename_all = "camelCase")]
    Permissions {
        /// Paths, absolute.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        paths: Vec<PathRule>,
        /// Hosts that commands may reach; `*.` at the beginning stands for any name below.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        hosts: Vec<String>,
        /// Why the model wants it, in its words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        justification: Option<String>,
    },
    /// The agent wants to know something.
    #[serde(rename_all = "camelCase")]
    UserInput {
        /// What; answered together by [`Decision::Reply`].
        prompts: Vec<Prompt>,
    },
    /// May this tool be called?
    #[serde(rename_all = "camelCase")]
    Tool {
        /// The MCP server that it belongs to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        server: Option<String>,
        /// Its name.
        tool: String,
        /// The arguments as the model wrote them.
        arguments: String,
        /// A digest of what the tool is described as. A leave that lasts holds for this description only.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        definition: Option<String>,
    },
    /// An MCP server wants to know something.
    #[serde(rename_all = "camelCase")]
    Elicitation {
        /// The server.
        server: String,
        /// What it says.
        message: String,
        /// JSON Schema of an object with flat fields; answered by [`Decision::Content`].
        schema: serde_json::Value,
    },
    /// May the session's model answer an MCP server? It is shown what stands here and nothing else, and has no tools.
    #[serde(rename_all = "camelCase")]
    Sampling {
        /// The server.
        server: String,
        /// All that the model would be told, with who says it.
        prompt: String,
        /// How long its answer may be, in tokens.
        max_tokens: u64,
    },
    /// A tool of a client is called. No person is asked: that client answers, with [`Decision::Content`] for what came of
    /// it, a text or any other value, or [`Decision::Deny`] for why it failed.
    #[serde(rename_all = "camelCase")]
    ClientTool {
        /// The client; nobody else can answer.
        client: Actor,
        /// The tool's name.
        tool: String,
        /// The arguments as the model wrote them: a JSON object.
        arguments: String,
    },
    /// A question of a newer protocol.
    #[serde(untagged)]
    Unknown(serde_json::Value),
}

impl QuestionKind {
    /// Whether a person is to answer, and not a client by itself.
    #[must_use]
    pub fn is_for_person(&self) -> bool {
        !matches!(self, Self::ClientTool { .. })
    }
}

/// One thing that the agent wants to know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Prompt {
    /// Names it in the answer.
    pub id: String,
    /// A word or two over it.
    pub header: String,
    /// The question.
    pub text: String,
    /// What can be chosen; empty: free text only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<PromptOption>,
    /// Whether a text of one's own is an answer too.
    #[serde(default)]
    pub takes_text: bool,
    /// Whether more than one option may be chosen.
    #[serde(default)]
    pub takes_several: bool,
}

/// Something that can be chosen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PromptOption {
    /// The choice, and the answer.
    pub label: String,
    /// What it means.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
}

/// How long a leave lasts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum GrantScope {
    /// For this call only.
    Once,
    /// For the same thing again in this turn.
    Turn,
    /// For the same thing again in this session.
    Session,
    /// For the same command again in every session of this user; writes a rule. For a change of files: as `Session`.
    Always,
    /// A scope of a newer protocol.
    #[serde(untagged)]
    Unknown(String),
}

/// What was decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum Decision {
    /// Yes.
    #[serde(rename_all = "camelCase")]
    Allow {
        /// How long it lasts.
        scope: GrantScope,
    },
    /// No.
    #[serde(rename_all = "camelCase")]
    Deny {
        /// What to do instead; the model reads it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
    },
    /// The answers to `UserInput`.
    #[serde(rename_all = "camelCase")]
    Reply {
        /// By the prompt's id: what was chosen or written.
        answers: BTreeMap<String, Vec<String>>,
    },
    /// The answer to `Elicitation`, or to `ClientTool`.
    #[serde(rename_all = "camelCase")]
    Content {
        /// An object of the schema that was asked for; of a tool, what it gives.
        value: serde_json::Value,
    },
    /// A decision of a newer protocol.
    #[serde(untagged)]
    Unknown(serde_json::Value),
}

/// A decision, who made it, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// What was decided.
    pub decision: Decision,
    /// Who decided.
    pub actor: Actor,
    /// When.
    pub answered_at: Timestamp,
}

/// Parameters of `question/list`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct QuestionListParams {
    /// Only those of this session and the agents below it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<SessionId>,
}

/// A question and its session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OpenQuestion {
    /// Whose it is.
    pub session_id: SessionId,
    /// Where that session comes from, if it is an agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentOrigin>,
    /// The question.
    pub question: Question,
}

/// Result of `question/list`: those that wait, oldest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct QuestionListResult {
    /// The questions.
    pub questions: Vec<OpenQuestion>,
}

/// Parameters of `question/answer`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct QuestionAnswerParams {
    /// Which.
    pub question_id: QuestionId,
    /// What is decided.
    pub decision: Decision,
    /// Names the request, so that it can be sent again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<RequestId>,
}

/// Result of `question/answer`. A question that was answered before is a conflict that carries the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct QuestionAnswerResult {
    /// The session it belongs to.
    pub session_id: SessionId,
}
