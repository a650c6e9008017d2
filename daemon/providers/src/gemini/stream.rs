//! The chunks of an answer, one at a time (Gemini API, `GenerateContentResponse`). Each is a whole response that holds
//! what is new. Unknown parts are left out.

use std::collections::VecDeque;

use bytes::Bytes;
use model::event::{ModelEvent, OutputItem, StopReason};
use model::request::ModelRequest;
use protocol::item::OpaqueReasoning;
use protocol::model::{ProviderFailureKind, Usage};
use protocol::web::WebSource;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tracing::debug;

use crate::draft::{Draft, Kind};
use crate::failure::Failure;
use crate::functions::Calls;
use crate::gemini::WIRE_API;
use crate::gemini::signature::Signature;
use crate::retry::Again;
use crate::searches;
use crate::wire_api::{Progress, Reader};

/// Reads the chunks of one answer.
#[derive(Clone, Debug)]
pub(crate) struct Decoder {
    draft: Draft,
    calls: Calls,
    stop: Option<StopReason>,
    tokens: Tokens,
    /// A search that has not found anything yet, as its part.
    search: Option<Value>,
    /// The sources of the answer.
    grounding: Option<Grounding>,
    /// The last part of the message that is being said and its signature: nothing more of it comes but its sources.
    signed: Option<(String, String)>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Chunk {
    #[serde(default)]
    candidates: Vec<Candidate>,
    prompt_feedback: Option<PromptFeedback>,
    usage_metadata: Option<Tokens>,
    error: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PromptFeedback {
    block_reason: Option<String>,
    block_reason_message: Option<String>,
    #[serde(default)]
    safety_ratings: Vec<SafetyRating>,
}

#[derive(Deserialize)]
struct SafetyRating {
    category: Option<String>,
    #[serde(default)]
    blocked: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Candidate {
    #[serde(default)]
    index: u32,
    content: Option<Content>,
    finish_reason: Option<String>,
    finish_message: Option<String>,
    #[serde(default)]
    safety_ratings: Vec<SafetyRating>,
    grounding_metadata: Option<Grounding>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Grounding {
    web_search_queries: Vec<String>,
    grounding_chunks: Vec<Value>,
    grounding_supports: Vec<Support>,
}

/// What a piece of the answer goes by.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Support {
    grounding_chunk_indices: Vec<usize>,
}

#[derive(Deserialize)]
struct Content {
    #[serde(default)]
    parts: Vec<Part>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Part {
    text: Option<String>,
    #[serde(default)]
    thought: bool,
    function_call: Option<FunctionCall>,
    /// A call of a tool of the provider's own, and what came of one.
    tool_call: Option<Value>,
    tool_response: Option<Value>,
    thought_signature: Option<String>,
}

#[derive(Deserialize)]
struct FunctionCall {
    id: Option<String>,
    name: String,
    args: Option<Map<String, Value>>,
}

/// Totals so far.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Tokens {
    prompt_token_count: u64,
    tool_use_prompt_token_count: u64,
    cached_content_token_count: u64,
    candidates_token_count: u64,
    thoughts_token_count: u64,
}

impl Reader for Decoder {
    fn take(&mut self, data: &str, events: &mut VecDeque<ModelEvent>) -> Result<Progress, Failure> {
        let chunk: Chunk = serde_json::from_str(data)
            .map_err(|error| Failure::malformed(format!("A chunk can't be read: {error}")))?;
        if let Some(error) = chunk.error {
            return Err(Failure::reported(&error));
        }
        if let Some(PromptFeedback { block_reason: Some(reason), block_reason_message, safety_ratings }) =
            chunk.prompt_feedback
        {
            return Err(blocked("The prompt", &reason, block_reason_message.as_deref(), &safety_ratings));
        }
        self.tokens = chunk.usage_metadata.unwrap_or(self.tokens);
        // Only one was asked for.
        for candidate in chunk.candidates.into_iter().filter(|candidate| candidate.index == 0) {
            for part in candidate.content.into_iter().flat_map(|content| content.parts) {
                self.part(part, events);
            }
            self.grounding = candidate.grounding_metadata.or(self.grounding.take());
            if let Some(reason) = candidate.finish_reason {
                let stop = finished(reason, candidate.finish_message, &candidate.safety_ratings)?;
                self.stop = stop.or(self.stop.take());
            }
        }
        Ok(if self.stop.is_some() { Progress::Whole } else { Progress::Open })
    }

    fn spent(&self) -> Usage {
        self.tokens.usage()
    }

    fn close(&mut self, _sent: &Bytes, events: &mut VecDeque<ModelEvent>) -> Option<Bytes> {
        let grounding = self.grounding.take();
        let cited = grounding.iter().flat_map(Grounding::cited);
        let said = self.draft.open().filter(|(kind, _)| *kind == Kind::Message);
        let links = said.map(|(_, text)| searches::links(text, cited)).unwrap_or_default();
        self.draft.say(Kind::Message, links.clone(), events);
        self.end(&links, events);
        if let Some(grounding) = grounding {
            let sources: Vec<_> = grounding.grounding_chunks.iter().filter_map(web).collect();
            if !sources.is_empty() {
                let search = searches::told(grounding.web_search_queries, sources, None);
                self.draft.add(OutputItem::WebSearch(search), events);
            }
        }
        let stop = self.stop.take().unwrap_or(StopReason::Finished);
        events.push_back(ModelEvent::Completed { usage: self.tokens.usage(), stop });
        None
    }
}

impl Decoder {
    /// For the answer to this request.
    pub(crate) fn new(request: &ModelRequest) -> Self {
        let (draft, tokens) = (Draft::default(), Tokens::default());
        let (stop, search, grounding, signed) = (None, None, None, None);
        Self { draft, calls: Calls::of(request), stop, tokens, search, grounding, signed }
    }

    fn part(&mut self, part: Part, events: &mut VecDeque<ModelEvent>) {
        let signature = part.thought_signature.filter(|signature| !signature.is_empty());
        if let Some(FunctionCall { id, name, args }) = part.function_call {
            self.end("", events);
            let arguments = args.map(|args| Value::Object(args).to_string()).unwrap_or_default();
            let call = self.calls.call(id, name, arguments);
            if let Some(signature) = &signature {
                self.keep(&Signature::Call { call_id: &call.call_id, signature }, events);
            }
            self.draft.add(OutputItem::ToolCall(call), events);
            return;
        }
        if let Some(call) = part.tool_call {
            self.search = Some(with_signature("toolCall", &call, signature));
            return;
        }
        if let Some(response) = part.tool_response {
            self.end("", events);
            let Some(call) = self.search.take() else { return };
            let made = &call["toolCall"];
            let is_search = made["toolType"].as_str().is_some_and(|kind| kind.starts_with("GOOGLE_SEARCH"));
            let args = &made["args"];
            let query = args["query"].as_str().map(str::to_owned);
            let queries = is_search.then(|| searches::texts(&args["queries"]).chain(query));
            let queries: Vec<_> = queries.into_iter().flatten().collect();
            let parts = json!({"parts": [call, with_signature("toolResponse", &response, signature)]});
            let opaque = OpaqueReasoning { wire_api: WIRE_API.to_owned(), item: parts };
            self.draft.add(OutputItem::WebSearch(searches::told(queries, [], Some(opaque))), events);
            return;
        }
        let Some(text) = part.text else {
            debug!("left out a part of a kind that is not known");
            return;
        };
        if text.is_empty() && signature.is_none() {
            return;
        }
        let kind = if part.thought { Kind::Reasoning } else { Kind::Message };
        if self.signed.is_some() || self.draft.open().is_some_and(|(open, _)| open != kind) {
            self.end("", events);
        }
        self.draft.say(kind, text.clone(), events);
        let Some(signature) = signature.as_deref() else { return };
        let text = text.as_str();
        match kind {
            Kind::Reasoning if self.draft.open().is_some() => {
                self.draft.end(Some(Signature::Thought { text, signature }.keep()), events);
            }
            Kind::Reasoning => self.keep(&Signature::Thought { text, signature }, events),
            // The sources may come yet.
            Kind::Message => self.signed = Some((text.to_owned(), signature.to_owned())),
        }
    }

    /// Ends what is being said, behind which these links stand.
    fn end(&mut self, links: &str, events: &mut VecDeque<ModelEvent>) {
        self.draft.end(None, events);
        if let Some((text, signature)) = self.signed.take() {
            self.keep(&Signature::Message { text: &text, signature: &signature, links }, events);
        }
    }

    fn keep(&mut self, signature: &Signature<'_>, events: &mut VecDeque<ModelEvent>) {
        let opaque = Some(signature.keep());
        self.draft.add(OutputItem::Reasoning { summary: String::new(), opaque }, events);
    }
}

impl Grounding {
    /// What the answer goes by, of all that was found (Gemini API, `groundingSupports`).
    fn cited(&self) -> impl Iterator<Item = WebSource> {
        let indices = self.grounding_supports.iter().flat_map(|support| &support.grounding_chunk_indices);
        indices.filter_map(|index| web(self.grounding_chunks.get(*index)?))
    }
}

/// The page that a chunk of sources is; `None` if it is something else.
fn web(chunk: &Value) -> Option<WebSource> {
    searches::source(&chunk["web"], "uri")
}

/// A part as it is sent back.
fn with_signature(field: &str, value: &Value, signature: Option<String>) -> Value {
    let mut part = json!({ field: value });
    if let Some(signature) = signature {
        part["thoughtSignature"] = signature.into();
    }
    part
}

/// What the reason of an end means (Gemini API, `FinishReason`); `None` if it is none.
fn finished(
    reason: String,
    message: Option<String>,
    ratings: &[SafetyRating],
) -> Result<Option<StopReason>, Failure> {
    Ok(Some(match reason.as_str() {
        "" | "FINISH_REASON_UNSPECIFIED" => return Ok(None),
        "STOP" => StopReason::Finished,
        "SAFETY"
        | "RECITATION"
        | "BLOCKLIST"
        | "PROHIBITED_CONTENT"
        | "SPII"
        | "LANGUAGE"
        | "IMAGE_SAFETY"
        | "IMAGE_PROHIBITED_CONTENT"
        | "IMAGE_RECITATION"
        | "MODEL_ARMOR"
        | "ESCALATION" => {
            return Err(blocked("The answer", &reason, message.as_deref(), ratings));
        }
        // The model wrote nonsense; it may do better.
        "MALFORMED_FUNCTION_CALL" | "MALFORMED_RESPONSE" => {
            let message = message.map_or_else(|| reason.clone(), |message| format!("{message} ({reason})"));
            return Err(Failure::new(ProviderFailureKind::Failed, Again::Soon, message));
        }
        _ => StopReason::Stopped(reason),
    }))
}

/// What the provider will not have said.
fn blocked(what: &str, reason: &str, message: Option<&str>, ratings: &[SafetyRating]) -> Failure {
    let mut text = format!("{what} was blocked: {}", message.unwrap_or(reason));
    if message.is_some() {
        text.push_str(&format!(" ({reason})"));
    }
    let categories: Vec<_> = ratings
        .iter()
        .filter(|rating| rating.blocked)
        .filter_map(|rating| rating.category.as_deref())
        .collect();
    if !categories.is_empty() {
        text.push_str(&format!(" [{}]", categories.join(", ")));
    }
    Failure::new(ProviderFailureKind::Blocked, Again::Never, text)
}

impl Tokens {
    /// The provider counts thoughts apart from the answer.
    fn usage(self) -> Usage {
        Usage {
            input_tokens: self.prompt_token_count.saturating_add(self.tool_use_prompt_token_count),
            cached_input_tokens: self.cached_content_token_count,
            cache_write_input_tokens: 0,
            output_tokens: self.candidates_token_count.saturating_add(self.thoughts_token_count),
            reasoning_output_tokens: self.thoughts_token_count,
        }
    }
}

#[cfg(test)]
mod tests;
