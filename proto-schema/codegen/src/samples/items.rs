//! Samples of items, one of each kind.

use protocol::agent::{AgentReport, AgentStatus};
use protocol::context::{Compaction, CompactionReason};
use protocol::item::{
    AgentMessage, ChangeKind, ChangedFile, Command, CommandExit, CommandOutcome, CommandOutput, FileChange,
    ItemBody, Notice, NoticeLevel, OpaqueReasoning, OtherToolCall, Plan, PlanStep, PlanStepStatus, Reasoning,
    UserMessage,
};
use protocol::review::{Review, ReviewFinding, ReviewSeverity, ReviewVerdict};
use protocol::tool::CallInput;
use protocol::turn::InputPart;
use protocol::web::{WebSearch, WebSource};
use serde_json::json;

use super::{Sample, actor, blob_id, call, item, sample, session_id, turn_id, usage};

pub(super) fn samples() -> Vec<Sample> {
    let bodies = [
        ("userMessage", user_message()),
        ("agentMessage", ItemBody::AgentMessage(AgentMessage { text: "The test passes now.".to_owned() })),
        ("reasoning", reasoning()),
        ("command", command()),
        ("fileChange", file_change()),
        ("toolCall", tool_call()),
        ("plan", plan()),
        ("notice", notice()),
        ("webSearch", web_search()),
        ("compaction", compaction()),
        ("agent", agent()),
        ("review", review()),
    ];
    bodies.into_iter().map(|(variant, body)| sample(format!("item.{variant}"), &item(body))).collect()
}

fn user_message() -> ItemBody {
    ItemBody::UserMessage(UserMessage {
        content: vec![
            InputPart::Text { text: "Make the test pass".to_owned() },
            InputPart::StoredImage { media_type: "image/png".to_owned(), blob: blob_id() },
            InputPart::Skill {
                name: "notes".to_owned(),
                path: "/home/me/.config/skein/skills/notes/SKILL.md".into(),
                text: "Read the log first.".to_owned(),
            },
            InputPart::Resource {
                server: "tracker".to_owned(),
                uri: "issue://7".to_owned(),
                text: "The sum starts at one.".to_owned(),
            },
        ],
        actor: actor(),
        is_steer: false,
    })
}

fn reasoning() -> ItemBody {
    ItemBody::Reasoning(Reasoning {
        summary: "The sum starts at one.".to_owned(),
        opaque: Some(OpaqueReasoning {
            wire_api: "responses".to_owned(),
            item: json!({"encrypted_content": "gAAAA", "id": "rs_1", "summary": [], "type": "reasoning"}),
        }),
    })
}

fn command() -> ItemBody {
    let input = CallInput::Json("{\"command\":\"cargo test\"}".to_owned());
    ItemBody::Command(Command {
        call: call("shell", input),
        command: "cargo test".to_owned(),
        argv: ["bash", "-lc", "cargo test"].map(str::to_owned).to_vec(),
        cwd: "/repo".into(),
        is_escalated: false,
        justification: None,
        has_terminal: false,
        process_id: None,
        timeout_ms: Some(120_000),
        output_so_far: String::new(),
        outcome: Some(CommandOutcome {
            exit: CommandExit::Code { code: 0 },
            duration_ms: 812,
            output: CommandOutput {
                head: "running 400 tests\n".to_owned(),
                tail: "test result: ok\n".to_owned(),
                omitted_bytes: 40_960,
                total_bytes: 40_994,
                blob: Some(blob_id()),
            },
            refusals: Vec::new(),
        }),
        message: None,
    })
}

fn file_change() -> ItemBody {
    let patch = "*** Begin Patch\n*** Update File: src/sum.rs\n@@\n-    let mut sum = 1;\n+    let mut sum = 0;\n\
                 *** End Patch\n";
    ItemBody::FileChange(FileChange {
        call: call("apply_patch", CallInput::Freeform(patch.to_owned())),
        changes: vec![ChangedFile {
            path: "/repo/src/sum.rs".into(),
            kind: ChangeKind::Update,
            moved_to: Some("/repo/src/total.rs".into()),
            diff: "@@ -1 +1 @@\n-    let mut sum = 1;\n+    let mut sum = 0;\n".to_owned(),
        }],
        message: Some("Success. Updated the following files:\nM src/sum.rs\n".to_owned()),
    })
}

fn tool_call() -> ItemBody {
    ItemBody::ToolCall(OtherToolCall {
        call: call("fly", CallInput::Json("{}".to_owned())),
        server: None,
        consent: None,
        output: Some("There is no tool `fly`".to_owned()),
        content: Vec::new(),
        structured: None,
    })
}

fn plan() -> ItemBody {
    let step = |text: &str, status| PlanStep { text: text.to_owned(), status };
    ItemBody::Plan(Plan {
        call: call("update_plan", CallInput::Json("{\"plan\":[]}".to_owned())),
        explanation: Some("The test needs a fixture first".to_owned()),
        steps: vec![
            step("Write the fixture", PlanStepStatus::Completed),
            step("Mend the sum", PlanStepStatus::InProgress),
            step("Run all tests", PlanStepStatus::Pending),
        ],
        message: None,
    })
}

fn agent() -> ItemBody {
    ItemBody::Agent(AgentReport {
        session_id: session_id(),
        turn_id: turn_id(),
        name: "tests".to_owned(),
        status: AgentStatus::Completed,
        message: Some("All tests pass.".to_owned()),
        usage: usage(),
        cost: Some(0.25),
    })
}

fn review() -> ItemBody {
    ItemBody::Review(Review {
        findings: vec![ReviewFinding {
            file: "src/sum.rs".to_owned(),
            path: Some("/repo/src/sum.rs".into()),
            start_line: 3,
            end_line: 4,
            severity: ReviewSeverity::High,
            title: "The sum of nothing is one".to_owned(),
            text: "It starts at one, so an empty list gives one; start at zero.".to_owned(),
        }],
        verdict: Some(ReviewVerdict::NeedsWork),
        summary: "One thing is to be mended.".to_owned(),
        message: Some("1 of 2 findings of the model can't be read".to_owned()),
    })
}

fn notice() -> ItemBody {
    let text = "The sandbox has no namespaces on this machine".to_owned();
    ItemBody::Notice(Notice { level: NoticeLevel::Warning, text, context: None })
}

fn web_search() -> ItemBody {
    let url = "https://example.org/sums".to_owned();
    ItemBody::WebSearch(WebSearch {
        queries: vec!["how sums are mended".to_owned()],
        page: Some(url.clone()),
        sources: vec![WebSource { url, title: Some("Sums".to_owned()) }],
        message: Some("max_uses_exceeded".to_owned()),
        opaque: Some(OpaqueReasoning {
            wire_api: "responses".to_owned(),
            item: json!({"type": "web_search_call", "id": "ws_1"}),
        }),
    })
}

fn compaction() -> ItemBody {
    ItemBody::Compaction(Compaction {
        reason: CompactionReason::Full,
        instructions: Some("Dwell on the parser".to_owned()),
        tokens_before: Some(321_000),
        summary: "The sum was mended; the parser is next.".to_owned(),
        carried: "## What people said\n\n1. Mend the sum.\n".to_owned(),
        opaque: vec![OpaqueReasoning {
            wire_api: "responses:openai".to_owned(),
            item: json!({"type": "compaction", "id": "cmp_1", "encrypted_content": "sealed"}),
        }],
        message: None,
    })
}
