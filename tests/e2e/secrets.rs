//! Secrets stay where they belong: after a run that logs everything, no key and no token is found in anything that
//! Skein wrote, said or handed on, but in the one file that is there for them.

use std::fs;
use std::path::{Path, PathBuf};

use skein_tests::environment::process::{Input, Output};
use skein_tests::fake_servers::accounts::FakeAccounts;
use skein_tests::scripted_model::reply::Reply;
use skein_tests::{ScriptedModel, TestEnv};

use crate::scene::script;

/// What every secret of this test has in it.
const PLANTED: &str = "planted-";
/// What is said in the open, and must be found, or the search finds nothing at all.
const OPEN: &str = "open-words-of-the-person";

/// All files below a folder.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            files(&entry.path(), found);
        } else if kind.is_file() {
            found.push(entry.path());
        }
    }
}

/// The files that hold a text.
fn holding(folders: &[PathBuf], text: &str) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for folder in folders {
        files(folder, &mut all);
    }
    let holds = |path: &PathBuf| {
        let bytes = fs::read(path).unwrap_or_default();
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    };
    all.into_iter().filter(holds).collect()
}

fn assert_silent(output: &Output) {
    assert_eq!(output.code(), Some(0), "{output:?}");
    assert!(!output.stdout.contains(PLANTED) && !output.stderr.contains(PLANTED), "{output:?}");
}

#[test]
fn no_secret_is_found_after_a_run_that_logs_everything() {
    let accounts = FakeAccounts::start().unwrap();
    let look = || script("env; cat /proc/*/environ 2>/dev/null | tr '\\0' '\\n'; true");
    let replies = [
        look(),
        Reply::text("Done."),
        look(),
        Reply::text("Done."),
        Reply::unauthorized(),
        Reply::text("Done."),
    ];
    let model = ScriptedModel::start(replies).unwrap();
    let env = TestEnv::new(&model).unwrap();
    env.prepend_settings(&format!(
        "[daemon]\nlog_level = \"trace\"\n{}[model_providers.stored]\nbase_url = \"{}\"\nenv_key = \"STORED_KEY\"\n",
        accounts.settings(&model.base_url()),
        model.base_url()
    ))
    .unwrap();
    // Keys of the top level stand before tables.
    let settings = fs::read_to_string(env.settings_file()).unwrap();
    let (tables, rest) =
        settings.split_once("model = \"scripted\"\nmodel_provider = \"scripted\"\n").unwrap();
    env.write_settings(&format!("model = \"scripted\"\nmodel_provider = \"scripted\"\n{rest}\n{tables}"))
        .unwrap();

    let store = env.command(["login", "stored"]).input(Input::Text(format!("{PLANTED}stored-key\n")));
    assert_silent(&store.run().unwrap());
    assert_silent(&env.run(["login", "--device-auth"]).unwrap());
    let exec = |provider: &str, recording: &str| {
        let provider = format!("model_provider=\"{provider}\"");
        let arguments = ["exec", "--json", "--record", recording, "-c", &provider, OPEN];
        env.command(arguments)
            .variable("SCRIPTED_API_KEY", format!("{PLANTED}key-of-environment"))
            .run()
            .unwrap()
    };
    for (provider, recording) in
        [("scripted", "one.jsonl"), ("stored", "two.jsonl"), ("chatgpt", "three.jsonl")]
    {
        assert_silent(&exec(provider, recording));
    }
    assert_silent(&env.run(["whoami"]).unwrap());
    assert_silent(&env.run(["models", "list", "--json"]).unwrap());
    assert_silent(&env.run(["logs", "--last"]).unwrap());
    env.stop();

    let sent: Vec<_> =
        model.requests().iter().map(|request| request.header("authorization").unwrap().to_owned()).collect();
    assert!(sent.iter().all(|header| header.contains(PLANTED)), "each request had a secret: {sent:?}");
    let folders = [env.skein_home(), env.repository(), env.temporary(), env.home()];
    let own = env.skein_home().join("state/credentials.json");
    assert_eq!(holding(&folders, PLANTED), [own], "secrets lie there, and nowhere else");
    let spoken = holding(&folders, OPEN);
    assert!(!spoken.is_empty(), "the search finds what is there");
    let log = env.skein_home().join("state/log/daemon.log");
    let log = fs::read_to_string(&log).unwrap_or_default();
    assert!(log.contains("TRACE"), "everything was logged");
}
