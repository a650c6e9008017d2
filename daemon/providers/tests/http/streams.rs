//! Streams that come in odd ways, on every wire API: in any pieces, slowly, compressed, under a wrong name, with events
//! twice or in another order, and very long ones.

use std::io::Write;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use model::event::ModelEvent;
use protocol::model::ProviderFailureKind;
use providers::settings::ProviderSettings;

use crate::apis::{APIS, Api, says};
use crate::faults::{TEXT, recorded, text};
use crate::server::{Reply, Server};
use crate::{Event, ask, outline, settings};

/// Longer than the client waits for an event, in all; shorter for each.
const SLOW: Duration = Duration::from_secs(40);

async fn answer(api: &Api, reply: Reply) -> Vec<Event> {
    let server = Server::start([reply]).await;
    let once =
        ProviderSettings { request_max_retries: 0, stream_max_retries: 0, ..settings(server.base_url()) };
    ask(&(api.make)(once).unwrap()).await
}

fn is_whole(events: &[Event]) -> bool {
    text(events) == TEXT && matches!(events.last(), Some(Ok(ModelEvent::Completed { .. })))
}

#[tokio::test(start_paused = true)]
async fn stream_in_any_two_pieces_is_the_same() {
    for api in &APIS {
        let stream = recorded(api);
        for at in 0..stream.len() {
            let (a, b) = stream.as_bytes().split_at(at);
            let events = answer(api, Reply::pieces(&[a, b], Duration::from_millis(1))).await;
            assert!(is_whole(&events), "{} split at {at}: {events:?}", api.name);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn stream_in_pieces_of_a_byte_is_the_same() {
    for api in &APIS {
        let stream = recorded(api);
        let pieces: Vec<&[u8]> = stream.as_bytes().chunks(1).collect();
        let events = answer(api, Reply::pieces(&pieces, Duration::from_millis(1))).await;
        assert!(is_whole(&events), "{}: {events:?}", api.name);
    }
}

#[tokio::test(start_paused = true)]
async fn slow_events_are_waited_for_and_slow_bytes_are_not() {
    for api in &APIS {
        let stream = recorded(api);
        let events: Vec<&[u8]> = stream.split_inclusive("\n\n").map(str::as_bytes).collect();
        assert!(events.len() > 1, "{}", api.name);
        assert!(is_whole(&answer(api, Reply::pieces(&events, SLOW)).await), "{}", api.name);

        let bytes: Vec<&[u8]> = stream.as_bytes().chunks(1).collect();
        let (_, last) = outline(answer(api, Reply::pieces(&bytes, SLOW)).await);
        assert_eq!(last.unwrap_err().kind, ProviderFailureKind::Stalled, "{}", api.name);
    }
}

#[tokio::test]
async fn compressed_stream_is_read_though_nobody_asked_for_it() {
    for api in &APIS {
        let mut packed = GzEncoder::new(Vec::new(), Compression::default());
        packed.write_all(recorded(api).as_bytes()).unwrap();
        let packed = packed.finish().unwrap();
        let headers = "content-type: text/event-stream\r\ncontent-encoding: gzip\r\n";
        let mut server = Server::start([Reply::body(headers, &packed)]).await;
        let events = ask(&(api.make)(settings(server.base_url())).unwrap()).await;
        assert!(is_whole(&events), "{}: {events:?}", api.name);
        let request = server.received().remove(0);
        assert!(request.headers.contains(&"accept-encoding: identity".to_owned()), "{request:?}");

        let cut = &packed[..packed.len() / 2];
        let (_, last) = outline(answer(api, Reply::body(headers, cut)).await);
        assert_eq!(last.unwrap_err().kind, ProviderFailureKind::Cut, "{}", api.name);
    }
}

#[tokio::test]
async fn stream_of_events_is_one_under_any_name_but_a_page_or_an_object() {
    for api in &APIS {
        for (name, is_read) in [
            ("", true),
            ("content-type: text/plain\r\n", true),
            ("content-type: application/octet-stream\r\n", true),
            ("content-type: Text/Event-Stream; charset=utf-8\r\n", true),
            ("content-type: text/html\r\n", false),
            ("content-type: application/json; charset=utf-8\r\n", false),
        ] {
            let events = answer(api, Reply::body(name, recorded(api).as_bytes())).await;
            assert_eq!(is_whole(&events), is_read, "{} {name:?}: {events:?}", api.name);
            assert_eq!(events.last().unwrap().is_ok(), is_read, "{} {name:?}", api.name);
        }
    }
}

/// `ask` holds the answer against the contract of streams; here it must end and say nothing that was not sent.
#[tokio::test]
async fn events_twice_left_out_or_in_another_order_end_in_an_answer_or_a_typed_failure() {
    for api in &APIS {
        let events = (api.say)(&says(TEXT));
        let frame = |events: &[String]| -> String {
            events.iter().map(|event| format!("data: {event}\n\n")).collect()
        };
        let mut forms = vec![events.iter().rev().cloned().collect::<Vec<_>>()];
        for at in 0..events.len() {
            let mut twice = events.clone();
            twice.insert(at, events[at].clone());
            let mut without = events.clone();
            without.remove(at);
            forms.extend([twice, without]);
            if at > 0 {
                let mut swapped = events.clone();
                swapped.swap(at - 1, at);
                forms.push(swapped);
            }
        }
        for form in forms {
            let events = answer(api, Reply::body("", frame(&form).as_bytes())).await;
            match events.last().unwrap() {
                Ok(last) => assert!(matches!(last, ModelEvent::Completed { .. }), "{} {form:?}", api.name),
                Err(failure) => assert!(
                    matches!(failure.kind, ProviderFailureKind::Cut | ProviderFailureKind::Malformed),
                    "{} {form:?}: {failure:?}",
                    api.name
                ),
            }
            let longest = format!("{TEXT}{TEXT}");
            assert!(text(&events).len() <= longest.len(), "{} {form:?}: {events:?}", api.name);
        }
    }
}

#[tokio::test]
async fn event_of_nearly_16_mib_is_read_and_a_longer_one_is_not() {
    for api in &APIS {
        // The Responses API says a text twice: in pieces, and as a whole.
        let long = "x".repeat(15 << 20);
        let stream: String =
            (api.say)(&says(&long)).iter().map(|event| format!("data: {event}\n\n")).collect();
        let events = answer(api, Reply::body("", stream.as_bytes())).await;
        assert!(text(&events) == long, "{}: {:?}", api.name, events.last());
        assert!(matches!(events.last(), Some(Ok(ModelEvent::Completed { .. }))), "{}", api.name);

        let longer = format!("data: {}\n\n", "x".repeat((16 << 20) + 1));
        let (_, last) = outline(answer(api, Reply::body("", longer.as_bytes())).await);
        assert_eq!(last.unwrap_err().kind, ProviderFailureKind::Malformed, "{}", api.name);
    }
}
