//! Prompts of MCP servers that ask back before they say something. Nothing of it is in a session: a prompt is filled in
//! before anything is said there, so there is no turn that a question could belong to. Whoever wants the prompt is told
//! what was asked, and brings the answer with a call of its own, until the prompt says something.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ::mcp::McpError;
use futures_util::future::BoxFuture;
use protocol::error::{ErrorCode, ProtocolError};
use protocol::mcp::{McpPromptId, McpPromptQuestion, McpPromptResult};
use protocol::question::{Decision, QuestionKind};
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::AbortOnDropHandle;
use tools::tool::Asker;
use uuid::Uuid;

use crate::mcp_logins::refused;

/// Prompts that may wait for an answer; the oldest goes first.
const MAX_WAITING: usize = 16;
/// How long one waits for an answer.
const PATIENCE: Duration = Duration::from_secs(10 * 60);

/// The prompts that wait for an answer.
#[derive(Default)]
pub(crate) struct AskedPrompts(Mutex<VecDeque<Waiting>>);

struct Waiting {
    id: McpPromptId,
    reply: oneshot::Sender<Decision>,
    fetch: Fetch,
}

/// A prompt on its way. Dropping it gives it up.
pub(crate) struct Fetch {
    questions: mpsc::Receiver<Asked>,
    fetching: AbortOnDropHandle<Result<String, McpError>>,
}

/// What a server wants to know.
struct Asked {
    server: String,
    message: String,
    schema: serde_json::Value,
    reply: oneshot::Sender<Decision>,
}

/// Brings what is asked to whoever wants the prompt.
struct ByCall(mpsc::Sender<Asked>);

impl Asker for ByCall {
    fn ask(&self, kind: QuestionKind, _reason: String) -> BoxFuture<'_, Decision> {
        Box::pin(async move {
            let no = |why: &str| Decision::Deny { message: Some(why.to_owned()) };
            let QuestionKind::Elicitation { server, message, schema } = kind else {
                return no("Nothing else can be asked here");
            };
            let (reply, answer) = oneshot::channel();
            if self.0.send(Asked { server, message, schema, reply }).await.is_err() {
                return no("Nobody wants the prompt any more");
            }
            match tokio::time::timeout(PATIENCE, answer).await {
                Ok(Ok(decision)) => decision,
                Ok(Err(_)) | Err(_) => no("Nobody answered"),
            }
        })
    }
}

impl Fetch {
    /// Begins to fetch one. Called within the runtime.
    pub(crate) fn begin<F>(fetch: impl FnOnce(Arc<dyn Asker>) -> F) -> Self
    where
        F: Future<Output = Result<String, McpError>> + Send + 'static,
    {
        // One question at a time; the next one waits for its answer.
        let (sender, questions) = mpsc::channel(1);
        let fetching = AbortOnDropHandle::new(tokio::spawn(fetch(Arc::new(ByCall(sender)))));
        Self { questions, fetching }
    }
}

impl AskedPrompts {
    /// Waits until the prompt says something, or asks. Dropping the future gives it up.
    ///
    /// # Errors
    /// Why it says nothing.
    pub(crate) async fn next(&self, mut fetch: Fetch) -> Result<McpPromptResult, ProtocolError> {
        tokio::select! {
            biased;
            Some(asked) = fetch.questions.recv() => Ok(self.wait(asked, fetch)),
            said = &mut fetch.fetching => match said {
                Ok(said) => {
                    let text = said.map_err(|error| refused(&error))?;
                    Ok(McpPromptResult { text, question: None })
                }
                Err(error) => Err(ProtocolError::new(ErrorCode::Internal, error.to_string())),
            },
        }
    }

    /// Answers what one asked, and waits for what comes next.
    ///
    /// # Errors
    /// `NotFound` when it does not wait; why it says nothing.
    pub(crate) async fn answer(
        &self,
        id: McpPromptId,
        decision: Decision,
    ) -> Result<McpPromptResult, ProtocolError> {
        let taken = {
            let mut waiting = self.lock();
            let at = waiting.iter().position(|waiting| waiting.id == id);
            at.and_then(|at| waiting.remove(at))
        };
        let gone =
            || ProtocolError::new(ErrorCode::NotFound, "This prompt does not wait for an answer any more");
        let Waiting { reply, fetch, .. } = taken.ok_or_else(gone)?;
        reply.send(decision).map_err(|_| gone())?;
        self.next(fetch).await
    }

    fn wait(&self, asked: Asked, fetch: Fetch) -> McpPromptResult {
        let Asked { server, message, schema, reply } = asked;
        let id = McpPromptId(Uuid::now_v7());
        let mut waiting = self.lock();
        // Those that nobody answered in time have ended by themselves.
        waiting.retain(|waiting| !waiting.reply.is_closed());
        if waiting.len() >= MAX_WAITING {
            waiting.pop_front();
        }
        waiting.push_back(Waiting { id, reply, fetch });
        let question = Some(McpPromptQuestion { id, server, message, schema });
        McpPromptResult { text: String::new(), question }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Waiting>> {
        // A poisoned list is whole: each change is one call.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Asks twice, and says what it heard.
    fn asks_twice() -> Fetch {
        Fetch::begin(|asker| async move {
            let mut heard = Vec::new();
            for message in ["one", "two"] {
                let kind = QuestionKind::Elicitation {
                    server: "fake".to_owned(),
                    message: message.to_owned(),
                    schema: json!({}),
                };
                heard.push(format!("{:?}", asker.ask(kind, String::new()).await));
            }
            Ok(heard.join(" "))
        })
    }

    fn content(value: &str) -> Decision {
        Decision::Content { value: json!(value) }
    }

    #[tokio::test]
    async fn each_question_is_answered_by_a_call_until_the_prompt_says_something() {
        let asked = AskedPrompts::default();
        let first = asked.next(asks_twice()).await.unwrap().question.unwrap();
        assert_eq!((first.server.as_str(), first.message.as_str()), ("fake", "one"));
        let second = asked.answer(first.id, content("a")).await.unwrap().question.unwrap();
        assert_eq!(second.message, "two");
        let late = asked.answer(first.id, content("x")).await.unwrap_err();
        assert_eq!(late.code, ErrorCode::NotFound);
        let said = asked.answer(second.id, Decision::Deny { message: None }).await.unwrap();
        assert!(
            said.question.is_none() && said.text.contains("\"a\"") && said.text.contains("Deny"),
            "{said:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_nobody_answers_ends() {
        let asked = AskedPrompts::default();
        let first = asked.next(asks_twice()).await.unwrap().question.unwrap();
        tokio::time::advance(PATIENCE * 2).await;
        // It has heard that nobody answers.
        tokio::task::yield_now().await;
        assert_eq!(asked.answer(first.id, content("a")).await.unwrap_err().code, ErrorCode::NotFound);
    }

    #[tokio::test]
    async fn they_are_bounded_and_the_oldest_goes() {
        let asked = AskedPrompts::default();
        let mut ids = Vec::new();
        for _ in 0..=MAX_WAITING {
            ids.push(asked.next(asks_twice()).await.unwrap().question.unwrap().id);
        }
        assert_eq!(asked.lock().len(), MAX_WAITING);
        assert_eq!(asked.answer(ids[0], content("a")).await.unwrap_err().code, ErrorCode::NotFound);
        assert!(asked.answer(ids[1], content("a")).await.is_ok());
    }
}
