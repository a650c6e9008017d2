//! Whatever was said and done, what the model is shown after a compaction fits, and is a conversation that every API
//! takes. Histories are drawn at random, from seeds that a failure names.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::path::Path;

use context::{carried, compaction, history, size};
use model::request::{InputContent, InputItem};
use protocol::context::{Compaction, CompactionReason, ModelContext};
use protocol::ids::{ClientId, ItemId, Timestamp, TurnId};
use protocol::item::{
    AgentMessage, ChangeKind, ChangedFile, Command, CommandExit, CommandOutcome, CommandOutput, FileChange,
    Item, ItemBody, ItemStatus, OtherToolCall, Plan, PlanStep, PlanStepStatus, UserMessage,
};
use protocol::model::Usage;
use protocol::tool::{CallInput, ToolCall};
use protocol::turn::{Actor, InputPart, Turn};

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % end
    }

    /// Mostly short, now and then long.
    fn text(&mut self) -> String {
        let length = [3, 40, 400, 30_000][usize::try_from(self.below(4)).unwrap()];
        let letters = ["word ", "Grüße\n", "漢字", "```\n", "x"];
        let mut text = String::new();
        while text.len() < length {
            text.push_str(letters[usize::try_from(self.below(5)).unwrap()]);
        }
        text
    }

    fn status(&mut self) -> ItemStatus {
        match self.below(8) {
            0 => ItemStatus::Failed,
            1 => ItemStatus::Interrupted,
            2 => ItemStatus::Discarded,
            3 => ItemStatus::Declined,
            _ => ItemStatus::Completed,
        }
    }
}

fn actor() -> Actor {
    Actor { client_id: ClientId::generate(), name: "test".into() }
}

fn item(step: u32, status: ItemStatus, body: ItemBody) -> Item {
    Item {
        id: ItemId::generate(),
        turn_id: TurnId::generate(),
        step,
        status,
        started_at: Timestamp(0),
        completed_at: None,
        called_by: None,
        body,
    }
}

fn said(step: u32, text: String) -> Item {
    let content = vec![InputPart::Text { text }];
    let message = UserMessage { content, actor: actor(), is_steer: step > 0 };
    item(step, ItemStatus::Completed, ItemBody::UserMessage(message))
}

fn call(name: &str, text: String) -> ToolCall {
    ToolCall { call_id: ItemId::generate().to_string(), name: name.into(), input: CallInput::Json(text) }
}

fn command(text: &str, code: i32, printed: &str) -> ItemBody {
    let output =
        CommandOutput { head: printed.into(), total_bytes: printed.len() as u64, ..CommandOutput::default() };
    let exit = CommandExit::Code { code };
    ItemBody::Command(Command {
        call: call("shell", text.into()),
        command: text.into(),
        argv: vec!["sh".into()],
        cwd: "/repo".into(),
        is_escalated: false,
        justification: None,
        has_terminal: false,
        process_id: None,
        timeout_ms: None,
        output_so_far: String::new(),
        outcome: Some(CommandOutcome { exit, duration_ms: 1, output, refusals: Vec::new() }),
        message: None,
    })
}

fn change(path: &str, kind: ChangeKind) -> ItemBody {
    let changed = ChangedFile { path: path.into(), kind, moved_to: None, diff: String::new() };
    ItemBody::FileChange(FileChange {
        call: call("apply_patch", String::new()),
        changes: vec![changed],
        message: None,
    })
}

fn plan(steps: &[(&str, PlanStepStatus)]) -> ItemBody {
    let step =
        |(text, status): &(&str, PlanStepStatus)| PlanStep { text: (*text).into(), status: status.clone() };
    ItemBody::Plan(Plan {
        call: call("update_plan", "{}".into()),
        explanation: None,
        steps: steps.iter().map(step).collect(),
        message: None,
    })
}

fn turn(items: Vec<Item>) -> Turn {
    Turn {
        id: TurnId::generate(),
        actor: actor(),
        started_at: Timestamp(0),
        ended_at: None,
        outcome: None,
        usage: Usage::default(),
        cost: None,
        is_rewound: false,
        items,
    }
}

fn drawn(dice: &mut Dice) -> Turn {
    let mut items = vec![said(0, dice.text())];
    for step in 0..u32::try_from(dice.below(6)).unwrap() {
        if dice.below(3) == 0 {
            items.push(said(step, dice.text()));
        }
        for _ in 0..dice.below(5) {
            let text = dice.text();
            let body = match dice.below(5) {
                0 => ItemBody::AgentMessage(AgentMessage { text }),
                1 => command(&text, i32::try_from(dice.below(2)).unwrap(), &dice.text()),
                2 => change(&format!("/repo/{}", dice.below(50)), ChangeKind::Update),
                3 => plan(&[(&text, PlanStepStatus::Pending)]),
                _ => ItemBody::ToolCall(OtherToolCall {
                    call: call("t", text),
                    server: None,
                    consent: None,
                    output: Some(dice.text()),
                    content: Vec::new(),
                    structured: None,
                }),
            };
            items.push(item(step, dice.status(), body));
        }
    }
    turn(items)
}

/// Compacts before a step of the last turn, as a session does.
fn compact(turns: &mut [Turn], step: u32, summary: &str, context: &ModelContext) {
    let before = compaction::before(turns, step);
    let body = Compaction {
        reason: CompactionReason::Full,
        instructions: None,
        tokens_before: None,
        summary: compaction::kept(summary, context),
        carried: carried::of(&before, &[], Path::new("/repo"), compaction::room(context)),
        opaque: Vec::new(),
        message: None,
    };
    let compacted = item(step, ItemStatus::Completed, ItemBody::Compaction(body));
    turns.last_mut().unwrap().items.push(compacted);
}

/// Every call has its outcome behind it, before anybody else speaks; nothing else is an outcome.
fn check_form(input: &[InputItem], seed: u64) {
    assert!(matches!(input.first(), Some(InputItem::UserMessage(_))), "seed {seed}: who speaks first");
    let mut open = BTreeSet::new();
    for item in input {
        match item {
            InputItem::ToolCall(call) => assert!(open.insert(call.call_id.clone()), "seed {seed}"),
            InputItem::ToolOutput { call_id, .. } => {
                assert!(open.remove(call_id), "seed {seed}: an outcome without a call");
            }
            InputItem::UserMessage(content) => {
                assert!(open.is_empty(), "seed {seed}: a call without its outcome");
                assert!(!content.is_empty(), "seed {seed}");
            }
            InputItem::AgentMessage(_) | InputItem::Reasoning(_) => {}
        }
    }
    assert!(open.is_empty(), "seed {seed}: a call without its outcome");
}

#[test]
fn whatever_was_said_the_next_request_fits_and_is_well_formed() {
    for seed in 0..150 {
        let mut dice = Dice(seed);
        let window = [8_000, 16_000, 32_000, 200_000, 1_000_000][usize::try_from(dice.below(5)).unwrap()];
        let context = ModelContext { window_tokens: Some(window), ..ModelContext::default() };
        let mut turns: Vec<Turn> = Vec::new();
        for _ in 0..=dice.below(4) {
            turns.push(drawn(&mut dice));
            if dice.below(2) == 0 {
                let step = u32::try_from(dice.below(7)).unwrap();
                compact(&mut turns, step, &dice.text(), &context);
            }
            check_form(&history::conversation(&turns, &|_| None, &|_| true), seed);
        }
        let last = turns.last().unwrap().items.iter().map(|item| item.step).max().unwrap() + 1;
        compact(&mut turns, last, &dice.text(), &context);
        let input = history::conversation(&turns, &|_| None, &|_| true);
        check_form(&input, seed);
        assert_eq!(input.len(), 1, "seed {seed}: nothing stands beside it");
        let most = compaction::most_tokens(&context).unwrap();
        let tokens = size::of_input(&input) / 3;
        assert!(tokens <= most / 2 + 300, "seed {seed}: {tokens} of {most}");
        assert!(
            !compaction::has_something(&turns, u32::MAX),
            "seed {seed}: there is nothing to compact again"
        );
    }
}

#[test]
fn a_conversation_told_as_text_keeps_to_its_size() {
    for seed in 0..50 {
        let mut dice = Dice(seed);
        let turns: Vec<Turn> = (0..3).map(|_| drawn(&mut dice)).collect();
        let input = history::conversation(&turns, &|_| None, &|_| true);
        for most in [3_000, 20_000, 1_000_000] {
            let told = compaction::order_of_transcript(Some("dwell"), &input, most);
            let bytes = size::of_input(&[told]);
            assert!(bytes <= most as u64 + 32, "seed {seed}: {bytes} of {most}");
        }
    }
}

#[test]
fn what_matters_stands_there_word_for_word() {
    let done = ItemStatus::Completed;
    let turns = [
        turn(vec![
            said(0, "Mend the sum.\nTouch nothing else.".into()),
            item(0, done.clone(), command("cargo test", 101, "sum: FAILED")),
            item(0, done.clone(), command("grep -r sum", 1, "")),
            item(0, done.clone(), command("cargo clippy", 1, "warning")),
            item(1, done.clone(), change("/repo/src/sum.rs", ChangeKind::Update)),
            item(1, ItemStatus::Failed, change("/repo/src/no.rs", ChangeKind::Add)),
        ]),
        turn(vec![
            said(0, "Go on".into()),
            said(1, "in English".into()),
            item(0, done.clone(), command("cargo clippy", 0, "")),
            item(0, done.clone(), change("/repo/old.rs", ChangeKind::Delete)),
            item(0, ItemStatus::Discarded, command("rm -rf /", 0, "")),
            item(
                1,
                done,
                plan(&[("Write", PlanStepStatus::Completed), ("Test", PlanStepStatus::InProgress)]),
            ),
        ]),
    ];
    let touched = [Path::new("/repo/gen.rs"), Path::new("/repo/src/sum.rs")];
    let text = carried::of(&turns, &touched, Path::new("/repo"), 8_000);
    for part in [
        "<message turn=\"1\">\nMend the sum.\nTouch nothing else.\n</message>\n<message turn=\"2\">\nGo on\n",
        "- [x] Write\n- [in progress] Test\n",
        "- `gen.rs`: made, changed or removed by a command\n- `src/sum.rs`: changed in turn 1\n- `old.rs`: removed in turn 2\n",
        "- `cargo test`: exit code 101\n```\nsum: FAILED\n```\n",
        "- turn 1: ran `cargo clippy`\n",
        "- turn 1: changed src/no.rs (failed)\n",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    for part in ["exit code 1\n", "rm -rf", "`src/no.rs`:", "left out"] {
        assert!(!text.contains(part), "{part} in {text}");
    }
}

#[test]
fn what_does_not_fit_is_counted_in_its_place() {
    let items = (0..40).map(|at| said(0, format!("order {at} {}", "x".repeat(60)))).collect();
    let text = carried::of(&[turn(items)], &[], Path::new("/repo"), 2_000);
    assert!(text.contains("Left out here, and older: "), "{text}");
    assert!(text.contains("order 39") && !text.contains("order 1 "), "{text}");
    assert!(text.len() <= 2_000);
    let long = carried::of(&[turn(vec![said(0, "y".repeat(9_000))])], &[], Path::new("/repo"), 2_000);
    assert!(long.contains("of 9000 bytes left out"), "{long}");
}

#[test]
fn what_was_before_a_compaction_is_not_shown_again() {
    let context = ModelContext::default();
    let mut turns = vec![turn(vec![said(0, "old".into())]), turn(vec![said(0, "new".into())])];
    compact(&mut turns, 0, "notes", &context);
    let input = history::conversation(&turns, &|_| None, &|_| true);
    let [InputItem::UserMessage(notes), InputItem::UserMessage(new)] = &input[..] else {
        panic!("{input:?}")
    };
    let [InputContent::Text(notes)] = &notes[..] else { panic!("{notes:?}") };
    assert!(notes.contains("# Notes\n\nnotes\n") && notes.contains("<message turn=\"1\">\nold\n"), "{notes}");
    assert!(matches!(&new[..], [InputContent::Text(text)] if text == "new"));
    // Taken back, it is as if it had never been.
    turns.pop();
    assert_eq!(history::conversation(&turns, &|_| None, &|_| true).len(), 1);
}
