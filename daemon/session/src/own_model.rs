//! The session's model, for a tool that asks by itself: one request beside the conversation, without tools. What it
//! took is told to the session, also where the tool does not wait for the end.

use std::collections::BTreeMap;
use std::sync::Arc;

use context::size;
use futures_util::StreamExt;
use model::event::{ModelEvent, OutputItem, StopReason};
use model::request::{InputContent, InputItem, ModelRequest};
use protocol::ids::{ItemId, SessionId};
use protocol::model::Usage;
use protocol::session::SessionSettings;
use tokio::sync::mpsc;
use tools::own_model::{AnswerEnd, ModelAnswer, ModelQuestion, Said};

use crate::input::Input;
use crate::work::tell;
use crate::world::World;

/// Bytes of a token, where an answer is measured before the provider counts.
const BYTES_PER_TOKEN: u64 = 4;

/// The model of a session.
pub(crate) struct OwnModel {
    pub(crate) world: Arc<dyn World>,
    pub(crate) session: SessionId,
    pub(crate) settings: SessionSettings,
}

impl OwnModel {
    /// Asks it for a tool. Dropping the future ends the answer.
    ///
    /// # Errors
    /// Why there is no answer, for whoever asked.
    pub(crate) async fn answer(
        &self,
        item_id: ItemId,
        asked: ModelQuestion,
        inputs: &mpsc::Sender<Vec<Input>>,
    ) -> Result<ModelAnswer, String> {
        let model = self.world.model(self.session, &self.settings).map_err(|error| error.message)?;
        let most = asked.max_tokens.saturating_mul(BYTES_PER_TOKEN);
        let request = self.request(item_id, asked);
        let request_bytes = size::of_request(&request);
        let mut spent = Spent { inputs, item_id, usage: Usage::default() };
        let mut stream = model.stream(request);
        let mut texts = BTreeMap::<u32, String>::new();
        let end = loop {
            let event = match stream.next().await {
                Some(Ok(event)) => event,
                Some(Err(failure)) => {
                    spent.tell().await;
                    return Err(failure.message);
                }
                None => return Err("The model's answer has no end".to_owned()),
            };
            match event {
                ModelEvent::TextDelta { index, text } => texts.entry(index).or_default().push_str(&text),
                ModelEvent::OutputItem { index, item: OutputItem::Message(text) } => {
                    texts.insert(index, text);
                }
                // It has no tools, and what it thought is its own.
                ModelEvent::OutputItem { .. }
                | ModelEvent::SummaryDelta { .. }
                | ModelEvent::ReasoningDropped => {}
                ModelEvent::Spent { usage } => spent.usage = usage,
                ModelEvent::Retrying { .. } => {
                    spent.tell().await;
                    texts.clear();
                }
                ModelEvent::Completed { usage, stop } => {
                    spent.usage = usage;
                    break match stop {
                        StopReason::Finished => AnswerEnd::Finished,
                        StopReason::Stopped(_) => AnswerEnd::CutOff,
                    };
                }
            }
            let bytes: usize = texts.values().map(String::len).sum();
            if bytes as u64 > most {
                spent.guess(request_bytes, bytes as u64);
                break AnswerEnd::CutOff;
            }
        };
        // The connection is given back first.
        drop(stream);
        spent.tell().await;
        let mut text: String = texts.into_values().collect();
        text.truncate(text.floor_char_boundary(usize::try_from(most).unwrap_or(usize::MAX)));
        Ok(ModelAnswer { model: self.settings.model.clone(), text, end })
    }

    fn request(&self, item_id: ItemId, asked: ModelQuestion) -> ModelRequest {
        let said = |said| match said {
            Said::ToModel(text) => InputItem::UserMessage(vec![InputContent::Text(text)]),
            Said::ByModel(text) => InputItem::AgentMessage(text),
        };
        ModelRequest {
            model: self.settings.model.clone(),
            instructions: asked.instructions.into(),
            tools: [].into(),
            input: asked.said.into_iter().map(said).collect(),
            reasoning_effort: self.settings.reasoning_effort.clone(),
            reasoning_summary: None,
            output_schema: None,
            // It has nothing in common with the session's own requests.
            cache_key: item_id.to_string(),
        }
    }
}

/// What an answer took and the session has not heard of.
struct Spent<'a> {
    inputs: &'a mpsc::Sender<Vec<Input>>,
    item_id: ItemId,
    usage: Usage,
}

impl Spent<'_> {
    async fn tell(&mut self) {
        if let Some(input) = self.take() {
            tell(self.inputs, vec![input]).await;
        }
    }

    /// Where the provider has told nothing of an answer that is cut off, its bytes do.
    fn guess(&mut self, request_bytes: u64, bytes: u64) {
        if self.usage == Usage::default() {
            self.usage.input_tokens = request_bytes / BYTES_PER_TOKEN;
            self.usage.output_tokens = bytes / BYTES_PER_TOKEN;
        }
    }

    fn take(&mut self) -> Option<Input> {
        let usage = std::mem::take(&mut self.usage);
        (usage != Usage::default()).then_some(Input::ModelAnsweredTool { item_id: self.item_id, usage })
    }
}

impl Drop for Spent<'_> {
    fn drop(&mut self) {
        if let Some(input) = self.take()
            && self.inputs.try_send(vec![input]).is_err()
        {
            tracing::warn!(item = %self.item_id, "what an answer took that nobody waited for is not counted");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::Mutex;

    use futures_util::future::BoxFuture;
    use futures_util::stream;
    use model::client::{ModelClient, ModelStream};
    use protocol::error::ProtocolError;
    use protocol::ids::Timestamp;
    use protocol::model::ProviderFailure;
    use protocol::profile::Profile;
    use protocol::question::QuestionKind;

    use super::*;
    use crate::moment::Rules;
    use crate::world::CommandEnvironment;

    type Piece = Result<ModelEvent, ProviderFailure>;

    /// Answers once, and then says nothing for ever.
    struct Once(Mutex<Vec<Piece>>, Mutex<Option<ModelRequest>>);

    impl ModelClient for Once {
        fn stream(&self, request: ModelRequest) -> ModelStream {
            *self.1.lock().expect("whole") = Some(request);
            let pieces = std::mem::take(&mut *self.0.lock().expect("whole"));
            Box::pin(stream::iter(pieces).chain(stream::pending()))
        }
    }

    struct Somewhere(Arc<Once>);

    impl World for Somewhere {
        fn now(&self) -> Timestamp {
            Timestamp(0)
        }

        fn model(&self, _: SessionId, _: &SessionSettings) -> Result<Arc<dyn ModelClient>, ProtocolError> {
            Ok(Arc::clone(&self.0) as Arc<dyn ModelClient>)
        }

        fn profile(&self, _: &SessionSettings, _: &[PathBuf]) -> BoxFuture<'static, Profile> {
            Box::pin(std::future::ready(policy::profile::unrestricted()))
        }

        fn rules(&self, _: &SessionSettings) -> Rules {
            Rules::default()
        }

        fn allow_always(&self, _: &QuestionKind) -> Result<(), ProtocolError> {
            Ok(())
        }

        fn environment(&self, _: SessionId, _: &SessionSettings) -> CommandEnvironment {
            Arc::new([])
        }
    }

    fn model(pieces: Vec<ModelEvent>) -> (OwnModel, Arc<Once>) {
        let once = Arc::new(Once(Mutex::new(pieces.into_iter().map(Ok).collect()), Mutex::default()));
        let world = Arc::new(Somewhere(Arc::clone(&once)));
        let settings = serde_json::from_value(serde_json::json!({
            "cwd": "/repo", "provider": "p", "model": "m", "sandbox": "read-only", "approval": "never",
            "isTmpWritable": true,
        }))
        .expect("settings");
        (OwnModel { world, session: SessionId::generate(), settings }, once)
    }

    fn question() -> ModelQuestion {
        let said = vec![Said::ToModel("Which number?".to_owned())];
        ModelQuestion { instructions: "Be brief".to_owned(), said, max_tokens: 2 }
    }

    fn usage(input_tokens: u64, output_tokens: u64) -> Usage {
        Usage { input_tokens, output_tokens, ..Usage::default() }
    }

    fn text(text: &str) -> ModelEvent {
        ModelEvent::TextDelta { index: 0, text: text.to_owned() }
    }

    #[tokio::test]
    async fn the_model_is_told_what_was_asked_and_nothing_else_and_it_counts() {
        let stop = StopReason::Finished;
        let (model, once) = model(vec![text("42"), ModelEvent::Completed { usage: usage(7, 1), stop }]);
        let (inputs, mut heard) = mpsc::channel(1);
        let item_id = ItemId::generate();
        let answer = model.answer(item_id, question(), &inputs).await.expect("answered");
        assert_eq!((answer.text.as_str(), answer.end), ("42", AnswerEnd::Finished));
        let told = heard.recv().await.expect("told");
        assert_eq!(told, [Input::ModelAnsweredTool { item_id, usage: usage(7, 1) }]);
        let request = once.1.lock().expect("whole").take().expect("asked");
        assert!(request.tools.is_empty() && request.input.len() == 1, "{request:?}");
        assert_eq!(&*request.instructions, "Be brief");
    }

    #[tokio::test]
    async fn a_long_answer_is_cut_off_and_counted() {
        let (model, _) = model(vec![text("123456789"), text("never read")]);
        let (inputs, mut heard) = mpsc::channel(1);
        let answer = model.answer(ItemId::generate(), question(), &inputs).await.expect("answered");
        assert_eq!((answer.text.as_str(), answer.end), ("12345678", AnswerEnd::CutOff));
        let told = heard.recv().await.expect("told");
        let [Input::ModelAnsweredTool { usage, .. }] = &told[..] else { panic!("{told:?}") };
        assert!(usage.input_tokens > 0 && usage.output_tokens == 2, "{usage:?}");
    }

    #[tokio::test]
    async fn an_answer_that_nobody_waits_for_counts_as_far_as_it_came() {
        let (model, _) = model(vec![ModelEvent::Spent { usage: usage(5, 1) }]);
        let (inputs, mut heard) = mpsc::channel(1);
        let item_id = ItemId::generate();
        let mut answering = Box::pin(model.answer(item_id, question(), &inputs));
        assert!(futures_util::poll!(&mut answering).is_pending());
        drop(answering);
        let told = heard.recv().await.expect("told");
        assert_eq!(told, [Input::ModelAnsweredTool { item_id, usage: usage(5, 1) }]);
    }
}
