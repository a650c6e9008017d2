//! Sessions with a real store, a model that follows a script, and a tool that echoes.

mod feeds;
mod fixture;
mod lives;
mod recovery;
mod sharing;
mod turns;
