//! The one method table. Each resource has a trait that jsonrpsee turns into a server and a client.
//! Parameters travel as one JSON object by name; `methods` lists them for documents and tests.

pub mod config;
pub mod daemon;
pub mod initialize;
pub mod methods;
pub mod question;
pub mod session;
pub mod turn;
