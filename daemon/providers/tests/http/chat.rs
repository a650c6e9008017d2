//! The Chat Completions client, where it differs: ends that servers leave out.

use std::time::{Duration, Instant};

use model::event::{ModelEvent, OutputItem, StopReason};
use protocol::model::ProviderFailureKind;

use crate::server::{Reply, Server};
use crate::{Event, ask, fails_at_once, outline, settings};

const TEXT: &str = r#"{"choices":[{"index":0,"delta":{"content":"Hello"}}]}"#;
const FINISH: &str = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
const USAGE: &str = r#"{"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":2}}"#;
const DONE: &str = "[DONE]";

/// Asks a server that gives this reply, once.
async fn answer(reply: Reply) -> Vec<Event> {
    let server = Server::start([reply]).await;
    let mut settings = settings(server.base_url());
    (settings.request_max_retries, settings.stream_max_retries) = (0, 0);
    ask(&providers::chat_completions(settings).unwrap()).await
}

fn assert_hello(events: &[Event], input_tokens: u64) {
    let item = OutputItem::Message("Hello".into());
    assert_eq!(events[1], Ok(ModelEvent::OutputItem { index: 0, item }));
    let Some(Ok(ModelEvent::Completed { usage, stop })) = events.last() else { panic!("{events:?}") };
    assert_eq!((usage.input_tokens, stop), (input_tokens, &StopReason::Finished));
}

#[tokio::test]
async fn an_answer_comes_and_the_next_request_takes_the_same_connection() {
    let hello = || Reply::stream(&[TEXT, FINISH, USAGE, DONE]);
    let mut server = Server::start([hello(), hello()]).await;
    let client = providers::chat_completions(settings(server.base_url())).unwrap();
    assert_hello(&ask(&client).await, 7);
    assert_hello(&ask(&client).await, 7);
    let received = server.received();
    assert_eq!(received.iter().map(|request| request.connection).collect::<Vec<_>>(), [0, 0]);
    assert_eq!(received[0].line, "POST /v1/chat/completions HTTP/1.1");
    assert!(received[0].headers.contains(&"authorization: Bearer sk-0123456789".to_owned()));
    assert_eq!(received[0].body, received[1].body);
}

#[tokio::test]
async fn an_answer_is_whole_without_usage_and_without_the_end_mark() {
    assert_hello(&answer(Reply::stream(&[TEXT, FINISH])).await, 0);
    assert_hello(&answer(Reply::stream(&[TEXT, FINISH, DONE])).await, 0);
    assert_hello(&answer(Reply::stream(&[TEXT, DONE])).await, 0);
    assert_hello(&answer(Reply::broken_stream(&[TEXT, FINISH])).await, 0);
}

#[tokio::test]
async fn a_server_that_keeps_a_whole_answer_open_is_not_waited_for() {
    let begun = Instant::now();
    assert_hello(&answer(Reply::stalled_stream(&[TEXT, FINISH])).await, 0);
    assert!(begun.elapsed() < Duration::from_secs(10), "the idle timeout is 60 s");
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_cut() {
    let (_, last) = outline(answer(Reply::stream(&[TEXT])).await);
    assert_eq!(last.unwrap_err().kind, ProviderFailureKind::Cut);
}

#[tokio::test]
async fn an_error_in_place_of_a_stream_is_told() {
    let body = r#"{"error":{"message":"This model's maximum context length is 8","type":"BadRequestError"}}"#;
    let failure = fails_at_once(providers::chat_completions, Reply::status(400, "", body)).await;
    assert_eq!(failure.kind, ProviderFailureKind::ContextTooLong);
    assert_eq!(failure.message, "This model's maximum context length is 8 (BadRequestError)");
}
