//! JSON-RPC 2.0 as ACP uses it: one message a line, requests in both directions. Knows nothing of the methods.

use client::{ClientError, ErrorKind};
use protocol::error::ErrorCode;
use serde::Serialize;
use serde_json::{Map, Value, json};

/// A message of the editor.
#[derive(Debug, PartialEq)]
pub(crate) enum Message {
    /// It wants an answer.
    Request {
        /// Its name for it: a string, a number or null.
        id: Value,
        method: String,
        params: Value,
    },
    /// It wants none.
    Notification { method: String, params: Value },
    /// It answers a request of ours.
    Response {
        /// Our name for it; absent if it is none of ours.
        id: Option<u64>,
        outcome: Result<Value, RpcError>,
    },
}

/// An error as it goes over the wire.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct RpcError {
    pub(crate) code: i64,
    pub(crate) message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) data: Option<Value>,
}

impl RpcError {
    fn new(code: i64, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), data: None }
    }

    pub(crate) fn parse(message: impl Into<String>) -> Self {
        Self::new(-32700, message)
    }

    pub(crate) fn invalid_request(message: impl Into<String>) -> Self {
        Self::new(-32600, message)
    }

    pub(crate) fn no_method(method: &str) -> Self {
        Self::new(-32601, format!("There is no method `{}`", view::escape::short_line(method, 100)))
    }

    pub(crate) fn invalid_params(message: impl Into<String>) -> Self {
        Self::new(-32602, message)
    }

    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(-32603, message)
    }

    pub(crate) fn cancelled() -> Self {
        Self::new(-32800, "The request was cancelled")
    }

    pub(crate) fn auth_required(message: impl Into<String>) -> Self {
        Self::new(-32000, message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(-32002, message)
    }

    /// With what to do next.
    pub(crate) fn with_hint(mut self, hint: Option<impl Into<String>>) -> Self {
        if let Some(hint) = hint {
            self.data = Some(json!({"hint": hint.into()}));
        }
        self
    }
}

impl From<ClientError> for RpcError {
    fn from(error: ClientError) -> Self {
        let message = error.to_string();
        let answer = match error.refusal().map(|refusal| refusal.code) {
            Some(ErrorCode::NotFound) => Self::not_found(message),
            Some(ErrorCode::InvalidRequest) => Self::invalid_params(message),
            Some(
                code @ (ErrorCode::Conflict
                | ErrorCode::Denied
                | ErrorCode::Unavailable
                | ErrorCode::Provider
                | ErrorCode::Internal),
            ) => Self::new(i64::from(code.number()), message),
            None if error.kind() == ErrorKind::Request => Self::invalid_params(message),
            None => Self::internal(message),
        };
        answer.with_hint(error.hint())
    }
}

/// Reads one line. On failure: the id to answer to, and what to answer.
pub(crate) fn parse(line: &[u8]) -> Result<Message, (Value, RpcError)> {
    let value: Value = serde_json::from_slice(line)
        .map_err(|error| (Value::Null, RpcError::parse(format!("The line is no JSON: {error}"))))?;
    let Value::Object(mut message) = value else {
        return Err((Value::Null, RpcError::invalid_request("A message is one JSON object")));
    };
    let id = message.remove("id");
    let is_name = |id: &Value| id.is_null() || id.is_string() || id.is_i64() || id.is_u64() || id.is_number();
    if let Some(wrong) = id.as_ref().filter(|id| !is_name(id)) {
        let kind = if wrong.is_array() { "a list" } else { "no string, number or null" };
        return Err((Value::Null, RpcError::invalid_request(format!("The `id` is {kind}"))));
    }
    let answer_to = id.clone().unwrap_or(Value::Null);
    if message.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
        return Err((answer_to, RpcError::invalid_request("`jsonrpc` is not \"2.0\"")));
    }
    let params = message.remove("params").unwrap_or(Value::Object(Map::new()));
    match (message.remove("method"), id) {
        (Some(Value::String(method)), Some(id)) => Ok(Message::Request { id, method, params }),
        (Some(Value::String(method)), None) => Ok(Message::Notification { method, params }),
        (Some(_), _) => Err((answer_to, RpcError::invalid_request("`method` is no string"))),
        (None, Some(id)) if message.contains_key("result") || message.contains_key("error") => {
            let outcome = match message.remove("error") {
                Some(error) => Err(peer_error(&error)),
                None => Ok(message.remove("result").unwrap_or(Value::Null)),
            };
            Ok(Message::Response { id: id.as_u64(), outcome })
        }
        (None, _) => Err((answer_to, RpcError::invalid_request("The message has no `method`"))),
    }
}

fn peer_error(error: &Value) -> RpcError {
    let code = error["code"].as_i64().unwrap_or(-32603);
    let message = error["message"].as_str().unwrap_or("no message");
    RpcError::new(code, view::escape::short_line(message, 500))
}

/// The line that answers a request.
pub(crate) fn response(id: &Value, outcome: Result<Value, RpcError>) -> String {
    match outcome {
        Ok(result) => json!({"jsonrpc": "2.0", "id": id, "result": result}).to_string(),
        Err(error) => json!({"jsonrpc": "2.0", "id": id, "error": error}).to_string(),
    }
}

/// The line of a notification.
pub(crate) fn notification(method: &str, params: &impl Serialize) -> String {
    json!({"jsonrpc": "2.0", "method": method, "params": params}).to_string()
}

/// The line of a request of ours.
pub(crate) fn request(id: u64, method: &str, params: &impl Serialize) -> String {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(line: &str) -> (Value, i64) {
        let (id, error) = parse(line.as_bytes()).unwrap_err();
        (id, error.code)
    }

    #[test]
    fn requests_notifications_and_answers_are_told_apart() {
        let request = parse(br#"{"jsonrpc":"2.0","id":"a","method":"m","params":{"x":1}}"#).unwrap();
        assert_eq!(request, Message::Request { id: json!("a"), method: "m".into(), params: json!({"x": 1}) });
        let notification = parse(br#"{"jsonrpc":"2.0","method":"m"}"#).unwrap();
        assert_eq!(notification, Message::Notification { method: "m".into(), params: json!({}) });
        let answer = parse(br#"{"jsonrpc":"2.0","id":3,"result":null}"#).unwrap();
        assert_eq!(answer, Message::Response { id: Some(3), outcome: Ok(Value::Null) });
        let error = parse(br#"{"jsonrpc":"2.0","id":3,"error":{"code":-1,"message":"no"}}"#).unwrap();
        assert_eq!(error, Message::Response { id: Some(3), outcome: Err(RpcError::new(-1, "no")) });
    }

    #[test]
    fn what_is_no_message_is_answered_with_the_right_code() {
        assert_eq!(refused("{"), (Value::Null, -32700));
        assert_eq!(refused("[]"), (Value::Null, -32600));
        assert_eq!(refused("\"x\""), (Value::Null, -32600));
        assert_eq!(refused(r#"{"id":4,"method":"m"}"#), (json!(4), -32600));
        assert_eq!(refused(r#"{"jsonrpc":"2.0","id":4}"#), (json!(4), -32600));
        assert_eq!(refused(r#"{"jsonrpc":"2.0","id":4,"method":5}"#), (json!(4), -32600));
        assert_eq!(refused(r#"{"jsonrpc":"2.0","id":{},"method":"m"}"#), (Value::Null, -32600));
    }
}
