//! The decisions of a session: `step` is the pure function from a state and an input to effects.

mod agent;
mod answer;
mod background;
mod beside;
pub(crate) mod budget;
mod calls;
pub(crate) mod compaction;
mod ending;
mod hooks;
pub(crate) mod judgement;
mod late;
mod nested;
mod question;
pub(crate) mod request;
mod restart;
mod review;
pub mod step;
#[cfg(test)]
mod tests;
