//! A script as it stands in its file. Knows the format, nothing of requests.

use std::time::Duration;

use protocol::model::{ProviderFailure, ProviderFailureKind, Usage};
use protocol::tool::CallInput;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::replay::PROVIDER;

/// A script.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Script {
    #[serde(default)]
    pub(crate) pace_ms: u64,
    #[serde(default, rename = "step")]
    pub(crate) steps: Vec<Step>,
}

/// One answer.
#[derive(Deserialize)]
#[serde(try_from = "WrittenStep")]
pub(crate) struct Step {
    pub(crate) expect: Expect,
    pub(crate) wait: Duration,
    pub(crate) pace_ms: Option<u64>,
    pub(crate) retry: Option<Fault>,
    pub(crate) reasoning: Option<String>,
    pub(crate) say: Option<String>,
    pub(crate) calls: Vec<Call>,
    pub(crate) usage: Usage,
    pub(crate) stop: Option<String>,
    pub(crate) fail: Option<Fault>,
}

/// What the model must have been shown.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Expect {
    pub(crate) user: Texts,
    pub(crate) output: Texts,
    pub(crate) anywhere: Texts,
}

/// A text or a list of texts.
#[derive(Deserialize)]
#[serde(untagged)]
pub(crate) enum Texts {
    One(String),
    Many(Vec<String>),
}

impl Default for Texts {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl Texts {
    pub(crate) fn as_slice(&self) -> &[String] {
        match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::Many(texts) => texts,
        }
    }
}

/// A tool call.
#[derive(Deserialize)]
#[serde(try_from = "WrittenCall")]
pub(crate) struct Call {
    pub(crate) tool: String,
    pub(crate) input: CallInput,
}

/// A failure and, where it passes, the pause after it.
#[derive(Deserialize)]
#[serde(try_from = "WrittenFault")]
pub(crate) struct Fault {
    pub(crate) failure: ProviderFailure,
    pub(crate) delay: Duration,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenStep {
    #[serde(default)]
    expect: Expect,
    #[serde(default)]
    wait_ms: u64,
    pace_ms: Option<u64>,
    retry: Option<Fault>,
    reasoning: Option<String>,
    say: Option<String>,
    #[serde(default)]
    call: Vec<Call>,
    #[serde(default)]
    usage: WrittenUsage,
    stop: Option<String>,
    fail: Option<Fault>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct WrittenUsage {
    input: u64,
    cached: u64,
    output: u64,
    reasoning: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenCall {
    tool: String,
    arguments: Option<Map<String, Value>>,
    raw_arguments: Option<String>,
    input: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenFault {
    kind: ProviderFailureKind,
    status: Option<u16>,
    message: String,
    #[serde(default)]
    delay_ms: u64,
}

impl TryFrom<WrittenStep> for Step {
    type Error = &'static str;

    fn try_from(step: WrittenStep) -> Result<Self, Self::Error> {
        let say = step.say.filter(|text| !text.is_empty());
        if say.is_none() && step.call.is_empty() && step.fail.is_none() {
            // It would leave no answer in the conversation, and the script would stay at this step for ever.
            return Err("A step needs `say`, `call` or `fail`");
        }
        if step.fail.is_some() && (!step.call.is_empty() || step.stop.is_some()) {
            return Err("A step that fails has neither `call` nor `stop`");
        }
        Ok(Self {
            expect: step.expect,
            wait: Duration::from_millis(step.wait_ms),
            pace_ms: step.pace_ms,
            retry: step.retry,
            reasoning: step.reasoning.filter(|text| !text.is_empty()),
            say,
            calls: step.call,
            usage: Usage {
                input_tokens: step.usage.input,
                cached_input_tokens: step.usage.cached,
                cache_write_input_tokens: 0,
                output_tokens: step.usage.output,
                reasoning_output_tokens: step.usage.reasoning,
            },
            stop: step.stop,
            fail: step.fail,
        })
    }
}

impl TryFrom<WrittenCall> for Call {
    type Error = &'static str;

    fn try_from(call: WrittenCall) -> Result<Self, Self::Error> {
        let input = match (call.arguments, call.raw_arguments, call.input) {
            (Some(arguments), None, None) => CallInput::Json(Value::Object(arguments).to_string()),
            (None, Some(text), None) => CallInput::Json(text),
            (None, None, Some(text)) => CallInput::Freeform(text),
            (_, _, _) => return Err("A call needs one of `arguments`, `raw_arguments` and `input`"),
        };
        Ok(Self { tool: call.tool, input })
    }
}

impl TryFrom<WrittenFault> for Fault {
    type Error = String;

    fn try_from(fault: WrittenFault) -> Result<Self, Self::Error> {
        if let ProviderFailureKind::Unknown(kind) = fault.kind {
            return Err(format!("`{kind}` is no kind of failure"));
        }
        let WrittenFault { kind, status, message, delay_ms } = fault;
        let failure = ProviderFailure { provider: PROVIDER.to_owned(), kind, status, message };
        Ok(Self { failure, delay: Duration::from_millis(delay_ms) })
    }
}
