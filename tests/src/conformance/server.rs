//! Skein as an MCP server over HTTP, with the tools, resources and prompts of the conformance suite beside its own.
#![expect(deprecated, reason = "the suite asks for what the revisions up to 2025-11-25 have")]

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use client::ConnectOptions;
use mcp_server::{McpServerError, Skein, Token, listen_with};
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ClientCapabilities, CompleteRequestParams,
    CompleteResult, CompletionInfo, ContentBlock, CreateMessageRequestParams, ElicitRequestParams,
    GetPromptRequestParams, GetPromptResponse, GetPromptResult, InputRequiredResult, ListPromptsResult,
    ListResourceTemplatesResult, ListResourcesResult, ListToolsResult, LoggingLevel,
    LoggingMessageNotificationParam, PaginatedRequestParams, ProgressNotificationParam,
    ReadResourceRequestParams, ReadResourceResponse, ReadResourceResult, SamplingMessage, ServerConfig,
    SetLevelRequestParams, SubscribeRequestParams, Tool, UnsubscribeRequestParams,
};
use rmcp::service::{RequestContext, RoleServer};
use rmcp::{ErrorData, ServerHandler};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::conformance::door::Door;
use crate::conformance::fixtures::{self, Answer};

/// Serves until it is killed. `ready` is told the address.
///
/// # Errors
/// `McpServerError`.
pub async fn serve(ready: impl FnOnce(&str)) -> Result<(), McpServerError> {
    let token = Token::generate()?;
    let inside: SocketAddr = (Ipv4Addr::LOCALHOST, 0).into();
    let failed = |source: io::Error| McpServerError::Listen { address: inside, source };
    let door = Door::open(token.reveal()).await.map_err(failed)?;
    let (tell, told) = tokio::sync::oneshot::channel();
    let options = ConnectOptions::new("conformance");
    let tell = |url: &str| drop(tell.send(url.to_owned()));
    let serving = listen_with(options, inside, token, tell, |skein| Fixtures { skein });
    let passing = async {
        let Ok(inside) = told.await else { return Ok(()) };
        ready(&door.address(&inside));
        door.pass(&inside).await
    };
    tokio::select! {
        served = serving => served,
        passed = passing => passed.map_err(failed),
    }
}

/// Skein, and what the suite asks for.
struct Fixtures {
    skein: Skein,
}

impl ServerHandler for Fixtures {
    fn get_info(&self) -> ServerConfig {
        let mut info = self.skein.get_info();
        info.capabilities.logging = Some(Map::new());
        info.capabilities.completions = Some(Map::new());
        info
    }

    async fn list_tools(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let mut listed = self.skein.list_tools(request, context).await?;
        listed.tools.extend(all::<Tool>(fixtures::tools())?);
        Ok(listed)
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        let is_it = |tool: &Value| tool["name"] == name;
        let tool = fixtures::tools().into_iter().find(is_it);
        tool.and_then(|tool| read(tool).ok()).or_else(|| self.skein.get_tool(name))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let responses: Map<_, _> = request.input_responses.clone().unwrap_or_default().into_iter().collect();
        let has_sampling = context.client_capabilities().is_some_and(|can| can.sampling.is_some());
        let state = request.request_state.as_deref();
        match fixtures::call(&request.name, &responses, state, has_sampling) {
            Answer::Done(result) => read::<CallToolResult>(complete(result)).map(CallToolResponse::from),
            Answer::Wanted(result) => read::<InputRequiredResult>(result).map(CallToolResponse::from),
            Answer::Tampered => Err(ErrorData::invalid_params("This state was never given", None)),
            Answer::Unknown if request.name.starts_with("test_") => with_the_client(request, context)
                .await
                .map(|text| CallToolResponse::from(CallToolResult::success(vec![ContentBlock::text(text)]))),
            Answer::Unknown => self.skein.call_tool(request, context).await,
        }
    }

    async fn list_resources(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let mut listed = self.skein.list_resources(request, context).await?;
        listed.resources.extend(all(fixtures::resources())?);
        Ok(listed)
    }

    async fn list_resource_templates(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        let mut listed = self.skein.list_resource_templates(request, context).await?;
        listed.resource_templates.extend(all(fixtures::templates())?);
        Ok(listed)
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        match fixtures::resource(&request.uri) {
            Some(contents) => read::<ReadResourceResult>(complete(contents)).map(ReadResourceResponse::from),
            None => self.skein.read_resource(request, context).await,
        }
    }

    async fn list_prompts(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        let mut listed = self.skein.list_prompts(request, context).await?;
        listed.prompts.extend(all(fixtures::prompts())?);
        Ok(listed)
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        let arguments = request.arguments.clone().unwrap_or_default();
        let responses: Map<_, _> = request.input_responses.clone().unwrap_or_default().into_iter().collect();
        match fixtures::prompt(&request.name, &arguments, &responses) {
            Answer::Done(prompt) => read::<GetPromptResult>(complete(prompt)).map(GetPromptResponse::from),
            Answer::Wanted(result) => read::<InputRequiredResult>(result).map(GetPromptResponse::from),
            Answer::Tampered | Answer::Unknown => self.skein.get_prompt(request, context).await,
        }
    }

    async fn complete(
        &self,
        _request: CompleteRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        Ok(CompleteResult::new(CompletionInfo::default()))
    }

    async fn set_level(
        &self,
        _request: SetLevelRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        Ok(())
    }

    async fn subscribe(
        &self,
        _request: SubscribeRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        Ok(())
    }

    async fn unsubscribe(
        &self,
        _request: UnsubscribeRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        Ok(())
    }
}

/// The tools that speak with the client while they work.
async fn with_the_client(
    request: CallToolRequestParams,
    context: RequestContext<RoleServer>,
) -> Result<String, ErrorData> {
    let failed = |error: rmcp::ServiceError| ErrorData::internal_error(error.to_string(), None);
    let arguments = request.arguments.unwrap_or_default();
    let argument = |name: &str| arguments.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    match request.name.as_ref() {
        "test_tool_with_logging" => {
            for text in ["Tool execution started", "Tool processing data", "Tool execution completed"] {
                let message = LoggingMessageNotificationParam::new(LoggingLevel::Info, json!(text));
                context.peer.notify_logging_message(message).await.map_err(failed)?;
            }
            Ok("Logged.".to_owned())
        }
        "test_tool_with_progress" => {
            if let Some(token) = context.meta.get_progress_token() {
                for progress in [0.0, 50.0, 100.0] {
                    let told = ProgressNotificationParam::new(token.clone(), progress).with_total(100.0);
                    context.peer.notify_progress(told).await.map_err(failed)?;
                }
            }
            Ok("Progressed.".to_owned())
        }
        "test_missing_capability" => {
            let has_sampling = context.client_capabilities().is_some_and(|can| can.sampling.is_some());
            if has_sampling {
                return Ok("It can sample.".to_owned());
            }
            let needed = ClientCapabilities::builder().enable_sampling().build();
            Err(ErrorData::missing_required_client_capability(needed))
        }
        "test_sampling" => {
            let message = SamplingMessage::user_text(argument("prompt"));
            let asked = CreateMessageRequestParams::new(vec![message], 100);
            let said = context.peer.create_message(asked).await.map_err(failed)?;
            Ok(format!("LLM response: {:?}", said.message.content))
        }
        name => {
            let unknown = || ErrorData::invalid_params("There is no such tool", None);
            let (message, schema) = fixtures::question(name).ok_or_else(unknown)?;
            let message = if message.is_empty() { argument("message") } else { message.to_owned() };
            let params = json!({"mode": "form", "message": message, "requestedSchema": schema});
            let answer = context.peer.create_elicitation(read::<ElicitRequestParams>(params)?).await;
            let answer = answer.map_err(failed)?;
            Ok(format!("action={:?}, content={}", answer.action, answer.content.unwrap_or_default()))
        }
    }
}

/// Says of a result that it is one; older clients are not told.
fn complete(mut result: Value) -> Value {
    result["resultType"] = json!("complete");
    result
}

fn all<T: DeserializeOwned>(values: Vec<Value>) -> Result<Vec<T>, ErrorData> {
    values.into_iter().map(read).collect()
}

fn read<T: DeserializeOwned>(value: Value) -> Result<T, ErrorData> {
    serde_json::from_value(value)
        .map_err(|error| ErrorData::internal_error(format!("A fixture does not fit: {error}"), None))
}
