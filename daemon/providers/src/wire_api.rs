//! What one wire API is: where its requests go, their bytes, and what the events of its answers mean. Knows
//! nothing of connections, retries and time; those are `exchange`'s and the same for all.

use std::collections::VecDeque;

use bytes::Bytes;
use model::event::ModelEvent;
use model::request::ModelRequest;
use protocol::item::OpaqueReasoning;
use protocol::model::{ProviderFailureKind, Usage};
use protocol::tool::ToolSpecification;
use reqwest::header::{AUTHORIZATION, HeaderName};
use serde::Serialize;

use crate::failure::Failure;
use crate::retry::Again;
use crate::settings::{RecordedApi, RequestOptions, Search};

/// A wire API. All of them stream server-sent events over HTTP.
pub(crate) trait WireApi: Send + Sync + 'static {
    /// Reads one answer. A clone of a fresh one reads the answer of the next try.
    type Reader: Reader + Clone;

    /// What a recording of its answers is called.
    const RECORDED: RecordedApi;

    /// Where a request for this model goes, below the base URL.
    fn path(&self, model: &str) -> String;

    /// What every URL has behind its path.
    fn query(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }

    /// What every request has besides its key and its type.
    fn headers(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }

    /// The header that carries a key.
    fn key_header(&self, key: &str) -> (HeaderName, String) {
        (AUTHORIZATION, format!("Bearer {key}"))
    }

    /// The request. What is added to a conversation changes no byte before, so that prompt caches hit.
    fn body(&self, request: &ModelRequest, options: &RequestOptions) -> Result<Bytes, Failure>;

    /// The request as the first message of a WebSocket; `None` for an API that has none.
    fn message(&self, _request: &ModelRequest, _options: &RequestOptions) -> Option<Result<Bytes, Failure>> {
        None
    }

    /// How the provider puts a conversation into less; `None` for an API that has no such thing.
    fn compaction(&self, _request: &ModelRequest, _options: &RequestOptions) -> Option<Compacting<Self>>
    where
        Self: Sized,
    {
        None
    }

    /// Whether reasoning can be given back, as this API or this provider made it.
    fn takes_back(&self, reasoning: &OpaqueReasoning) -> bool;

    /// Whether the tool can be offered.
    ///
    /// # Errors
    /// What of its schema has no counterpart here.
    fn check_tool(&self, _tool: &ToolSpecification) -> Result<(), String> {
        Ok(())
    }

    /// Whether the provider can search the web for this model, beside the tools.
    ///
    /// # Errors
    /// Why not.
    fn check_search(&self, _model: &str, _search: Search) -> Result<(), &'static str> {
        Err("this wire API has no such thing")
    }

    /// What reads the answer to this request.
    fn reader(&self, request: &ModelRequest) -> Self::Reader;
}

/// A request that is answered by one object, which stands for the conversation.
pub(crate) struct Compacting<A: WireApi> {
    /// Where it goes, below the base URL.
    pub(crate) path: &'static str,
    pub(crate) body: Result<Bytes, Failure>,
    /// Takes the object as if it were an event.
    pub(crate) reader: A::Reader,
}

/// Reads the events of one answer.
pub(crate) trait Reader: Send + Sync + 'static {
    /// Takes the data of an event and adds what it means.
    fn take(&mut self, data: &str, events: &mut VecDeque<ModelEvent>) -> Result<Progress, Failure>;

    /// What the answer took so far, as far as it was told.
    fn spent(&self) -> Usage {
        Usage::default()
    }

    /// The answer is over: adds what was held back and `ModelEvent::Completed`. Or gives the request that goes on
    /// with an answer that only paused, made of the one that was sent.
    fn close(&mut self, sent: &Bytes, events: &mut VecDeque<ModelEvent>) -> Option<Bytes>;
}

/// How far an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// More must come.
    Open,
    /// It is whole. What may still come only tells what it took.
    Whole,
    /// Nothing more comes.
    Over,
}

/// A body as JSON.
pub(crate) fn json(body: &impl Serialize) -> Result<Bytes, Failure> {
    serde_json::to_vec(body).map(Bytes::from).map_err(|error| unsendable(&error.to_string()))
}

/// The request can't be put into the provider's form.
pub(crate) fn unsendable(reason: &str) -> Failure {
    let message = format!("The request can't be written: {reason}");
    Failure::new(ProviderFailureKind::Rejected, Again::Never, message)
}
