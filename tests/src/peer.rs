//! A program that is spoken to in JSON-RPC, one message a line, on its standard input and output: an agent of an
//! editor, or an MCP server. Knows the form of messages, not what they mean.

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::{Value, json};

use crate::environment::process::{Input, Invocation, Output, Running};
use crate::error::HarnessError;

/// The peer.
#[derive(Debug)]
pub struct Peer {
    running: Running,
    limit: Duration,
    lines: usize,
    last_id: u64,
    waiting: VecDeque<Value>,
    said: Vec<Said>,
}

/// A message and whose it was.
#[derive(Clone, Debug, PartialEq)]
pub struct Said {
    /// Whether the program said it.
    pub by_program: bool,
    /// The message.
    pub message: Value,
}

impl Peer {
    /// Starts the program. Each message is waited for so long.
    ///
    /// # Errors
    /// `Command`.
    pub fn start(invocation: Invocation, limit: Duration) -> Result<Self, HarnessError> {
        let running = invocation.input(Input::Open).spawn()?;
        Ok(Self { running, limit, lines: 0, last_id: 0, waiting: VecDeque::new(), said: Vec::new() })
    }

    /// Sends a request and returns its id.
    ///
    /// # Errors
    /// `Command`.
    pub fn request(&mut self, method: &str, params: &Value) -> Result<u64, HarnessError> {
        self.last_id += 1;
        let id = self.last_id;
        self.send(json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))?;
        Ok(id)
    }

    /// Sends a request and waits for the answer: the whole message.
    ///
    /// # Errors
    /// `Command`, `NotPrinted`, `Peer`.
    pub fn call(&mut self, method: &str, params: &Value) -> Result<Value, HarnessError> {
        let id = self.request(method, params)?;
        self.answer_to(id)
    }

    /// Sends a request that must be carried out, and returns the result.
    ///
    /// # Errors
    /// `Command`, `NotPrinted`, `Peer`.
    pub fn result(&mut self, method: &str, params: &Value) -> Result<Value, HarnessError> {
        let mut answer = self.call(method, params)?;
        match answer.get_mut("result") {
            Some(result) => Ok(result.take()),
            None => Err(HarnessError::Peer(format!("{method} was answered by {answer}"))),
        }
    }

    /// Sends a notification.
    ///
    /// # Errors
    /// `Command`.
    pub fn notify(&mut self, method: &str, params: &Value) -> Result<(), HarnessError> {
        self.send(json!({"jsonrpc": "2.0", "method": method, "params": params}))
    }

    /// Answers a request of the program.
    ///
    /// # Errors
    /// `Command`.
    pub fn respond(&mut self, request: &Value, result: &Value) -> Result<(), HarnessError> {
        self.send(json!({"jsonrpc": "2.0", "id": request["id"], "result": result}))
    }

    /// Sends a text as it is.
    ///
    /// # Errors
    /// `Command`.
    pub fn raw(&mut self, text: &str) -> Result<(), HarnessError> {
        self.running.write(text)
    }

    /// The answer to a request; what else comes meanwhile is kept.
    ///
    /// # Errors
    /// `NotPrinted`, `Peer`.
    pub fn answer_to(&mut self, id: u64) -> Result<Value, HarnessError> {
        self.until(|message| message["id"] == id && message.get("method").is_none())
    }

    /// The first message that is so, of those that were not taken before; the others are kept.
    ///
    /// # Errors
    /// `NotPrinted`, `Peer`.
    pub fn until(&mut self, mut wanted: impl FnMut(&Value) -> bool) -> Result<Value, HarnessError> {
        let mut at = 0;
        loop {
            while let Some(message) = self.waiting.get(at) {
                if wanted(message) {
                    return Ok(self.waiting.remove(at).unwrap_or_default());
                }
                at += 1;
            }
            if !self.receive()? {
                return Err(HarnessError::Peer(format!(
                    "it ended; kept: {:?}; it complained: {}",
                    self.waiting,
                    self.running.stderr()
                )));
            }
        }
    }

    /// Takes what was kept.
    pub fn take_kept(&mut self) -> Vec<Value> {
        std::mem::take(&mut self.waiting).into()
    }

    /// All that was said so far, by both.
    #[must_use]
    pub fn said(&self) -> &[Said] {
        &self.said
    }

    /// The program.
    #[must_use]
    pub fn running(&self) -> &Running {
        &self.running
    }

    /// Closes its input and waits for its end. All that it said must have been messages.
    ///
    /// # Errors
    /// `Timeout`, `Command`, `Peer`.
    pub fn end(mut self) -> Result<(Output, Vec<Said>), HarnessError> {
        self.running.close_input();
        while self.receive()? {}
        Ok((self.running.wait(self.limit)?, self.said))
    }

    fn send(&mut self, message: Value) -> Result<(), HarnessError> {
        self.running.write(&format!("{message}\n"))?;
        self.said.push(Said { by_program: false, message });
        Ok(())
    }

    /// Takes the next line; whether there was one.
    fn receive(&mut self) -> Result<bool, HarnessError> {
        let Some(line) = self.running.wait_for_line(self.lines, self.limit)? else { return Ok(false) };
        self.lines += 1;
        let message: Value = serde_json::from_str(&line)
            .map_err(|error| HarnessError::Peer(format!("`{line}` is no message: {error}")))?;
        self.said.push(Said { by_program: true, message: message.clone() });
        self.waiting.push_back(message);
        Ok(true)
    }
}
