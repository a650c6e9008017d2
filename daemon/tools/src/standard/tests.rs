//! The tools as a session uses them: what they tell, what they refuse, and how they end.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use image::{ImageBuffer, ImageFormat, Rgb};
use protocol::item::{ItemBody, ItemStatus, PlanStepStatus, ToolContent};
use protocol::profile::{Access, GlobRule, NetworkAccess, PathRule, Profile, SandboxMode};
use protocol::question::{Decision, GrantScope, QuestionKind};
use protocol::tool::{CallInput, ToolCall};
use sandbox::Launcher;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::registry;
use crate::diagnostics::NoDiagnostics;
use crate::judge::NoJudge;
use crate::output::tests::MemorySpools;
use crate::registry::Registry;
use crate::tool::{Asker, NobodyToAsk, NothingToCall, RunContext, action};

/// At once, on a machine that does other things too.
pub(crate) const PROMPT: Duration = Duration::from_secs(20);

/// A session in a folder.
pub(crate) struct Scene {
    _folder: tempfile::TempDir,
    pub(crate) root: PathBuf,
    pub(crate) tools: Registry,
    pub(crate) context: RunContext,
    spools: MemorySpools,
}

/// Answers every question alike, and keeps them.
struct Answering(Decision, Mutex<Vec<QuestionKind>>);

impl Asker for Answering {
    fn ask(&self, kind: QuestionKind, _reason: String) -> BoxFuture<'_, Decision> {
        self.1.lock().expect("lock").push(kind);
        Box::pin(std::future::ready(self.0.clone()))
    }
}

impl Scene {
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("scratch");
        let root = folder.path().canonicalize().expect("real");
        for (path, content) in files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().expect("parent")).expect("folder");
            fs::write(path, content).expect("file");
        }
        let mut profile =
            Profile::new(SandboxMode::WorkspaceWrite, Access::Write, Vec::new(), NetworkAccess::Off);
        profile.globs =
            vec![GlobRule { pattern: "**/.env".to_owned(), access: Access::Hidden, except: Vec::new() }];
        let spools = MemorySpools::default();
        let context = RunContext {
            cwd: root.clone().into(),
            profile: Arc::new(profile),
            environment: Arc::new([]),
            spools: Arc::new(spools.clone()),
            asker: Arc::new(NobodyToAsk),
            agents: Arc::new(crate::agents::NoAgents),
            caller: Arc::new(NothingToCall),
            judge: Arc::new(NoJudge),
            belongings: Arc::default(),
            diagnostics: Arc::new(NoDiagnostics),
            progress: mpsc::channel(64).0,
            reports: mpsc::channel(1).0,
            cancel: CancellationToken::new(),
        };
        let tools = registry(Arc::new(Launcher::new("/nonexistent".into(), None)), Vec::new());
        Self { _folder: folder, root, tools, context, spools }
    }

    pub(crate) fn call(name: &str, arguments: &serde_json::Value) -> ToolCall {
        let input = CallInput::Json(arguments.to_string());
        ToolCall { call_id: "1".to_owned(), name: name.to_owned(), input }
    }

    async fn item(&self, name: &str, arguments: serde_json::Value) -> (ItemStatus, ItemBody) {
        let body = self.tools.prepare(&Self::call(name, &arguments), &self.root).expect("a call");
        let running = self.tools.run(body, self.context.clone()).expect("a tool");
        let outcome = running.await;
        (outcome.status, outcome.body)
    }

    pub(crate) async fn run(&self, name: &str, arguments: serde_json::Value) -> (ItemStatus, String) {
        match self.item(name, arguments).await {
            (status, ItemBody::ToolCall(other)) => (status, other.output.expect("output")),
            (status, ItemBody::FileChange(change)) => (status, change.message.expect("message")),
            (status, ItemBody::Command(command)) => (status, command.message.expect("message")),
            (_, other) => panic!("{other:?}"),
        }
    }

    /// What the tool tells; it did what it should.
    async fn told(&self, name: &str, arguments: serde_json::Value) -> String {
        let (status, text) = self.run(name, arguments).await;
        assert_eq!(status, ItemStatus::Completed, "{text}");
        text
    }

    /// What the tool says went wrong.
    async fn refused(&self, name: &str, arguments: serde_json::Value) -> String {
        let (status, text) = self.run(name, arguments).await;
        assert_eq!(status, ItemStatus::Failed, "{text}");
        text
    }

    /// What is wrong with a call.
    pub(crate) fn bad(&self, name: &str, arguments: &serde_json::Value) -> String {
        self.tools.prepare(&Self::call(name, arguments), &self.root).expect_err("bad").to_string()
    }
}

use serde_json::json;

#[tokio::test]
async fn a_file_is_read_in_parts() {
    let lines: String = (1..=1_500).map(|number| format!("line {number}\n")).collect();
    let scene = Scene::new(&[("a", "one\ntwo\nthree"), ("long", &lines), ("empty", ""), ("d/x", "")]);
    assert_eq!(scene.told("read_file", json!({"path": "a"})).await, "1\tone\n2\ttwo\n3\tthree\n");
    assert_eq!(
        scene.told("read_file", json!({"path": "a", "offset": 2, "limit": 1})).await,
        "2\ttwo\n[Lines 2 to 2 of 3; go on with offset 3]\n"
    );
    let first = scene.told("read_file", json!({"path": "long"})).await;
    assert!(first.ends_with("1000\tline 1000\n[Lines 1 to 1000 of 1500; go on with offset 1001]\n"));
    let rest = scene.told("read_file", json!({"path": "long", "offset": 1001})).await;
    assert!(rest.starts_with("1001\tline 1001\n") && rest.ends_with("1500\tline 1500\n"));
    assert_eq!(scene.told("read_file", json!({"path": "empty"})).await, "[The file is empty]\n");
    assert_eq!(scene.told("read_file", json!({"path": "a", "offset": 9})).await, "[The file has 3 lines]\n");
    assert!(scene.refused("read_file", json!({"path": "d"})).await.ends_with("use `list_dir`"));
    assert!(scene.refused("read_file", json!({"path": "missing"})).await.ends_with("does not exist"));
}

#[tokio::test]
async fn what_would_fool_a_reader_is_shown() {
    let scene = Scene::new(&[("a", "x\u{1b}[2Jy\u{202e}z\n")]);
    fs::write(scene.root.join("latin"), b"gr\xfcn\n").expect("file");
    fs::write(scene.root.join("png"), b"\x89PNG\r\n\x1a\n\0\0").expect("file");
    let shown = scene.told("read_file", json!({"path": "a"})).await;
    assert_eq!(shown, "1\tx\\u{1b}[2Jy\\u{202e}z\n");
    assert!(scene.told("read_file", json!({"path": "latin"})).await.contains("no UTF-8"));
    let binary = scene.refused("read_file", json!({"path": "png"})).await;
    assert_eq!(binary, "It is a PNG image, not a text; look at it with `view_image`");
}

#[tokio::test]
async fn a_kept_output_is_read_by_its_name() {
    let scene = Scene::new(&[]);
    scene.spools.0.lock().expect("lock").extend_from_slice(b"one\ntwo\n");
    let shown = scene.told("read_file", json!({"path": "blob:sha256:test", "offset": 2})).await;
    assert_eq!(shown, "2\ttwo\n");
    let unknown = scene.refused("read_file", json!({"path": "blob:sha256:other"})).await;
    assert_eq!(unknown, "No output is kept as `blob:sha256:other`");
}

#[tokio::test]
async fn a_folder_is_listed_in_pages() {
    let scene = Scene::new(&[("a/b/c", ""), ("a/d", ""), ("e", ""), (".gitignore", "out\n"), ("out/x", "")]);
    let all = scene.told("list_dir", json!({})).await;
    assert_eq!(all, ".gitignore\na/\n  b/\n  d\ne\n[1 ignored entries are left out]\n");
    let page = scene.told("list_dir", json!({"depth": 3, "offset": 3, "limit": 1})).await;
    assert_eq!(
        page,
        "a/\n  b/\n    c\n[Entries 4 to 4 of 6; go on with offset 4]\n[1 ignored entries are left out]\n"
    );
    assert!(scene.told("list_dir", json!({"all": true})).await.contains("out/\n  x\n"));
    assert_eq!(scene.told("list_dir", json!({"path": "out"})).await, "x\n");
    assert!(scene.refused("list_dir", json!({"path": "e"})).await.ends_with("is not a folder"));
}

#[tokio::test]
async fn grep_tells_lines_files_and_counts_in_pages() {
    let scene = Scene::new(&[("a.rs", "x\nneedle 1\ny\nneedle 2\n"), ("b/c.py", "needle 3\n")]);
    let lines = scene.told("grep", json!({"pattern": "needle"})).await;
    assert_eq!(lines, "a.rs\n2:needle 1\n4:needle 2\nb/c.py\n1:needle 3\n");
    let around = scene.told("grep", json!({"pattern": "2$", "context": 1})).await;
    assert_eq!(around, "a.rs\n3-y\n4:needle 2\n");
    let page = scene.told("grep", json!({"pattern": "needle", "offset": 1, "limit": 1})).await;
    assert_eq!(page, "a.rs\n4:needle 2\n[1 of 3 are shown; go on with offset 2]\n");
    let files = scene.told("grep", json!({"pattern": "needle", "output": "files", "type": "py"})).await;
    assert_eq!(files, "b/c.py\n");
    let counts =
        scene.told("grep", json!({"pattern": "NEEDLE", "ignore_case": true, "output": "counts"})).await;
    assert_eq!(counts, "a.rs: 2\nb/c.py: 1\n");
    let below = scene.told("grep", json!({"pattern": "needle", "path": "b"})).await;
    assert_eq!(below, "b/c.py\n1:needle 3\n");
    assert_eq!(scene.told("grep", json!({"pattern": "nothing"})).await, "[Nothing was found]\n");
    let bad = scene.refused("grep", json!({"pattern": "a("})).await;
    assert!(bad.starts_with("The pattern is no regular expression") && bad.contains("unclosed"), "{bad}");
}

#[tokio::test]
async fn files_are_found_by_letters_and_globs() {
    let scene = Scene::new(&[("src/session/actor.rs", ""), ("src/lib.rs", ""), ("docs/actor.md", "")]);
    assert!(
        scene.told("find_files", json!({"query": "sess act"})).await.starts_with("src/session/actor.rs\n")
    );
    let globbed = scene.told("find_files", json!({"query": "*.rs", "path": "src"})).await;
    assert_eq!(globbed, "src/lib.rs\nsrc/session/actor.rs\n");
    let one = scene.told("find_files", json!({"query": "*", "limit": 1})).await;
    assert_eq!(one, "docs/actor.md\n[1 of 3 are shown]\n");
    assert_eq!(scene.told("find_files", json!({"query": "zzz"})).await, "[Nothing was found]\n");
}

#[tokio::test]
async fn what_the_profile_hides_no_tool_shows() {
    let scene = Scene::new(&[(".env", "SECRET=1\n"), ("sub/.env", "SECRET=2\n"), ("sub/a", "SECRET=3\n")]);
    rustix::fs::symlink("sub/.env", scene.root.join("way")).expect("link");
    for (tool, arguments) in [
        ("read_file", json!({"path": ".env"})),
        ("read_file", json!({"path": "way"})),
        ("read_file", json!({"path": "sub/../.env"})),
        ("grep", json!({"pattern": "SECRET", "path": "way"})),
        ("view_image", json!({"path": "sub/.env"})),
    ] {
        let refused = scene.refused(tool, arguments).await;
        assert!(refused.contains("may not be seen in this session"), "{tool}: {refused}");
    }
    assert_eq!(scene.told("grep", json!({"pattern": "SECRET", "all": true})).await, "sub/a\n1:SECRET=3\n");
    assert!(!scene.told("list_dir", json!({"all": true})).await.contains("\n  .env"));
    assert!(!scene.told("find_files", json!({"query": "env", "all": true})).await.contains("/.env"));
}

#[tokio::test]
async fn an_image_is_made_small_and_kept() {
    let scene = Scene::new(&[("not.png", "text")]);
    let picture = ImageBuffer::from_fn(1_600, 100, |x, y| Rgb([(x % 256) as u8, (y % 256) as u8, 0]));
    for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Gif, ImageFormat::WebP] {
        let path = scene.root.join("picture");
        picture.save_with_format(&path, format).expect("image");
        scene.spools.0.lock().expect("lock").clear();
        let (status, body) = scene.item("view_image", json!({"path": "picture"})).await;
        let ItemBody::ToolCall(other) = body else { panic!("{body:?}") };
        assert_eq!(status, ItemStatus::Completed, "{:?}", other.output);
        assert!(other.output.expect("output").ends_with("1600 x 100 pixels"));
        let [ToolContent::Image { media_type, blob }] = &other.content[..] else { panic!("no image") };
        assert_eq!(blob.0, "sha256:test");
        let kept = image::load_from_memory(&scene.spools.0.lock().expect("lock")).expect("image");
        assert_eq!((kept.width(), kept.height()), (1_568, 98), "{media_type}");
    }
    let text = scene.refused("view_image", json!({"path": "not.png"})).await;
    assert!(text.starts_with("It is no image"), "{text}");
}

#[tokio::test]
async fn an_image_that_is_a_bomb_is_refused_at_once() {
    let scene = Scene::new(&[]);
    // A header that promises 60,000 x 60,000 pixels.
    let mut png = Vec::new();
    let small: ImageBuffer<Rgb<u8>, Vec<u8>> = ImageBuffer::new(1, 1);
    small.write_to(&mut std::io::Cursor::new(&mut png), ImageFormat::Png).expect("image");
    for side in [60_000_u32, 16_000] {
        png[16..20].copy_from_slice(&side.to_be_bytes());
        png[20..24].copy_from_slice(&side.to_be_bytes());
        let checksum = crc32(&png[12..29]);
        png[29..33].copy_from_slice(&checksum.to_be_bytes());
        fs::write(scene.root.join("bomb.png"), &png).expect("file");
        let started = Instant::now();
        let refused = scene.refused("view_image", json!({"path": "bomb.png"})).await;
        assert!(refused.contains("too large to be decoded"), "{refused}");
        assert!(started.elapsed() < PROMPT);
    }
    fs::File::create(scene.root.join("huge")).and_then(|file| file.set_len(50 << 30)).expect("sparse");
    assert!(scene.refused("view_image", json!({"path": "huge"})).await.contains("an image may have"));
}

/// As PNG has it.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 & 0_u32.wrapping_sub(crc & 1)))
    };
    !bytes.iter().fold(u32::MAX, step)
}

#[tokio::test]
async fn hostile_paths_are_answered_at_once() {
    let scene = Scene::new(&[("long", &"x".repeat(5_000_000))]);
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    let pipe = scene.root.join("README.md");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).expect("pipe");
    fs::File::create(scene.root.join("sparse")).and_then(|file| file.set_len(50 << 30)).expect("sparse");
    rustix::fs::symlink("loop", scene.root.join("loop")).expect("link");
    let started = Instant::now();
    for (path, expected) in [
        ("README.md", "a pipe, a socket or a device"),
        ("/dev/zero", "a pipe, a socket or a device"),
        ("sparse", "binary data"),
        ("loop", "Too many symbolic links"),
        ("a\0b", ""),
    ] {
        let refused = scene.refused("read_file", json!({"path": path})).await;
        assert!(refused.contains(expected), "{path}: {refused}");
    }
    let long = scene.told("read_file", json!({"path": "long"})).await;
    assert!(long.len() < 3_000 && long.contains("more bytes in this line"));
    assert!(started.elapsed() < PROMPT, "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_search_is_interrupted() {
    let scene = Scene::new(&[("a", "x\n")]);
    scene.context.cancel.cancel();
    for (tool, arguments) in
        [("request_user_input", json!({"questions": [{"id": "a", "header": "A", "question": "?"}]}))]
    {
        struct Silent;
        impl Asker for Silent {
            fn ask(&self, _: QuestionKind, _: String) -> BoxFuture<'_, Decision> {
                Box::pin(std::future::pending())
            }
        }
        let context = RunContext { asker: Arc::new(Silent), ..scene.context.clone() };
        let body = scene.tools.prepare(&Scene::call(tool, &arguments), &scene.root).expect("call");
        let outcome = scene.tools.run(body, context).expect("tool").await;
        assert_eq!(outcome.status, ItemStatus::Interrupted, "{tool}");
    }
}

#[tokio::test]
async fn a_plan_is_an_item_of_its_own() {
    let scene = Scene::new(&[]);
    let steps = json!([{"step": "look", "status": "completed"}, {"step": "do", "status": "in_progress"}]);
    let (status, body) = scene.item("update_plan", json!({"plan": steps, "explanation": "why"})).await;
    let ItemBody::Plan(plan) = body else { panic!("{body:?}") };
    assert_eq!(status, ItemStatus::Completed);
    assert_eq!(
        (plan.steps[0].status.clone(), plan.steps[1].text.as_str()),
        (PlanStepStatus::Completed, "do")
    );
    assert!(action(&ItemBody::Plan(plan)).is_none());
    let two = json!([{"step": "a", "status": "in_progress"}, {"step": "b", "status": "in_progress"}]);
    assert!(scene.bad("update_plan", &json!({"plan": two})).contains("At most one step"));
    let unknown = scene.bad("update_plan", &json!({"plan": [{"step": "a", "status": "done"}]}));
    assert!(unknown.contains("expected one of `pending`, `in_progress`, `completed`"), "{unknown}");
}

#[tokio::test]
async fn a_person_is_asked_and_the_answer_is_told() {
    let mut scene = Scene::new(&[]);
    let question = json!({"questions": [{"id": "way", "header": "Way", "question": "Which?",
        "options": [{"label": "left"}, {"label": "right", "description": "far"}]}]});
    let nobody = scene.run("request_user_input", question.clone()).await;
    assert_eq!(nobody.0, ItemStatus::Declined);
    let answers = [("way".to_owned(), vec!["left".to_owned()])].into();
    let asker = Arc::new(Answering(Decision::Reply { answers }, Mutex::default()));
    scene.context.asker = asker.clone();
    assert_eq!(scene.told("request_user_input", question.clone()).await, r#"{"answers":{"way":["left"]}}"#);
    let asked = asker.1.lock().expect("lock").pop().expect("asked");
    let QuestionKind::UserInput { prompts } = asked else { panic!("{asked:?}") };
    assert_eq!((prompts[0].options.len(), prompts[0].takes_text), (2, true));
    assert!(scene.bad("request_user_input", &json!({"questions": []})).contains("1 to 3"));
    let twice = json!({"questions": [{"id": "a", "header": "", "question": ""}, {"id": "a", "header": "", "question": ""}]});
    assert!(scene.bad("request_user_input", &twice).contains("`id` of its own"));
}

#[tokio::test]
async fn permissions_are_asked_for_by_real_path() {
    let mut scene = Scene::new(&[("d/x", "")]);
    rustix::fs::symlink("/etc", scene.root.join("harmless")).expect("link");
    let asker = Arc::new(Answering(Decision::Allow { scope: GrantScope::Session }, Mutex::default()));
    scene.context.asker = asker.clone();
    let paths = vec![
        PathRule { path: scene.root.clone(), access: Access::Write },
        PathRule { path: scene.root.join("shut"), access: Access::Hidden },
    ];
    let profile = Profile::new(SandboxMode::WorkspaceWrite, Access::Read, paths, NetworkAccess::Off);
    scene.context.profile = Arc::new(profile);
    let wanted = json!({"write": ["harmless/hosts", "d"], "read": ["d/x"], "hosts": ["a.example"], "justification": "to see"});
    assert_eq!(scene.told("request_permissions", wanted).await, "Granted for this session");
    let asked = asker.1.lock().expect("lock").pop().expect("asked");
    let QuestionKind::Permissions { paths, hosts, .. } = asked else { panic!("{asked:?}") };
    assert_eq!((paths[0].path.as_path(), paths[0].access), (Path::new("/etc/hosts"), Access::Write));
    assert_eq!((paths.len(), hosts), (1, vec!["a.example".to_owned()]), "what it has is not asked for");
    let held = json!({"write": ["d"], "justification": ""});
    assert!(scene.told("request_permissions", held).await.contains("has all of it already"));
    let shut = json!({"read": ["shut/key"], "justification": ""});
    assert!(scene.refused("request_permissions", shut).await.contains("no answer opens it"));
    let absent = json!({"write": ["/etc/not-there/below"], "justification": ""});
    let told = scene.refused("request_permissions", absent).await;
    assert!(
        told.contains("`/etc/not-there/below` does not exist") && told.contains("`/etc` is there"),
        "{told}"
    );
    assert!(asker.1.lock().expect("lock").is_empty());
    for host in ["https://a.example", "a.example:443", "*", "a b", "*.1.2.3.4:1", ""] {
        let wanted = json!({"hosts": [host], "justification": ""});
        assert!(scene.bad("request_permissions", &wanted).contains("is no host"), "{host}");
    }
    scene.context.asker = Arc::new(NobodyToAsk);
    let denied = scene.run("request_permissions", json!({"hosts": ["b"], "justification": ""})).await;
    assert_eq!(denied, (ItemStatus::Declined, "Nobody can be asked here".to_owned()));
    assert!(scene.bad("request_permissions", &json!({"justification": ""})).contains("Name something"));
}

#[tokio::test]
async fn an_edit_over_somebody_elses_is_told() {
    let scene = Scene::new(&[("a", "one\ntwo\n"), ("unread", "one\n")]);
    let patch = |path: &str, old: &str, new: &str| {
        let hunk = format!("*** Update File: {path}\n@@\n-{old}\n+{new}\n");
        json!({"input": format!("*** Begin Patch\n{hunk}*** End Patch\n")})
    };
    scene.told("read_file", json!({"path": "a"})).await;
    let quiet = scene.told("apply_patch", patch("a", "one", "1")).await;
    assert!(!quiet.contains("Note:"), "{quiet}");
    let own = scene.told("apply_patch", patch("a", "1", "uno")).await;
    assert!(!own.contains("Note:"), "{own}");
    fs::write(scene.root.join("a"), "uno\ntwo\nthree\n").expect("somebody");
    let told = scene.told("apply_patch", patch("a", "two", "dos")).await;
    assert!(told.contains("Note: a had been changed by something else since it was last read"), "{told}");
    let unread = scene.told("apply_patch", patch("unread", "one", "1")).await;
    assert!(!unread.contains("Note:"), "{unread}");
}

#[tokio::test]
async fn a_patch_given_to_a_command_is_a_patch() {
    let scene = Scene::new(&[("d/x", "")]);
    let heredoc = "cd d && apply_patch <<'EOF'\n*** Begin Patch\n*** Add File: a\n+x\n*** End Patch\nEOF";
    assert!(scene.told("exec_command", json!({"cmd": heredoc})).await.ends_with("A a"));
    assert_eq!(fs::read_to_string(scene.root.join("d/a")).expect("file"), "x\n");
}

#[tokio::test]
async fn a_process_of_nobody_is_not_found() {
    let scene = Scene::new(&[]);
    let refused = scene.refused("write_stdin", json!({"process_id": 1, "chars": "x"})).await;
    assert_eq!(refused, "There is no process 1 in this session; none goes on");
}

/// Until the clock, which moves only while nothing else goes on, has moved.
async fn later() {
    let never = std::future::pending::<()>();
    tokio::time::timeout(Duration::from_secs(20), never).await.expect_err("never");
}

#[tokio::test(start_paused = true)]
async fn a_file_is_waited_for_until_it_is_there_and_until_it_changes() {
    let scene = Scene::new(&[("there", "one"), ("d/x", "")]);
    assert_eq!(scene.told("wait_for", json!({"path": "there"})).await, "`there` is there");
    assert_eq!(scene.told("wait_for", json!({"path": "d"})).await, "`d` is there");
    let late = json!({"path": "new/late"});
    let (told, ()) = tokio::join!(scene.told("wait_for", late), async {
        later().await;
        fs::create_dir(scene.root.join("new")).expect("folder");
        fs::write(scene.root.join("new/late"), "").expect("file");
    });
    assert_eq!(told, "`new/late` is there");
    let change = json!({"path": "there", "change": true});
    let (told, ()) = tokio::join!(scene.told("wait_for", change.clone()), async {
        later().await;
        fs::write(scene.root.join("there"), "another").expect("file");
    });
    assert_eq!(told, "`there` has changed");
    let (told, ()) = tokio::join!(scene.told("wait_for", change), async {
        later().await;
        fs::remove_file(scene.root.join("there")).expect("removed");
    });
    assert_eq!(told, "`there` is gone");
    let refused = scene.refused("wait_for", json!({"path": "d", "change": true})).await;
    assert_eq!(refused, "`d` is no file; wait for a file in it");
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_in_time_and_says_what_did_not_happen() {
    let scene = Scene::new(&[("a", "")]);
    for (arguments, expected) in [
        (json!({"seconds": 3600}), "3600 s are over"),
        (json!({"path": "b"}), "60 s are over: `b` is not there"),
        (json!({"path": "a", "change": true, "seconds": 5}), "5 s are over: `a` has not changed"),
    ] {
        assert_eq!(scene.told("wait_for", arguments).await, expected);
    }
}

#[tokio::test]
async fn a_wait_is_interrupted_at_once() {
    let scene = Scene::new(&[]);
    scene.context.cancel.cancel();
    for arguments in [json!({"seconds": 3600}), json!({"path": "b", "seconds": 3600})] {
        assert_eq!(scene.run("wait_for", arguments).await.0, ItemStatus::Interrupted);
    }
}

#[tokio::test]
async fn what_may_not_be_seen_and_what_is_not_there_is_not_waited_for() {
    let scene = Scene::new(&[(".env", "secret")]);
    let hidden = scene.refused("wait_for", json!({"path": ".env"})).await;
    assert!(hidden.ends_with("may not be seen in this session"), "{hidden}");
    rustix::fs::symlink(".env", scene.root.join("link")).expect("link");
    let linked = scene.refused("wait_for", json!({"path": "link", "change": true})).await;
    assert!(linked.ends_with("may not be seen in this session"), "{linked}");
    let nobody = scene.refused("wait_for", json!({"process_id": 3})).await;
    assert_eq!(nobody, "There is no process 3 in this session; none goes on");
}

#[test]
fn a_wait_that_makes_no_sense_is_refused_before_it_begins() {
    let scene = Scene::new(&[]);
    for (arguments, expected) in [
        (json!({}), "set `process_id`, `path` or `seconds`"),
        (json!({"process_id": 1, "path": "a"}), "either `process_id` or `path`"),
        (json!({"pattern": "x", "seconds": 1}), "set `process_id` too"),
        (json!({"change": true, "seconds": 1}), "set `path` too"),
        (json!({"seconds": 0}), "`seconds` is 1 to 3600"),
        (json!({"seconds": 3601}), "`seconds` is 1 to 3600"),
        (json!({"process_id": 1, "pattern": "("}), "no regular expression"),
        (json!({"process_id": 1, "pattern": "x".repeat(2000)}), "longer than 1024 bytes"),
        (json!({"process_id": 1, "pattern": "(a{1000}){1000}"}), "no regular expression"),
        (json!({"file": "a"}), "unknown field `file`"),
    ] {
        let bad = scene.bad("wait_for", &arguments);
        assert!(bad.contains(expected), "{bad}");
    }
}

#[test]
fn a_size_is_that_of_a_terminal() {
    let scene = Scene::new(&[]);
    let bad = |arguments| scene.bad("exec_command", &arguments);
    let size = json!({"columns": 80, "rows": 24});
    assert!(bad(json!({"cmd": "ls", "size": size})).contains("set `tty` too"));
    assert!(bad(json!({"cmd": "ls", "tty": true, "size": {"columns": 0, "rows": 24}})).contains("1 to 1000"));
    let ItemBody::Command(command) = scene
        .tools
        .prepare(&Scene::call("exec_command", &json!({"cmd": "ls", "tty": true, "size": size})), &scene.root)
        .expect("a call")
    else {
        panic!("no command")
    };
    assert!(command.has_terminal);
}

#[test]
fn what_only_looks_may_run_beside_others() {
    let scene = Scene::new(&[]);
    let is_read_only = |name: &str, arguments: serde_json::Value| {
        let body = scene.tools.prepare(&Scene::call(name, &arguments), &scene.root).expect("call");
        scene.tools.is_read_only(&body)
    };
    assert!(is_read_only("read_file", json!({"path": "a"})));
    assert!(is_read_only("grep", json!({"pattern": "a"})));
    assert!(is_read_only("wait_for", json!({"seconds": 1})));
    assert!(!is_read_only("shell", json!({"command": "ls"})));
    assert!(!is_read_only("exec_command", json!({"cmd": "ls"})));
    assert!(!is_read_only(
        "request_user_input",
        json!({"questions": [{"id": "a", "header": "", "question": ""}]})
    ));
}

#[test]
fn all_definitions_together_are_small() {
    let scene = Scene::new(&[]);
    let listing = scene.tools.listing();
    for tool in &listing {
        let description = &tool.specification.description;
        assert!(!description.is_empty() && description.len() < 1_500, "{}", tool.specification.name);
    }
    let tokens: usize = listing.iter().map(|tool| tool.tokens).sum();
    assert!(tokens <= 3_500, "{tokens}");
}
