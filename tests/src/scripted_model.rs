//! A model server that follows a script, over real HTTP. Knows the Responses API and nothing of Skein.

mod body;
pub mod check;
pub mod dead_port;
pub mod file;
#[cfg(test)]
mod probe;
mod render;
pub mod reply;
pub mod request;
mod script;
pub mod server;
mod sse;
