//! The harness of the tests that run the real binary: a model server that follows a script, and a home of its
//! own for each test. Knows nothing of the daemon's insides; it sees what a user sees, or, through `rpc`, what any
//! client does.
//!
//! A test starts a `ScriptedModel` (a real HTTP server on the loopback that speaks the Responses API and can
//! misbehave on demand), makes a `TestEnv` that points a scratch home's settings at it, and runs the binary
//! with `TestEnv::run` or `TestEnv::spawn`. Everything a `TestEnv` started ends with it. At the end
//! `ScriptedModel::verify` tells whether every request was well formed and the script was used up.
//!
//! A test that can't run on a machine returns `skip::skipped` with the reason: it then counts as skipped, and
//! fails in CI.
//!
//! Nothing here panics: each step returns a `HarnessError` that a test unwraps.

pub mod conformance;
pub mod environment;
pub mod error;
pub mod fake_servers;
pub mod peer;
pub mod published_clients;
pub mod published_types;
pub mod rpc;
pub mod scripted_model;
pub mod sdk;
pub mod set_up;
pub mod skip;

pub use environment::test_env::TestEnv;
pub use scripted_model::server::ScriptedModel;
