//! Models of this machine, which model is taken and why, and what is known of models. The servers are fakes that
//! speak real HTTP.

use std::path::Path;

use serde_json::{Value, json};
use skein_tests::environment::process::{Input, Invocation};
use skein_tests::fake_servers::http::{FakeServer, Given, Then};
use skein_tests::fake_servers::lm_studio::FakeLmStudio;
use skein_tests::fake_servers::ollama::{FakeOllama, pulling};
use skein_tests::scripted_model::dead_port::DeadPort;
use skein_tests::scripted_model::reply::Reply;
use skein_tests::{ScriptedModel, TestEnv};

use crate::scene::{SOON, scene};

/// A home whose settings name no provider and no model, and where nothing answers on this machine.
struct Bare {
    env: TestEnv,
    dead: DeadPort,
}

impl Bare {
    fn new() -> Self {
        let dead = DeadPort::reserve().unwrap();
        let env = TestEnv::with_base_url("http://127.0.0.1:1").unwrap();
        let bare = Self { env, dead };
        bare.settings("");
        bare
    }

    /// Settings, in which LM Studio is where nothing answers.
    fn settings(&self, text: &str) {
        let studio = format!("[model_providers.lmstudio]\nbase_url = \"{}\"\n", self.dead.base_url());
        self.env.write_settings(&format!("{text}\n{studio}")).unwrap();
    }

    /// A command; Ollama is where nothing answers.
    fn command(&self, arguments: &[&str]) -> Invocation {
        let host = self.dead.base_url();
        self.env.command(arguments.iter().copied()).variable("OLLAMA_HOST", host.trim_end_matches("/v1"))
    }

    /// What a new session takes.
    fn choice(&self, variables: &[(&str, &str)]) -> Value {
        let mut command = self.command(&["models", "list", "--json"]);
        for (name, value) in variables {
            command = command.variable(*name, *value);
        }
        let output = command.run().unwrap();
        assert_eq!(output.code(), Some(0), "{output:?}");
        serde_json::from_str::<Value>(&output.stdout).unwrap()["choice"].clone()
    }
}

#[test]
fn ollama_is_found_and_its_model_has_room_for_an_agent() {
    let ollama = FakeOllama::start(&["qwen3:8b"]).unwrap();
    let bare = Bare::new();
    let run =
        |arguments: &[&str]| bare.command(arguments).variable("OLLAMA_HOST", ollama.host()).run().unwrap();
    let output = run(&["exec", "hello"]);
    assert_eq!((output.code(), output.stdout.trim()), (Some(0), "Hi from here."), "{output:?}");
    assert_eq!(ollama.models_asked(), ["skein/qwen3-8b:ctx32768"]);
    let list = run(&["models", "list"]);
    assert!(list.stdout.contains("a new session takes qwen3:8b (ollama): Ollama runs at"), "{list:?}");
    assert!(list.stdout.contains("5.2 GB 8.2B Q4_K_M loaded with 32,768"), "{list:?}");
    let usage = run(&["usage", "--by", "model"]);
    assert!(usage.stdout.contains("$0.0000"), "what runs here costs nothing: {usage:?}");
    let doctor = run(&["doctor"]);
    assert!(doctor.stdout.contains("qwen3:8b (ollama): Ollama runs at"), "{doctor:?}");
}

#[test]
fn the_settings_say_with_which_context_a_model_is_loaded() {
    let ollama = FakeOllama::start(&["mystery:1"]).unwrap();
    let bare = Bare::new();
    let exec = || {
        let command = bare.command(&["exec", "hello"]).variable("OLLAMA_HOST", ollama.host());
        assert_eq!(command.run().unwrap().code(), Some(0));
    };
    bare.settings("model = \"mystery:1\"\nmodel_provider = \"ollama\"\n");
    exec();
    bare.settings(
        "model = \"mystery:1\"\nmodel_provider = \"ollama\"\n[models.\"mystery:1\"]\ncontext_window = 9000\n",
    );
    exec();
    assert_eq!(ollama.models_asked(), ["mystery:1", "skein/mystery-1:ctx9000"]);
}

#[test]
fn oss_takes_whichever_server_runs_before_any_key() {
    let studio = FakeLmStudio::start("qwen/qwen3-8b").unwrap();
    let bare = Bare::new();
    let settings = format!("[model_providers.lmstudio]\nbase_url = \"{}/v1\"\n", studio.server.address());
    bare.env.write_settings(&settings).unwrap();
    let command = bare.command(&["exec", "--oss", "hello"]).variable("OPENAI_API_KEY", "sk-not-used");
    let output = command.run().unwrap();
    assert_eq!((output.code(), output.stdout.trim()), (Some(0), "Hi from the studio."), "{output:?}");
    let loads = studio.server.asked_for("POST /api/v1/models/load");
    assert_eq!(loads[0].json()["context_length"], 32_768);
}

#[test]
fn oss_without_a_server_says_how_to_start_one() {
    let bare = Bare::new();
    let output = bare.command(&["exec", "--oss", "hello"]).run().unwrap();
    assert_eq!(output.code(), Some(2), "{output:?}");
    for words in ["Ollama does not run at", "LM Studio does not run at", "ollama serve", "lms server start"] {
        assert!(output.stderr.contains(words), "{words}: {output:?}");
    }
}

#[test]
fn a_server_that_does_not_run_is_named_when_it_is_needed() {
    let bare = Bare::new();
    bare.settings("model = \"qwen3:8b\"\nmodel_provider = \"ollama\"\n");
    let output = bare.command(&["exec", "hello"]).run().unwrap();
    assert_eq!(output.code(), Some(1), "{output:?}");
    assert!(output.stderr.contains("Ollama does not run at"), "{output:?}");
    assert!(output.stderr.contains("ollama serve"), "{output:?}");
}

#[test]
fn without_anything_the_three_ways_are_told() {
    let bare = Bare::new();
    let output = bare.command(&["exec", "hello"]).run().unwrap();
    assert_eq!(output.code(), Some(2), "{output:?}");
    for words in ["There is no model to use", "OPENAI_API_KEY", "skein login", "skein models pull"] {
        assert!(output.stderr.contains(words), "{words}: {output:?}");
    }
    let doctor = bare.command(&["doctor"]).run().unwrap();
    assert!(doctor.stdout.contains("There is no model to use"), "{doctor:?}");
    let whoami = bare.command(&["whoami"]).run().unwrap();
    assert_eq!(whoami.code(), Some(1), "{whoami:?}");
}

#[test]
fn a_key_of_the_environment_goes_before_a_stored_one_and_that_before_a_server() {
    let ollama = FakeOllama::start(&["qwen3:8b"]).unwrap();
    let bare = Bare::new();
    let host = ollama.host();
    let here = ("OLLAMA_HOST", host.as_str());
    assert_eq!(bare.choice(&[here])["provider"], "ollama");
    let store = bare.command(&["login", "gemini"]).input(Input::Text("stored-key\n".into())).run().unwrap();
    assert_eq!(store.code(), Some(0), "{store:?}");
    let stored = bare.choice(&[here]);
    assert_eq!(stored["provider"], "gemini");
    assert!(stored["reason"].as_str().unwrap().contains("stored"), "{stored}");
    let named = bare.choice(&[here, ("ANTHROPIC_API_KEY", "key")]);
    assert_eq!(named["provider"], "anthropic");
    assert!(named["reason"].as_str().unwrap().contains("`ANTHROPIC_API_KEY`"), "{named}");
    bare.settings("model_provider = \"openai\"\n");
    assert_eq!(bare.choice(&[here])["provider"], "openai", "who chooses is obeyed");
}

#[test]
fn a_pull_that_is_stopped_goes_on_where_it_stopped() {
    let ollama = FakeOllama::start(&[]).unwrap();
    let bare = Bare::new();
    let pull = || bare.command(&["models", "pull", "qwen3:8b"]).variable("OLLAMA_HOST", ollama.host());
    ollama.next_pull(Given::lines(&[pulling(30, 100)], Then::Hold));
    let running = pull().spawn().unwrap();
    running.wait_for_stderr("30 B of 100 B", SOON).unwrap();
    running.interrupt().unwrap();
    let output = running.wait(SOON).unwrap();
    assert_eq!(output.code(), Some(130), "{output:?}");
    assert!(ollama.server.wait_for_drop("/api/pull", SOON), "the server is told to stop");
    let output = pull().run().unwrap();
    assert_eq!((output.code(), output.stdout.trim()), (Some(0), "qwen3:8b is there"), "{output:?}");
    assert!(output.stderr.contains("70 B of 100 B") && !output.stderr.contains('\r'), "{output:?}");
}

#[test]
fn a_client_that_goes_away_ends_its_pull() {
    let ollama = FakeOllama::start(&[]).unwrap();
    let bare = Bare::new();
    ollama.next_pull(Given::lines(&[pulling(30, 100)], Then::Hold));
    let running =
        bare.command(&["models", "pull", "m"]).variable("OLLAMA_HOST", ollama.host()).spawn().unwrap();
    running.wait_for_stderr("30 B of 100 B", SOON).unwrap();
    running.kill().unwrap();
    assert!(ollama.server.wait_for_drop("/api/pull", SOON));
}

#[test]
fn what_a_server_says_of_a_failed_pull_is_told() {
    let ollama = FakeOllama::start(&[]).unwrap();
    let bare = Bare::new();
    ollama.next_pull(Given::status(500, &json!({"error": "pull model manifest: file does not exist"})));
    let output =
        bare.command(&["models", "pull", "nothing"]).variable("OLLAMA_HOST", ollama.host()).run().unwrap();
    assert_eq!(output.code(), Some(1), "{output:?}");
    assert!(output.stderr.contains("file does not exist"), "{output:?}");
}

#[test]
fn lm_studio_fetches_too() {
    let studio = FakeLmStudio::start("m").unwrap();
    let bare = Bare::new();
    let settings = format!("[model_providers.lmstudio]\nbase_url = \"{}/v1\"\n", studio.server.address());
    bare.env.write_settings(&settings).unwrap();
    let output = bare.command(&["models", "pull", "--provider", "lmstudio", "m"]).run().unwrap();
    assert_eq!(output.code(), Some(0), "{output:?}");
    assert!(output.stderr.contains("50 B of 100 B"), "{output:?}");
}

#[test]
fn a_model_that_sees_no_images_is_shown_none() {
    let (model, env) = scene([Reply::text("not asked for")]);
    env.append_settings("[models.scripted]\nimages = false").unwrap();
    let png = b"\x89PNG\r\n\x1a\nrest";
    std::fs::write(env.repository().join("a.png"), png).unwrap();
    let output = env.run(["exec", "-i", "a.png", "look"]).unwrap();
    assert_eq!(output.code(), Some(2), "{output:?}");
    assert!(output.stderr.contains("The model `scripted` sees no images"), "{output:?}");
    assert!(model.requests().is_empty());
}

#[test]
fn an_effort_that_a_model_does_not_know_is_refused() {
    let (model, env) = scene([Reply::text("Hi.")]);
    env.append_settings("[models.scripted]\nefforts = [\"low\", \"high\"]").unwrap();
    let output = env.run(["exec", "-c", "model_reasoning_effort=\"medium\"", "hello"]).unwrap();
    assert_eq!(output.code(), Some(2), "{output:?}");
    assert!(output.stderr.contains("`low`, `high`"), "{output:?}");
    let output = env.run(["exec", "-c", "model_reasoning_effort=\"high\"", "hello"]).unwrap();
    assert_eq!(output.code(), Some(0), "{output:?}");
    assert_eq!(model.requests()[0].json()["reasoning"]["effort"], "high");
}

#[test]
fn the_output_limit_of_a_model_is_sent() {
    let (model, env) = scene([Reply::text("Hi.")]);
    env.append_settings("[models.scripted]\nmax_output_tokens = 1234").unwrap();
    assert_eq!(env.run(["exec", "hello"]).unwrap().code(), Some(0));
    assert_eq!(model.requests()[0].json()["max_output_tokens"], 1234);
}

#[test]
fn of_a_model_that_nobody_knows_it_is_said_once() {
    let bare = Bare::new();
    let create = || {
        let arguments =
            ["exec", "--detach", "-m", "claude-omega", "-c", "model_provider=\"anthropic\"", "hello"];
        bare.command(&arguments).variable("ANTHROPIC_API_KEY", "key").run().unwrap()
    };
    // The turn itself comes to nothing here; that the session is made is enough.
    bare.settings("[model_providers.anthropic]\nrequest_max_retries = 0\nconnect_timeout_ms = 100\n");
    let (first, second) = (create(), create());
    let words = "Nothing is known here of the model `claude-omega`";
    assert!(first.stderr.contains(words), "{first:?}");
    assert!(!second.stderr.contains(words), "{second:?}");
}

#[test]
fn limits_that_a_provider_tells_are_shown() {
    let ollama = FakeOllama::start(&["m"]).unwrap();
    ollama.add_header("x-ratelimit-limit-requests", "5000");
    ollama.add_header("x-ratelimit-remaining-requests", "4990");
    let bare = Bare::new();
    let run =
        |arguments: &[&str]| bare.command(arguments).variable("OLLAMA_HOST", ollama.host()).run().unwrap();
    assert_eq!(run(&["exec", "hello"]).code(), Some(0));
    let status = run(&["daemon", "status"]);
    assert!(status.stdout.contains("ollama, requests: 4,990 of 5,000 left"), "{status:?}");
    let shown = run(&["sessions", "show", "--last"]);
    assert!(shown.stdout.contains("ollama, requests: 4,990 of 5,000 left"), "{shown:?}");
}

#[test]
fn a_provider_is_asked_for_its_list_with_the_key() {
    let lists = FakeServer::start(|asked| match asked.header("authorization") {
        Some("Bearer sk-mine") => {
            Given::json(&json!({"data": [{"id": "new-one", "context_length": 77_000}]}))
        }
        _ => Given::status(401, &json!({"error": {"message": "who are you"}})),
    })
    .unwrap();
    let bare = Bare::new();
    let provider = format!(
        "[model_providers.mine]\nname = \"Mine\"\nbase_url = \"{}/v1\"\nenv_key = \"MINE\"\nwire_api = \"chat\"\n",
        lists.address()
    );
    bare.settings(&provider);
    let list = |key: &str| bare.command(&["models", "list", "mine"]).variable("MINE", key).run().unwrap();
    let good = list("sk-mine");
    assert!(good.stdout.contains("new-one") && good.stdout.contains("77,000"), "{good:?}");
    let bad = list("sk-other");
    assert!(bad.stdout.contains("failed") && bad.stdout.contains("who are you"), "{bad:?}");
}

#[test]
fn a_program_prints_the_key_and_prints_another_when_it_is_refused() {
    let model = ScriptedModel::start([Reply::unauthorized(), Reply::text("Hi.")]).unwrap();
    let env = TestEnv::new(&model).unwrap();
    let counter = env.temporary().join("runs");
    env.write_settings(&format!(
        "model = \"scripted\"\nmodel_provider = \"mine\"\n[model_providers.mine]\nbase_url = \"{}\"\n\
         [model_providers.mine.auth]\ncommand = \"/bin/sh\"\nargs = [\"-c\", {}]\n",
        model.base_url(),
        json!(printing(&counter))
    ))
    .unwrap();
    let output = env.run(["exec", "hello"]).unwrap();
    assert_eq!(output.code(), Some(0), "{output:?}");
    let keys: Vec<_> =
        model.requests().iter().map(|request| request.header("authorization").unwrap().to_owned()).collect();
    assert_eq!(keys, ["Bearer key-1", "Bearer key-2"]);
}

/// A script that prints another key each time.
fn printing(counter: &Path) -> String {
    format!("echo x >> {0}; echo key-$(grep -c x {0})", counter.display())
}
