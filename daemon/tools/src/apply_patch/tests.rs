//! From a call to an item and its outcome.

use protocol::profile::Profile;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::diagnostics::{Diagnostics, Edited, NoDiagnostics};
use crate::judge::NoJudge;
use crate::output::tests::MemorySpools;
use crate::tool::{NobodyToAsk, NothingToCall, action};

const PATCH: &str = "*** Begin Patch\n*** Add File: a\n+x\n*** End Patch\n";

fn call(name: &str, input: CallInput) -> ToolCall {
    ToolCall { call_id: "1".to_owned(), name: name.to_owned(), input }
}

fn freeform(text: &str) -> ToolCall {
    call(NAME, CallInput::Freeform(text.to_owned()))
}

fn prepare(call: &ToolCall, cwd: &Path) -> FileChange {
    let body = if call.name == shell::NAME {
        let command = shell::understand(call, cwd, "sh").expect("command");
        from_shell(call, &command.argv, &command.cwd).expect("a patch")
    } else {
        ApplyPatch.prepare(call, cwd).expect("a patch")
    };
    match body {
        ItemBody::FileChange(change) => change,
        other => panic!("{other:?}"),
    }
}

fn context(cwd: &Path, profile: Profile) -> RunContext {
    RunContext {
        cwd: cwd.into(),
        profile: Arc::new(profile),
        environment: Arc::new([]),
        spools: Arc::new(MemorySpools::default()),
        asker: Arc::new(NobodyToAsk),
        agents: Arc::new(crate::agents::NoAgents),
        caller: Arc::new(NothingToCall),
        judge: Arc::new(NoJudge),
        belongings: Arc::default(),
        diagnostics: Arc::new(NoDiagnostics),
        progress: mpsc::channel(1).0,
        reports: mpsc::channel(1).0,
        cancel: CancellationToken::new(),
    }
}

async fn run(change: FileChange, context: RunContext) -> (ItemStatus, FileChange) {
    let outcome = ApplyPatch.run(ItemBody::FileChange(change), context).await;
    match outcome.body {
        ItemBody::FileChange(change) => (outcome.status, change),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn every_way_to_hand_over_a_patch_leads_to_the_same_place() {
    let shell = |arguments: serde_json::Value| call(shell::NAME, CallInput::Json(arguments.to_string()));
    let heredoc = format!("apply_patch <<'EOF'\n{PATCH}EOF");
    for (call, expected) in [
        (freeform(PATCH), "a"),
        (freeform(&format!("<<EOF\n{PATCH}EOF")), "a"),
        (call(NAME, CallInput::Json(serde_json::json!({"input": PATCH}).to_string())), "a"),
        (shell(serde_json::json!({"command": heredoc})), "a"),
        (shell(serde_json::json!({"command": ["bash", "-lc", heredoc]})), "a"),
        (shell(serde_json::json!({"command": format!("cd d && {heredoc}")})), "d/a"),
        (shell(serde_json::json!({"command": format!("cd d && {heredoc}"), "workdir": "w"})), "w/d/a"),
    ] {
        let scratch = tempfile::tempdir().expect("scratch");
        let cwd = scratch.path().canonicalize().expect("real");
        let planned = prepare(&call, &cwd);
        assert_eq!(planned.message, None);
        assert!(action(&ItemBody::FileChange(planned.clone())).is_some());
        let expected = cwd.join(expected);
        assert_eq!(
            (&planned.changes[0].path, planned.changes[0].diff.as_str()),
            (&expected, "@@ -0,0 +1 @@\n+x\n")
        );
        let (status, change) = run(planned, context(&cwd, unrestricted())).await;
        assert_eq!(status, ItemStatus::Completed, "{:?}", change.message);
        assert_eq!(change.message.as_deref(), Some("Success. Updated the following files:\nA a"));
        assert_eq!(change.changes[0].path, expected);
        assert_eq!(std::fs::read_to_string(expected).expect("file"), "x\n");
    }
}

#[tokio::test]
async fn a_text_that_is_no_patch_is_an_item_that_has_failed() {
    let cwd = Path::new("/nowhere");
    let bare = call(shell::NAME, CallInput::Json(serde_json::json!({"command": PATCH}).to_string()));
    for (call, expected) in [
        (freeform("hello"), "Invalid patch: The first line"),
        (freeform("*** Begin Patch\n*** End Patch"), "No files were modified."),
        (bare, "This is a patch, not a command."),
    ] {
        let planned = prepare(&call, cwd);
        // Nobody is asked about what can't happen.
        assert_eq!(action(&ItemBody::FileChange(planned.clone())), None);
        let (status, change) = run(planned.clone(), context(cwd, unrestricted())).await;
        assert_eq!((status, &change), (ItemStatus::Failed, &planned));
        assert!(change.message.is_some_and(|message| message.starts_with(expected)));
    }
}

#[test]
fn arguments_that_are_no_json_are_the_models_to_mend() {
    for text in ["{", "{}", "{\"input\": 1}"] {
        let call = call(NAME, CallInput::Json(text.to_owned()));
        let error = ApplyPatch.prepare(&call, Path::new("/")).expect_err("refused").to_string();
        assert!(error.starts_with("The arguments of `apply_patch` can't be read: "), "{error}");
    }
}

#[tokio::test]
async fn a_patch_that_is_not_allowed_says_what_and_why() {
    let scratch = tempfile::tempdir().expect("scratch");
    let cwd = scratch.path().canonicalize().expect("real");
    let mut read_only = unrestricted();
    read_only.mode = protocol::profile::SandboxMode::ReadOnly;
    read_only.default_access = protocol::profile::Access::Read;
    let (status, change) = run(prepare(&freeform(PATCH), &cwd), context(&cwd, read_only)).await;
    let place = cwd.join("a");
    let expected = format!(
        "Failed to write file a (line 2 of the patch): `{}` may not be written in this session\nNothing was changed.",
        place.display()
    );
    assert_eq!((status, change.message), (ItemStatus::Failed, Some(expected)));
    assert!(!place.exists());
}

#[tokio::test]
async fn an_interrupted_call_changes_nothing() {
    let scratch = tempfile::tempdir().expect("scratch");
    let context = context(scratch.path(), unrestricted());
    context.cancel.cancel();
    let (status, _) = run(prepare(&freeform(PATCH), scratch.path()), context).await;
    assert_eq!(status, ItemStatus::Interrupted);
    assert!(!scratch.path().join("a").exists());
}

#[test]
fn a_person_may_apply_a_patch_anywhere() {
    let scratch = tempfile::tempdir().expect("scratch");
    let told = apply_by_hand(PATCH, scratch.path(), Mode::AllOrNothing).expect("applied");
    assert_eq!(told, "Success. Updated the following files:\nA a");
}

#[test]
fn the_model_is_told_in_few_bytes() {
    let specification = ApplyPatch.specification();
    let ToolInput::Freeform { grammar: Some(grammar) } = specification.input else { panic!("freeform") };
    assert!(specification.description.len() <= 900, "{}", specification.description.len());
    assert!(grammar.definition.len() <= 600, "{}", grammar.definition.len());
}

/// Tells which files it was asked about, and something for a terminal.
struct Echo;

impl Diagnostics for Echo {
    fn look(&self, cwd: &Path, edited: Vec<Edited>) -> futures_util::future::BoxFuture<'static, String> {
        let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "nothing".to_owned());
        let told = |file: &Edited| {
            let path = file.path.strip_prefix(cwd).expect("below").display();
            format!("{path}: {:?} -> {:?}", text(&file.before), text(&file.after))
        };
        let told: Vec<_> = edited.iter().map(told).collect();
        Box::pin(std::future::ready(format!("{}\u{1b}[2J", told.join("\n"))))
    }
}

#[tokio::test]
async fn what_is_found_wrong_is_told_of_each_file_as_it_was_and_is() {
    let scratch = tempfile::tempdir().expect("scratch");
    let root = scratch.path().canonicalize().expect("real");
    for (name, text) in [("kept", "a\n"), ("gone", "b\n"), ("moved", "c\n"), ("same", "d\n")] {
        std::fs::write(root.join(name), text).expect("file");
    }
    std::fs::write(root.join("bytes"), [0xff, b'\n']).expect("file");
    let patch = "*** Begin Patch\n*** Update File: kept\n@@\n-a\n+A\n*** Update File: kept\n@@\n-A\n+AA\n\
        *** Delete File: gone\n*** Update File: moved\n*** Move to: there\n@@\n-c\n+C\n*** Add File: new\n+e\n\
        *** Update File: same\n@@\n-d\n+d\n*** Delete File: bytes\n*** End Patch\n";
    let call = call(NAME, CallInput::Freeform(patch.to_owned()));
    let mut context = context(&root, unrestricted());
    context.diagnostics = Arc::new(Echo);
    let (status, change) = run(prepare(&call, &root), context.clone()).await;
    assert_eq!(status, ItemStatus::Completed, "{change:?}");
    let message = change.message.expect("message");
    let (_, told) = message.split_once("D bytes\n").expect("after the summary");
    let lines: Vec<_> = told.lines().collect();
    assert_eq!(
        lines,
        [
            r#"kept: "a\n" -> "AA\n""#,
            r#"gone: "b\n" -> "nothing""#,
            r#"moved: "c\n" -> "nothing""#,
            r#"there: "nothing" -> "C\n""#,
            r#"new: "nothing" -> "e\n"\u{1b}[2J"#,
        ]
    );
}
