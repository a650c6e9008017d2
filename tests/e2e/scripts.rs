//! `js_repl` in whole turns: what stays between calls, what stops it, and that what it calls is judged as any call.

use std::fs;

use protocol::api::question::QuestionClient;
use protocol::api::turn::TurnClient;
use protocol::event::Event;
use protocol::item::{Item, ItemStatus};
use protocol::question::{Decision, GrantScope, QuestionAnswerParams};
use protocol::turn::{InterruptReason, TurnInterruptParams};
use serde_json::json;
use skein_tests::rpc::Seen;
use skein_tests::scripted_model::reply::Reply;
use skein_tests::{ScriptedModel, TestEnv};

use crate::scene::{SOON, asking_session, client, good_turn, scene, up, wait_for_file};

/// The model evaluates code.
fn evaluates(code: &str) -> Reply {
    Reply::call("js_repl", &json!({"code": code, "timeout_ms": 20_000}))
}

/// As `evaluates`, with little time.
fn evaluates_within(timeout_ms: u64, code: &str) -> Reply {
    Reply::call("js_repl", &json!({"code": code, "timeout_ms": timeout_ms}))
}

/// What the model was told of each of its calls but for the last one, whose answer ends the turn.
fn told(model: &ScriptedModel) -> Vec<String> {
    model.requests().iter().skip(1).map(|request| request.last_output().unwrap().to_owned()).collect()
}

/// A turn in which the model makes these calls; what it was told of each.
fn turn(calls: Vec<Reply>, arguments: &[&str], prepare: impl FnOnce(&TestEnv)) -> (TestEnv, Vec<String>) {
    let (model, env) = scene(calls.into_iter().chain([Reply::text("Done.")]));
    prepare(&env);
    good_turn(&env, &[arguments, &["go"]].concat());
    model.verify().unwrap();
    (env, told(&model))
}

#[test]
fn variables_stay_and_an_exception_has_its_line() {
    let calls = vec![
        evaluates("let a = 40; console.log('hi', [a]); a + 2"),
        evaluates("a += 1; await Promise.resolve(a)"),
        evaluates("let b = 1;\nb.c.d"),
        evaluates("[a, b]"),
        evaluates("let quiet"),
        Reply::call("js_repl", &json!({"script": "1"})),
    ];
    let (_env, told) = turn(calls, &[], |_| {});
    assert_eq!(told[0], "hi [40]\n42");
    assert_eq!(told[1], "41");
    assert!(told[2].starts_with("TypeError: ") && told[2].contains("js_repl:2"), "{}", told[2]);
    assert_eq!(told[3], "[41, 1]");
    assert_eq!(told[4], "undefined");
    assert!(told[5].contains("unknown field `script`"), "{}", told[5]);
}

#[test]
fn endless_code_is_stopped_and_what_cannot_be_is_killed() {
    let calls = vec![
        evaluates_within(200, "let kept = 1; for (;;) {}"),
        evaluates("kept"),
        // One step of the engine, which takes minutes and looks at nothing meanwhile.
        evaluates_within(200, "'a'.repeat(4e6).indexOf('a'.repeat(2e6) + 'b')"),
        evaluates("typeof kept"),
    ];
    let (env, told) = turn(calls, &[], |_| {});
    assert_eq!(told[0], "Stopped: it took longer than 200 ms. Variables are kept.");
    assert_eq!(told[1], "1");
    assert!(
        told[2].contains("longer than 200 ms") && told[2].contains("could not be stopped"),
        "{}",
        told[2]
    );
    assert_eq!(told[3], "[A new interpreter: earlier variables are gone]\nundefined");
    drop(env);
}

#[test]
fn memory_and_output_are_bounded() {
    let calls = vec![
        evaluates("(() => { const all = []; for (;;) all.push(new Uint8Array(1e7)) })()"),
        evaluates("for (let n = 0; n < 20000; n++) console.log(`line ${n}`)"),
        evaluates("'x'.repeat(5000000)"),
    ];
    let (_env, told) = turn(calls, &[], |_| {});
    assert!(told[0].contains("out of memory"), "{}", told[0]);
    let printed = &told[1];
    for part in ["line 0\n", "line 19999", " bytes left out; `blob:"] {
        assert!(printed.contains(part), "{part} in {printed}");
    }
    assert!(printed.len() < 40_000 && told[2].len() < 40_000, "{} {}", printed.len(), told[2].len());
}

#[test]
fn tools_are_called_as_the_model_would_and_it_is_told_of_the_outcome_alone() {
    let code = "const text = await tools.read_file({path: 'src/a.rs'}); text.split('\\n').filter((line) => line.endsWith('two')).length";
    let patch = "*** Begin Patch\\n*** Add File: made\\n+x\\n*** End Patch\\n";
    let many =
        format!("await tools.apply_patch('{patch}'); (await tools.call('shell', {{command: 'cat made'}}))");
    let (model, env) = scene([evaluates(code), evaluates(&many), Reply::text("Done.")]);
    env.write_file("src/a.rs", "one\ntwo\n").unwrap();
    let lines = good_turn(&env, &["go"]);
    let told = told(&model);
    assert_eq!(told[0], "1");
    assert!(told[1].contains('x'), "{}", told[1]);
    assert_eq!(fs::read_to_string(env.repository().join("made")).unwrap(), "x\n");
    // What it called is in the log, with who called, and the model is not shown it.
    assert_eq!(lines.completed("file_change").len(), 1);
    let names = model.requests().last().unwrap().json().to_string().matches("call_id").count();
    assert_eq!(names, 4, "two calls and two outputs");
}

#[test]
fn a_call_that_the_policy_refuses_is_refused_inside_too() {
    let call = "tools.shell({command: ['touch', '/var/tmp/skein-js'], escalate: true, justification: 'x'})";
    let calls = vec![
        evaluates(&format!("try {{ await {call} }} catch (error) {{ error.message }}")),
        evaluates("await tools.apply_patch('*** Begin Patch\\n*** Add File: made\\n+x\\n*** End Patch\\n')"),
        evaluates("try { await tools.js_repl({code: '1'}) } catch (error) { error.message }"),
        evaluates("try { await tools.nothing() } catch (error) { error.message }"),
    ];
    let (env, told) = turn(calls, &["-a", "never", "-s", "read-only"], |_| {});
    assert!(told[0].contains("never"), "{}", told[0]);
    assert!(told[1].starts_with("Error: "), "{}", told[1]);
    assert!(!env.repository().join("made").exists());
    assert_eq!(told[2], "`js_repl` can't call itself");
    assert!(told[3].contains("There is no tool `nothing`"), "{}", told[3]);
}

#[test]
fn code_reaches_nothing_but_tools() {
    let names = "['require', 'process', 'std', 'os', 'fetch', 'WebAssembly', 'Worker', 'setTimeout']";
    let calls = vec![
        evaluates(&format!("{names}.filter((name) => name in globalThis)")),
        evaluates("try { await import('fs') } catch (error) { 'none' }"),
    ];
    let (_env, told) = turn(calls, &["-s", "danger-full-access"], |_| {});
    assert_eq!(told, ["[]", "none"]);
}

/// The items of a name that have ended.
fn ended<'a>(seen: &'a Seen, name: &str) -> Vec<&'a Item> {
    seen.completed().filter(|item| item.body.call().is_some_and(|call| call.name == name)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_is_asked_in_the_middle_and_the_time_stands_still_meanwhile() {
    let call = "tools.shell({command: ['touch', 'made'], escalate: true, justification: 'x'})";
    let code = format!("await {call}; 'made'");
    let (model, env) = scene([evaluates_within(5_000, &code), Reply::text("Done.")]);
    up(&env);
    let driver = client(&env, "driver").await;
    let session = asking_session(&driver, &env).await;
    let mut follower = driver.follow(session).await.unwrap();
    driver.start(session, "go").await.unwrap();
    let asked = |event: &Event| match event {
        Event::QuestionAsked(asked) => Some(asked.question.clone()),
        _ => None,
    };
    follower.until(SOON, |seen| seen.events().any(|event| asked(event).is_some())).await.unwrap();
    let question = follower.seen().events().find_map(asked).unwrap();
    let decision = Decision::Allow { scope: GrantScope::Once };
    let answer = QuestionAnswerParams { question_id: question.id, decision, request_id: None };
    driver.rpc().answer(answer).await.unwrap();
    follower.until_turn_ends(SOON).await.unwrap();
    let caller = ended(follower.seen(), "js_repl")[0].id;
    let called = ended(follower.seen(), "shell")[0];
    assert_eq!((called.called_by, &called.status), (Some(caller), &ItemStatus::Completed));
    assert!(env.repository().join("made").exists());
    assert_eq!(told(&model), ["made"]);
    model.verify().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_change_nothing_run_side_by_side() {
    let waits = "tools.wait_for({path: 'go', seconds: 60})";
    let code = format!("const all = Promise.all([{waits}, tools.read_file({{path: 'a'}})]); (await all)[1]");
    let (model, env) = scene([evaluates(&code), Reply::text("Done.")]);
    env.write_file("a", "text\n").unwrap();
    up(&env);
    let driver = client(&env, "driver").await;
    let session = driver.create(&env).await.unwrap();
    let mut follower = driver.follow(session).await.unwrap();
    driver.start(session, "go").await.unwrap();
    // One after the other, the first would wait for what comes after the second.
    follower.until(SOON, |seen| !ended(seen, "read_file").is_empty()).await.unwrap();
    assert!(ended(follower.seen(), "wait_for").is_empty());
    env.write_file("go", "").unwrap();
    follower.until_turn_ends(SOON).await.unwrap();
    assert_eq!(told(&model), ["1\ttext\n"]);
    model.verify().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupt_stops_code_at_once_and_variables_are_kept() {
    let endless = "let kept = 1; await tools.shell({command: 'touch begun'}); for (;;) {}";
    let replies = [evaluates(endless), evaluates("typeof kept"), Reply::text("Done.")];
    let (model, env) = scene(replies);
    up(&env);
    let driver = client(&env, "driver").await;
    let session = driver.create(&env).await.unwrap();
    let mut follower = driver.follow(session).await.unwrap();
    driver.start(session, "go").await.unwrap();
    wait_for_file(&env, "begun");
    let reason = InterruptReason::Requested;
    let interrupt =
        TurnInterruptParams { session_id: session, expected_turn_id: None, reason, request_id: None };
    TurnClient::interrupt(driver.rpc(), interrupt).await.unwrap();
    follower.until_turn_ends(SOON).await.unwrap();
    driver.start(session, "again").await.unwrap();
    follower.until(SOON, |seen| ended(seen, "js_repl").len() == 2).await.unwrap();
    follower.until_turn_ends(SOON).await.unwrap();
    let last = model.requests().last().unwrap().last_output().unwrap().to_owned();
    assert_eq!(last, "number");
    model.verify().unwrap();
}
