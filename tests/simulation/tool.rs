//! Tools whose effects are counted in a world that outlives the daemon. They print, hang, fail and break.

use std::path::Path;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use protocol::item::{
    Command, CommandExit, CommandOutcome, CommandOutput, FileChange, ItemBody, ItemStatus, OtherToolCall,
};
use protocol::question::{Decision, QuestionKind};
use protocol::tool::{ToolCall, ToolInput, ToolSpecification};
use tools::registry::Registry;
use tools::tool::{CallError, RunContext, RunOutcome, Tool};

use crate::clock::pause;
use crate::dice::Dice;
use crate::disk::SimDisk;
use crate::universe::Universe;

/// What a call can be asked to do.
pub(crate) const BEHAVIOURS: &[&str] = &[
    "work", "work", "work", "print", "print", "fail", "panic", "hang", "ask", "ask", "escalate", "escalate",
    "escalate",
];
/// After so long a tool gives up by itself.
const TIMEOUT_MS: u64 = 600_000;

/// One tool; they differ in the items they make.
struct SimTool {
    name: &'static str,
    universe: Arc<Universe>,
    disk: Arc<SimDisk>,
    dice: Arc<Dice>,
}

/// The tools of a daemon.
pub(crate) fn registry(universe: &Arc<Universe>, disk: &Arc<SimDisk>) -> Registry {
    let dice = Arc::new(universe.dice.fork());
    let tool = |name| {
        let (universe, disk, dice) = (Arc::clone(universe), Arc::clone(disk), Arc::clone(&dice));
        Arc::new(SimTool { name, universe, disk, dice })
    };
    Registry::new(tool("command"), tool("change"), vec![tool("other")])
}

impl Tool for SimTool {
    fn specification(&self) -> ToolSpecification {
        let input = ToolInput::Json { schema: serde_json::json!({"type": "object"}) };
        ToolSpecification { name: self.name.into(), description: "By chance".into(), input }
    }

    fn prepare(&self, call: &ToolCall, cwd: &Path) -> Result<ItemBody, CallError> {
        let (call, text) = (call.clone(), call.input.text().to_owned());
        Ok(match self.name {
            "command" => ItemBody::Command(Command {
                call,
                argv: vec![text.clone()],
                cwd: cwd.to_owned(),
                is_escalated: text.starts_with("escalate"),
                command: text,
                justification: None,
                has_terminal: false,
                process_id: None,
                timeout_ms: None,
                output_so_far: String::new(),
                outcome: None,
                message: None,
            }),
            "change" => ItemBody::FileChange(FileChange { call, changes: Vec::new(), message: None }),
            _ => ItemBody::ToolCall(OtherToolCall {
                call,
                server: None,
                consent: None,
                output: None,
                content: Vec::new(),
                structured: None,
            }),
        })
    }

    fn run(&self, body: ItemBody, context: RunContext) -> BoxFuture<'static, RunOutcome> {
        let universe = Arc::clone(&self.universe);
        let (disk, dice) = (Arc::clone(&self.disk), Arc::clone(&self.dice));
        Box::pin(async move {
            let _alone = universe.alone("calls");
            let call = body.call().unwrap().clone();
            disk.check_may_run(&call);
            universe.fuse.point().await;
            if dice.percent(30) {
                pause(dice.between(0..=1000)).await;
            }
            universe.effect(&call.call_id);
            universe.fuse.point().await;
            let behaviour = call.input.text().split(' ').next().unwrap().to_owned();
            // Only commands print what people can watch.
            let is_command = matches!(body, ItemBody::Command(_));
            let pieces = match behaviour.as_str() {
                "print" if is_command => dice.between(1..=8),
                _ if is_command => dice.between(0..=1),
                _ => 0,
            };
            let mut printed = String::new();
            for number in 0..pieces {
                let text = format!("líne {number}\n");
                printed.push_str(&text);
                // Nobody watches any more when it fails.
                let _ = context.progress.send(text).await;
                pause(dice.between(0..=400)).await;
            }
            let status = match behaviour.as_str() {
                // As a panic, without its noise.
                "panic" => std::panic::resume_unwind(Box::new("by chance")),
                "fail" => ItemStatus::Failed,
                "ask" => {
                    let kind = QuestionKind::Tool {
                        server: None,
                        tool: "sim".into(),
                        arguments: call.call_id.clone(),
                        definition: None,
                    };
                    tokio::select! {
                        biased;
                        decision = context.asker.ask(kind, "by chance".into()) => match decision {
                            Decision::Allow { .. } => ItemStatus::Completed,
                            _ => ItemStatus::Failed,
                        },
                        () = pause(TIMEOUT_MS) => ItemStatus::Failed,
                    }
                }
                "hang" => {
                    tokio::select! {
                        biased;
                        () = context.cancel.cancelled() => {}
                        () = pause(TIMEOUT_MS) => {}
                    }
                    ItemStatus::Failed
                }
                _ => ItemStatus::Completed,
            };
            universe.fuse.point().await;
            RunOutcome { status, body: ended(body, printed) }
        })
    }
}

fn ended(body: ItemBody, printed: String) -> ItemBody {
    match body {
        ItemBody::Command(mut command) => {
            let total_bytes = printed.len() as u64;
            let output = CommandOutput { head: printed, total_bytes, ..CommandOutput::default() };
            let exit = CommandExit::Code { code: 0 };
            command.outcome = Some(CommandOutcome { exit, duration_ms: 0, output, refusals: Vec::new() });
            ItemBody::Command(command)
        }
        ItemBody::ToolCall(mut call) => {
            call.output = Some(printed);
            ItemBody::ToolCall(call)
        }
        other @ (ItemBody::FileChange(_)
        | ItemBody::UserMessage(_)
        | ItemBody::AgentMessage(_)
        | ItemBody::Reasoning(_)
        | ItemBody::Plan(_)
        | ItemBody::Notice(_)
        | ItemBody::WebSearch(_)
        | ItemBody::Compaction(_)
        | ItemBody::Agent(_)
        | ItemBody::Review(_)
        | ItemBody::Unknown(_)) => other,
    }
}
