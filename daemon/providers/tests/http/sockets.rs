//! Answers of the Responses API over a WebSocket: one connection for many requests, and events where there is none.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};

use futures_util::{SinkExt, StreamExt};
use model::event::ModelEvent;
use protocol::model::ProviderFailureKind::Cut;
use providers::settings::{ProviderSettings, Transport};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinSet;
use tokio_tungstenite::accept_hdr_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

use crate::apis::{APIS, Api, says};
use crate::faults::{TEXT, recorded, text};
use crate::server::{Reply, Server};
use crate::{KEY, ask, outline, settings};

/// What is sent for one message.
#[derive(Clone)]
enum Say {
    /// All of an answer.
    Answer,
    /// Its first events, and then the connection breaks.
    Part,
}

/// A message that came: over which connection, and what.
type Came = (usize, Value);

const RESPONSES: &Api = &APIS[0];

/// A server of WebSockets that says these things, one to each message.
async fn serve(says_: Vec<Say>, tasks: &mut JoinSet<()>) -> (SocketAddr, UnboundedReceiver<Came>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, told) = unbounded_channel();
    let mut left = VecDeque::from(says_);
    tasks.spawn(async move {
        for number in 0.. {
            let (stream, _) = listener.accept().await.unwrap();
            #[expect(clippy::result_large_err, reason = "the library's signature")]
            let check = |request: &Request, response: Response| {
                assert_eq!(request.uri().path(), "/v1/responses");
                assert_eq!(request.headers()["authorization"], format!("Bearer {KEY}"));
                Ok(response)
            };
            let mut socket = accept_hdr_async(stream, check).await.unwrap();
            while let Some(Ok(Message::Text(message))) = socket.next().await {
                tell.send((number, serde_json::from_str(message.as_str()).unwrap())).unwrap();
                let events = (RESPONSES.say)(&says(TEXT));
                let say = left.pop_front().unwrap();
                let shown = match say {
                    Say::Answer => events.len(),
                    Say::Part => 2,
                };
                for event in &events[..shown] {
                    socket.send(Message::text(event.clone())).await.unwrap();
                }
                if matches!(say, Say::Part) {
                    break;
                }
            }
        }
    });
    (address, told)
}

fn over_a_socket(base_url: String) -> ProviderSettings {
    ProviderSettings { transport: Transport::WebSocket, ..settings(base_url) }
}

#[tokio::test]
async fn answers_come_over_one_connection() {
    let mut tasks = JoinSet::new();
    let (address, mut told) = serve(vec![Say::Answer; 3], &mut tasks).await;
    let client = (RESPONSES.make)(over_a_socket(format!("http://{address}/v1"))).unwrap();
    for _ in 0..3 {
        let events = ask(&client).await;
        assert!(matches!(events.last(), Some(Ok(ModelEvent::Completed { .. }))), "{events:?}");
        assert_eq!(text(&events), TEXT);
        let (connection, message) = told.recv().await.unwrap();
        assert_eq!((connection, &message["type"]), (0, &Value::from("response.create")), "{message}");
    }
}

#[tokio::test]
async fn connection_that_breaks_in_an_answer_is_a_retry_over_another() {
    let mut tasks = JoinSet::new();
    let (address, mut told) = serve(vec![Say::Part, Say::Answer], &mut tasks).await;
    let client = (RESPONSES.make)(over_a_socket(format!("http://{address}/v1"))).unwrap();
    let (retries, last) = outline(ask(&client).await);
    assert_eq!(retries, [(1, 2, Cut)]);
    assert!(matches!(last, Ok(ModelEvent::Completed { .. })));
    assert_eq!(told.recv().await.unwrap().0, 0);
    assert_eq!(told.recv().await.unwrap().0, 1);
}

#[tokio::test]
async fn server_without_websockets_is_asked_over_http_and_not_again() {
    let no = || Reply::status(404, "", "There is no such thing");
    let good = || Reply::status(200, "content-type: text/event-stream\r\n", &recorded(RESPONSES));
    let mut server = Server::start([no(), good(), good()]).await;
    let client = (RESPONSES.make)(over_a_socket(server.base_url())).unwrap();
    for _ in 0..2 {
        assert_eq!(text(&ask(&client).await), TEXT);
    }
    let lines: Vec<String> = server.received().into_iter().map(|request| request.line).collect();
    let (get, post) = ("GET /v1/responses HTTP/1.1", "POST /v1/responses HTTP/1.1");
    assert_eq!(lines, [get, post, post]);
}
