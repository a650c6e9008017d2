//! `session/*`.

use jsonrpsee::core::{RpcResult, SubscriptionResult};
use jsonrpsee::proc_macros::rpc;

use crate::client_tool::SessionRegisterToolsParams;
use crate::context::{SessionCompactParams, SessionCompactResult};
use crate::delta::SessionFeed;
use crate::session::{
    Done, SessionAttachParams, SessionCreateParams, SessionCreateResult, SessionEndCommandParams,
    SessionFocusParams, SessionForkParams, SessionListParams, SessionListResult, SessionReadParams,
    SessionRef, SessionSnapshot, SessionUpdateParams, SessionUpdateResult,
};

/// Makes, shows, changes and ends sessions.
#[rpc(server, client, namespace = "session", namespace_separator = "/")]
pub trait Session {
    /// Makes a session.
    #[method(name = "create", with_extensions)]
    async fn create(&self, params: SessionCreateParams) -> RpcResult<SessionCreateResult>;

    /// Makes a session that begins with the turns of another one. What was taken back, what waits, and leaves for the
    /// session stay behind; files are as they are.
    #[method(name = "fork", with_extensions)]
    async fn fork(&self, params: SessionForkParams) -> RpcResult<SessionCreateResult>;

    /// Lists sessions, newest first.
    #[method(name = "list")]
    async fn list(&self, params: SessionListParams) -> RpcResult<SessionListResult>;

    /// Shows a session without attaching.
    #[method(name = "read")]
    async fn read(&self, params: SessionReadParams) -> RpcResult<SessionSnapshot>;

    /// Changes title or settings.
    #[method(name = "update", with_extensions)]
    async fn update(&self, params: SessionUpdateParams) -> RpcResult<SessionUpdateResult>;

    /// Puts what was said and done in a session into few words, as a turn of its own.
    #[method(name = "compact", with_extensions)]
    async fn compact(&self, params: SessionCompactParams) -> RpcResult<SessionCompactResult>;

    /// Says which tools the calling client has for a session. It must follow the session to be asked for them.
    #[method(name = "registerTools", with_extensions)]
    async fn register_tools(&self, params: SessionRegisterToolsParams) -> RpcResult<Done>;

    /// Ends a command that goes on in the background, and all that it started; what it did stays. The model is told.
    #[method(name = "endCommand", with_extensions)]
    async fn end_command(&self, params: SessionEndCommandParams) -> RpcResult<Done>;

    /// Puts a session away.
    #[method(name = "archive", with_extensions)]
    async fn archive(&self, params: SessionRef) -> RpcResult<Done>;

    /// Removes a session and all that belongs to it.
    #[method(name = "delete", with_extensions)]
    async fn delete(&self, params: SessionRef) -> RpcResult<Done>;

    /// Makes the calling connection, which must follow the session, the only one that may change it, until it
    /// releases it or leaves. Interrupting stays open to all drivers.
    #[method(name = "takeOver", with_extensions)]
    async fn take_over(&self, params: SessionRef) -> RpcResult<Done>;

    /// Lets the others write again.
    #[method(name = "release", with_extensions)]
    async fn release(&self, params: SessionRef) -> RpcResult<Done>;

    /// Tells that the window which shows the session has the focus, or has lost it. While one has it, nobody is called
    /// to the session by the settings' `notify` program.
    #[method(name = "focus", with_extensions)]
    async fn focus(&self, params: SessionFocusParams) -> RpcResult<Done>;

    /// Follows a session: a snapshot or the events since a place, and then all that happens.
    #[subscription(name = "attach" => "feed", unsubscribe = "detach", item = SessionFeed, with_extensions)]
    async fn attach(&self, params: SessionAttachParams) -> SubscriptionResult;
}
