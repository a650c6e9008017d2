//! From a script and a request to the events of the answer. Pure: knows no clock, only how long each pause is.

use std::time::Duration;

use protocol::model::{ProviderFailure, ProviderFailureKind};
use protocol::tool::ToolCall;

use crate::event::{ModelEvent, OutputItem, StopReason};
use crate::replay::PROVIDER;
use crate::replay::script::{Expect, Script, Step};
use crate::request::{InputItem, ModelRequest, answers, text_of};

/// How much of what was shown stands in a failure, in bytes.
const SHOWN_BYTES: usize = 800;

/// An event and the pause before it.
pub(crate) struct Timed {
    pub(crate) pause: Duration,
    pub(crate) event: Result<ModelEvent, ProviderFailure>,
}

/// The events of the answer to a request.
pub(crate) fn plan(script: &Script, request: &ModelRequest) -> Vec<Timed> {
    let position = answers(&request.input);
    let Some(step) = script.steps.get(position) else {
        let message = format!("The script has {} steps, and one more is asked for", script.steps.len());
        return vec![failed(message)];
    };
    if let Err(missing) = check(&step.expect, request) {
        return vec![failed(format!("Step {} of the script {missing}", position + 1))];
    }
    let pace = Duration::from_millis(step.pace_ms.unwrap_or(script.pace_ms));
    let mut writer = Writer { pace, pause: step.wait, index: 0, events: Vec::new() };
    writer.step(step, position);
    writer.events
}

fn failed(message: String) -> Timed {
    let failure = ProviderFailure {
        provider: PROVIDER.to_owned(),
        kind: ProviderFailureKind::Rejected,
        status: None,
        message,
    };
    Timed { pause: Duration::ZERO, event: Err(failure) }
}

/// # Errors
/// What was expected and what was shown instead.
fn check(expect: &Expect, request: &ModelRequest) -> Result<(), String> {
    let (mut user, mut outputs) = (String::new(), Vec::new());
    for item in &request.input {
        match item {
            InputItem::UserMessage(content) => user = text_of(content).into_owned(),
            InputItem::ToolOutput { output, .. } => outputs.push(text_of(output)),
            InputItem::AgentMessage(_) | InputItem::Reasoning(_) | InputItem::ToolCall(_) => outputs.clear(),
        }
    }
    require(expect.user.as_slice(), "the last user message", &user)?;
    require(expect.output.as_slice(), "the tool outputs", &outputs.join("\n"))?;
    if expect.anywhere.as_slice().is_empty() {
        return Ok(());
    }
    let everything: Vec<String> = request.input.iter().map(words).collect();
    let everything = format!("{}\n{}", request.instructions, everything.join("\n"));
    require(expect.anywhere.as_slice(), "the request", &everything)
}

fn require(texts: &[String], place: &str, shown: &str) -> Result<(), String> {
    let Some(missing) = texts.iter().find(|text| !shown.contains(text.as_str())) else { return Ok(()) };
    let end = shown.floor_char_boundary(SHOWN_BYTES);
    let (shown, rest) = shown.split_at(end);
    let more = if rest.is_empty() { String::new() } else { format!("… ({} bytes more)", rest.len()) };
    Err(format!("expects `{missing}` in {place}, where this stands: {shown:?}{more}"))
}

/// What is written in one thing of the conversation.
fn words(item: &InputItem) -> String {
    match item {
        InputItem::UserMessage(content) => text_of(content).into_owned(),
        InputItem::AgentMessage(text) => text.clone(),
        InputItem::Reasoning(_) => String::new(),
        InputItem::ToolCall(call) => format!("{} {}", call.name, call.input.text()),
        InputItem::ToolOutput { output, .. } => text_of(output).into_owned(),
    }
}

struct Writer {
    pace: Duration,
    /// The pause before the next event.
    pause: Duration,
    index: u32,
    events: Vec<Timed>,
}

impl Writer {
    fn step(&mut self, step: &Step, position: usize) {
        if let Some(fault) = &step.retry {
            let (delay, failure) = (fault.delay, fault.failure.clone());
            self.push(Ok(ModelEvent::Retrying { attempt: 1, max_attempts: 1, delay, failure }));
            self.pause = delay;
        }
        if let Some(text) = &step.reasoning {
            self.pieces(text, |index, text| ModelEvent::SummaryDelta { index, text });
            self.item(OutputItem::Reasoning { summary: text.clone(), opaque: None });
        }
        if let Some(text) = &step.say {
            self.pieces(text, |index, text| ModelEvent::TextDelta { index, text });
        }
        if let Some(fault) = &step.fail {
            return self.push(Err(fault.failure.clone()));
        }
        if let Some(text) = &step.say {
            self.item(OutputItem::Message(text.clone()));
        }
        for (number, call) in step.calls.iter().enumerate() {
            let call_id = format!("call_{}_{}", position + 1, number + 1);
            let (name, input) = (call.tool.clone(), call.input.clone());
            self.item(OutputItem::ToolCall(ToolCall { call_id, name, input }));
        }
        let stop = step.stop.clone().map_or(StopReason::Finished, StopReason::Stopped);
        self.push(Ok(ModelEvent::Completed { usage: step.usage, stop }));
    }

    /// A text word by word.
    fn pieces(&mut self, text: &str, delta: impl Fn(u32, String) -> ModelEvent) {
        for piece in text.split_inclusive(char::is_whitespace) {
            self.pause += self.pace;
            self.push(Ok(delta(self.index, piece.to_owned())));
        }
    }

    fn item(&mut self, item: OutputItem) {
        self.push(Ok(ModelEvent::OutputItem { index: self.index, item }));
        self.index += 1;
    }

    fn push(&mut self, event: Result<ModelEvent, ProviderFailure>) {
        self.events.push(Timed { pause: std::mem::take(&mut self.pause), event });
    }
}
