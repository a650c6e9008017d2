//! The top level of the repository holds the fixed names and nothing else. Knows names only.

use std::fs;

use crate::expect_none;
use crate::package::{read, repository};

/// What may stand there. Not all of it must.
const ALLOWED: &[&str] = &[
    ".cargo",
    ".ci",
    ".clippy.toml",
    ".config",
    ".deny.toml",
    ".git",
    ".gitignore",
    ".rustfmt.toml",
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "clients",
    "daemon",
    "editors",
    "proto-schema",
    "protocol",
    "rust-toolchain.toml",
    "sandbox-helpers",
    "tests",
];

/// The names that are neither allowed nor ignored by git at the top level.
fn strangers(names: impl IntoIterator<Item = String>, gitignore: &str) -> Vec<String> {
    let is_ignored = |name: &str| gitignore.lines().any(|line| line.trim_matches('/') == name);
    let is_stranger = |name: &String| !ALLOWED.contains(&name.as_str()) && !is_ignored(name);
    names.into_iter().filter(is_stranger).collect()
}

#[test]
fn the_top_level_holds_only_the_fixed_names() {
    let entries = fs::read_dir(repository()).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    let found = strangers(names, &read(&repository().join(".gitignore")));
    let complaint =
        |name: &String| format!("`{name}`: does not belong at the top level; see the architecture");
    expect_none(&found.iter().map(complaint).collect::<Vec<_>>());
}

#[test]
fn a_stranger_is_found_and_an_ignored_folder_is_not() {
    let names = ["protocol", "utils", "target", ".sqlx-dev"].map(str::to_owned);
    assert_eq!(strangers(names, "/target\n/.sqlx-dev\n"), ["utils"]);
}
