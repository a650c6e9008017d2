//! The Gemini client, where it differs: its URL, and errors in Google's form.

use std::time::Duration;

use model::event::{ModelEvent, StopReason};
use protocol::model::ProviderFailureKind;

use crate::server::{Reply, Server};
use crate::{KEY, ask, fails_at_once, outline, settings};

const TEXT: &str = r#"{"candidates":[{"content":{"parts":[{"text":"Hello"}],"role":"model"}}]}"#;
const END: &str = r#"{"candidates":[{"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":7}}"#;

#[tokio::test]
async fn the_model_is_in_the_url_and_the_key_in_a_header() {
    let hello = || Reply::stream(&[TEXT, END]);
    let mut server = Server::start([hello(), hello()]).await;
    let client = providers::gemini(settings(server.base_url())).unwrap();
    let events = ask(&client).await;
    let Some(Ok(ModelEvent::Completed { usage, stop })) = events.last() else { panic!("{events:?}") };
    assert_eq!((usage.input_tokens, stop), (7, &StopReason::Finished));
    ask(&client).await;
    let received = server.received();
    assert_eq!(received.iter().map(|request| request.connection).collect::<Vec<_>>(), [0, 0]);
    assert_eq!(received[0].line, "POST /v1/models/m:streamGenerateContent?alt=sse HTTP/1.1");
    assert!(received[0].headers.contains(&format!("x-goog-api-key: {KEY}")), "{:?}", received[0].headers);
}

#[tokio::test]
async fn a_prompt_that_is_blocked_is_not_asked_again() {
    let blocked = r#"{"promptFeedback":{"blockReason":"PROHIBITED_CONTENT"}}"#;
    let failure = fails_at_once(providers::gemini, Reply::stream(&[blocked])).await;
    assert_eq!(failure.kind, ProviderFailureKind::Blocked);
    assert_eq!(failure.message, "The prompt was blocked: PROHIBITED_CONTENT");
}

#[tokio::test]
async fn the_pause_in_the_error_is_kept() {
    let body = r#"{"error":{"code":429,"message":"Quota","status":"RESOURCE_EXHAUSTED","details":[
        {"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"0.002s"}]}}"#;
    let server = Server::start([Reply::status(429, "", body), Reply::stream(&[TEXT, END])]).await;
    let events = ask(&providers::gemini(settings(server.base_url())).unwrap()).await;
    let Ok(ModelEvent::Retrying { delay, failure, .. }) = &events[0] else { panic!("{events:?}") };
    assert_eq!(*delay, Duration::from_millis(2));
    assert_eq!(failure.message, "Quota (RESOURCE_EXHAUSTED)");
    assert!(outline(events).1.is_ok());
}
