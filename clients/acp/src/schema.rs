//! The part of the Agent Client Protocol, version 1, that is used here (agentclientprotocol.com/protocol/v1). The
//! published crate of its types can't be used: it makes all maps of JSON in the executable keep their order, and so
//! changes what the daemon sends and stores.

pub(crate) mod content;
pub(crate) mod option;
pub(crate) mod request;
pub(crate) mod update;
