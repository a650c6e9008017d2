//! What is asked of a model and what it answers, neutral of every provider; the trait that each wire API
//! implements; and the replay model, which follows a script. Knows nothing of HTTP, sessions or tools.
//!
//! A `ModelRequest` holds everything that is sent. A client turns it into its provider's bytes in a stable
//! order, so that the bytes of one request are a prefix of the next one's up to the new items. The answer is a
//! stream of `ModelEvent`s that ends with `Completed` or an error. Retries happen inside the client: it says
//! `Retrying`, and everything that the stream told of this answer before is void.

pub mod catalogue;
pub mod client;
pub mod contract;
pub mod event;
pub mod limits;
pub mod replay;
pub mod request;
