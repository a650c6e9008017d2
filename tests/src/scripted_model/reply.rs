//! What the server is to answer: a builder for each way to answer, well or badly. Knows what can be said, not
//! how it looks on the wire.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

/// One reply to one request.
#[derive(Clone, Debug)]
pub enum Reply {
    /// A stream of events.
    Answer(Answer),
    /// A status with a body, no stream.
    Status(StatusReply),
    /// Takes the request and never says anything.
    Silence,
    /// Takes the request and closes the connection without a byte.
    HangUp,
}

impl Reply {
    /// An answer that is one message.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Answer::new().text(text).into()
    }

    /// An answer that is one function call with these arguments.
    #[must_use]
    pub fn call(name: impl Into<String>, arguments: &Value) -> Self {
        Answer::new().call(name, arguments).into()
    }

    /// 401, as for a wrong key.
    #[must_use]
    pub fn unauthorized() -> Self {
        let message = "Incorrect API key provided: sk-…0000.";
        StatusReply::error(401, message, "invalid_request_error", Some("invalid_api_key")).into()
    }

    /// 429 with a `Retry-After` of this text.
    #[must_use]
    pub fn rate_limited(retry_after: impl Into<String>) -> Self {
        let message = "Rate limit reached for requests.";
        let reply = StatusReply::error(429, message, "requests", Some("rate_limit_exceeded"));
        reply.header("retry-after", retry_after).into()
    }

    /// 500 with the provider's usual body.
    #[must_use]
    pub fn server_error() -> Self {
        let message = "The server had an error while processing your request.";
        StatusReply::error(500, message, "server_error", None).into()
    }
}

impl From<Answer> for Reply {
    fn from(answer: Answer) -> Self {
        Self::Answer(answer)
    }
}

impl From<StatusReply> for Reply {
    fn from(reply: StatusReply) -> Self {
        Self::Status(reply)
    }
}

/// A status with headers and a body.
#[derive(Clone, Debug)]
pub struct StatusReply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Bytes,
}

impl StatusReply {
    /// A status with any body, taken for plain text unless a `content-type` header is added.
    #[must_use]
    pub fn new(status: u16, body: impl Into<Bytes>) -> Self {
        Self { status, headers: Vec::new(), body: body.into() }
    }

    /// A status with an error in the provider's shape.
    #[must_use]
    pub fn error(status: u16, message: &str, kind: &str, code: Option<&str>) -> Self {
        let body = json!({"error": {"message": message, "type": kind, "param": null, "code": code}});
        Self::new(status, body.to_string()).header("content-type", "application/json")
    }

    /// Adds a header. One that HTTP does not allow makes the server close the connection.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }
}

/// What an answer took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Tokens read.
    pub input: u64,
    /// Of these, tokens from the prompt cache.
    pub cached: u64,
    /// Tokens written, reasoning included.
    pub output: u64,
    /// Of these, tokens of reasoning.
    pub reasoning: u64,
}

impl Default for Usage {
    fn default() -> Self {
        Self { input: 100, cached: 0, output: 20, reasoning: 0 }
    }
}

/// A thing of an answer.
#[derive(Clone, Debug)]
pub(crate) enum Output {
    Message {
        text: String,
    },
    Reasoning {
        summary: Vec<String>,
        encrypted: Option<String>,
    },
    Function {
        call_id: Option<String>,
        name: String,
        arguments: String,
    },
    Freeform {
        call_id: Option<String>,
        name: String,
        input: String,
    },
    /// An event as it is; its `sequence_number` is filled in.
    Event(Value),
    /// What stands after `data:`, as it is.
    Raw(String),
}

/// An output and in how many deltas its text comes.
#[derive(Clone, Debug)]
pub(crate) struct Piecewise {
    pub(crate) output: Output,
    pub(crate) pieces: usize,
}

/// The last event of a stream.
#[derive(Clone, Debug)]
pub enum Ending {
    /// `response.completed`.
    Completed,
    /// `response.incomplete` with this reason, such as `max_output_tokens`.
    Incomplete(String),
    /// `response.failed`.
    Failed {
        /// Such as `rate_limit_exceeded` or `server_error`.
        code: String,
        /// For people.
        message: String,
    },
    /// `error`.
    Error {
        /// Such as `server_error`.
        code: String,
        /// For people.
        message: String,
    },
    /// None: the stream ends properly, but too early.
    Missing,
}

/// Where a stream breaks off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// After so many events; 0 is right after the headers.
    Events(usize),
    /// After the first half of the last output's deltas.
    MiddleOfLastOutput,
    /// In the middle of the bytes of the event with this number, from 0.
    InsideEvent(usize),
}

/// What happens there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// The connection is closed without the end of the body.
    Cut,
    /// Nothing more comes, and the connection stays.
    Stall,
    /// The body ends properly.
    End,
}

/// How lines end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LineEnd {
    /// Line feed.
    #[default]
    Lf,
    /// Carriage return and line feed.
    CrLf,
    /// Carriage return.
    Cr,
}

/// How the stream is written. All of it is allowed by the standard of server-sent events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// How lines end.
    pub line_end: LineEnd,
    /// Begins with a byte order mark.
    pub byte_order_mark: bool,
    /// Has a comment, and an event without data, before each event.
    pub comments: bool,
    /// Has no space after the colons.
    pub tight: bool,
    /// Has no `event:` lines, only `data:`.
    pub data_only: bool,
    /// Sends chunks of so many bytes, wherever that cuts; absent: as few chunks as possible.
    pub chunk_bytes: Option<usize>,
}

/// Stands for the moment when a paced event is sent: nanoseconds since 1970, as many digits.
pub const STAMP: &str = "@@@@@@@@@@@@@@@@@@@";

/// A stream of events: what the model says, and how it goes wrong. Begins empty, complete and well behaved.
#[derive(Clone, Debug)]
pub struct Answer {
    pub(crate) outputs: Vec<Piecewise>,
    pub(crate) usage: Usage,
    pub(crate) ending: Ending,
    pub(crate) breaks: Option<(Point, Then)>,
    pub(crate) style: Style,
    pub(crate) pause: Option<Duration>,
    pub(crate) pace: Option<Duration>,
    pub(crate) content_type: String,
}

impl Default for Answer {
    fn default() -> Self {
        Self {
            outputs: Vec::new(),
            usage: Usage::default(),
            ending: Ending::Completed,
            breaks: None,
            style: Style::default(),
            pause: None,
            pace: None,
            content_type: "text/event-stream; charset=utf-8".to_owned(),
        }
    }
}

impl Answer {
    /// An answer without outputs.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a message, in one delta.
    #[must_use]
    pub fn text(self, text: impl Into<String>) -> Self {
        self.output(Output::Message { text: text.into() })
    }

    /// Adds reasoning with a summary of one part.
    #[must_use]
    pub fn reasoning(self, summary: impl Into<String>) -> Self {
        self.output(Output::Reasoning { summary: vec![summary.into()], encrypted: None })
    }

    /// Adds reasoning with any number of summary parts and encrypted content; the latter is sent only to a
    /// client that asked for it, as the real API does.
    #[must_use]
    pub fn encrypted_reasoning(self, summary: &[&str], encrypted: impl Into<String>) -> Self {
        let summary = summary.iter().map(|part| (*part).to_owned()).collect();
        self.output(Output::Reasoning { summary, encrypted: Some(encrypted.into()) })
    }

    /// Adds a function call.
    #[must_use]
    pub fn call(self, name: impl Into<String>, arguments: &Value) -> Self {
        self.raw_call(name, arguments.to_string())
    }

    /// Adds a function call whose arguments are any text, JSON or not.
    #[must_use]
    pub fn raw_call(self, name: impl Into<String>, arguments: impl Into<String>) -> Self {
        let (name, arguments) = (name.into(), arguments.into());
        self.output(Output::Function { call_id: None, name, arguments })
    }

    /// Adds a call of a freeform tool.
    #[must_use]
    pub fn freeform(self, name: impl Into<String>, input: impl Into<String>) -> Self {
        let (name, input) = (name.into(), input.into());
        self.output(Output::Freeform { call_id: None, name, input })
    }

    /// Adds an event as it is, known to the API or not; `sequence_number` is filled in.
    #[must_use]
    pub fn event(self, event: Value) -> Self {
        self.output(Output::Event(event))
    }

    /// Adds an event whose data is this text, JSON or not.
    #[must_use]
    pub fn raw_event(self, data: impl Into<String>) -> Self {
        self.output(Output::Raw(data.into()))
    }

    /// Adds a message of so many bytes, in one event.
    #[must_use]
    pub fn huge_event(self, bytes: usize) -> Self {
        self.text("x".repeat(bytes))
    }

    /// Splits the last output into so many deltas, as evenly as characters allow.
    #[must_use]
    pub fn in_pieces(mut self, pieces: usize) -> Self {
        if let Some(last) = self.outputs.last_mut() {
            last.pieces = pieces;
        }
        self
    }

    /// Names the last output, which is a call; otherwise calls are named `call_<request>_<output>`.
    #[must_use]
    pub fn call_id(mut self, id: impl Into<String>) -> Self {
        if let Some(Piecewise {
            output: Output::Function { call_id, .. } | Output::Freeform { call_id, .. },
            ..
        }) = self.outputs.last_mut()
        {
            *call_id = Some(id.into());
        }
        self
    }

    /// Says what it took.
    #[must_use]
    pub fn usage(mut self, usage: Usage) -> Self {
        self.usage = usage;
        self
    }

    /// Says how the stream ends.
    #[must_use]
    pub fn ending(mut self, ending: Ending) -> Self {
        self.ending = ending;
        self
    }

    /// Breaks the stream off.
    #[must_use]
    pub fn breaks(mut self, at: Point, then: Then) -> Self {
        self.breaks = Some((at, then));
        self
    }

    /// Sends each event by itself, with a pause before it.
    #[must_use]
    pub fn pause(mut self, pause: Duration) -> Self {
        self.pause = Some(pause);
        self
    }

    /// Sends each event by itself, one in so much time on average, whatever a timer's grain is. Where an event
    /// holds `STAMP`, the moment it is sent stands instead.
    #[must_use]
    pub fn pace(mut self, every: Duration) -> Self {
        self.pace = Some(every);
        self
    }

    /// Says how the stream is written.
    #[must_use]
    pub fn style(mut self, style: Style) -> Self {
        self.style = style;
        self
    }

    /// Claims another content type than `text/event-stream`.
    #[must_use]
    pub fn content_type(mut self, content_type: impl Into<String>) -> Self {
        self.content_type = content_type.into();
        self
    }

    fn output(mut self, output: Output) -> Self {
        self.outputs.push(Piecewise { output, pieces: 1 });
        self
    }
}
