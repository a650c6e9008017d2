//! A request as it arrived. Knows where things stand in a request body, not what they mean.

use std::sync::OnceLock;
use std::time::{Instant, SystemTime};

use bytes::Bytes;
use hyper::{HeaderMap, Method};
use serde_json::Value;

/// A request that the server received.
#[derive(Debug)]
pub struct Request {
    /// Which of this server's requests it is, from 0.
    pub number: usize,
    /// Such as `POST`.
    pub method: Method,
    /// The path, without the query.
    pub path: String,
    /// The query without its `?`; empty if there is none.
    pub query: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, byte for byte.
    pub body: Bytes,
    /// When its last byte was there.
    pub arrived: Instant,
    /// The same by the calendar, to compare with logs.
    pub arrived_at: SystemTime,
    json: OnceLock<Value>,
}

impl Request {
    /// Records a request that is complete now.
    pub(crate) fn new(number: usize, head: hyper::http::request::Parts, body: Bytes) -> Self {
        Self {
            number,
            path: head.uri.path().to_owned(),
            query: head.uri.query().unwrap_or_default().to_owned(),
            method: head.method,
            headers: head.headers,
            body,
            arrived: Instant::now(),
            arrived_at: SystemTime::now(),
            json: OnceLock::new(),
        }
    }

    /// The body as JSON; `Null` if it is none. Parsed when first asked for.
    #[must_use]
    pub fn json(&self) -> &Value {
        self.json.get_or_init(|| serde_json::from_slice(&self.body).unwrap_or(Value::Null))
    }

    /// A header's value, if it is text. Names are compared without case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The items of `input`, oldest first; none if it is not a list.
    #[must_use]
    pub fn input(&self) -> &[Value] {
        self.json()["input"].as_array().map_or(&[], Vec::as_slice)
    }

    /// The items of `input` of one type, such as `function_call_output`.
    pub fn input_of<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Value> {
        self.input().iter().filter(move |item| item["type"] == kind)
    }

    /// The texts of the user's messages, oldest first.
    #[must_use]
    pub fn user_texts(&self) -> Vec<&str> {
        let mut texts = Vec::new();
        for item in self.input().iter().filter(|item| item["role"] == "user") {
            match &item["content"] {
                Value::String(text) => texts.push(text.as_str()),
                Value::Array(parts) => texts.extend(parts.iter().filter_map(|part| part["text"].as_str())),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {}
            }
        }
        texts
    }

    /// The output that answers a call, function or freeform, if it is text.
    #[must_use]
    pub fn output_of(&self, call_id: &str) -> Option<&str> {
        let is_answer = |item: &&Value| {
            (item["type"] == "function_call_output" || item["type"] == "custom_tool_call_output")
                && item["call_id"] == call_id
        };
        self.input().iter().find(is_answer).and_then(|item| item["output"].as_str())
    }

    /// The newest output of any call, if it is text.
    #[must_use]
    pub fn last_output(&self) -> Option<&str> {
        self.input().iter().rev().find_map(|item| item["output"].as_str())
    }

    /// The names of the tools that are offered.
    #[must_use]
    pub fn tool_names(&self) -> Vec<&str> {
        let tools = self.json()["tools"].as_array().map_or(&[][..], Vec::as_slice);
        tools.iter().filter_map(|tool| tool["name"].as_str()).collect()
    }

    /// Whether the client asked for reasoning that it can send back.
    pub(crate) fn wants_encrypted_reasoning(&self) -> bool {
        let include = self.json()["include"].as_array();
        include.is_some_and(|names| names.iter().any(|name| name == "reasoning.encrypted_content"))
    }
}
