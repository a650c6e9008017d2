//! No file over its budget. Counts code, not comments or blank lines.

use crate::expect_none;
use crate::package::{read, repository, rust_files};
use crate::source::code_lines;

/// The most lines of code that a file may have.
const BUDGET: usize = 800;

fn complaint(file: &str, text: &str) -> Option<String> {
    let lines = code_lines(text);
    let is_over = lines > BUDGET;
    is_over
        .then(|| format!("`{file}`: {lines} lines of code, at most {BUDGET} are allowed; split it by noun"))
}

#[test]
fn no_file_is_over_its_budget() {
    let over =
        |file: &std::path::PathBuf| complaint(&file.to_string_lossy(), &read(&repository().join(file)));
    expect_none(&rust_files().iter().filter_map(over).collect::<Vec<_>>());
}

#[test]
fn the_budget_counts_code_only() {
    let allowed = "f();\n\n// why\n".repeat(BUDGET);
    assert_eq!(complaint("a.rs", &allowed), None);
    assert!(complaint("a.rs", &format!("{allowed}g();\n")).unwrap().starts_with("`a.rs`: 801 lines"));
}
