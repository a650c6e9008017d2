//! The tree of agents: sessions that the model of another session started, so that they work for it.
//!
//! An agent is a session like any other, with a log, an actor and turns of its own; what it has beside is where it comes
//! from, in its first event. So attaching, questions, ceilings, rewinding and what becomes of a turn after a crash are
//! what they are for every session, and nothing of that is here. `tree` is what is: it starts agents within limits,
//! stops those below a session whose turn was stopped, tells a session what its agents came to, and removes agents whose
//! parent is gone. `reach` is the same as the tools of one session see it, who may reach what is below and nothing else.
//! `state` tells what an agent is doing, by its session. `family` is the order of a tree,
//! `starting` who may start one in it now, `missed` finds those that ended as the daemon did. `office` is what the daemon
//! has to say: the limits, and what holds in a new agent.
//!
//! An agent's session has the id of the call that started it, so that no call starts two.
//!
//! Knows nothing of JSON-RPC, providers or files.

mod family;
mod missed;
pub mod office;
mod reach;
mod starting;
mod state;
pub mod tree;
