//! No forgotten files: every Rust file is part of a crate, so that its tests run. Knows modules, not what is in
//! them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::expect_none;
use crate::modules::{candidates, declarations};
use crate::package::{packages, read, repository};

/// The files that no root leads to.
fn forgotten(roots: &BTreeSet<PathBuf>, files: &[PathBuf], read: impl Fn(&Path) -> String) -> Vec<PathBuf> {
    let mut reached = roots.clone();
    let mut open: Vec<PathBuf> = roots.iter().cloned().collect();
    while let Some(file) = open.pop() {
        for declaration in declarations(&read(&file)) {
            for candidate in candidates(&file, roots.contains(&file), &declaration.name) {
                if files.contains(&candidate) && reached.insert(candidate.clone()) {
                    open.push(candidate);
                }
            }
        }
    }
    files.iter().filter(|file| !reached.contains(*file)).cloned().collect()
}

#[test]
fn every_file_is_part_of_a_crate() {
    let mut complaints = Vec::new();
    for package in packages() {
        let from_disk = |file: &Path| read(&repository().join(file));
        for file in forgotten(&package.roots(), &package.rust_files(), from_disk) {
            let (file, name) = (file.display(), &package.name);
            complaints
                .push(format!("`{file}`: no `mod` of package `{name}` leads here; declare it or remove it"));
        }
    }
    expect_none(&complaints);
}

#[test]
fn a_file_without_a_declaration_is_forgotten() {
    let files = ["t/main.rs", "t/a.rs", "t/a/b.rs", "t/lost.rs", "t/a/lost.rs"].map(PathBuf::from);
    let text = |file: &Path| match file.to_str().unwrap() {
        "t/main.rs" => "mod a;".to_owned(),
        "t/a.rs" => "#[cfg(test)]\nmod b;\n// mod lost;".to_owned(),
        _ => String::new(),
    };
    let roots = BTreeSet::from([PathBuf::from("t/main.rs")]);
    assert_eq!(forgotten(&roots, &files, text), [Path::new("t/lost.rs"), Path::new("t/a/lost.rs")]);
}
