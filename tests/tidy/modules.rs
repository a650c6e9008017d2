//! Which modules a file declares, and in which files they are. Knows modules in files, not modules that are
//! declared inside of other modules' braces, but for `#[cfg(test)]` ones, which it tells apart.

use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::source::code_of;

/// A `mod name;`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Declaration {
    pub(crate) name: String,
    /// Whether it is built for tests only.
    pub(crate) is_test: bool,
}

/// The `mod name;` of a file.
pub(crate) fn declarations(text: &str) -> Vec<Declaration> {
    let code = code_of(text);
    let mut found = Vec::new();
    for (start, name) in module_names(&code) {
        let after = code[start..].find([';', '{']).map(|at| code.as_bytes()[start + at]);
        if after == Some(b';') {
            found.push(Declaration { name: name.to_owned(), is_test: is_for_tests(&code[..start]) });
        }
    }
    found
}

/// The places, in bytes of `code_of` the text, of `#[cfg(test)] mod name { … }`.
pub(crate) fn test_blocks(code: &str) -> Vec<Range<usize>> {
    let mut blocks = Vec::new();
    for (start, _) in module_names(code) {
        let Some(open) = code[start..].find([';', '{']).map(|at| start + at) else { continue };
        if code.as_bytes()[open] == b'{' && is_for_tests(&code[..start]) {
            blocks.push(open..closing_brace(code, open));
        }
    }
    blocks
}

/// The files that may hold a module of a file: `name.rs` beside it or below it, and the `mod.rs` that is not
/// allowed but would be taken.
pub(crate) fn candidates(file: &Path, is_root: bool, name: &str) -> [PathBuf; 2] {
    let folder = if is_root { file.parent().unwrap().to_owned() } else { file.with_extension("") };
    [folder.join(format!("{name}.rs")), folder.join(name).join("mod.rs")]
}

/// Where each `mod` stands, and the name after it.
fn module_names(code: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_word = |letter: char| letter.is_alphanumeric() || letter == '_';
    code.match_indices("mod ").filter_map(move |(start, found)| {
        if code[..start].ends_with(is_word) {
            return None;
        }
        let rest = code[start + found.len()..].trim_start();
        let end = rest.find(|letter| !is_word(letter)).unwrap_or(rest.len());
        (end > 0).then(|| (start, &rest[..end]))
    })
}

/// Whether `#[cfg(test)]` is among the attributes right before.
fn is_for_tests(before: &str) -> bool {
    let start = before.rfind([';', '{', '}']).map_or(0, |at| at + 1);
    before[start..].replace(' ', "").contains("#[cfg(test)]")
}

fn closing_brace(code: &str, open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 1 => return at,
            b'}' => depth -= 1,
            _ => {}
        }
    }
    code.len()
}

#[test]
fn declarations_are_found_and_told_apart() {
    let text = "//! mod no;\npub mod a;\nmod b {\n}\n#[cfg(test)]\nmod c;\npub(crate) mod d; // mod e;\nlet commod f;";
    let found: Vec<_> = declarations(text).into_iter().map(|found| (found.name, found.is_test)).collect();
    let names: Vec<_> = found.iter().map(|(name, is_test)| (name.as_str(), *is_test)).collect();
    assert_eq!(names, [("a", false), ("c", true), ("d", false)]);
}

#[test]
fn a_test_block_ends_with_its_own_brace() {
    let code = "fn f() {}\n#[cfg(test)]\nmod tests {\n fn g() { {} }\n}\nfn h() {}";
    let blocks = test_blocks(code);
    assert_eq!(blocks.len(), 1);
    assert_eq!(&code[blocks[0].clone()], "{\n fn g() { {} }\n");
}

#[test]
fn a_module_is_beside_a_root_and_below_other_files() {
    let [file, _] = candidates(Path::new("a/src/lib.rs"), true, "b");
    assert_eq!(file, Path::new("a/src/b.rs"));
    let [file, forbidden] = candidates(Path::new("a/src/b.rs"), false, "c");
    assert_eq!((file, forbidden), ("a/src/b/c.rs".into(), "a/src/b/c/mod.rs".into()));
}
