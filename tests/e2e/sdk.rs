//! The official TypeScript SDK for `codex exec`, unchanged, drives `skein` through its `codexPathOverride`.

use std::path::Path;

use serde_json::{Value, json};
use skein_tests::environment::executable::skein_exe;
use skein_tests::environment::process::Invocation;
use skein_tests::scripted_model::reply::{Answer, Reply, StatusReply};
use skein_tests::scripted_model::server::Options;
use skein_tests::{ScriptedModel, TestEnv, sdk, skip};

use crate::scene::{expect_none_left, patches, runs};

/// Runs a program against the SDK: `codex` is there, what `print` is given is the result.
fn drive(env: &TestEnv, module: &Path, model: &ScriptedModel, body: &str) -> Value {
    let path = |path: &Path| json!(path.to_str().unwrap()).to_string();
    let program = format!(
        "import {{ Codex }} from {module};\n\
         const codex = new Codex({{codexPathOverride: {skein}, baseUrl: {url}, apiKey: 'sk-from-the-sdk'}});\n\
         const repository = {repository};\n\
         const print = (value) => console.log(JSON.stringify(value));\n\
         {body}",
        module = json!(format!("file://{}", module.to_str().unwrap())),
        skein = path(&skein_exe().unwrap()),
        url = json!(model.base_url()),
        repository = path(&env.repository()),
    );
    let file = env.home().join("drive.mjs");
    std::fs::write(&file, program).unwrap();
    let path = std::env::var_os("PATH").unwrap();
    let node = Invocation::new("node", [file], env.home())
        .variable("PATH", path)
        .variable("HOME", env.home())
        .variable("TMPDIR", env.temporary())
        .variable("SKEIN_HOME", env.skein_home());
    let output = node.run().unwrap();
    serde_json::from_str(output.stdout.trim()).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

/// The SDK's module and a scene whose settings know no provider at all, as the SDK brings its own.
fn scene(replies: Vec<Reply>) -> Option<(std::path::PathBuf, ScriptedModel, TestEnv)> {
    let module = sdk::module().unwrap();
    if !module.is_file() {
        return None;
    }
    let options = Options { api_key: Some("sk-from-the-sdk".to_owned()), ..Options::default() };
    let model = ScriptedModel::start_with(options, replies).unwrap();
    let env = TestEnv::new(&model).unwrap();
    env.write_settings("model = \"scripted\"\n").unwrap();
    Some((module, model, env))
}

const MISSING: &str = "the TypeScript SDK is not installed; `cargo xtest` fetches it with npm";

#[test]
fn the_sdk_runs_a_turn_and_resumes_it() {
    let Some((module, model, env)) = scene(vec![
        runs(["echo", "hello"]),
        patches("*** Add File: made.txt\n+made"),
        Reply::text("Done."),
        Reply::text("Still here."),
    ]) else {
        return skip::skipped(MISSING).unwrap();
    };
    let result = drive(
        &env,
        &module,
        &model,
        "
        const thread = codex.startThread({workingDirectory: repository, sandboxMode: 'workspace-write',
            skipGitRepoCheck: true, modelReasoningEffort: 'low', networkAccessEnabled: false,
            webSearchMode: 'disabled', approvalPolicy: 'never'});
        const turn = await thread.run('go');
        const again = await codex.resumeThread(thread.id, {workingDirectory: repository}).run([
            {type: 'text', text: 'still'}, {type: 'text', text: 'there?'}]);
        print({id: thread.id, turn, again});",
    );
    let kinds: Vec<_> =
        result["turn"]["items"].as_array().unwrap().iter().map(|item| &item["type"]).collect();
    assert_eq!(kinds, ["command_execution", "file_change", "agent_message"]);
    assert_eq!(result["turn"]["finalResponse"], "Done.");
    assert_eq!(result["turn"]["usage"]["input_tokens"], 300);
    assert_eq!(result["again"]["finalResponse"], "Still here.");
    assert_eq!(model.requests()[3].user_texts().last(), Some(&"still\n\nthere?"));
    assert_eq!(env.read_file("made.txt").unwrap(), "made\n");
    model.verify().unwrap();
}

#[test]
fn the_sdk_streams_events_and_structured_output() {
    let Some((module, model, env)) = scene(vec![Answer::new().text("{\"n\":1}").into()]) else {
        return skip::skipped(MISSING).unwrap();
    };
    let result = drive(&env, &module, &model, "
        const thread = codex.startThread({workingDirectory: repository});
        const schema = {type: 'object', properties: {n: {type: 'integer'}}, required: ['n'], additionalProperties: false};
        const {events} = await thread.runStreamed('go', {outputSchema: schema});
        const types = [];
        for await (const event of events) types.push(event.type);
        print(types);");
    let types: Vec<_> = result.as_array().unwrap().iter().map(|kind| kind.as_str().unwrap()).collect();
    assert_eq!(
        (types.first(), types.last()),
        (Some(&"thread.started"), Some(&"turn.completed")),
        "{types:?}"
    );
    assert_eq!(model.requests()[0].json()["text"]["format"]["schema"]["required"], json!(["n"]));
}

#[test]
fn the_sdk_throws_what_the_provider_said() {
    let refusal = StatusReply::error(400, "No such model.", "invalid_request_error", Some("model_not_found"));
    let Some((module, model, env)) = scene(vec![refusal.into()]) else {
        return skip::skipped(MISSING).unwrap();
    };
    let result = drive(
        &env,
        &module,
        &model,
        "
        const thread = codex.startThread({workingDirectory: repository});
        try { await thread.run('go'); print('no error'); } catch (error) { print(String(error.message)); }",
    );
    assert!(result.as_str().unwrap().contains("No such model."), "{result}");
}

#[test]
fn a_caller_that_aborts_ends_the_turn() {
    let Some((module, model, env)) = scene(vec![runs(["sleep", "600"])]) else {
        return skip::skipped(MISSING).unwrap();
    };
    let result = drive(
        &env,
        &module,
        &model,
        "
        const thread = codex.startThread({workingDirectory: repository});
        const abort = new AbortController();
        const {events} = await thread.runStreamed('go', {signal: abort.signal});
        try {
            for await (const event of events) if (event.item?.type === 'command_execution') abort.abort();
            print('no error');
        } catch (error) { print(error.name); }",
    );
    assert_eq!(result, "AbortError");
    expect_none_left(&env, "sleep");
}
