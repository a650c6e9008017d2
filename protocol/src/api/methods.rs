//! The methods with their parameter and result types, for documents, schemas and tests. A test of the daemon
//! holds it against what is really served.

use schemars::{JsonSchema, SchemaGenerator};

use crate::{
    account, agent, catalogue, client_tool, config, context, daemon, delta, diff, hook, initialize,
    language_server, mcp, output, question, queue, rewind, session, skill, tool, trust, turn, usage,
};

/// A type of the wire, as a document needs it.
#[derive(Clone, Copy)]
pub struct WireType {
    /// Its name.
    pub name: fn() -> String,
    /// Its JSON Schema, a reference into the generator's definitions.
    pub schema: fn(&mut SchemaGenerator) -> schemars::Schema,
}

impl WireType {
    fn of<T: JsonSchema>() -> Self {
        Self { name: || T::schema_name().into_owned(), schema: |generator| generator.subschema_for::<T>() }
    }
}

/// One method.
#[derive(Clone, Copy)]
pub struct Method {
    /// Its name on the wire.
    pub name: &'static str,
    /// What it does, one sentence.
    pub summary: &'static str,
    /// Its parameters.
    pub params: WireType,
    /// Its result.
    pub result: WireType,
    /// What it sends afterwards, if it is a subscription.
    pub notification: Option<Notification>,
}

/// What a subscription sends.
#[derive(Clone, Copy)]
pub struct Notification {
    /// The notification's name.
    pub name: &'static str,
    /// The method that ends it.
    pub unsubscribe: &'static str,
    /// What each one carries in `params.result`.
    pub item: WireType,
}

fn method<P: JsonSchema, R: JsonSchema>(name: &'static str, summary: &'static str) -> Method {
    Method { name, summary, params: WireType::of::<P>(), result: WireType::of::<R>(), notification: None }
}

/// Every method, in the order of the documents.
#[must_use]
pub fn all() -> Vec<Method> {
    use session::Done;
    vec![
        method::<initialize::InitializeParams, initialize::InitializeResult>(
            "initialize",
            "Agrees on a protocol version and tells who is who.",
        ),
        method::<session::SessionCreateParams, session::SessionCreateResult>(
            "session/create",
            "Makes a session.",
        ),
        method::<session::SessionForkParams, session::SessionCreateResult>(
            "session/fork",
            "Makes a session that begins with the turns of another one.",
        ),
        method::<session::SessionListParams, session::SessionListResult>(
            "session/list",
            "Lists sessions, newest first.",
        ),
        method::<session::SessionReadParams, session::SessionSnapshot>(
            "session/read",
            "Shows a session without attaching.",
        ),
        Method {
            notification: Some(Notification {
                name: "session/feed",
                unsubscribe: "session/detach",
                item: WireType::of::<delta::SessionFeed>(),
            }),
            ..method::<session::SessionAttachParams, u64>(
                "session/attach",
                "Follows a session: a snapshot or the events since a place, and then all that happens.",
            )
        },
        method::<session::SessionUpdateParams, session::SessionUpdateResult>(
            "session/update",
            "Changes title or settings.",
        ),
        method::<context::SessionCompactParams, context::SessionCompactResult>(
            "session/compact",
            "Puts what was said and done in a session into few words, as a turn of its own.",
        ),
        method::<client_tool::SessionRegisterToolsParams, Done>(
            "session/registerTools",
            "Says which tools the calling client has for a session.",
        ),
        method::<session::SessionEndCommandParams, Done>(
            "session/endCommand",
            "Ends a command that goes on in the background.",
        ),
        method::<session::SessionRef, Done>("session/archive", "Puts a session away."),
        method::<session::SessionRef, Done>(
            "session/delete",
            "Removes a session and all that belongs to it.",
        ),
        method::<session::SessionRef, Done>(
            "session/takeOver",
            "Makes the calling connection the only one that may change the session, until it leaves.",
        ),
        method::<session::SessionRef, Done>("session/release", "Lets the others write again."),
        method::<session::SessionFocusParams, Done>(
            "session/focus",
            "Tells that the window which shows the session has the focus, or has lost it.",
        ),
        method::<agent::AgentListParams, agent::AgentListResult>("agent/list", "Shows trees of agents."),
        method::<turn::TurnStartParams, turn::TurnStartResult>(
            "turn/start",
            "Starts a turn; a conflict if one is running.",
        ),
        method::<turn::TurnSteerParams, turn::TurnSteerResult>(
            "turn/steer",
            "Says something into the running turn; the model sees it at its next request.",
        ),
        method::<turn::TurnEnqueueParams, turn::TurnEnqueueResult>(
            "turn/enqueue",
            "Starts a turn, now or when the running ones have ended.",
        ),
        method::<turn::TurnInterruptParams, turn::TurnInterruptResult>(
            "turn/interrupt",
            "Ends the running turn; what was said and done stays.",
        ),
        method::<queue::QueueListParams, queue::QueueListResult>(
            "queue/list",
            "Lists what waits in a session, the next one first.",
        ),
        method::<queue::QueueUpdateParams, Done>(
            "queue/update",
            "Edits an input that waits, or puts it elsewhere in the queue.",
        ),
        method::<queue::QueueCancelParams, Done>("queue/cancel", "Takes an input out of the queue."),
        method::<question::QuestionListParams, question::QuestionListResult>(
            "question/list",
            "Lists the questions that wait, oldest first.",
        ),
        method::<question::QuestionAnswerParams, question::QuestionAnswerResult>(
            "question/answer",
            "Answers a question; the first answer wins.",
        ),
        method::<rewind::RewindParams, rewind::RewindResult>(
            "rewind/preview",
            "Tells what a rewind would do.",
        ),
        method::<rewind::RewindParams, rewind::RewindResult>(
            "rewind/start",
            "Takes turns back, or undoes that.",
        ),
        method::<diff::DiffReadParams, diff::DiffReadResult>(
            "diff/read",
            "Tells what a turn or a session changed in files.",
        ),
        method::<output::OutputReadParams, output::OutputReadResult>(
            "output/read",
            "Reads a part of what a command printed, where its item has not all of it.",
        ),
        method::<usage::UsageReadParams, usage::UsageReadResult>("usage/read", "Sums up what was spent."),
        method::<account::AccountListParams, account::AccountListResult>(
            "account/list",
            "Tells what keys and accounts there are for each provider; never a secret.",
        ),
        method::<account::AccountSetKeyParams, account::AccountSetKeyResult>(
            "account/setKey",
            "Keeps a provider's key.",
        ),
        method::<account::AccountLoginParams, account::AccountLoginResult>(
            "account/login",
            "Begins to sign in.",
        ),
        method::<account::LoginRef, account::LoginStatus>(
            "account/awaitLogin",
            "Waits until a sign-in ends, at most 20 s.",
        ),
        method::<account::LoginRef, Done>("account/cancelLogin", "Gives up a sign-in."),
        method::<account::AccountLogoutParams, account::AccountLogoutResult>(
            "account/logout",
            "Forgets a provider's key or account.",
        ),
        method::<catalogue::ModelListParams, catalogue::ModelListResult>(
            "model/list",
            "Lists providers and their models.",
        ),
        method::<catalogue::ModelChoiceParams, catalogue::ModelChoice>(
            "model/choice",
            "Tells what a session gets whose client chooses nothing, and why.",
        ),
        method::<catalogue::ModelLoadParams, catalogue::ModelLoadResult>(
            "model/load",
            "Brings a model of a server of this machine into memory; waits for it at most 20 s.",
        ),
        method::<catalogue::ModelUnloadParams, Done>(
            "model/unload",
            "Takes a model of a server of this machine out of memory.",
        ),
        Method {
            notification: Some(Notification {
                name: "model/progress",
                unsubscribe: "model/cancelPull",
                item: WireType::of::<catalogue::PullProgress>(),
            }),
            ..method::<catalogue::ModelPullParams, u64>(
                "model/pull",
                "Fetches a model onto this machine and tells how far it is; ending the subscription cancels it.",
            )
        },
        method::<mcp::McpListParams, mcp::McpListResult>(
            "mcp/list",
            "Lists the MCP servers of the settings, how they are, and their tools.",
        ),
        method::<mcp::McpLoginParams, mcp::McpLoginResult>(
            "mcp/login",
            "Begins to sign in with an MCP server; `account/awaitLogin` tells how it ends.",
        ),
        method::<mcp::McpFinishLoginParams, Done>(
            "mcp/finishLogin",
            "Brings the address that the browser was sent to, where it can't come by itself.",
        ),
        method::<mcp::McpLogoutParams, mcp::McpLogoutResult>(
            "mcp/logout",
            "Forgets what somebody signed in with an MCP server for.",
        ),
        method::<mcp::McpPromptsParams, mcp::McpPromptsResult>(
            "mcp/prompts",
            "Lists the prompts that the MCP servers of a folder offer.",
        ),
        method::<mcp::McpResourcesParams, mcp::McpResourcesResult>(
            "mcp/resources",
            "Lists what the MCP servers of a folder have to read; an input mentions one as `@server:uri`.",
        ),
        method::<mcp::McpPromptParams, mcp::McpPromptResult>(
            "mcp/prompt",
            "Asks an MCP server for one of its prompts.",
        ),
        method::<mcp::McpAnswerPromptParams, mcp::McpPromptResult>(
            "mcp/answerPrompt",
            "Answers what an MCP server wants to know before it says its prompt.",
        ),
        method::<language_server::LanguageServerListParams, language_server::LanguageServerListResult>(
            "languageServer/list",
            "Lists the language servers of the settings, whether they are found, and how they are.",
        ),
        method::<hook::HookListParams, hook::HookListResult>(
            "hook/list",
            "Lists the hooks that hold in a folder, and what they cost since the daemon started.",
        ),
        method::<skill::SkillListParams, skill::SkillListResult>(
            "skill/list",
            "Lists the skills that a session in a folder has, and those that it could have.",
        ),
        method::<skill::SkillReadParams, skill::SkillReadResult>("skill/read", "Shows what a skill says."),
        method::<tool::ToolListParams, tool::ToolListResult>(
            "tool/list",
            "Lists the tools that models have in a folder or a session, and those that they could have.",
        ),
        method::<config::ConfigCheckParams, config::ConfigCheckResult>(
            "config/check",
            "Checks a configuration file and lists all that is wrong in it.",
        ),
        method::<trust::TrustReadParams, trust::FolderTrust>(
            "trust/read",
            "Tells what a folder declares that would be run or obeyed, and what of that is trusted.",
        ),
        method::<trust::TrustSetParams, trust::FolderTrust>(
            "trust/set",
            "Trusts exactly these declarations of a folder.",
        ),
        method::<daemon::DaemonStatusParams, daemon::DaemonStatus>(
            "daemon/status",
            "Tells how the daemon is.",
        ),
        method::<daemon::DaemonShutdownParams, Done>(
            "daemon/shutdown",
            "Stops the daemon: no new turns, running ones to a durable point, then exit within 10 s.",
        ),
    ]
}
