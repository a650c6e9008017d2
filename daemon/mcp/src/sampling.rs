//! A server asks the session's model, where the settings let it: a person sees all that the model would be told, and
//! says yes or no. The model sees nothing of the session, and has no tools.

#![expect(deprecated, reason = "sampling is deprecated, and servers ask for it all the same")]

use std::sync::atomic::Ordering;

use protocol::question::{Decision, QuestionKind};
use rmcp::model::{
    CreateMessageRequestParams, CreateMessageResult, Role, SamplingMessage, SamplingMessageContentBlock,
};
use tools::own_model::{AnswerEnd, ModelQuestion, Said};

use crate::handler::Caller;
use crate::text;

/// Bytes of all that the model is told: so much a person can read.
const MAX_PROMPT: usize = 24 * 1024;
/// The longest answer, in tokens, whatever a server asks for.
const MAX_TOKENS: u64 = 8 * 1024;
/// How often a server may ask in one call.
const MAX_SAMPLES: u32 = 16;
/// What the model is to be where the server does not say.
const INSTRUCTIONS: &str = "You answer what a program asks, briefly, and nothing else.";

/// Asks a person and then the model of the session that calls. Ends when the call does.
///
/// # Errors
/// Why there is no answer, for the server.
pub(crate) async fn sample(
    server: &str,
    caller: &Caller,
    asked: CreateMessageRequestParams,
) -> Result<CreateMessageResult, String> {
    let question = understood(asked)?;
    if caller.samples.fetch_add(1, Ordering::Relaxed) >= MAX_SAMPLES {
        return Err(format!("It asked {MAX_SAMPLES} times in this call, and no more is answered"));
    }
    let asking = async {
        let kind = QuestionKind::Sampling {
            server: server.to_owned(),
            prompt: shown(&question),
            max_tokens: question.max_tokens,
        };
        let reason = format!("The MCP server `{server}` wants the session's model to answer this");
        match caller.asker.ask(kind, reason).await {
            Decision::Allow { .. } => {}
            Decision::Deny { message } => {
                return Err(message.unwrap_or_else(|| "A person declined it".to_owned()));
            }
            Decision::Reply { .. } | Decision::Content { .. } | Decision::Unknown(_) => {
                return Err("Nobody said yes to it".to_owned());
            }
        }
        caller.asker.ask_model(question).await
    };
    let answer = tokio::select! {
        answer = asking => answer?,
        () = caller.ended.cancelled() => return Err("The call that it belongs to has ended".to_owned()),
    };
    let said = SamplingMessage::assistant_text(answer.text);
    let stop = match answer.end {
        AnswerEnd::Finished => CreateMessageResult::STOP_REASON_END_TURN,
        AnswerEnd::CutOff => CreateMessageResult::STOP_REASON_END_MAX_TOKEN,
    };
    Ok(CreateMessageResult::new(said, answer.model).with_stop_reason(stop))
}

/// What the model would be told: texts, made harmless, each word of which the person sees.
fn understood(asked: CreateMessageRequestParams) -> Result<ModelQuestion, String> {
    if asked.tools.is_some() || asked.tool_choice.is_some() {
        return Err("Skein's sampling has no tools (`tools`, `toolChoice`)".to_owned());
    }
    if asked.max_tokens == 0 {
        return Err("`maxTokens` must be more than 0".to_owned());
    }
    let system = asked.system_prompt.map(|prompt| text::plain(&prompt));
    let mut said = Vec::new();
    for message in asked.messages {
        let words: Vec<_> = message.content.into_vec().into_iter().map(words).collect::<Result<_, _>>()?;
        let words = words.join("\n\n");
        said.push(match message.role {
            Role::User => Said::ToModel(words),
            Role::Assistant => Said::ByModel(words),
        });
    }
    if !matches!(said.last(), Some(Said::ToModel(_))) {
        return Err("The last message must be one of the user".to_owned());
    }
    let instructions = system.filter(|prompt| !prompt.trim().is_empty());
    let question = ModelQuestion {
        instructions: instructions.unwrap_or_else(|| INSTRUCTIONS.to_owned()),
        said,
        max_tokens: u64::from(asked.max_tokens).min(MAX_TOKENS),
    };
    if shown(&question).len() > MAX_PROMPT {
        return Err(format!("The prompt has more than {MAX_PROMPT} bytes, which nobody would read"));
    }
    Ok(question)
}

fn words(part: SamplingMessageContentBlock) -> Result<String, String> {
    let kind = match part {
        SamplingMessageContentBlock::Text(part) => return Ok(text::plain(&part.text)),
        SamplingMessageContentBlock::Image(_) => "image",
        SamplingMessageContentBlock::Audio(_) => "audio",
        SamplingMessageContentBlock::ToolUse(_) => "tool_use",
        SamplingMessageContentBlock::ToolResult(_) => "tool_result",
        _ => "a kind that is not known",
    };
    Err(format!("Skein's sampling takes texts only, and not `{kind}`"))
}

/// The same for a person.
fn shown(question: &ModelQuestion) -> String {
    let said = question.said.iter().map(|said| match said {
        Said::ToModel(words) => format!("[user]\n{words}"),
        Said::ByModel(words) => format!("[assistant]\n{words}"),
    });
    let system = format!("[system]\n{}", question.instructions);
    std::iter::once(system).chain(said).collect::<Vec<_>>().join("\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn asked(value: Value) -> Result<ModelQuestion, String> {
        understood(serde_json::from_value(value).expect("a request"))
    }

    fn message(role: &str, content: &Value) -> Value {
        json!({"role": role, "content": content})
    }

    fn text(text: &str) -> Value {
        json!({"type": "text", "text": text})
    }

    #[test]
    fn what_the_person_sees_is_what_the_model_is_told() {
        let question = asked(json!({
            "systemPrompt": "Be\u{1b}[2J brief\u{202e}",
            "messages": [message("user", &text("one")), message("assistant", &text("two")),
                message("user", &json!([text("three"), text("four\u{200b}")]))],
            "maxTokens": 1_000_000,
        }))
        .expect("good");
        assert_eq!(question.max_tokens, MAX_TOKENS);
        assert_eq!(
            shown(&question),
            "[system]\nBe[2J brief\n\n[user]\none\n\n[assistant]\ntwo\n\n[user]\nthree\n\nfour"
        );
        let said = [
            Said::ToModel("one".to_owned()),
            Said::ByModel("two".to_owned()),
            Said::ToModel("three\n\nfour".to_owned()),
        ];
        assert_eq!((question.instructions.as_str(), &question.said[..]), ("Be[2J brief", &said[..]));
    }

    #[test]
    fn what_is_not_taken_is_refused_by_name() {
        let user = message("user", &text("x"));
        let tool = json!({"name": "t", "inputSchema": {"type": "object"}});
        let image = json!({"type": "image", "data": "AAAA", "mimeType": "image/png"});
        let result = json!({"type": "tool_result", "toolUseId": "1", "content": []});
        let long = "x".repeat(MAX_PROMPT);
        for (value, wanted) in [
            (json!({"messages": [user], "maxTokens": 5, "tools": [tool]}), "`tools`"),
            (json!({"messages": [user], "maxTokens": 5, "toolChoice": {"mode": "auto"}}), "`toolChoice`"),
            (json!({"messages": [user], "maxTokens": 0}), "`maxTokens`"),
            (json!({"messages": [message("user", &image)], "maxTokens": 5}), "`image`"),
            (json!({"messages": [message("user", &result)], "maxTokens": 5}), "`tool_result`"),
            (json!({"messages": [], "maxTokens": 5}), "last message"),
            (json!({"messages": [user, message("assistant", &text("y"))], "maxTokens": 5}), "last message"),
            (json!({"messages": [message("user", &text(&long))], "maxTokens": 5}), "more than"),
        ] {
            let error = asked(value).expect_err(wanted);
            assert!(error.contains(wanted), "{wanted}: {error}");
        }
    }
}
