//! What every call passes through on its way to a handler: `initialize` first, a limit of calls under way, a deadline,
//! a span. An end of a feed is noted before it is carried out. And the plain form of parameters, `"params": {…}`,
//! becomes the one that jsonrpsee's handlers take, which is the same object in an array. Knows nothing of what a call
//! does.

use std::borrow::Cow;
use std::future::{Future, ready};
use std::sync::Arc;
use std::time::Duration;

use jsonrpsee::server::MethodResponse;
use jsonrpsee::server::middleware::rpc::{Batch, Notification, Request, RpcServiceT};
use jsonrpsee::types::{ErrorObjectOwned, Id, SubscriptionId};
use protocol::error::{ErrorCode, ProtocolError};
use serde_json::value::RawValue;
use tokio::sync::OwnedSemaphorePermit;
use tower::Layer;
use tracing::Instrument;

use crate::connection::Connection;

/// How long a call may take. Handlers only wait for a session's answer or the disk, so this ends none that works.
pub(crate) const CALL_LIMIT: Duration = Duration::from_secs(30);

/// The only call that is served before a client has said who it is.
const INITIALIZE: &str = "initialize";

/// The calls that end a feed.
const ENDS: [&str; 2] = ["session/detach", "model/cancelPull"];

/// Puts the guard of one connection before its calls.
#[derive(Clone)]
pub(crate) struct GuardLayer {
    connection: Arc<Connection>,
}

impl GuardLayer {
    /// Guards this connection.
    pub(crate) fn new(connection: Arc<Connection>) -> Self {
        Self { connection }
    }
}

impl<S> Layer<S> for GuardLayer {
    type Service = Guard<S>;

    fn layer(&self, inner: S) -> Guard<S> {
        Guard { inner, connection: Arc::clone(&self.connection) }
    }
}

/// The guard.
pub(crate) struct Guard<S> {
    inner: S,
    connection: Arc<Connection>,
}

impl<S> Guard<S> {
    fn admit(&self, method: &str) -> Result<OwnedSemaphorePermit, ProtocolError> {
        if method != INITIALIZE {
            self.connection.client()?;
        }
        self.connection.enter()
    }
}

impl<S> RpcServiceT for Guard<S>
where
    S: RpcServiceT<
            MethodResponse = MethodResponse,
            NotificationResponse = MethodResponse,
            BatchResponse = MethodResponse,
        >,
{
    type MethodResponse = MethodResponse;
    type NotificationResponse = MethodResponse;
    type BatchResponse = MethodResponse;

    fn call<'a>(&self, mut request: Request<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let span = tracing::info_span!("request", method = %request.method, id = %request.id);
        let id = request.id.clone().into_owned();
        request.params = request.params.map(in_array);
        let admitted = self.admit(&request.method).map(|permit| {
            request.extensions_mut().insert(Arc::clone(&self.connection));
            if ENDS.contains(&&*request.method)
                && let Some(feed) = request.params.as_deref().and_then(named)
            {
                self.connection.leave(&feed);
            }
            (permit, self.inner.call(request))
        });
        async move {
            let (_permit, answer) = match admitted {
                Ok(admitted) => admitted,
                Err(error) => return failed(id, error),
            };
            match tokio::time::timeout(CALL_LIMIT, answer).await {
                Ok(answer) => answer,
                Err(_) => {
                    tracing::error!("a call took too long");
                    let message = format!("No answer within {} s", CALL_LIMIT.as_secs());
                    failed(id, ProtocolError::new(ErrorCode::Unavailable, message))
                }
            }
        }
        .instrument(span)
    }

    /// Batches are refused: they would pass by the limits of single calls.
    fn batch<'a>(&self, _batch: Batch<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let error = ProtocolError::new(ErrorCode::InvalidRequest, "Batches of calls are not served");
        ready(failed(Id::Null, error))
    }

    /// Notifications of clients have no meaning here; they are let go.
    fn notification<'a>(
        &self,
        notification: Notification<'a>,
    ) -> impl Future<Output = MethodResponse> + Send + 'a {
        self.inner.notification(notification)
    }
}

/// A method's one object of parameters, put where its handler looks for it.
fn in_array(params: Cow<'_, RawValue>) -> Cow<'_, RawValue> {
    if !params.get().starts_with('{') {
        return params;
    }
    // A raw value in brackets is valid JSON; should it not be, the handler refuses what it was given.
    RawValue::from_string(format!("[{}]", params.get())).map_or(params, Cow::Owned)
}

/// The name under which a connection knows a feed.
pub(crate) fn name(feed: &SubscriptionId<'_>) -> String {
    match feed {
        SubscriptionId::Num(number) => number.to_string(),
        SubscriptionId::Str(text) => text.to_string(),
    }
}

/// The feed that a call is about.
fn named(params: &RawValue) -> Option<String> {
    let (feed,): (SubscriptionId<'_>,) = serde_json::from_str(params.get()).ok()?;
    Some(name(&feed))
}

fn failed(id: Id<'_>, error: ProtocolError) -> MethodResponse {
    MethodResponse::error(id, ErrorObjectOwned::from(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_call_that_ends_a_feed_is_known() {
        let notifications =
            protocol::api::methods::all().into_iter().filter_map(|method| method.notification);
        let mut ends: Vec<_> = notifications.map(|notification| notification.unsubscribe).collect();
        ends.sort_unstable();
        let mut known = ENDS;
        known.sort_unstable();
        assert_eq!(ends, known);
    }

    #[test]
    fn a_feed_is_named_alike_by_who_begins_and_who_ends_it() {
        let raw = |text: &str| RawValue::from_string(text.to_owned()).expect("JSON");
        assert_eq!(named(&raw("[17]")), Some(name(&SubscriptionId::Num(17))));
        assert_eq!(named(&raw("[ \"17a\" ]")), Some(name(&SubscriptionId::Str("17a".into()))));
        assert_eq!((named(&raw("[]")), named(&raw("{}")), named(&raw("[1, 2]"))), (None, None, None));
    }
}
