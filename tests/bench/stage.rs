//! A model server that answers at once, a home that points at it, and the programs that are compared. Knows what
//! a turn looks like on the model's side.

use std::path::Path;

use serde_json::json;
use skein_tests::environment::process::Invocation;
use skein_tests::scripted_model::reply::{Answer, Reply};
use skein_tests::scripted_model::request::Request;
use skein_tests::scripted_model::server::Options;
use skein_tests::{ScriptedModel, TestEnv};

use crate::measure::Failure;

/// What the model says in a plain turn.
pub(crate) const ANSWER: &str = "The build works again: the test expected the old name of the function.";

/// A server and a home.
pub(crate) struct Stage {
    pub(crate) model: ScriptedModel,
    pub(crate) env: TestEnv,
}

impl Stage {
    /// With a model that decides by the request.
    pub(crate) fn new(
        executable: &Path,
        answering: impl FnMut(&Request) -> Reply + Send + 'static,
    ) -> Result<Self, Failure> {
        let model = ScriptedModel::answering(Options::default(), answering)?;
        let env = TestEnv::with_executable(executable.to_owned(), &model.base_url())?;
        Ok(Self { model, env })
    }

    /// With a model that always gives the plain answer, in a few pieces.
    pub(crate) fn plain(executable: &Path) -> Result<Self, Failure> {
        Self::new(executable, |_| Answer::new().text(ANSWER).in_pieces(8).into())
    }

    /// `skein exec` with these arguments.
    pub(crate) fn exec(&self, arguments: &[&str]) -> Invocation {
        self.env.command(["exec"].iter().chain(arguments).copied())
    }

    /// `curl`, which streams the same answer from the same server.
    pub(crate) fn curl(&self) -> Invocation {
        let body = json!({"model": "scripted", "input": "hello", "stream": true}).to_string();
        let url = format!("{}/responses", self.model.base_url());
        let arguments = ["-sSN", "-H", "content-type: application/json", "-d", &body, &url];
        bare("curl", &arguments)
    }
}

/// A program with nothing but a `PATH`.
pub(crate) fn bare(program: &str, arguments: &[&str]) -> Invocation {
    let path = std::env::var_os("PATH").unwrap_or_default();
    Invocation::new(program, arguments.iter().copied(), "/").variable("PATH", path)
}
