//! `skein demo`: no key, no network, and all of it real.

use skein_tests::TestEnv;

use crate::scene::{SOON, seen};

#[test]
fn the_demo_mends_a_program_and_says_what_to_type_next() {
    let env = TestEnv::with_base_url("http://127.0.0.1:1/v1").unwrap();
    let demo = env.command(["demo"]).folder(env.home()).without_variable("SCRIPTED_API_KEY");
    let output = demo.without_variable("SKEIN_HOME").run().unwrap();
    let seen = seen(&output);
    assert_eq!(output.code(), Some(0), "{seen}");
    for part in ["skein exec", "OPENAI_API_KEY"] {
        assert!(seen.contains(part), "`{part}` in {seen}");
    }
    assert!(!seen.contains('\u{1b}'), "{seen}");
    for process in env.processes() {
        assert!(process.wait(SOON), "it takes its daemon with it: {process:?}");
    }
}

#[test]
fn the_demo_leaves_the_users_own_home_alone() {
    let env = TestEnv::with_base_url("http://127.0.0.1:1/v1").unwrap();
    let output = env.run(["demo"]).unwrap();
    assert_eq!(output.code(), Some(0), "{output:?}");
    let names: Vec<_> =
        std::fs::read_dir(env.skein_home()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["config.toml"]);
    assert_eq!(env.git(["status", "--porcelain"]).unwrap(), "");
}
