//! Signatures of thoughts as they are kept, each as reasoning of its own. A signature belongs on the very part that it
//! came on (Gemini API, "Thought signatures"): on a call, on the end of a message, or on a thought.

use protocol::item::OpaqueReasoning;
use serde_json::{Value, json};

use crate::gemini::WIRE_API;

/// A signature and what it belongs on.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Signature<'a> {
    /// On the call of this id.
    Call { call_id: &'a str, signature: &'a str },
    /// On the last part of the message before, which has this text and may be empty. The links stand behind it, and
    /// are none of the model's words.
    Message { text: &'a str, signature: &'a str, links: &'a str },
    /// On a part of a thought, which has this text.
    Thought { text: &'a str, signature: &'a str },
}

impl<'a> Signature<'a> {
    pub(crate) fn keep(&self) -> OpaqueReasoning {
        let item = match self {
            Self::Call { call_id, signature } => json!({"callId": call_id, "thoughtSignature": signature}),
            Self::Message { text, signature, links: "" } => {
                json!({"text": text, "thoughtSignature": signature})
            }
            Self::Message { text, signature, links } => {
                json!({"text": text, "thoughtSignature": signature, "links": links})
            }
            Self::Thought { text, signature } => {
                json!({"text": text, "thought": true, "thoughtSignature": signature})
            }
        };
        OpaqueReasoning { wire_api: WIRE_API.to_owned(), item }
    }

    /// `None` if another API made it.
    pub(crate) fn of(reasoning: &'a OpaqueReasoning) -> Option<Self> {
        let item = Some(&reasoning.item).filter(|_| reasoning.wire_api == WIRE_API)?;
        let signature = item["thoughtSignature"].as_str()?;
        if let Some(call_id) = item["callId"].as_str() {
            return Some(Self::Call { call_id, signature });
        }
        let text = item["text"].as_str()?;
        let is_thought = item["thought"] == Value::Bool(true);
        if is_thought {
            return Some(Self::Thought { text, signature });
        }
        Some(Self::Message { text, signature, links: item["links"].as_str().unwrap_or_default() })
    }
}
