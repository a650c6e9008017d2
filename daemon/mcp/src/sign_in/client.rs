//! The client of HTTP that sends a person's token, and once more with a new one if it is refused.

use std::collections::HashMap;
use std::sync::Arc;

use http::{HeaderName, HeaderValue, StatusCode};
use rmcp::model::ClientJsonRpcMessage;
use rmcp::transport::auth::AuthError;
use rmcp::transport::common::client_side_sse::BoxedSseResponse;
use rmcp::transport::streamable_http_client::{
    AuthRequiredError, StreamableHttpClient, StreamableHttpError, StreamableHttpPostResponse,
    StreamableHttpResponseLimits,
};

use crate::sign_in::account::{Account, Wants};

type Refused = StreamableHttpError<reqwest::Error>;
type Headers = HashMap<HeaderName, HeaderValue>;

/// Sends the token of an account with each request; none while nobody is signed in.
#[derive(Clone)]
pub(crate) struct SignedIn {
    pub(crate) client: reqwest::Client,
    pub(crate) account: Arc<Account>,
}

impl SignedIn {
    async fn send<T, F, Fut>(&self, call: F) -> Result<T, Refused>
    where
        F: Fn(Option<String>) -> Fut,
        Fut: Future<Output = Result<T, Refused>>,
    {
        let sent = self.token(None).await?;
        match call(sent.clone()).await.map_err(challenged) {
            Err(StreamableHttpError::InsufficientScope(challenge)) => {
                self.account.challenged(&challenge.www_authenticate_header, Wants::MoreLeave);
                Err(StreamableHttpError::InsufficientScope(challenge))
            }
            Err(StreamableHttpError::AuthRequired(challenge)) => {
                self.account.challenged(&challenge.www_authenticate_header, Wants::Token);
                let Some(refused) = sent else { return Err(StreamableHttpError::AuthRequired(challenge)) };
                match self.token(Some(&refused)).await? {
                    Some(fresh) => call(Some(fresh)).await.map_err(challenged),
                    None => Err(StreamableHttpError::AuthRequired(challenge)),
                }
            }
            other => other,
        }
    }

    async fn token(&self, refused: Option<&str>) -> Result<Option<String>, Refused> {
        let failed = |error: crate::McpError| AuthError::TokenRefreshFailed(error.to_string());
        Ok(self.account.token(refused).await.map_err(failed)?)
    }
}

/// A server that lets nobody in and does not say how is taken for one that says nothing more than that.
fn challenged(error: Refused) -> Refused {
    if is_unauthorized(&error) {
        let www_authenticate_header = "Bearer".to_owned();
        return StreamableHttpError::AuthRequired(AuthRequiredError::new(www_authenticate_header));
    }
    error
}

/// Whether it let nobody in, and did not say how to be let in.
fn is_unauthorized(error: &Refused) -> bool {
    match error {
        StreamableHttpError::Client(error) => error.status() == Some(StatusCode::UNAUTHORIZED),
        StreamableHttpError::UnexpectedServerResponse(said) => said.starts_with("HTTP 401"),
        _ => false,
    }
}

/// Without limits, which the transport never asks for; with them each is passed on.
impl StreamableHttpClient for SignedIn {
    type Error = reqwest::Error;

    async fn post_message(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session: Option<Arc<str>>,
        token: Option<String>,
        headers: Headers,
    ) -> Result<StreamableHttpPostResponse, Refused> {
        let limits = StreamableHttpResponseLimits::default();
        self.post_message_with_response_limits(uri, message, session, token, headers, limits).await
    }

    async fn post_message_with_response_limits(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session: Option<Arc<str>>,
        _token: Option<String>,
        headers: Headers,
        limits: StreamableHttpResponseLimits,
    ) -> Result<StreamableHttpPostResponse, Refused> {
        self.send(|token| {
            let (uri, message) = (Arc::clone(&uri), message.clone());
            let (session, headers) = (session.clone(), headers.clone());
            self.client.post_message_with_response_limits(uri, message, session, token, headers, limits)
        })
        .await
    }

    async fn delete_session(
        &self,
        uri: Arc<str>,
        session: Arc<str>,
        _token: Option<String>,
        headers: Headers,
    ) -> Result<(), Refused> {
        self.send(|token| {
            self.client.delete_session(Arc::clone(&uri), Arc::clone(&session), token, headers.clone())
        })
        .await
    }

    async fn get_stream(
        &self,
        uri: Arc<str>,
        session: Option<Arc<str>>,
        last: Option<String>,
        token: Option<String>,
        headers: Headers,
    ) -> Result<BoxedSseResponse, Refused> {
        let most = StreamableHttpResponseLimits::default().max_sse_event_size;
        self.get_stream_with_max_sse_event_size(uri, session, last, token, headers, most).await
    }

    async fn get_stream_with_max_sse_event_size(
        &self,
        uri: Arc<str>,
        session: Option<Arc<str>>,
        last: Option<String>,
        _token: Option<String>,
        headers: Headers,
        most: usize,
    ) -> Result<BoxedSseResponse, Refused> {
        self.send(|token| {
            let (uri, session) = (Arc::clone(&uri), session.clone());
            let (last, headers) = (last.clone(), headers.clone());
            self.client.get_stream_with_max_sse_event_size(uri, session, last, token, headers, most)
        })
        .await
    }
}
