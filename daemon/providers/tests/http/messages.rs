//! The Messages client, where it differs: its headers, and answers that pause.

use model::event::{ModelEvent, StopReason};
use protocol::model::ProviderFailureKind;

use crate::server::{Reply, Server};
use crate::{KEY, ask, fails_at_once, outline, settings};

const START: &str = r#"{"type":"message_start","message":{"usage":{"input_tokens":7,"output_tokens":1}}}"#;
const BLOCK: &str = r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#;
const TEXT: &str = r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hello"}}"#;
const BLOCK_STOP: &str = r#"{"type":"content_block_stop","index":0}"#;
const END: &str =
    r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":2}}"#;
const PAUSE: &str =
    r#"{"type":"message_delta","delta":{"stop_reason":"pause_turn"},"usage":{"output_tokens":3}}"#;
const STOP: &str = r#"{"type":"message_stop"}"#;
const OVERLOADED: &str = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;

fn hello() -> Reply {
    Reply::stream(&[START, BLOCK, TEXT, BLOCK_STOP, END, STOP])
}

fn paused() -> Reply {
    Reply::stream(&[START, BLOCK, TEXT, BLOCK_STOP, PAUSE, STOP])
}

#[tokio::test]
async fn the_key_and_the_version_are_in_the_headers() {
    let mut server = Server::start([hello()]).await;
    ask(&providers::messages(settings(server.base_url())).unwrap()).await;
    let request = server.received().remove(0);
    assert_eq!(request.line, "POST /v1/messages HTTP/1.1");
    for wanted in [format!("x-api-key: {KEY}"), "anthropic-version: 2023-06-01".to_owned()] {
        assert!(request.headers.contains(&wanted), "{:?}", request.headers);
    }
    assert!(!request.headers.iter().any(|header| header.starts_with("authorization")));
}

#[tokio::test]
async fn an_answer_that_paused_is_one_answer() {
    let mut server = Server::start([paused(), paused(), hello()]).await;
    let events = ask(&providers::messages(settings(server.base_url())).unwrap()).await;
    let Some(Ok(ModelEvent::Completed { usage, stop })) = events.last() else { panic!("{events:?}") };
    assert_eq!((usage.input_tokens, usage.output_tokens, stop), (21, 8, &StopReason::Finished));
    let bodies: Vec<_> = server.received().into_iter().map(|request| request.body).collect();
    for pair in bodies.windows(2) {
        assert!(pair[1].starts_with(pair[0].strip_suffix("]}").unwrap()), "{pair:?}");
    }
    assert!(bodies[2].ends_with(r#",{"content":[{"text":"Hello","type":"text"}],"role":"assistant"}]}"#));
}

#[tokio::test]
async fn a_failure_after_a_pause_voids_the_whole_answer() {
    let broken = Reply::stream(&[START, BLOCK, TEXT, OVERLOADED]);
    let mut server = Server::start([paused(), broken, hello()]).await;
    let events = ask(&providers::messages(settings(server.base_url())).unwrap()).await;
    let Some(Ok(ModelEvent::Completed { usage, .. })) = events.last() else { panic!("{events:?}") };
    assert_eq!(usage.output_tokens, 2);
    let (retries, _) = outline(events);
    assert_eq!(retries, [(1, 2, ProviderFailureKind::Failed)]);
    let received = server.received();
    assert_eq!(received[0].body, received[2].body);
}

#[tokio::test]
async fn an_answer_without_its_last_event_is_whole() {
    let server = Server::start([Reply::stream(&[START, BLOCK, TEXT, BLOCK_STOP, END])]).await;
    let (retries, last) = outline(ask(&providers::messages(settings(server.base_url())).unwrap()).await);
    assert!(retries.is_empty() && last.is_ok(), "{retries:?} {last:?}");
}

#[tokio::test]
async fn an_overloaded_server_is_asked_again() {
    let body = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
    let server = Server::start([Reply::status(529, "retry-after-ms: 1\r\n", body), hello()]).await;
    let (retries, last) = outline(ask(&providers::messages(settings(server.base_url())).unwrap()).await);
    assert_eq!(retries, [(1, 2, ProviderFailureKind::Failed)]);
    assert!(last.is_ok());
}

#[tokio::test]
async fn the_key_is_never_told() {
    let body = format!(
        r#"{{"type":"error","error":{{"type":"authentication_error","message":"invalid x-api-key {KEY}"}}}}"#
    );
    let failure = fails_at_once(providers::messages, Reply::status(401, "", &body)).await;
    assert_eq!(failure.kind, ProviderFailureKind::Unauthorized);
    assert_eq!(failure.message, "invalid x-api-key [secret] (authentication_error)");
}
