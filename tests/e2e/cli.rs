//! The command line itself: help, completions, and errors that say what to do next.

use skein_tests::TestEnv;
use skein_tests::environment::process::Input;

use crate::scene::seen;

fn env() -> TestEnv {
    TestEnv::with_base_url("http://127.0.0.1:1/v1").unwrap()
}

#[test]
fn the_version_needs_no_daemon() {
    let env = env();
    let output = env.run(["--version"]).unwrap();
    assert_eq!(
        (output.code(), output.stdout.as_str()),
        (Some(0), concat!("skein ", env!("CARGO_PKG_VERSION"), "\n"))
    );
    assert!(env.processes().is_empty());
}

#[test]
fn help_names_every_command() {
    let env = env();
    let help = env.run(["--help"]).unwrap().stdout;
    for command in [
        "exec",
        "attach",
        "ps",
        "send",
        "stop",
        "sessions",
        "questions",
        "sandbox",
        "daemon",
        "doctor",
        "demo",
        "config",
        "completions",
    ] {
        assert!(help.lines().any(|line| line.trim_start().starts_with(command)), "`{command}` in {help}");
    }
    for arguments in
        [&["exec", "--help"][..], &["daemon", "--help"], &["questions", "--help"], &["sandbox", "--help"]]
    {
        let output = env.run(arguments.iter().copied()).unwrap();
        assert!(output.code() == Some(0) && !output.stdout.is_empty(), "{output:?}");
    }
}

#[test]
fn a_mistyped_command_is_guessed() {
    let output = env().run(["exce", "hello"]).unwrap();
    assert_eq!(output.code(), Some(2), "{output:?}");
    assert!(output.stderr.contains("exec"), "{}", output.stderr);
}

#[test]
fn a_mistyped_flag_is_guessed() {
    let output = env().run(["exec", "--sandbx", "read-only", "hello"]).unwrap();
    assert_eq!(output.code(), Some(2), "{output:?}");
    assert!(output.stderr.contains("--sandbox"), "{}", output.stderr);
}

#[test]
fn completions_are_there_for_each_shell() {
    let env = env();
    for shell in ["bash", "zsh", "fish"] {
        let output = env.run(["completions", shell]).unwrap();
        assert_eq!(output.code(), Some(0), "{output:?}");
        assert!(output.stdout.contains("skein") && output.stdout.contains("exec"), "{shell}");
    }
}

#[test]
fn the_settings_file_is_where_it_says() {
    let env = env();
    let output = env.run(["config", "path"]).unwrap();
    assert_eq!(output.stdout.trim(), env.settings_file().to_str().unwrap());
}

#[test]
fn good_settings_are_said_to_be_good() {
    let output = env().run(["config", "check"]).unwrap();
    assert_eq!(output.code(), Some(0), "{output:?}");
}

#[test]
fn wrong_settings_are_shown_with_their_place_and_what_was_meant() {
    let env = env();
    env.prepend_settings("# A comment.\nsandbox_mode = \"workspace-wirte\"\napproval_polcy = \"never\"")
        .unwrap();
    let output = env.run(["config", "check"]).unwrap();
    assert_eq!(output.code(), Some(2), "{output:?}");
    let seen = seen(&output);
    for part in ["config.toml:2:", "workspace-write", "config.toml:3:", "approval_policy"] {
        assert!(seen.contains(part), "`{part}` in {seen}");
    }
}

#[test]
fn settings_that_are_no_toml_are_shown_with_their_place() {
    let env = env();
    env.write_settings("model = \"a\"\nmodel_provider = [\n").unwrap();
    for arguments in [["config", "check"], ["exec", "hello"]] {
        let output = env.run(arguments).unwrap();
        assert_eq!(output.code(), Some(2), "{output:?}");
        assert!(
            seen(&output).contains("config.toml:2:") || seen(&output).contains("config.toml:3:"),
            "{output:?}"
        );
    }
}

#[test]
fn a_provider_that_is_not_there_is_told_with_those_that_are() {
    let env = env();
    let output = env.run(["exec", "-c", "model_provider=\"scriptd\"", "hello"]).unwrap();
    assert_eq!(output.code(), Some(2), "{output:?}");
    assert!(output.stderr.contains("scriptd") && output.stderr.contains("scripted"), "{}", output.stderr);
}

#[test]
fn the_doctor_tells_how_commands_are_confined() {
    let output = env().run(["doctor"]).unwrap();
    assert_eq!(output.code(), Some(0), "{output:?}");
    let said = output.stdout.to_lowercase();
    assert!(said.contains("sandbox") && said.contains("namespaces"), "{said}");
}

#[test]
fn a_patch_can_be_applied_by_hand() {
    let env = env();
    let patch =
        "*** Begin Patch\n*** Update File: README.md\n@@\n-A scratch repository.\n+Patched.\n*** End Patch\n";
    let output = env.command(["apply", "-"]).input(Input::Text(patch.to_owned())).run().unwrap();
    assert_eq!(output.code(), Some(0), "{output:?}");
    assert_eq!(env.read_file("README.md").unwrap(), "Patched.\n");
    let output = env.command(["apply", "-"]).input(Input::Text(patch.to_owned())).run().unwrap();
    assert!(output.code() != Some(0) && output.stderr.contains("README.md"), "{output:?}");
}

#[test]
fn the_policy_can_be_asked() {
    let env = env();
    env.prepend_settings("approval_policy = \"untrusted\"").unwrap();
    let harmless = env.run(["policy", "check", "--", "ls", "-l"]).unwrap();
    let other = env.run(["policy", "check", "--", "rm", "-rf", "x"]).unwrap();
    assert!(harmless.code() == Some(0) && harmless.stdout.starts_with("allow"), "{harmless:?}");
    assert!(other.code() == Some(10) && other.stdout.starts_with("prompt"), "{other:?}");
}
