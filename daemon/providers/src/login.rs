//! Signing in with an account by OAuth 2: in a browser with PKCE (RFC 7636) and a listener on the loopback (RFC
//! 8252), or by a code that is typed elsewhere. And the account afterwards, whose token is renewed in time. Who
//! starts a sign-in owns its future; dropping it ends it and closes the listener.

pub mod account;
pub mod callback;
pub mod oauth;
mod token;
