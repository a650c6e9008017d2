//! Signing in with servers over HTTP, by OAuth 2.1. The protocol itself (discovery, registration, PKCE, the check of
//! the issuer) is in `rmcp`; here is what it is held to, what is kept, and who renews it.

pub(crate) mod account;
pub(crate) mod accounts;
pub(crate) mod client;
pub(crate) mod grant;
pub(crate) mod login;
pub(crate) mod place;
pub(crate) mod secrets;
