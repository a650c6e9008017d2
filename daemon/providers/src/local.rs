//! Servers of models on this machine: Ollama and LM Studio. Whether one runs, what it has, bringing a model into
//! memory and out of it, and fetching one. What is asked of a model goes over its Chat Completions API, like
//! anybody's.

mod lm_studio;
mod ollama;
pub mod prepared;
pub mod server;
