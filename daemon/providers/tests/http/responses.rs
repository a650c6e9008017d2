//! The Responses client, and with it what is the same for all.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use model::client::ModelClient;
use model::event::{ModelEvent, OutputItem, StopReason};
use protocol::model::{ProviderFailure, ProviderFailureKind};
use providers::settings::Key;

use crate::server::{Reply, Server};
use crate::{KEY, ask, fails_at_once, outline, request, settings};

const DELTA: &str = r#"{"type":"response.output_text.delta","output_index":0,"delta":"Hello"}"#;
const MESSAGE: &str = r#"{"type":"response.output_item.done","output_index":0,"item":{"type":"message","content":[{"type":"output_text","text":"Hello"}]}}"#;
const COMPLETED: &str =
    r#"{"type":"response.completed","response":{"usage":{"input_tokens":7,"output_tokens":2}}}"#;
const HALF_A_CALL: &str =
    r#"{"type":"response.function_call_arguments.delta","output_index":1,"delta":"{\"comm"}"#;
const OVERLOADED: &str =
    r#"{"type":"response.failed","response":{"error":{"code":"server_error","message":"Too busy."}}}"#;

fn hello() -> Reply {
    Reply::stream(&[DELTA, MESSAGE, COMPLETED])
}

fn client(server: &Server) -> Arc<dyn ModelClient> {
    providers::responses(settings(server.base_url())).unwrap()
}

#[tokio::test]
async fn an_answer_comes_and_the_next_request_takes_the_same_connection() {
    let mut server = Server::start([hello(), hello()]).await;
    let mut settings = settings(server.base_url());
    settings.http_headers.insert("x-team".into(), "blue".into());
    settings.query_params.insert("version".into(), "2".into());
    let client = providers::responses(settings).unwrap();
    let events = ask(&client).await;
    let Some(Ok(ModelEvent::Completed { usage, stop })) = events.last() else { panic!("{events:?}") };
    assert_eq!((usage.input_tokens, usage.output_tokens, stop), (7, 2, &StopReason::Finished));
    assert_eq!(events[1], Ok(ModelEvent::OutputItem { index: 0, item: OutputItem::Message("Hello".into()) }));
    ask(&client).await;
    let received = server.received();
    assert_eq!(received.iter().map(|request| request.connection).collect::<Vec<_>>(), [0, 0]);
    assert_eq!(received[0].line, "POST /v1/responses?version=2 HTTP/1.1");
    for wanted in ["authorization: Bearer sk-0123456789", "x-team: blue", "content-type: application/json"] {
        assert!(received[0].headers.iter().any(|header| header == wanted), "{:?}", received[0].headers);
    }
    assert!(received[0].body.starts_with(r#"{"model":"m","instructions":"Be good.","#));
    assert_eq!(received[0].body, received[1].body);
}

#[tokio::test]
async fn a_header_of_the_settings_wins() {
    let mut server = Server::start([hello()]).await;
    let mut settings = settings(server.base_url());
    settings.http_headers.insert("Authorization".into(), "Basic abc".into());
    ask(&providers::responses(settings).unwrap()).await;
    let headers = server.received().remove(0).headers;
    let sent: Vec<_> = headers.iter().filter(|header| header.starts_with("authorization")).collect();
    assert_eq!(sent, ["authorization: Basic abc"]);
}

#[tokio::test]
async fn nothing_is_sent_without_the_key() {
    let mut server = Server::start([hello()]).await;
    let mut settings = settings(server.base_url());
    settings.key = Key::Missing { variable: "ACME_KEY".into() };
    let (retries, last) = outline(ask(&providers::responses(settings).unwrap()).await);
    let wanted = ProviderFailure {
        provider: "acme".into(),
        kind: ProviderFailureKind::Unauthorized,
        status: None,
        message: "`ACME_KEY` is not set".into(),
    };
    assert_eq!((retries, last), (Vec::new(), Err(wanted)));
    assert!(server.received().is_empty());
}

#[tokio::test]
async fn a_rate_limit_passes_after_the_pause_that_was_asked_for() {
    let limited = Reply::status(429, "retry-after-ms: 1\r\n", r#"{"error":{"message":"Slow down"}}"#);
    let server = Server::start([limited, hello()]).await;
    let events = ask(&client(&server)).await;
    let Ok(ModelEvent::Retrying { delay, failure, .. }) = &events[0] else { panic!("{events:?}") };
    assert_eq!(*delay, Duration::from_millis(1));
    assert_eq!((failure.status, failure.message.as_str()), (Some(429), "Slow down"));
    let (retries, last) = outline(events);
    assert_eq!(retries, [(1, 2, ProviderFailureKind::RateLimited)]);
    assert!(last.is_ok());
}

#[tokio::test]
async fn requests_without_an_answer_are_tried_again_as_often_as_allowed() {
    let broken = || Reply::status(503, "retry-after-ms: 1\r\n", "down");
    let mut server = Server::start([broken(), Reply::hang_up(), broken()]).await;
    let (retries, last) = outline(ask(&client(&server)).await);
    assert_eq!(retries, [(1, 2, ProviderFailureKind::Failed), (2, 2, ProviderFailureKind::Cut)]);
    let failure = last.unwrap_err();
    assert_eq!(
        (failure.provider.as_str(), failure.status, failure.message.as_str()),
        ("acme", Some(503), "down")
    );
    assert_eq!(server.received().len(), 3);
}

#[tokio::test]
async fn a_broken_answer_is_void_and_asked_for_again() {
    let mut server = Server::start([
        Reply::broken_stream(&[DELTA, MESSAGE, HALF_A_CALL]),
        Reply::stream(&[DELTA, OVERLOADED]),
        hello(),
    ])
    .await;
    let events = ask(&client(&server)).await;
    let tail: Vec<_> = events[events.len() - 3..].iter().map(|event| event.as_ref().unwrap()).collect();
    assert!(matches!(
        tail[..],
        [ModelEvent::TextDelta { .. }, ModelEvent::OutputItem { .. }, ModelEvent::Completed { .. }]
    ));
    let (retries, _) = outline(events);
    assert_eq!(retries, [(1, 2, ProviderFailureKind::Cut), (2, 2, ProviderFailureKind::Failed)]);
    assert_eq!(server.received().len(), 3);
}

#[tokio::test]
async fn a_stream_that_always_fails_ends_in_the_providers_words() {
    let failed = || Reply::stream(&[OVERLOADED]);
    let server = Server::start([failed(), failed(), failed()]).await;
    let (retries, last) = outline(ask(&client(&server)).await);
    assert_eq!(retries.len(), 2);
    let failure = last.unwrap_err();
    assert_eq!(
        (failure.kind, failure.message.as_str()),
        (ProviderFailureKind::Failed, "Too busy. (server_error)")
    );
}

#[tokio::test]
async fn each_way_to_break_off_has_its_kind() {
    for (reply, kind) in [
        (Reply::silence(), ProviderFailureKind::Stalled),
        (Reply::stalled_stream(&[DELTA]), ProviderFailureKind::Stalled),
        (Reply::hang_up(), ProviderFailureKind::Cut),
        (Reply::broken_stream(&[DELTA]), ProviderFailureKind::Cut),
        (Reply::stream(&[DELTA, MESSAGE]), ProviderFailureKind::Cut),
        (Reply::stream(&[DELTA, "{nonsense"]), ProviderFailureKind::Malformed),
    ] {
        let server = Server::start([reply]).await;
        let mut settings = settings(server.base_url());
        (settings.request_max_retries, settings.stream_max_retries) = (0, 0);
        if kind == ProviderFailureKind::Stalled {
            settings.stream_idle_timeout = Duration::from_millis(100);
        }
        let (_, last) = outline(ask(&providers::responses(settings).unwrap()).await);
        assert_eq!(last.unwrap_err().kind, kind);
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unreachable() {
    // Bound and not listening: nobody else gets the port, and every connection is refused.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let mut settings = settings(format!("http://{}/v1", socket.local_addr().unwrap()));
    settings.request_max_retries = 1;
    let (retries, last) = outline(ask(&providers::responses(settings).unwrap()).await);
    assert_eq!(retries, [(1, 1, ProviderFailureKind::Unreachable)]);
    let failure = last.unwrap_err();
    assert!(failure.message.starts_with("Acme can't be reached: Connection refused"), "{failure:?}");
}

#[tokio::test]
async fn what_will_not_pass_is_not_tried_again() {
    for (status, headers) in [
        (400, ""),
        (401, ""),
        (403, "retry-after: 1\r\n"),
        (404, "x-should-retry: true\r\n"),
        (307, "location: /elsewhere\r\n"),
        (500, "x-should-retry: false\r\n"),
        (429, "retry-after: 3600\r\n"),
    ] {
        let failure = fails_at_once(providers::responses, Reply::status(status, headers, "no")).await;
        assert_eq!(failure.status, Some(status));
    }
    let spent = r#"{"error":{"message":"You ran out.","code":"insufficient_quota"}}"#;
    let failure = fails_at_once(providers::responses, Reply::status(429, "", spent)).await;
    assert_eq!(failure.message, "You ran out. (insufficient_quota)");
    let too_long = r#"{"type":"error","code":"context_length_exceeded","message":"Too long."}"#;
    let failure = fails_at_once(providers::responses, Reply::stream(&[too_long])).await;
    assert_eq!(failure.kind, ProviderFailureKind::ContextTooLong);
}

#[tokio::test]
async fn a_page_in_place_of_a_stream_is_told() {
    let page = "<html><title>Sign in</title></html>";
    let failure =
        fails_at_once(providers::responses, Reply::status(200, "content-type: text/html\r\n", page)).await;
    assert_eq!((failure.kind, failure.status), (ProviderFailureKind::Malformed, Some(200)));
    assert_eq!(failure.message, "Acme sent `text/html`, not a stream: Sign in");
}

#[tokio::test]
async fn the_key_is_never_told() {
    let echo = format!(r#"{{"error":{{"message":"Incorrect API key provided: {KEY}"}}}}"#);
    let failure = fails_at_once(providers::responses, Reply::status(401, "", &echo)).await;
    assert_eq!(failure.message, "Incorrect API key provided: [secret]");
}

#[tokio::test]
async fn dropping_the_answer_closes_the_connection() {
    let mut server = Server::start([Reply::stalled_stream(&[DELTA])]).await;
    let client = client(&server);
    let mut stream = client.stream(request());
    assert!(matches!(stream.next().await, Some(Ok(ModelEvent::TextDelta { .. }))));
    drop(stream);
    assert_eq!(server.closed().await, 0);
}

#[tokio::test]
async fn nothing_happens_before_the_answer_is_asked_for() {
    let mut server = Server::start([hello()]).await;
    let client = client(&server);
    drop(client.stream(request()));
    ask(&client).await;
    assert_eq!(server.received().len(), 1);
}
