//! `mcp/*`.

use jsonrpsee::core::RpcResult;
use jsonrpsee::proc_macros::rpc;

use crate::mcp::{
    McpAnswerPromptParams, McpFinishLoginParams, McpListParams, McpListResult, McpLoginParams,
    McpLoginResult, McpLogoutParams, McpLogoutResult, McpPromptParams, McpPromptResult, McpPromptsParams,
    McpPromptsResult, McpResourcesParams, McpResourcesResult,
};
use crate::session::Done;

/// MCP servers.
#[rpc(server, client, namespace = "mcp", namespace_separator = "/")]
pub trait Mcp {
    /// Lists the MCP servers of the settings, how they are, and their tools.
    #[method(name = "list", with_extensions)]
    async fn list_servers(&self, params: McpListParams) -> RpcResult<McpListResult>;

    /// Begins to sign in with a server.
    #[method(name = "login", with_extensions)]
    async fn begin_login(&self, params: McpLoginParams) -> RpcResult<McpLoginResult>;

    /// Brings the address that the browser was sent to, where it can't come by itself.
    #[method(name = "finishLogin")]
    async fn finish_login(&self, params: McpFinishLoginParams) -> RpcResult<Done>;

    /// Forgets what somebody signed in with a server for.
    #[method(name = "logout", with_extensions)]
    async fn sign_out(&self, params: McpLogoutParams) -> RpcResult<McpLogoutResult>;

    /// Lists the prompts that the MCP servers of a folder offer.
    #[method(name = "prompts", with_extensions)]
    async fn list_prompts(&self, params: McpPromptsParams) -> RpcResult<McpPromptsResult>;

    /// Lists what the MCP servers of a folder have to read.
    #[method(name = "resources", with_extensions)]
    async fn list_resources(&self, params: McpResourcesParams) -> RpcResult<McpResourcesResult>;

    /// Asks a server for one of its prompts.
    #[method(name = "prompt", with_extensions)]
    async fn read_prompt(&self, params: McpPromptParams) -> RpcResult<McpPromptResult>;

    /// Answers what a server wants to know before it says its prompt.
    #[method(name = "answerPrompt")]
    async fn answer_prompt(&self, params: McpAnswerPromptParams) -> RpcResult<McpPromptResult>;
}
