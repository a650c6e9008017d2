//! Every tool in every way that a model may call it badly: what all of them have in common is checked for all at once.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::{BoxFuture, join_all};
use protocol::item::ItemStatus;
use protocol::profile::{Access, NetworkAccess, Profile, SandboxMode};
use protocol::question::{Decision, QuestionKind};
use protocol::tool::{CallInput, ToolCall};
use rustix::fs::{CWD, FileType, Mode, RenameFlags, mknodat, renameat_with, symlink};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::tests::{PROMPT, Scene};
use crate::agents::{AgentState, Agents, NewAgent, Outcome, When};
use crate::tool::{Asker, RunContext};

/// A good call of each tool that looks at files, for this path.
fn looks(path: &str) -> [(&'static str, Value); 6] {
    [
        ("read_file", json!({ "path": path })),
        ("list_dir", json!({ "path": path })),
        ("grep", json!({ "pattern": "SECRET", "path": path })),
        ("find_files", json!({ "query": "x", "path": path })),
        ("view_image", json!({ "path": path })),
        ("wait_for", json!({ "path": path, "seconds": 1 })),
    ]
}

/// The tools and their schemas.
fn schemas(scene: &Scene) -> Vec<(String, Value)> {
    let schema = |specification: &protocol::tool::ToolSpecification| {
        let protocol::tool::ToolInput::Json { schema } = &specification.input else { return None };
        Some((specification.name.clone(), schema.clone()))
    };
    scene.tools.specifications().iter().filter_map(schema).collect()
}

#[test]
fn arguments_that_are_no_good_are_told_with_the_tool_and_what_is_wrong() {
    let scene = Scene::new(&[]);
    let all = schemas(&scene);
    assert!(all.len() >= 12, "{all:?}");
    for (name, schema) in all {
        let unknown = scene.bad(&name, &json!({ "not_an_argument": 1 }));
        // It tells of one thing at a time, some of what is missing first.
        let is_told =
            ["unknown field `not_an_argument`", "missing field"].iter().any(|told| unknown.contains(told));
        assert!(unknown.contains(&name) && is_told, "{unknown}");
        for text in ["[1", "\"text\"", "7"] {
            let call = ToolCall {
                call_id: "1".to_owned(),
                name: name.clone(),
                input: CallInput::Json(text.to_owned()),
            };
            let error = scene.tools.prepare(&call, &scene.root).expect_err("bad").to_string();
            assert!(error.contains(&name) && error.len() < 1_000, "{name} {text}: {error}");
        }
        // What is required is named when it is missing.
        for required in schema["required"].as_array().into_iter().flatten().take(1) {
            let missing = scene.bad(&name, &json!({}));
            assert!(missing.contains(required.as_str().expect("name")), "{name}: {missing}");
        }
    }
}

#[test]
fn huge_arguments_make_no_huge_error() {
    let scene = Scene::new(&[]);
    let huge = "x".repeat(4 << 20);
    for (name, schema) in schemas(&scene) {
        let Some(properties) = schema["properties"].as_object() else { continue };
        for property in properties.keys() {
            let call = Scene::call(&name, &json!({ property: [huge] }));
            if let Err(error) = scene.tools.prepare(&call, &scene.root) {
                assert!(
                    error.to_string().len() < 2_000,
                    "{name} {property}: {} bytes",
                    error.to_string().len()
                );
            }
        }
        let error = scene.bad(&name, &json!({ &huge: 1 }));
        assert!(error.len() < 2_000, "{name}: {} bytes", error.len());
    }
}

#[tokio::test]
async fn what_the_profile_hides_no_tool_that_looks_tells_of() {
    let scene = Scene::new(&[(".env", "SECRET=1\n")]);
    symlink(".env", scene.root.join("way")).expect("link");
    symlink("way", scene.root.join("longer")).expect("link");
    fs::create_dir(scene.root.join("sub")).expect("folder");
    for path in [".env", "way", "longer", "sub/../.env", "./.env"] {
        for (tool, arguments) in looks(path) {
            let (status, text) = scene.run(tool, arguments).await;
            assert_eq!(status, ItemStatus::Failed, "{tool} {path}: {text}");
            assert!(!text.contains("SECRET"), "{tool} {path}: {text}");
        }
    }
}

#[tokio::test]
async fn pipes_devices_and_loops_keep_no_tool_waiting() {
    let scene = Scene::new(&[]);
    mknodat(CWD, scene.root.join("pipe"), FileType::Fifo, Mode::from_raw_mode(0o600), 0).expect("pipe");
    symlink("loop", scene.root.join("loop")).expect("link");
    symlink("/dev/zero", scene.root.join("zero")).expect("link");
    let deep = "x/".repeat(4_000);
    for path in ["pipe", "loop", "zero", "/dev/zero", "/proc/self/mem", "a\0b", deep.as_str()] {
        for (tool, arguments) in looks(path).into_iter().filter(|(tool, _)| *tool != "wait_for") {
            let started = Instant::now();
            let prepared = scene.tools.prepare(&Scene::call(tool, &arguments), &scene.root);
            let Ok(body) = prepared else { continue };
            let outcome = scene.tools.run(body, scene.context.clone()).expect("tool").await;
            assert!(started.elapsed() < PROMPT, "{tool} {path}: {:?}", started.elapsed());
            let finds_nothing = matches!(tool, "list_dir" | "find_files" | "grep");
            assert!(finds_nothing || outcome.status == ItemStatus::Failed, "{tool} {path}: {outcome:?}");
        }
    }
}

#[tokio::test]
async fn what_may_not_be_written_no_patch_reaches() {
    let outside = tempfile::tempdir().expect("outside");
    let mut scene = Scene::new(&[("kept", "one\n")]);
    symlink(outside.path(), scene.root.join("way")).expect("link");
    mknodat(CWD, scene.root.join("pipe"), FileType::Fifo, Mode::from_raw_mode(0o600), 0).expect("pipe");
    let rule = protocol::profile::PathRule { path: scene.root.clone(), access: Access::Write };
    let profile = Profile::new(SandboxMode::WorkspaceWrite, Access::Read, vec![rule], NetworkAccess::Off);
    scene.context.profile = Arc::new(profile);
    let absolute = outside.path().join("new").display().to_string();
    for path in ["way/new", "../new", absolute.as_str(), "pipe", "/dev/null", "way/../../new"] {
        for body in [
            format!("*** Add File: {path}\n+x"),
            format!("*** Delete File: {path}"),
            format!("*** Update File: kept\n*** Move to: {path}\n@@\n-one\n+two"),
        ] {
            let patch = format!("*** Begin Patch\n{body}\n*** End Patch");
            let (status, text) = scene.run("apply_patch", json!({ "input": patch })).await;
            assert_eq!(status, ItemStatus::Failed, "{body}: {text}");
        }
    }
    assert_eq!(fs::read_dir(outside.path()).expect("outside").count(), 0);
    assert_eq!(fs::read_to_string(scene.root.join("kept")).expect("file"), "one\n");
}

#[tokio::test]
async fn a_link_that_is_swapped_all_the_time_leads_no_patch_out() {
    let outside = tempfile::tempdir().expect("outside");
    let mut scene = Scene::new(&[("folder/file", "one\n")]);
    let rule = protocol::profile::PathRule { path: scene.root.clone(), access: Access::Write };
    let profile = Profile::new(SandboxMode::WorkspaceWrite, Access::Read, vec![rule], NetworkAccess::Off);
    scene.context.profile = Arc::new(profile);
    symlink(outside.path(), scene.root.join("aside")).expect("link");
    let (folder, aside) = (scene.root.join("folder"), scene.root.join("aside"));
    let stop = CancellationToken::new();
    let swaps = {
        let stop = stop.clone();
        std::thread::spawn(move || {
            let mut swaps = 0;
            while !stop.is_cancelled() {
                renameat_with(CWD, &folder, CWD, &aside, RenameFlags::EXCHANGE).expect("swapped");
                swaps += 1;
            }
            swaps
        })
    };
    for number in 0..300 {
        let patch = format!("*** Begin Patch\n*** Add File: folder/new{number}\n+x\n*** End Patch");
        // It may fail; it may not lead out.
        let _ = scene.run("apply_patch", json!({ "input": patch })).await;
    }
    stop.cancel();
    assert!(swaps.join().expect("swaps") > 0);
    assert_eq!(fs::read_dir(outside.path()).expect("outside").count(), 0, "nothing came out");
}

#[tokio::test]
async fn calls_at_the_same_time_are_answered_as_alone() {
    let scene = Scene::new(&[("a", "SECRET\n"), ("sub/x", "b\n")]);
    let calls: Vec<_> = std::iter::repeat_n([looks("a"), looks("sub")].concat(), 8).flatten().collect();
    let alone = |calls: Vec<(&'static str, Value)>| async {
        let mut told = Vec::new();
        for (tool, arguments) in calls {
            told.push(scene.run(tool, arguments).await);
        }
        told
    };
    let one_by_one = alone(calls.clone()).await;
    let together = join_all(calls.into_iter().map(|(tool, arguments)| scene.run(tool, arguments))).await;
    assert_eq!(together, one_by_one);
}

/// Never answers.
struct Silent;

impl Asker for Silent {
    fn ask(&self, _: QuestionKind, _: String) -> BoxFuture<'_, Decision> {
        Box::pin(std::future::pending())
    }
}

/// An agent that works for ever.
struct Endless;

fn endless() -> AgentState {
    AgentState {
        id: protocol::ids::SessionId::generate(),
        name: "worker".to_owned(),
        of: None,
        status: protocol::agent::AgentStatus::Running,
        message: None,
        tokens: 0,
    }
}

impl Agents for Endless {
    fn spawn(&self, _: NewAgent) -> Outcome<'_, AgentState> {
        Box::pin(std::future::ready(Ok(endless())))
    }

    fn wait(&self, _: Vec<String>, within: Duration) -> Outcome<'_, Vec<AgentState>> {
        Box::pin(async move {
            tokio::time::timeout(within, std::future::pending::<()>()).await.ok();
            Ok(vec![endless()])
        })
    }

    fn send(&self, _: String, _: String, _: When) -> Outcome<'_, AgentState> {
        Box::pin(std::future::ready(Ok(endless())))
    }

    fn close(&self, _: String) -> Outcome<'_, AgentState> {
        Box::pin(std::future::ready(Ok(endless())))
    }

    fn list(&self) -> Outcome<'_, Vec<AgentState>> {
        Box::pin(std::future::ready(Ok(vec![endless()])))
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_an_agent_ends_in_time_and_says_that_it_works() {
    let mut scene = Scene::new(&[]);
    scene.context.agents = Arc::new(Endless);
    let (status, told) = scene.run("wait_agent", json!({"seconds": 3_600})).await;
    assert_eq!(status, ItemStatus::Completed);
    assert!(told.contains("`worker`") && told.contains("works"), "{told}");
    assert!(scene.bad("wait_agent", &json!({"seconds": 3_601})).contains("`seconds` is 1 to 3600"));
}

#[tokio::test]
async fn where_there_are_no_agents_each_call_for_one_says_so() {
    let scene = Scene::new(&[]);
    for (tool, arguments) in [
        ("spawn_agent", json!({"task": "x"})),
        ("wait_agent", json!({})),
        ("send_agent", json!({"agent": "x", "message": "y"})),
        ("close_agent", json!({"agent": "../x"})),
        ("list_agents", json!({})),
    ] {
        let (status, told) = scene.run(tool, arguments).await;
        assert!(status != ItemStatus::Completed && told.contains("no agents"), "{tool}: {status:?} {told}");
    }
}

#[tokio::test]
async fn a_call_that_waits_is_interrupted_at_once() {
    let scene = Scene::new(&[]);
    let question = json!({"questions": [{"id": "a", "header": "A", "question": "?"}]});
    for (tool, arguments) in [
        ("request_user_input", question),
        ("request_permissions", json!({"hosts": ["example.org"], "justification": "It must be."})),
        ("wait_for", json!({"path": "never", "seconds": 600})),
        ("wait_agent", json!({"seconds": 600})),
    ] {
        let body = scene.tools.prepare(&Scene::call(tool, &arguments), &scene.root).expect(tool);
        let cancel = scene.context.cancel.child_token();
        let context = RunContext {
            asker: Arc::new(Silent),
            agents: Arc::new(Endless),
            cancel: cancel.clone(),
            ..scene.context.clone()
        };
        let running = scene.tools.run(body, context).expect("tool");
        let cancelling = async { cancel.cancel() };
        let started = Instant::now();
        let (outcome, ()) = tokio::join!(running, cancelling);
        assert_eq!(outcome.status, ItemStatus::Interrupted, "{tool}");
        assert!(started.elapsed() < PROMPT, "{tool}: {:?}", started.elapsed());
    }
}
