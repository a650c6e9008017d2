//! Generated files are what the generator makes now. Knows files, not what is in them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::expect_none;
use crate::package::repository;

/// The files that are not as they should be.
fn stale(wanted: &BTreeMap<PathBuf, String>, found: impl Fn(&Path) -> Option<String>) -> Vec<String> {
    let mut complaints = Vec::new();
    for (path, text) in wanted {
        let complaint = match found(path) {
            None => "is missing",
            Some(found) if found != *text => "is not what the generator makes now",
            Some(_) => continue,
        };
        complaints.push(format!("`{}` {complaint}; run: cargo codegen", path.display()));
    }
    complaints
}

#[test]
fn generated_files_are_fresh() {
    let folder = repository().join("proto-schema");
    expect_none(&stale(&codegen::render(), |path| fs::read_to_string(folder.join(path)).ok()));
}

#[test]
fn missing_and_changed_files_are_stale() {
    let wanted = ["same", "changed", "missing"].map(|name| (PathBuf::from(name), "text".to_owned()));
    let complaints = stale(&BTreeMap::from(wanted), |path| match path.to_str() {
        Some("same") => Some("text".to_owned()),
        Some("changed") => Some("other".to_owned()),
        _ => None,
    });
    assert_eq!(
        complaints,
        [
            "`changed` is not what the generator makes now; run: cargo codegen",
            "`missing` is missing; run: cargo codegen",
        ]
    );
}
