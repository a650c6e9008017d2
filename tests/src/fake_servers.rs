//! Servers that Skein asks beside a model's API, over real HTTP: Ollama, LM Studio, and a server of accounts that
//! misbehaves when told to. Know nothing of Skein.

pub mod accounts;
pub mod http;
pub mod language;
pub mod lm_studio;
pub mod mcp;
pub mod ollama;
pub mod protected;
