//! What a call of `js_repl` takes once its interpreter runs: the tool itself, in a sandbox, without a session.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use futures_util::future::BoxFuture;
use javascript::JsRepl;
use protocol::ids::BlobId;
use protocol::item::ItemStatus;
use protocol::profile::{Access, NetworkAccess, Profile, SandboxMode};
use protocol::tool::{CallInput, ToolCall};
use sandbox::Launcher;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tools::diagnostics::NoDiagnostics;
use tools::judge::NoJudge;
use tools::output::{Spool, Spools};
use tools::tool::{NobodyToAsk, NothingToCall, RunContext, Tool};

use crate::measure::{Failure, Runs, median_ms};
use crate::table::Table;

/// What a call may take after the first.
const MOST_MS: f64 = 5.0;

struct NoSpools;

impl Spools for NoSpools {
    fn open(&self) -> BoxFuture<'_, std::io::Result<Box<dyn Spool>>> {
        Box::pin(std::future::ready(Err(std::io::ErrorKind::Unsupported.into())))
    }

    fn read<'a>(&'a self, _blob: &'a BlobId) -> BoxFuture<'a, std::io::Result<Option<Vec<u8>>>> {
        Box::pin(std::future::ready(Ok(None)))
    }
}

/// A call after the first.
pub(crate) fn call(executable: &Path, runs: Runs, table: &mut Table) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let took = runtime.map_err(Failure::of)?.block_on(calls(executable, runs.pick(200, 20)))?;
    table.at_most("js_repl, a call after the first", median_ms(took), MOST_MS, "ms");
    Ok(())
}

async fn calls(executable: &Path, count: usize) -> Result<Vec<std::time::Duration>, Failure> {
    let launcher = Arc::new(Launcher::new(executable.to_owned(), None));
    let tool = JsRepl::new(launcher, executable.to_owned());
    let profile = Profile::new(SandboxMode::WorkspaceWrite, Access::Read, Vec::new(), NetworkAccess::Off);
    let context = RunContext {
        cwd: Path::new("/").into(),
        profile: Arc::new(profile),
        environment: Arc::new([]),
        spools: Arc::new(NoSpools),
        asker: Arc::new(NobodyToAsk),
        agents: Arc::new(tools::agents::NoAgents),
        caller: Arc::new(NothingToCall),
        judge: Arc::new(NoJudge),
        diagnostics: Arc::new(NoDiagnostics),
        belongings: Arc::default(),
        progress: mpsc::channel(64).0,
        reports: mpsc::channel(1).0,
        cancel: CancellationToken::new(),
    };
    let input = CallInput::Json(r#"{"code": "var n = (globalThis.n ?? 0) + 1; n"}"#.to_owned());
    let made = ToolCall { call_id: "1".to_owned(), name: "js_repl".to_owned(), input };
    let mut took = Vec::new();
    for number in 0..=count {
        let body = tool.prepare(&made, Path::new("/")).map_err(Failure::of)?;
        let began = Instant::now();
        let outcome = tool.run(body, context.clone()).await;
        if outcome.status != ItemStatus::Completed {
            return Err(Failure::of(format!("js_repl failed: {:?}", outcome.body)));
        }
        if number > 0 {
            took.push(began.elapsed());
        }
    }
    Ok(took)
}
