//! A language server that runs: its process, and JSON-RPC over its standard input and output. Knows the shape of
//! messages, and nothing of what they say.

use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use sandbox::{CommandRequest, Interception, Launcher, Output, Process, Proxy, Stdin, Tail};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::pipe;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use crate::error::LanguageServerError;
use crate::frame::{self, FrameError};
use crate::problem::line;
use crate::recipe::Recipe;

/// Messages that were read and are not looked at yet. When it is full, the server waits.
const MESSAGES: usize = 64;
/// Bytes that are kept of what a server says of itself.
const MAX_TAIL: usize = 1024;
/// How long a server may take to read what it is told.
const READING: Duration = Duration::from_secs(5);
/// How long the end of what a program said may take to come, once it has ended.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// A server that runs. Dropping it ends it.
pub(crate) struct Connection {
    process: Process,
    input: pipe::Sender,
    messages: mpsc::Receiver<Result<Received, FrameError>>,
    asked: u64,
    tail: Arc<Tail>,
    /// Gathers them; until it has ended.
    words: Option<AbortOnDropHandle<()>>,
    _reading: AbortOnDropHandle<()>,
}

/// What came.
pub(crate) struct Received {
    /// How long it was.
    pub(crate) bytes: usize,
    pub(crate) message: Message,
}

/// A message of a server.
#[derive(Debug, PartialEq)]
pub(crate) enum Message {
    /// It asks something.
    Request { id: Value, method: String, params: Value },
    /// It tells something.
    Notification { method: String, params: Value },
    /// It answers. Without a result it refused.
    Response { id: u64, result: Option<Value>, error: Value },
    /// What is no message.
    Nonsense,
}

impl Message {
    fn read(body: &[u8]) -> Self {
        let Ok(Value::Object(mut message)) = serde_json::from_slice(body) else { return Self::Nonsense };
        let mut take = |key: &str| message.remove(key).unwrap_or_default();
        let (id, params) = (take("id"), take("params"));
        match (take("method"), id) {
            (Value::String(method), Value::Null) => Self::Notification { method, params },
            (Value::String(method), id) => Self::Request { id, method, params },
            (_, id) => match id.as_u64() {
                Some(id) => {
                    let error = take("error");
                    let result = error.is_null().then(|| take("result"));
                    Self::Response { id, result, error }
                }
                None => Self::Nonsense,
            },
        }
    }
}

impl Connection {
    /// Starts the program. Dropping the future ends it.
    ///
    /// # Errors
    /// `Start`, `Ended`.
    pub(crate) async fn start(recipe: &Recipe, launcher: &Launcher) -> Result<Self, LanguageServerError> {
        let program = std::iter::once(recipe.program.clone().into_os_string());
        let request = CommandRequest {
            argv: program.chain(recipe.arguments.iter().map(OsString::from)).collect(),
            cwd: recipe.root.clone(),
            environment: recipe.variables(),
            profile: recipe.confined(),
            stdin: Stdin::Piped,
            output: Output::Separate,
            proxy: Proxy::None,
            interception: Interception::Off,
        };
        let mut process = launcher.spawn(request).await?;
        let (output, errors) = (process.take_output(), process.take_errors());
        let Some(input) = process.take_input() else {
            return Err(LanguageServerError::Ended("it has no input".to_owned()));
        };
        let tail = Arc::new(Tail::of_bytes(MAX_TAIL));
        let words = Some(AbortOnDropHandle::new(tokio::spawn(keep(errors, Arc::clone(&tail)))));
        let (sender, messages) = mpsc::channel(MESSAGES);
        let reading = AbortOnDropHandle::new(tokio::spawn(read(output, sender)));
        Ok(Self { process, input, messages, asked: 0, tail, words, _reading: reading })
    }

    /// What comes next. Cancel safe.
    ///
    /// # Errors
    /// `Frame`, `Ended`.
    pub(crate) async fn next(&mut self) -> Result<Received, LanguageServerError> {
        match self.messages.recv().await {
            Some(Ok(received)) => Ok(received),
            Some(Err(error)) => Err(error.into()),
            None => Err(LanguageServerError::Ended(self.end().await)),
        }
    }

    /// Asks something; the id of the answer.
    ///
    /// # Errors
    /// `Deaf`, `Ended`.
    pub(crate) async fn ask(&mut self, method: &str, params: &Value) -> Result<u64, LanguageServerError> {
        self.asked += 1;
        let id = self.asked;
        self.say(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})).await?;
        Ok(id)
    }

    /// Tells something.
    ///
    /// # Errors
    /// `Deaf`, `Ended`.
    pub(crate) async fn tell(&mut self, method: &str, params: &Value) -> Result<(), LanguageServerError> {
        self.say(&json!({"jsonrpc": "2.0", "method": method, "params": params})).await
    }

    /// Answers what the server asked.
    ///
    /// # Errors
    /// `Deaf`, `Ended`.
    pub(crate) async fn answer(&mut self, id: &Value, result: &Value) -> Result<(), LanguageServerError> {
        self.say(&json!({"jsonrpc": "2.0", "id": id, "result": result})).await
    }

    /// Says that there is no such method.
    ///
    /// # Errors
    /// `Deaf`, `Ended`.
    pub(crate) async fn refuse(&mut self, id: &Value) -> Result<(), LanguageServerError> {
        let error = json!({"code": -32601, "message": "There is no such method"});
        self.say(&json!({"jsonrpc": "2.0", "id": id, "error": error})).await
    }

    /// What was begun must be sent to its end, so this is never cut off; after an error nothing more can be said.
    async fn say(&mut self, message: &Value) -> Result<(), LanguageServerError> {
        let frame = frame::frame(message.to_string().as_bytes());
        match timeout(READING, self.input.write_all(&frame)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(LanguageServerError::Ended(self.end().await)),
            Err(_) => Err(LanguageServerError::Deaf),
        }
    }

    /// Ends it and all that it started; what it said last of itself.
    pub(crate) async fn end(&mut self) -> String {
        self.process.kill();
        if let Err(error) = self.process.wait().await {
            tracing::debug!(%error, "a language server did not end as it should");
        }
        if let Some(words) = self.words.take()
            && timeout(LAST_WORDS, words).await.is_err()
        {
            tracing::debug!("a language server's last words did not come to an end");
        }
        line(&self.tail.text(), MAX_TAIL)
    }
}

async fn keep(mut errors: impl AsyncRead + Send + Unpin, tail: Arc<Tail>) {
    let mut piece = [0; 4096];
    while let Ok(count @ 1..) = errors.read(&mut piece).await {
        tail.push(&piece[..count]);
    }
}

async fn read(output: impl AsyncRead + Send + Unpin, messages: mpsc::Sender<Result<Received, FrameError>>) {
    let mut output = BufReader::new(output);
    loop {
        let received = match frame::read(&mut output).await {
            Ok(Some(body)) => Ok(Received { bytes: body.len(), message: Message::read(&body) }),
            Ok(None) => return,
            Err(error) => Err(error),
        };
        let is_last = received.is_err();
        if messages.send(received).await.is_err() || is_last {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_told_apart() {
        let read = |text: &str| Message::read(text.as_bytes());
        let is_notification = matches!(read(r#"{"method": "a", "params": 1}"#), Message::Notification { .. });
        assert!(is_notification);
        let asked = read(r#"{"id": "x", "method": "a"}"#);
        let id = Value::from("x");
        assert_eq!(asked, Message::Request { id, method: "a".to_owned(), params: Value::Null });
        let answered = read(r#"{"id": 3, "result": null}"#);
        let nothing = Value::Null;
        assert_eq!(answered, Message::Response { id: 3, result: Some(nothing.clone()), error: nothing });
        let refused = read(r#"{"id": 3, "error": 7}"#);
        assert_eq!(refused, Message::Response { id: 3, result: None, error: Value::from(7) });
        for text in ["", "[]", "{", "7", "{}", r#"{"id": -1, "result": 1}"#, "\u{0}"] {
            assert_eq!(read(text), Message::Nonsense, "{text}");
        }
    }
}
