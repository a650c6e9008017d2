//! Questions of running tools, on their way to the session and back. Knows nothing of what is asked.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;
use protocol::ids::{ItemId, QuestionId};
use protocol::question::{Decision, QuestionKind};
use tokio::sync::{Notify, mpsc, oneshot};
use tools::own_model::{ModelAnswer, ModelQuestion};
use tools::tool::Asker;

use crate::input::Input;
use crate::own_model::OwnModel;

/// Who waits for which answer. One per session in memory.
pub(crate) struct Asks {
    inputs: mpsc::Sender<Vec<Input>>,
    waiting: Mutex<HashMap<QuestionId, oneshot::Sender<Decision>>>,
    left: Notify,
}

impl Asks {
    /// Nobody yet. What is asked is told there.
    pub(crate) fn new(inputs: mpsc::Sender<Vec<Input>>) -> Arc<Self> {
        Arc::new(Self { inputs, waiting: Mutex::default(), left: Notify::new() })
    }

    /// Gives an answer to whoever waits for it.
    pub(crate) fn answer(&self, question: QuestionId, decision: Decision) {
        if let Some(waiting) = self.with(|waiting| waiting.remove(&question)) {
            // Whoever does not wait any more needs no answer.
            let _ = waiting.send(decision);
        }
    }

    /// Waits until somebody may have stopped waiting. Cancel safe.
    pub(crate) async fn left(&self) {
        self.left.notified().await;
    }

    /// Questions for whose answers nobody waits any more; each is told of once.
    pub(crate) fn abandoned(&self) -> Vec<QuestionId> {
        self.with(|waiting| waiting.extract_if(|_, answer| answer.is_closed()).map(|(id, _)| id).collect())
    }

    fn with<T>(&self, look: impl FnOnce(&mut HashMap<QuestionId, oneshot::Sender<Decision>>) -> T) -> T {
        // Every change of the map is one call, so a poisoned one is whole.
        look(&mut self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Asks for one tool call.
pub(crate) struct ToolAsker {
    pub(crate) asks: Arc<Asks>,
    pub(crate) item_id: ItemId,
    /// The session's model; absent: there is none to ask.
    pub(crate) model: Option<OwnModel>,
}

impl Asker for ToolAsker {
    fn ask(&self, kind: QuestionKind, reason: String) -> BoxFuture<'_, Decision> {
        let (asks, item_id) = (Arc::clone(&self.asks), self.item_id);
        Box::pin(async move {
            let question_id = QuestionId::generate();
            let (tell, answer) = oneshot::channel();
            asks.with(|waiting| waiting.insert(question_id, tell));
            let mut asking = Asking { answer, _leaving: Leaving(Arc::clone(&asks)) };
            let asked = Input::ToolAsked { item_id, question_id, kind, reason };
            if asks.inputs.send(vec![asked]).await.is_err() {
                return gone();
            }
            (&mut asking.answer).await.unwrap_or_else(|_| gone())
        })
    }

    fn ask_model(&self, asked: ModelQuestion) -> BoxFuture<'_, Result<ModelAnswer, String>> {
        Box::pin(async move {
            let Some(model) = &self.model else { return Err("There is no model to ask".to_owned()) };
            model.answer(self.item_id, asked, &self.asks.inputs).await
        })
    }
}

fn gone() -> Decision {
    Decision::Deny { message: Some("The session was unloaded before anybody answered.".to_owned()) }
}

/// A wait for an answer. Its end is told after the receiver is gone: fields are dropped in their order.
struct Asking {
    answer: oneshot::Receiver<Decision>,
    _leaving: Leaving,
}

struct Leaving(Arc<Asks>);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.left.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind() -> QuestionKind {
        QuestionKind::Tool { server: None, tool: "t".into(), arguments: String::new(), definition: None }
    }

    #[tokio::test]
    async fn who_stops_waiting_is_told_of_once() {
        let (inputs, mut heard) = mpsc::channel(1);
        let asks = Asks::new(inputs);
        let asker = ToolAsker { asks: Arc::clone(&asks), item_id: ItemId::generate(), model: None };
        let mut asking = asker.ask(kind(), "why".into());
        assert!(futures_util::poll!(&mut asking).is_pending());
        let told = heard.recv().await.expect("asked");
        let [Input::ToolAsked { question_id, .. }] = told[..] else { panic!("{told:?}") };
        assert_eq!(asks.abandoned(), []);
        drop(asking);
        asks.left().await;
        assert_eq!(asks.abandoned(), [question_id]);
        assert_eq!(asks.abandoned(), []);
    }

    #[tokio::test]
    async fn the_answer_comes_to_who_asked() {
        let (inputs, mut heard) = mpsc::channel(1);
        let asks = Asks::new(inputs);
        let asker = ToolAsker { asks: Arc::clone(&asks), item_id: ItemId::generate(), model: None };
        let answering = async {
            let told = heard.recv().await.expect("asked");
            let [Input::ToolAsked { question_id, .. }] = told[..] else { panic!("{told:?}") };
            asks.answer(question_id, Decision::Deny { message: None });
        };
        let (decision, ()) = tokio::join!(asker.ask(kind(), "why".into()), answering);
        assert_eq!(decision, Decision::Deny { message: None });
    }
}
