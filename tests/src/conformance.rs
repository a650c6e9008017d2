//! What the published conformance suite of MCP is run against: `server` is Skein as an MCP server with the tools,
//! resources and prompts that the suite asks for (`fixtures`), behind a `door` that shows the token for who has none;
//! `client` is Skein's client, which connects to the suite's servers and uses all that they offer. Knows nothing of the
//! suite's scenarios but what they want to be there.

pub mod client;
pub mod door;
pub mod fixtures;
pub mod server;
