//! `account/*`.

use jsonrpsee::core::RpcResult;
use jsonrpsee::proc_macros::rpc;

use crate::account::{
    AccountListParams, AccountListResult, AccountLoginParams, AccountLoginResult, AccountLogoutParams,
    AccountLogoutResult, AccountSetKeyParams, AccountSetKeyResult, LoginRef, LoginStatus,
};
use crate::session::Done;

/// Keys and accounts.
#[rpc(server, client, namespace = "account", namespace_separator = "/")]
pub trait Account {
    /// Tells what there is for each provider; never a secret.
    #[method(name = "list", with_extensions)]
    async fn list_accounts(&self, params: AccountListParams) -> RpcResult<AccountListResult>;

    /// Keeps a provider's key.
    #[method(name = "setKey", with_extensions)]
    async fn set_key(&self, params: AccountSetKeyParams) -> RpcResult<AccountSetKeyResult>;

    /// Begins to sign in.
    #[method(name = "login", with_extensions)]
    async fn login(&self, params: AccountLoginParams) -> RpcResult<AccountLoginResult>;

    /// Waits until a sign-in ends, at most 20 s.
    #[method(name = "awaitLogin")]
    async fn await_login(&self, params: LoginRef) -> RpcResult<LoginStatus>;

    /// Gives up a sign-in.
    #[method(name = "cancelLogin")]
    async fn cancel_login(&self, params: LoginRef) -> RpcResult<Done>;

    /// Forgets a provider's key or account.
    #[method(name = "logout", with_extensions)]
    async fn logout(&self, params: AccountLogoutParams) -> RpcResult<AccountLogoutResult>;
}
