//! Whole files and overrides, read as users write them.

use std::fs;
use std::path::{Path, PathBuf};

use protocol::model::{ReasoningEffort, ReasoningSummary};
use protocol::profile::{ApprovalPolicy, EnvironmentPolicy, Inherited, SandboxMode, SandboxRung};
use protocol::session::{AfterCrash, ModelPrice, SettingOverride};

use super::*;

/// What came of a file and overrides, with the folder of the file.
struct Outcome {
    folder: tempfile::TempDir,
    result: Result<Loaded, Vec<ConfigurationProblem>>,
}

impl Outcome {
    fn settings(self) -> Settings {
        let loaded = self.result.unwrap();
        assert_eq!(loaded.warnings, []);
        loaded.settings
    }

    /// Errors or warnings as `line:column key: message (suggestion)`.
    fn problems(&self) -> Vec<String> {
        let problems = match &self.result {
            Ok(loaded) => &loaded.warnings,
            Err(errors) => errors,
        };
        let shown = |problem: &ConfigurationProblem| {
            let place = match (problem.line, problem.column) {
                (Some(line), Some(column)) => format!("{line}:{column}"),
                _ => problem.origin.clone(),
            };
            let meant = problem.suggestion.as_ref().map(|meant| format!(" ({meant})")).unwrap_or_default();
            format!("{place} {}{meant}", problem.message)
        };
        problems.iter().map(shown).collect()
    }
}

fn with(text: &str, overrides: &SettingsOverrides) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    fs::write(&file, text).unwrap();
    Outcome { result: load(&file, overrides), folder }
}

fn file(text: &str) -> Outcome {
    with(text, &SettingsOverrides::default())
}

fn overrides(pairs: &[(&str, &str)]) -> SettingsOverrides {
    let given = |(key, value): &(&str, &str)| SettingOverride { key: (*key).into(), value: (*value).into() };
    SettingsOverrides { values: pairs.iter().map(given).collect(), ..SettingsOverrides::default() }
}

#[test]
fn no_file_means_defaults() {
    let loaded = load(Path::new("/nonexistent/config.toml"), &SettingsOverrides::default()).unwrap();
    let settings = Settings::default();
    assert_eq!(loaded, Loaded { settings, warnings: Vec::new() });
    let openai = &loaded.settings.model_providers[OPENAI];
    assert_eq!(openai.env_keys().collect::<Vec<_>>(), ["CODEX_API_KEY", "OPENAI_API_KEY"]);
    assert!(!check(Path::new("/nonexistent/config.toml")).exists);
}

#[test]
fn every_key_is_read() {
    let outcome = file(
        r#"
        profile = "deep"
        model = "m"
        model_provider = "mine"
        approval_policy = "never"
        sandbox_mode = "read-only"
        model_reasoning_effort = "xhigh"
        model_reasoning_summary = "none"
        developer_instructions = """
Say little.
"""
        openai_base_url = "http://127.0.0.1:8080/v1/"
        after_crash = "continue"
        question_timeout = "10m"
        notify = ["notify-send", "Skein"]

        [sandbox_workspace_write]
        writable_roots = ["/a", "b"]
        network_access = true
        exclude_slash_tmp = true
        exclude_tmpdir_env_var = true

        [limits]
        deadline = "10m"
        max_tokens = 1_000_000
        max_cost = 2
        max_tool_calls = 0

        [shell_environment_policy]
        inherit = "core"
        include_only = ["PATH"]
        exclude = ["AWS_*"]

        [model_providers.mine]
        name = "Mine"
        base_url = "https://example.com/v1"
        env_key = "MY_KEY"
        wire_api = "responses"
        http_headers = { X-A = "1" }
        env_http_headers = { X-B = "B" }
        query_params = { v = "" }
        request_max_retries = 0
        stream_max_retries = 100
        stream_idle_timeout_ms = 1000
        connect_timeout_ms = "2s"
        ca_bundle = "ca.pem"

        [model_providers.script]
        wire_api = "replay"
        script = "demo.toml"

        [model_prices."m.1"]
        input = 1.5
        output = 10

        [profiles.deep]
        sandbox_mode = "danger-full-access"
        limits.deadline = 5

        [daemon]
        idle_exit = "never"
        log_level = "debug"
        durability = "power"

        [sandbox]
        backend = "landlock"
        "#,
    );
    let folder = outcome.folder.path().to_owned();
    let settings = outcome.settings();
    assert_eq!(settings.model.as_deref(), Some("m"));
    assert_eq!(settings.model_provider, "mine");
    assert_eq!(settings.approval_policy, ApprovalPolicy::Never);
    assert_eq!(settings.sandbox_mode, SandboxMode::DangerFullAccess);
    assert_eq!(settings.model_reasoning_effort, Some(ReasoningEffort::XHigh));
    assert_eq!(settings.model_reasoning_summary, Some(ReasoningSummary::None));
    assert_eq!(settings.developer_instructions.as_deref(), Some("Say little.\n"));
    assert_eq!(settings.model_providers[OPENAI].base_url, "http://127.0.0.1:8080/v1");
    let write = &settings.sandbox_workspace_write;
    assert_eq!(write.writable_roots, [PathBuf::from("/a"), folder.join("b")]);
    assert!(write.network_access && write.exclude_slash_tmp && write.exclude_tmpdir_env_var);
    assert_eq!(settings.limits.deadline_ms, Some(5));
    assert_eq!(settings.limits.max_tokens, Some(1_000_000));
    assert_eq!(settings.limits.max_cost, Some(2.0));
    assert_eq!(settings.limits.max_tool_calls, Some(0));
    assert_eq!(
        settings.shell_environment_policy,
        EnvironmentPolicy {
            inherit: Inherited::Core,
            include_only: vec!["PATH".to_owned()],
            exclude: vec!["AWS_*".to_owned()],
        }
    );
    let text = |key: &str, value: &str| [(key.to_owned(), value.to_owned())].into();
    let mine = ModelProvider {
        base_url: "https://example.com/v1".to_owned(),
        env_key: Some("MY_KEY".to_owned()),
        http_headers: text("X-A", "1"),
        env_http_headers: text("X-B", "B"),
        query_params: text("v", ""),
        request_max_retries: 0,
        stream_max_retries: 100,
        stream_idle_timeout_ms: 1000,
        connect_timeout_ms: 2000,
        ca_bundle: Some(folder.join("ca.pem")),
        ..ModelProvider::new("Mine")
    };
    assert!(settings.model_providers["mine"] == mine);
    let script = &settings.model_providers["script"];
    assert_eq!((script.wire_api, &script.script), (WireApi::Replay, &Some(folder.join("demo.toml"))));
    assert_eq!(script.name, "script");
    let price = ModelPrice { input: 1.5, cached_input: 1.5, cache_write_input: None, output: 10.0 };
    assert_eq!(settings.model_prices["m.1"], price);
    assert_eq!(
        settings.daemon,
        DaemonSettings { idle_exit_ms: None, log_level: LogLevel::Debug, durability: Durability::Power }
    );
    assert_eq!(settings.sandbox_backend, Some(SandboxRung::Landlock));
    assert_eq!(settings.after_crash, Some(AfterCrash::Continue));
    assert_eq!(settings.question_timeout_ms, Some(600_000));
    assert_eq!(settings.notify, ["notify-send", "Skein"]);
}

#[test]
fn a_question_may_wait_for_ever_again() {
    let text = "question_timeout = '1m'\nafter_crash = 'continue'\n\
                [profiles.patient]\nquestion_timeout = 'never'\nafter_crash = 'wait'\n";
    let settings = with(text, &overrides(&[("profile", "patient")])).settings();
    assert_eq!((settings.question_timeout_ms, settings.after_crash), (None, Some(AfterCrash::Wait)));
    assert_eq!(file("").settings().after_crash, None);
}

#[test]
fn what_is_wrong_with_the_keys_of_waiting_is_said() {
    let outcome = file("after_crash = 'resume'\nquestion_timeout = 'nver'\nnotify = []\n");
    assert_eq!(
        outcome.problems(),
        [
            "1:15 `after_crash` must be one of `wait`, `continue`, but is `resume`",
            "2:20 `question_timeout` must be a duration such as `90s`, `10m` or `1h30m`, but is `nver`",
            "3:10 `notify` must name a program",
        ]
    );
    for (text, complaint) in [
        ("notify = 'say'", "1:10 `notify` must be a list, but is text"),
        ("notify = ['say', 1]", "1:18 `notify` must be text, but is a whole number"),
        ("notify = ['']", "1:11 `notify` must not be empty"),
        (
            "notify = ['./say']",
            "1:10 `notify` must name a program in `PATH` or an absolute path, but is `./say`",
        ),
    ] {
        assert_eq!(file(text).problems(), [complaint]);
    }
}

#[test]
fn layers_lie_over_each_other() {
    let text = "model = 'file'\nsandbox_mode = 'read-only'\napproval_policy = 'never'\n\
                [profiles.p]\nmodel = 'profile'\nsandbox_mode = 'workspace-write'\n";
    let chosen = |values: &[(&str, &str)], model: Option<&str>| SettingsOverrides {
        profile: Some("p".to_owned()),
        model: model.map(str::to_owned),
        ..overrides(values)
    };
    let model = |overrides: &SettingsOverrides| {
        let settings = with(text, overrides).settings();
        (settings.model.unwrap(), settings.sandbox_mode, settings.approval_policy)
    };
    let (read, write) = (SandboxMode::ReadOnly, SandboxMode::WorkspaceWrite);
    let never = ApprovalPolicy::Never;
    assert_eq!(model(&SettingsOverrides::default()), ("file".into(), read, never));
    assert_eq!(model(&overrides(&[("profile", "p")])), ("profile".into(), write, never));
    assert_eq!(model(&chosen(&[], None)), ("profile".into(), write, never));
    assert_eq!(model(&chosen(&[("model", "a"), ("model", "b")], None)), ("b".into(), write, never));
    assert_eq!(model(&chosen(&[("model", "a")], Some("typed"))), ("typed".into(), write, never));
    let typed = SettingsOverrides {
        sandbox: Some(SandboxMode::DangerFullAccess),
        approval: Some(ApprovalPolicy::Untrusted),
        ..chosen(&[("sandbox_mode", "read-only")], None)
    };
    let (_, sandbox, approval) = model(&typed);
    assert_eq!((sandbox, approval), (SandboxMode::DangerFullAccess, ApprovalPolicy::Untrusted));
}

#[test]
fn overrides_of_the_sdk_are_understood() {
    let given = overrides(&[
        ("openai_base_url", "\"http://127.0.0.1:1/v1\""),
        ("model_reasoning_effort", "\"minimal\""),
        ("sandbox_workspace_write.network_access", "true"),
        ("web_search", "\"cached\""),
        ("approval_policy", "\"on-failure\""),
    ]);
    let outcome = with("", &given);
    assert_eq!(
        outcome.problems(),
        [
            "approval_policy=\"on-failure\" `on-failure` is no longer a policy of its own; `on-request` is used \
             (on-request)",
        ]
    );
    let settings = outcome.result.unwrap().settings;
    assert_eq!(settings.model_providers[OPENAI].base_url, "http://127.0.0.1:1/v1");
    assert_eq!(settings.model_reasoning_effort, Some(ReasoningEffort::Minimal));
    assert!(settings.sandbox_workspace_write.network_access);
    assert_eq!(settings.web_search, WebSearch::Cached);
    assert_eq!(settings.approval_policy, ApprovalPolicy::OnRequest);
}

#[test]
fn a_provider_can_be_completed_by_overrides() {
    let given = overrides(&[
        ("model_provider", "mine"),
        ("model_providers.mine.base_url", "http://[::1]:1"),
        ("model_prices.\"m\".input", "1"),
        ("model_prices.\"m\".output", "2"),
    ]);
    let settings = with("[model_providers.mine]\nname = 'Mine'\n", &given).settings();
    assert_eq!(settings.model_providers["mine"].base_url, "http://[::1]:1");
    assert_eq!(settings.model, None);
    assert_eq!(settings.model_prices["m"].cached_input, 1.0);
}

#[test]
fn the_built_in_provider_can_be_changed_in_part() {
    let settings = file("[model_providers.openai]\nenv_key = 'MINE'\n").settings();
    let openai = &settings.model_providers[OPENAI];
    assert_eq!(openai.base_url, "https://api.openai.com/v1");
    assert_eq!(openai.env_keys().collect::<Vec<_>>(), ["MINE"]);
}

#[test]
fn all_that_is_wrong_is_reported_at_its_place() {
    let outcome = file(
        r#"model = 5
model_provider = "opnai"
sandbox_mode = "workspce-write"
approval_policy = true
limits = { deadline = "soon", max_tokens = -1, max_cost = nan }
[sandbox_workspace_write]
writable_roots = ["/a", 3, "~/b"]
network_access = "yes"
[model_providers.a]
wire_api = "ollama"
base_url = "localhost"
request_max_retries = -1
stream_idle_timeout_ms = 0
[model_providers.b]
[model_providers.c]
wire_api = "replay"
[model_prices.m]
input = 1
[profiles.x]
model_provider = "b2"
model = ""
[daemon]
log_level = "loud"
"#,
    );
    assert_eq!(
        outcome.problems(),
        [
            "1:9 `model` must be text, but is a whole number",
            "2:18 No provider `opnai` is described in `model_providers` (openai)",
            "3:16 `sandbox_mode` must be one of `read-only`, `workspace-write`, `danger-full-access`, but is \
             `workspce-write` (workspace-write)",
            "4:19 `approval_policy` must be text, but is `true` or `false`",
            "5:23 `limits.deadline` must be a duration such as `90s`, `10m` or `1h30m`, but is `soon`",
            "5:44 `limits.max_tokens` must be 1 or more, but is -1",
            "5:59 `limits.max_cost` must be 0 or more, but is nan",
            "7:25 `sandbox_workspace_write.writable_roots` must be text, but is a whole number",
            "7:28 `sandbox_workspace_write.writable_roots` must be an absolute path; `~` is not expanded here",
            "8:18 `sandbox_workspace_write.network_access` must be `true` or `false`, but is text",
            "9:18 `model_providers.a` has no `base_url`",
            "10:12 `model_providers.a.wire_api` is `ollama`, which is a provider here and no wire API; write \
             `model_provider = \"ollama\"`, or `wire_api = \"chat\"` for another server that speaks as it does",
            "11:12 `model_providers.a.base_url` must begin with `https://` or `http://`, but is `localhost`",
            "12:23 `model_providers.a.request_max_retries` must be 0 or more, but is -1",
            "13:26 `model_providers.a.stream_idle_timeout_ms` must be 1 or more, but is 0",
            "14:18 `model_providers.b` has no `base_url`",
            "15:18 `model_providers.c` has no `script`",
            "17:15 `model_prices.m` needs both `input` and `output`",
            "20:18 No provider `b2` is described in `model_providers`",
            "21:9 `profiles.x.model` must not be empty",
            "23:13 `daemon.log_level` must be one of `error`, `warn`, `info`, `debug`, `trace`, but is `loud`",
        ]
    );
    let problems = outcome.result.unwrap_err();
    assert_eq!(problems[2].key.as_deref(), Some("sandbox_mode"));
    assert_eq!(
        problems[2].excerpt.as_deref(),
        Some("3 | sandbox_mode = \"workspce-write\"\n  |                ^^^^^^^^^^^^^^^^")
    );
}

#[test]
fn a_duration_is_neither_nothing_nor_for_ever() {
    for (text, complaint) in [
        ("'0s'", "1:19 `limits.deadline` must be more than 0"),
        ("'3651d'", "1:19 `limits.deadline` must be 3650 days or less"),
        ("0x7fff_ffff_ffff_ffff", "1:19 `limits.deadline` must be 3650 days or less"),
    ] {
        assert_eq!(file(&format!("limits.deadline = {text}")).problems(), [complaint]);
    }
}

#[test]
fn what_can_be_left_out_is_a_warning() {
    let outcome = file(
        "sandbx_mode = 'read-only'\nmodel_reasoning_effort = 'hihg'\n[pets.x]\ncommand = 'y'\n\
         [model_providers.openai]\nbase_ulr = 'x'\nrequest_max_retries = 101\n[profiles.p]\ndaemon = {}\n",
    );
    assert_eq!(
        outcome.problems(),
        [
            "1:1 `sandbx_mode` is not a known key and is ignored (sandbox_mode)",
            "2:26 `hihg` is not a word that is known here; the provider gets it as it is (high)",
            "3:2 `pets` is not a known key and is ignored",
            "6:1 `model_providers.openai.base_ulr` is not a known key and is ignored (base_url)",
            "7:23 `model_providers.openai.request_max_retries` is 101, but 100 is the most there may be",
            "9:1 `profiles.p.daemon` is not a known key and is ignored",
        ]
    );
    let settings = outcome.result.unwrap().settings;
    assert_eq!(settings.model_providers[OPENAI].request_max_retries, MAX_RETRIES);
}

#[test]
fn a_wrong_override_names_itself() {
    let given = SettingsOverrides {
        profile: Some("dep".to_owned()),
        ..overrides(&[
            ("limits.max_tokens", "many"),
            ("sandbox_workspace_write.writable_roots", "[\"a\"]"),
            ("model", "[1"),
            ("a b", "1"),
        ])
    };
    let outcome = with("[profiles.deep]\n", &given);
    let problems = outcome.problems();
    for (problem, wanted) in problems.iter().zip([
        "model=[1 ",
        "a b=1 ",
        "profile=\"dep\" There is no profile `dep` (deep)",
        "limits.max_tokens=many `limits.max_tokens` must be a whole number, but is text",
        "sandbox_workspace_write.writable_roots=[\"a\"] `sandbox_workspace_write.writable_roots` must be an absolute",
    ]) {
        assert!(problem.starts_with(wanted), "{problem}");
    }
    assert_eq!(problems.len(), 5, "{problems:#?}");
    let excerpt = outcome.result.unwrap_err()[3].excerpt.clone().unwrap();
    assert_eq!(excerpt, "limits.max_tokens = \"many\"\n                    ^^^^^^");
}

#[test]
fn an_override_can_not_change_the_daemon() {
    let outcome = with(
        "",
        &overrides(&[
            ("daemon.idle_exit", "1s"),
            ("sandbox.backend", "landlock"),
            ("notify", "[\"curl\", \"https://example.com\"]"),
        ]),
    );
    assert_eq!(
        outcome.problems(),
        [
            "daemon.idle_exit=1s `daemon` can be set in `config.toml` only and is ignored here",
            "sandbox.backend=landlock `sandbox` can be set in `config.toml` only and is ignored here",
            "notify=[\"curl\", \"https://example.com\"] `notify` can be set in `config.toml` only and is ignored here",
        ]
    );
    let settings = outcome.result.unwrap().settings;
    assert_eq!((settings.daemon, settings.sandbox_backend), (Settings::default().daemon, None));
}

#[test]
fn malformed_toml_is_reported_with_its_place() {
    let outcome = file("model = gpt\nx = \"y\nlog_level = 'info'\n[daemon\n");
    let lines: Vec<_> =
        outcome.problems().iter().map(|problem| problem.split(' ').next().unwrap().to_owned()).collect();
    assert_eq!(lines, ["1:9", "2:7", "4:8"], "{:#?}", outcome.problems());
}

#[test]
fn nothing_more_is_said_of_a_file_that_can_not_be_read() {
    let given = SettingsOverrides { profile: Some("deep".to_owned()), ..overrides(&[("x", "1")]) };
    let outcome = with("[profiles.deep]\nmodel = \n", &given);
    assert_eq!(outcome.problems().len(), 1, "{:#?}", outcome.problems());
}

#[test]
fn files_that_are_no_text_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    fs::write(&path, b"a = 1\nb = '\xff'\n").unwrap();
    let problem = check(&path).errors.remove(0);
    assert_eq!((problem.line, problem.column), (Some(2), Some(6)));
    assert!(problem.message.contains("UTF-8"));

    fs::write(&path, vec![b' '; 1024 * 1024 + 1]).unwrap();
    assert!(check(&path).errors[0].message.contains("1 MiB"));

    let result = check(folder.path());
    assert!(result.exists && result.errors[0].message.starts_with("A folder"));

    let result = check(&path.join("below"));
    assert!(result.errors[0].message.starts_with("The file can't be read"), "{result:?}");
}

#[test]
fn what_is_printed_of_a_provider_holds_no_key() {
    let text =
        "[model_providers.openai]\nhttp_headers = { Authorization = 'sk-1' }\nquery_params = { k = 'sk-2' }";
    let settings = file(text).settings();
    let printed = format!("{settings:?}");
    assert!(printed.contains("Authorization") && !printed.contains("sk-"), "{printed}");
}

#[test]
fn a_word_of_another_program_is_answered_with_ours() {
    let outcome = file("[model_providers.a]\nbase_url = \"http://a\"\nwire_api = \"chat_completions\"\n");
    let wanted = "3:12 `model_providers.a.wire_api` is `chat_completions`, which is called `chat` here; write \
                  `wire_api = \"chat\"` (chat)";
    assert_eq!(outcome.problems(), [wanted]);
}

#[test]
fn the_usual_providers_are_there_and_the_choice_is_remembered_as_one() {
    let settings = file("").settings();
    let ids: Vec<&str> = settings.model_providers.keys().map(String::as_str).collect();
    assert_eq!(ids, ["anthropic", "chatgpt", "gemini", "lmstudio", "ollama", "openai", "openrouter"]);
    assert!(!settings.is_provider_chosen && settings.model.is_none());
    let settings = file("model_provider = \"oss\"").settings();
    assert!(settings.is_provider_chosen && settings.model_provider == LOCAL);
    assert!(
        file("[profiles.p]\nmodel_provider = \"ollama\"\n").settings().model_providers["ollama"]
            .local
            .is_some()
    );
}

#[test]
fn what_is_known_of_a_model_can_be_told() {
    let told = file(
        "[models.\"m:1\"]\ncontext_window = 32768\nmax_output_tokens = 4096\ntools = true\nimages = false\n\
         efforts = [\"low\"]\nprice = { input = 1, cached_input = 0.1, cache_write_input = 1.25, output = 2 }\n",
    );
    assert_eq!(told.problems(), [""; 0]);
    let settings = told.result.unwrap().settings;
    let facts = &settings.models["m:1"];
    assert_eq!((facts.context_window, facts.max_output_tokens), (Some(32768), Some(4096)));
    assert_eq!((facts.has_tools, facts.has_images, facts.has_reasoning), (Some(true), Some(false), None));
    assert_eq!(facts.efforts, [ReasoningEffort::Low]);
    let price = ModelPrice { input: 1.0, cached_input: 0.1, cache_write_input: Some(1.25), output: 2.0 };
    assert_eq!(settings.model_prices["m:1"], price);
    let wrong = file("[models.m]\ncontext_window = 0\nprice = { input = 1 }\n").problems();
    assert_eq!(wrong.len(), 2, "{wrong:?}");
}

#[test]
fn a_program_that_prints_the_key_is_read_with_its_limits() {
    let provider = |rest: &str| {
        format!("[model_providers.a]\nbase_url = \"http://a\"\n[model_providers.a.auth]\n{rest}")
    };
    let settings = file(&provider(
        "command = \"token\"\nargs = [\"-q\", \"\"]\ntimeout_ms = 100\nrefresh_interval_ms = \"never\"\n",
    ));
    let auth = settings.settings().model_providers["a"].auth.clone().unwrap();
    assert_eq!((auth.program.as_str(), auth.arguments), ("token", vec!["-q".to_owned(), String::new()]));
    assert_eq!((auth.timeout_ms, auth.refresh_ms), (100, None));
    for (wrong, wanted) in [("args = []", "has no `command`"), ("command = \"./token\"", "an absolute path")]
    {
        let problems = file(&provider(wrong)).problems();
        assert!(problems.len() == 1 && problems[0].contains(wanted), "{problems:?}");
    }
}

#[test]
fn mcp_servers_are_read_and_overrides_change_single_keys() {
    let scratch = tempfile::tempdir().expect("scratch");
    let file = scratch.path().join("config.toml");
    let text = "[mcp_servers.docs]\ncommand = 'npx'\nargs = ['-y', 'docs']\nenv = { A = 'b' }\n\
                startup_timeout_sec = 2.5\ndisabled_tools = ['drop']\n[mcp_servers.docs.tools.search]\n\
                approval_mode = 'approve'\n[mcp_servers.far]\nurl = 'https://example.org/mcp'\nrequired = true\n";
    std::fs::write(&file, text).expect("file");
    let value = SettingOverride { key: "mcp_servers.docs.enabled".to_owned(), value: "false".to_owned() };
    let overrides = SettingsOverrides { values: vec![value], ..SettingsOverrides::default() };
    let servers = load(&file, &overrides).expect("settings").settings.mcp_servers;
    let docs = &servers["docs"];
    assert!(
        !docs.is_enabled && docs.startup_timeout_ms == 2500 && !docs.has_tool("drop") && docs.has_tool("x")
    );
    assert_eq!(docs.approval_of("search"), protocol::mcp::ToolApproval::Approve);
    assert_eq!(docs.approval_of("other"), protocol::mcp::ToolApproval::Auto);
    assert!(matches!(&docs.transport, McpTransport::Stdio { command, arguments, .. }
        if command == "npx" && arguments.len() == 2));
    assert!(servers["far"].is_required);
    // What may be a secret is in no log.
    assert!(!format!("{docs:?}").contains("\"b\""));
}

#[test]
fn an_mcp_server_that_can_t_be_reached_is_complained_of() {
    let scratch = tempfile::tempdir().expect("scratch");
    let file = scratch.path().join("config.toml");
    for (text, wanted) in [
        ("[mcp_servers.a]\nenabled = true\n", "neither `command` nor `url`"),
        ("[mcp_servers.a]\ncommand = 'x'\nurl = 'http://x'\n", "both `command` and `url`"),
        ("[mcp_servers.'a b']\ncommand = 'x'\n", "letters, digits"),
        ("[mcp_servers.a]\ncommand = './x'\n", "absolute path"),
        ("[mcp_servers.a]\nurl = 'ftp://x'\n", "must begin with"),
        ("[mcp_servers.a]\ncommand = 'x'\napproval_mode = 'yes'\n", "must be one of"),
        ("[mcp_servers.a]\ncommand = 'x'\ntool_timeout_sec = 0\n", "must be more than 0"),
    ] {
        std::fs::write(&file, text).expect("file");
        let problems = load(&file, &SettingsOverrides::default()).expect_err(text);
        assert!(problems[0].message.contains(wanted), "{text}: {}", problems[0].message);
        assert!(problems[0].line.is_some(), "{text}");
    }
}

#[test]
fn every_level_of_a_budget_has_the_same_ceilings_and_a_slip_is_told_with_its_place() {
    let ceilings = "max_tokens = 5\nmax_cost = 1.5\nmax_time = \"2h\"\nmax_tool_calls = 3\n";
    let tables = ["limits", "budget.session", "budget.tree", "budget.day", "budget.provider.openai"];
    let text: String = tables.iter().map(|table| format!("[{table}]\n{ceilings}")).collect();
    let settings = file(&text).settings();
    let budget = &settings.budget;
    for limits in [&settings.limits, &budget.session, &budget.tree, &budget.day, &budget.providers["openai"]]
    {
        let given = (limits.max_tokens, limits.max_cost, limits.max_time_ms, limits.max_tool_calls);
        assert_eq!(given, (Some(5), Some(1.5), Some(7_200_000), Some(3)));
    }
    let wrong = "[budget.provider.openai]\nmax_time = \"soon\"\n[budget.provider.p]\nmax_tokns = 1\n[budget.day]\ndeadline = \"1h\"\n";
    let problems = file(wrong).problems();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(
        problems[0].starts_with("2:12 `budget.provider.openai.max_time` must be a duration"),
        "{problems:?}"
    );
    let slips = file(wrong.split_once("soon\"\n").unwrap().1).problems();
    assert_eq!(slips.len(), 2, "{slips:?}");
    assert!(
        slips
            .iter()
            .any(|slip| slip.contains("`budget.provider.p.max_tokns`") && slip.ends_with("(max_tokens)")),
        "{slips:?}"
    );
    assert!(slips.iter().any(|slip| slip.contains("`budget.day.deadline` is not a known key")), "{slips:?}");
}
