//! Faults on every wire API: each answer ends, with a failure of the right kind, and no text comes twice.

use std::time::{Duration, SystemTime};

use model::event::ModelEvent;
use protocol::model::ProviderFailureKind::{self, Failed, RateLimited, Rejected, Unauthorized};
use providers::settings::ProviderSettings;

use crate::apis::{APIS, Api, says};
use crate::server::{Reply, Server};
use crate::{Event, ask, outline, settings};

/// Makes a reply.
type Form = fn() -> Reply;

/// What is said.
pub(crate) const TEXT: &str = "Grüße, 世界";

/// A stream that says the text.
pub(crate) fn recorded(api: &Api) -> String {
    (api.say)(&says(TEXT)).iter().map(|event| format!("data: {event}\n\n")).collect()
}

/// The text of an answer.
pub(crate) fn text(events: &[Event]) -> String {
    let text = |event: &Event| match event {
        Ok(ModelEvent::TextDelta { text, .. }) => Some(text.clone()),
        _ => None,
    };
    events.iter().filter_map(text).collect()
}

#[tokio::test(start_paused = true)]
async fn each_status_is_a_typed_failure_after_bounded_retries() {
    const STATUSES: [(u16, ProviderFailureKind, usize); 10] = [
        (400, Rejected, 1),
        (401, Unauthorized, 1),
        (403, Unauthorized, 1),
        (404, Rejected, 1),
        (408, Failed, 3),
        (413, Rejected, 1),
        (429, RateLimited, 3),
        (500, Failed, 3),
        (503, Failed, 3),
        (529, Failed, 3),
    ];
    for api in &APIS {
        for (status, kind, requests) in STATUSES {
            for body in ["", "<html><body>Sorry</body></html>"] {
                let replies = (0..9).map(|_| Reply::status(status, "content-type: text/html\r\n", body));
                let mut server = Server::start(replies).await;
                let client = (api.make)(settings(server.base_url())).unwrap();
                let (_, last) = outline(ask(&client).await);
                let failure = last.unwrap_err();
                let got = (failure.status, failure.kind, server.received().len());
                assert_eq!(got, (Some(status), kind.clone(), requests), "{} {body:?}", api.name);
            }
        }
    }
}

#[tokio::test]
async fn stream_cut_at_any_byte_ends_and_never_doubles_text() {
    for api in &APIS {
        let stream = recorded(api);
        let replies = (0..stream.len()).map(|end| Reply::cut_body(&stream.as_bytes()[..end]));
        let mut server = Server::start(replies).await;
        let once =
            ProviderSettings { request_max_retries: 0, stream_max_retries: 0, ..settings(server.base_url()) };
        let client = (api.make)(once).unwrap();
        for end in 0..stream.len() {
            let events = ask(&client).await;
            assert!(TEXT.starts_with(&text(&events)), "{} cut at {end}: {events:?}", api.name);
            assert_eq!(server.received().len(), 1, "{} cut at {end}", api.name);
            let whole = matches!(events.last(), Some(Ok(ModelEvent::Completed { .. })));
            assert!(!whole || text(&events) == TEXT, "{} cut at {end}: {events:?}", api.name);
        }
    }
}

#[tokio::test]
async fn line_ends_comments_and_a_mark_in_front_change_nothing() {
    for api in &APIS {
        let stream = recorded(api);
        let forms = [
            stream.replace('\n', "\r\n"),
            stream.replace('\n', "\r"),
            format!("\u{feff}{stream}"),
            stream.replace("data: ", ": a comment\ndata: "),
        ];
        for form in forms {
            let server =
                Server::start([Reply::status(200, "content-type: text/event-stream\r\n", &form)]).await;
            let events = ask(&(api.make)(settings(server.base_url())).unwrap()).await;
            assert_eq!(text(&events), TEXT, "{} {form:?}", api.name);
            assert!(matches!(events.last(), Some(Ok(ModelEvent::Completed { .. }))), "{}", api.name);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn silence_a_stall_and_a_hang_up_end_after_bounded_retries() {
    use ProviderFailureKind::{Cut, Stalled, Unreachable};
    let forms: [(Form, &[ProviderFailureKind]); 5] = [
        (Reply::silence, &[Stalled, Unreachable]),
        (|| Reply::stalled_stream(&[]), &[Stalled]),
        (Reply::hang_up, &[Cut, Unreachable]),
        (|| Reply::hang_up().reset(), &[Cut, Unreachable]),
        (|| Reply::broken_stream(&[]).reset(), &[Cut]),
    ];
    for api in &APIS {
        for (number, (form, kinds)) in forms.iter().enumerate() {
            let mut server = Server::start((0..9).map(|_| form())).await;
            let client = (api.make)(settings(server.base_url())).unwrap();
            let (retries, last) = outline(ask(&client).await);
            let failure = last.unwrap_err();
            assert!(kinds.contains(&failure.kind), "{} {number}: {failure:?}", api.name);
            assert_eq!((retries.len(), server.received().len()), (2, 3), "{} {number}", api.name);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn wait_that_the_provider_asks_for_is_kept() {
    // A date has whole seconds, so that the pause may be up to a second shorter.
    let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(3600));
    let in_body = r#"{"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "Later", "details": [
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "7s"}]}}"#;
    let used_up = "x-ratelimit-remaining-requests: 0\r\nx-ratelimit-reset-requests: 7s\r\n";
    let tokens = "anthropic-ratelimit-tokens-remaining: 0\r\nanthropic-ratelimit-tokens-reset: 7\r\n";
    for api in &APIS {
        for (header, body, waits) in [
            ("retry-after: 7\r\n", "", Some(7)),
            ("retry-after-ms: 7000\r\n", "", Some(7)),
            ("retry-after-ms: 7000\r\nretry-after: 90\r\n", "", Some(7)),
            (used_up, "", Some(7)),
            (tokens, "", Some(7)),
            ("", in_body, Some(7)),
            ("retry-after: soon\r\n", "", None),
            ("", "", None),
        ] {
            let good = Reply::status(200, "content-type: text/event-stream\r\n", &recorded(api));
            let server = Server::start([Reply::status(429, header, body), good]).await;
            let client = (api.make)(settings(server.base_url())).unwrap();
            let start = tokio::time::Instant::now();
            let events = ask(&client).await;
            assert_eq!(text(&events), TEXT, "{} {header}", api.name);
            let waited = start.elapsed().as_secs_f64();
            let is_kept = waits.is_none_or(|waits| waited > f64::from(waits) - 0.5);
            let is_short = waited < waits.map_or(2.0, |waits| f64::from(waits) + 2.0);
            assert!(is_kept && is_short, "{} {header} {body}: waited {waited} s", api.name);
        }
        // Longer than anybody waits: told at once, with how long it would be.
        let refusal = Reply::status(429, &format!("retry-after: {date}\r\n"), "");
        let mut server = Server::start([refusal]).await;
        let (_, last) = outline(ask(&(api.make)(settings(server.base_url())).unwrap()).await);
        let message = last.unwrap_err().message;
        assert!(message.contains("asks to wait 35"), "{} {message}", api.name);
        assert_eq!(server.received().len(), 1, "{}", api.name);
    }
}

#[tokio::test(start_paused = true)]
async fn date_to_come_back_at_is_kept() {
    for api in &APIS {
        let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(9));
        let good = Reply::status(200, "content-type: text/event-stream\r\n", &recorded(api));
        let refusal = Reply::status(429, &format!("retry-after: {date}\r\n"), "");
        let server = Server::start([refusal, good]).await;
        let start = tokio::time::Instant::now();
        let events = ask(&(api.make)(settings(server.base_url())).unwrap()).await;
        assert_eq!(text(&events), TEXT, "{}", api.name);
        let waited = start.elapsed().as_secs();
        assert!((5..=11).contains(&waited), "{} waited {waited} s", api.name);
    }
}

#[tokio::test]
async fn web_page_and_an_endless_event_are_typed_failures() {
    for api in &APIS {
        let endless = format!("data: {}", "x".repeat(16 << 20));
        for (kind, body) in [("text/html", "<html>Sign in</html>"), ("text/event-stream", &endless)] {
            let reply = Reply::status(200, &format!("content-type: {kind}\r\n"), body);
            let server = Server::start([reply]).await;
            let once = ProviderSettings {
                request_max_retries: 0,
                stream_max_retries: 0,
                ..settings(server.base_url())
            };
            let events = ask(&(api.make)(once).unwrap()).await;
            assert!(matches!(events.last(), Some(Err(_))), "{} {kind}", api.name);
            assert_eq!(text(&events), "", "{} {kind}", api.name);
        }
    }
}
