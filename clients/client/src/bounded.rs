//! Refuses a request that is longer than a frame before it is sent: the daemon could only answer it without an
//! id, which would end the connection. Knows nothing of what is asked.

use std::future::Future;

use jsonrpsee::core::client::async_client::RpcService;
use jsonrpsee::core::client::{
    Error, MiddlewareBatchResponse, MiddlewareMethodResponse, MiddlewareNotifResponse,
};
use jsonrpsee::core::middleware::{Batch, Notification, Request, RpcServiceT};

/// Bytes of a message, in either direction; the daemon has the same.
pub(crate) const MAX_MESSAGE_BYTES: u32 = 16 * 1024 * 1024;
/// More than what a frame holds beside the parameters.
const ENVELOPE_BYTES: usize = 512;

/// The request was too long.
#[derive(Debug, thiserror::Error)]
#[error("The request is too long")]
pub(crate) struct TooLong {
    /// Its parameters.
    pub(crate) bytes: usize,
}

/// The service that looks at each request.
#[derive(Clone, Debug)]
pub struct Bounded<S = RpcService>(pub(crate) S);

impl<S> RpcServiceT for Bounded<S>
where
    S: RpcServiceT<
            MethodResponse = Result<MiddlewareMethodResponse, Error>,
            BatchResponse = Result<MiddlewareBatchResponse, Error>,
            NotificationResponse = Result<MiddlewareNotifResponse, Error>,
        > + Send
        + Sync,
{
    type MethodResponse = Result<MiddlewareMethodResponse, Error>;
    type BatchResponse = Result<MiddlewareBatchResponse, Error>;
    type NotificationResponse = Result<MiddlewareNotifResponse, Error>;

    fn call<'a>(&self, request: Request<'a>) -> impl Future<Output = Self::MethodResponse> + Send + 'a {
        let bytes = request.params.as_ref().map_or(0, |params| params.get().len());
        let is_too_long = bytes + ENVELOPE_BYTES > MAX_MESSAGE_BYTES as usize;
        let sent = (!is_too_long).then(|| self.0.call(request));
        async move {
            match sent {
                Some(sent) => sent.await,
                None => Err(Error::Transport(Box::new(TooLong { bytes }))),
            }
        }
    }

    fn batch<'a>(&self, requests: Batch<'a>) -> impl Future<Output = Self::BatchResponse> + Send + 'a {
        self.0.batch(requests)
    }

    fn notification<'a>(
        &self,
        notification: Notification<'a>,
    ) -> impl Future<Output = Self::NotificationResponse> + Send + 'a {
        self.0.notification(notification)
    }
}

#[cfg(test)]
mod tests {
    use jsonrpsee::core::params::ObjectParams;
    use jsonrpsee::core::traits::ToRpcParams;
    use jsonrpsee::types::Id;

    use super::*;

    /// A connection on which nothing may be sent.
    struct Untouched;

    impl RpcServiceT for Untouched {
        type MethodResponse = Result<MiddlewareMethodResponse, Error>;
        type BatchResponse = Result<MiddlewareBatchResponse, Error>;
        type NotificationResponse = Result<MiddlewareNotifResponse, Error>;

        fn call<'a>(&self, _: Request<'a>) -> impl Future<Output = Self::MethodResponse> + Send + 'a {
            std::future::ready(Err(Error::Custom("a request was sent".to_owned())))
        }

        fn batch<'a>(&self, _: Batch<'a>) -> impl Future<Output = Self::BatchResponse> + Send + 'a {
            std::future::ready(Err(Error::Custom("a batch was sent".to_owned())))
        }

        fn notification<'a>(
            &self,
            _: Notification<'a>,
        ) -> impl Future<Output = Self::NotificationResponse> + Send + 'a {
            std::future::ready(Err(Error::Custom("a notification was sent".to_owned())))
        }
    }

    #[tokio::test]
    async fn a_request_longer_than_a_frame_is_not_sent() {
        let mut params = ObjectParams::new();
        params.insert("text", "x".repeat(MAX_MESSAGE_BYTES as usize)).unwrap();
        let params = params.to_rpc_params().unwrap();
        let request = Request::borrowed("turn/start", params.as_deref(), Id::Number(1));
        let Err(Error::Transport(error)) = Bounded(Untouched).call(request).await else {
            panic!("it was taken");
        };
        assert!(error.downcast_ref::<TooLong>().unwrap().bytes > MAX_MESSAGE_BYTES as usize);
    }
}
