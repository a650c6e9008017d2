//! The clients over real HTTP: how they ask, what they make of good and bad answers, and what they try again. What
//! is the same for every wire API is tested with Responses.

#![expect(clippy::unwrap_used, clippy::panic, reason = "all of this crate is tests, its helpers too")]

mod apis;
mod chat;
mod compaction;
mod connections;
mod conversions;
mod faults;
mod gemini;
mod messages;
mod responses;
mod scenarios;
mod secure;
mod server;
mod sockets;
mod streams;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use model::client::ModelClient;
use model::contract;
use model::event::ModelEvent;
use model::request::{InputContent, InputItem, ModelRequest};
use protocol::model::{ProviderFailure, ProviderFailureKind};
use providers::settings::{Key, ProviderError, ProviderSettings, RequestOptions, Secret, Transport};

use crate::server::{Reply, Server};

const KEY: &str = "sk-0123456789";

type Event = Result<ModelEvent, ProviderFailure>;

/// Settings of an impatient client that tries everything again, twice.
fn settings(base_url: String) -> ProviderSettings {
    ProviderSettings {
        id: "acme".into(),
        name: "Acme".into(),
        base_url,
        key: Key::Present(Secret::new(KEY.into())),
        http_headers: BTreeMap::new(),
        query_params: BTreeMap::new(),
        request_max_retries: 2,
        stream_max_retries: 2,
        stream_idle_timeout: Duration::from_secs(60),
        connect_timeout: Duration::from_secs(60),
        ca_bundles: Vec::new(),
        client_certificate: None,
        proxy: None,
        transport: Transport::Events,
        recording: None,
        options: RequestOptions::default(),
    }
}

fn request() -> ModelRequest {
    ModelRequest {
        model: "m".into(),
        instructions: "Be good.".into(),
        tools: Vec::new().into(),
        input: vec![InputItem::UserMessage(vec![InputContent::Text("hi".into())])],
        reasoning_effort: None,
        reasoning_summary: None,
        output_schema: None,
        cache_key: "key".into(),
    }
}

async fn ask(client: &Arc<dyn ModelClient>) -> Vec<Event> {
    let events: Vec<Event> = client.stream(request()).collect().await;
    assert_eq!(contract::check(&events), Ok(()));
    events
}

/// The retries of an answer, as numbers and kinds, and its last event.
fn outline(mut events: Vec<Event>) -> (Vec<(u32, u32, ProviderFailureKind)>, Event) {
    let last = events.pop().unwrap();
    let retry = |event: Event| match event.unwrap() {
        ModelEvent::Retrying { attempt, max_attempts, failure, .. } => {
            Some((attempt, max_attempts, failure.kind))
        }
        _ => None,
    };
    (events.into_iter().filter_map(retry).collect(), last)
}

/// Asks once and expects one request and a failure without a retry.
async fn fails_at_once(make: Make, reply: Reply) -> ProviderFailure {
    let mut server = Server::start([reply]).await;
    let client = make(settings(server.base_url())).unwrap();
    let (retries, last) = outline(ask(&client).await);
    assert_eq!((retries, server.received().len()), (Vec::new(), 1));
    last.unwrap_err()
}

/// A constructor of clients.
type Make = fn(ProviderSettings) -> Result<Arc<dyn ModelClient>, ProviderError>;
