//! What patches do to a folder: the rules of the format that need files to be seen.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use policy::profile::unrestricted;
use proptest::prelude::*;
use protocol::profile::{Access, NetworkAccess, PathRule, SandboxMode};

use super::*;

/// A folder `ws`, given as `path=content`, `path@mode=content` or `path->target`.
struct Scratch {
    _folder: tempfile::TempDir,
    root: PathBuf,
}

impl Scratch {
    fn new(files: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("scratch");
        let root = folder.path().canonicalize().expect("real").join("ws");
        fs::create_dir(&root).expect("folder");
        for file in files {
            let place = |name: &str| {
                let path = root.join(name);
                fs::create_dir_all(path.parent().expect("parent")).expect("folder");
                path
            };
            if let Some((name, target)) = file.split_once("->") {
                rustix::fs::symlink(target, place(name)).expect("link");
                continue;
            }
            let (name, content) = file.split_once('=').expect("file");
            let (name, mode) = name.split_once('@').map_or((name, None), |(name, mode)| (name, Some(mode)));
            fs::write(place(name), content).expect("file");
            if let Some(mode) = mode {
                let bits = u32::from_str_radix(mode, 8).expect("mode");
                rustix::fs::chmod(root.join(name), rustix::fs::Mode::from_raw_mode(bits)).expect("mode");
            }
        }
        Self { _folder: folder, root }
    }

    /// The same form back, without modes.
    fn files(&self) -> Vec<String> {
        let mut found = Vec::new();
        collect(&self.root, &self.root, &mut found);
        found.sort();
        found
    }

    fn mode(&self, name: &str) -> u32 {
        rustix::fs::stat(self.root.join(name)).expect("stat").st_mode & 0o777
    }

    fn apply(&self, body: &str, mode: Mode) -> Result<Applied, String> {
        self.apply_within(body, mode, unrestricted())
    }

    fn apply_within(&self, body: &str, mode: Mode, profile: Profile) -> Result<Applied, String> {
        let patch =
            read(&format!("*** Begin Patch\n{body}\n*** End Patch")).map_err(|error| error.to_string())?;
        carry_out(&patch, &self.root, &Arc::new(profile), &SeenFiles::default(), mode)
            .map_err(|error| error.to_string())
    }
}

fn collect(root: &Path, folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("folder") {
        let path = entry.expect("entry").path();
        let name = path.strip_prefix(root).expect("inside").display().to_string();
        let kind = fs::symlink_metadata(&path).expect("metadata").file_type();
        if kind.is_symlink() {
            found.push(format!("{name}->{}", fs::read_link(&path).expect("link").display()));
        } else if kind.is_dir() {
            collect(root, &path, found);
        } else {
            found.push(format!("{name}={}", String::from_utf8_lossy(&fs::read(&path).expect("file"))));
        }
    }
}

/// What a patch makes of files, and the success text after its first line.
fn check(before: &[&str], body: &str, after: &[&str], summary: &str) {
    let scratch = Scratch::new(before);
    let applied = scratch.apply(body, Mode::AllOrNothing).expect(body);
    assert_eq!(scratch.files(), after, "{body}");
    assert_eq!(applied.summary, format!("Success. Updated the following files:\n{summary}"), "{body}");
}

/// A patch that is refused: what the error says at least, and that nothing changed.
fn check_refused(before: &[&str], body: &str, error: &str) {
    let scratch = Scratch::new(before);
    let untouched = scratch.files();
    let found = scratch.apply(body, Mode::AllOrNothing).map(|applied| applied.summary).expect_err(body);
    assert!(found.contains(error), "{body}: {found}");
    assert!(found.ends_with("\nNothing was changed."), "{body}: {found}");
    assert_eq!(scratch.files(), untouched, "{body}");
}

#[test]
fn files_are_added() {
    check(&[], "*** Add File: a/b c/d\n+x\n+y", &["a/b c/d=x\ny\n"], "A a/b c/d");
    check(&[], "*** Add File: a", &["a="], "A a");
    check(&["a=old"], "*** Add File: a\n+new", &["a=new\n"], "A a");
    check(&["a=old", "l->a"], "*** Add File: l\n+new", &["a=new\n", "l->a"], "A l");
    check(&["l->gone"], "*** Add File: l\n+new", &["gone=new\n", "l->gone"], "A l");
    check_refused(&["d/f=x"], "*** Add File: d\n+x", "is a folder, not a file");
}

#[test]
fn files_are_deleted() {
    check(&["a=x", "b=y"], "*** Delete File: a", &["b=y"], "D a");
    check(&["a=x", "l->a"], "*** Delete File: l", &["a=x"], "D l");
    check(&["a=\u{1}"], "*** Delete File: ./a", &[], "D ./a");
    check_refused(&["a=x"], "*** Delete File: b", "Failed to delete file b (line 2 of the patch): `");
    check_refused(&["d/f=x"], "*** Delete File: d", "is a folder, not a file");
}

#[test]
fn files_are_updated() {
    check(&["a=x\ny\n"], "*** Update File: a\n x\n-y\n+z", &["a=x\nz\n"], "M a");
    check(&["a=x\n", "l->a"], "*** Update File: l\n-x\n+z", &["a=z\n", "l->a"], "M l");
    check(&["a=x"], "*** Update File: a\n x", &["a=x"], "M a");
    let missing = "Failed to read file to update b (line 2 of the patch): `";
    check_refused(&["a=x\n"], "*** Update File: b\n-x\n+z", missing);
    check_refused(
        &["a=x\n"],
        "*** Update File: a\n-q\n+z",
        "Failed to find expected lines in a:\nq\n(hunk 1 of",
    );
    check_refused(
        &["a=x\n"],
        "*** Update File: a\n@@ q\n-x",
        "Failed to find context 'q' in a\n(hunk 1 of a, line 3",
    );
    let scratch = Scratch::new(&[]);
    fs::write(scratch.root.join("a"), b"x\xff\n").expect("file");
    let error =
        scratch.apply("*** Update File: a\n x", Mode::AllOrNothing).map(|_| ()).expect_err("not text");
    assert!(error.contains("invalid utf-8 sequence"), "{error}");
}

#[test]
fn files_are_moved() {
    let to_b = "*** Update File: a\n*** Move to: d/b\n-x\n+z";
    check(&["a=x\n"], to_b, &["d/b=z\n"], "M d/b");
    check(&["a=x\n", "d/b=old"], to_b, &["d/b=z\n"], "M d/b");
    check(&["a=x\n", "d/b->c"], to_b, &["d/b->c", "d/c=z\n"], "M d/b");
    check(&["a=x\n"], "*** Update File: a\n*** Move to: b\n x", &["b=x\n"], "M b");
    let onto_itself = "*** Update File: a\n*** Move to: ./a\n-x\n+z";
    check(&["a=x\n"], onto_itself, &["a=z\n"], "M ./a");
    check(&["l->t", "t=x\n"], "*** Update File: l\n*** Move to: m\n x", &["m->t", "t=x\n"], "M m");
    check(&["l->t", "t=x\n"], "*** Update File: l\n*** Move to: m\n-x\n+z", &["m=z\n", "t=x\n"], "M m");
}

#[test]
fn permissions_survive() {
    let scratch = Scratch::new(&["a@755=x\n", "b@751=x\n"]);
    let body = "*** Update File: a\n-x\n+y\n*** Update File: b\n*** Move to: c\n-x\n+y";
    scratch.apply(body, Mode::AllOrNothing).expect("applied");
    assert_eq!((scratch.mode("a"), scratch.mode("c")), (0o755, 0o751));
}

#[test]
fn sections_see_what_those_before_them_did() {
    let body = "*** Add File: a\n+x\n*** Update File: a\n*** Move to: b\n-x\n+y\n*** Update File: b\n-y\n+z\n\
                *** Delete File: c\n*** Add File: c/d\n+in a folder now";
    check(&["c=old"], body, &["b=z\n", "c/d=in a folder now\n"], "A a\nA c/d\nM b\nM b\nD c");
    let body = "*** Update File: a\n*** Move to: b\n x\n*** Update File: a\n x";
    check_refused(&["a=x\n"], body, "Failed to read file to update a (line 5 of the patch)");
}

#[test]
fn it_is_all_or_nothing_unless_one_asks() {
    let body = "*** Update File: a\n-x\n+y\n*** Delete File: b\n*** Update File: c\n-q\n+z\n*** Add File: d";
    let before = ["a=x\n", "b=", "c=c\n"];
    check_refused(&before, body, "Failed to find expected lines in c");
    let scratch = Scratch::new(&before);
    let error = scratch.apply(body, Mode::Sequential).map(|_| ()).expect_err("refused");
    assert!(error.ends_with("\nChanged before that:\nM a\nD b"), "{error}");
    assert_eq!(scratch.files(), ["a=y\n", "c=c\n"]);
}

#[test]
fn a_patch_without_sections_is_an_error() {
    assert_eq!(
        read("*** Begin Patch\n*** End Patch").expect_err("empty").to_string(),
        "No files were modified."
    );
    let error = read("*** Begin Patch\nx\n*** End Patch").expect_err("wrong").to_string();
    assert!(error.starts_with("Invalid patch hunk on line 2: 'x' is not a valid hunk header."), "{error}");
}

#[test]
fn what_a_session_may_not_touch_is_refused() {
    let before = ["a=x\n", ".git/config=x\n", "s/.git/config=x\n", "out->../outside", "git->.git/config"];
    for (body, error) in [
        ("*** Add File: ../outside/n\n+x", "may not be written"),
        ("*** Add File: /etc/skein-test\n+x", "may not be written"),
        ("*** Update File: ../outside/f\n-x\n+y", "may not be written"),
        ("*** Delete File: ../outside/f", "may not be written"),
        ("*** Update File: a\n*** Move to: ../outside/n\n x", "may not be written"),
        ("*** Update File: ../outside/f\n*** Move to: n\n x", "may not be written"),
        ("*** Add File: out/n\n+x", "may not be written"),
        ("*** Update File: out/f\n-x\n+y", "may not be written"),
        ("*** Update File: .git/config\n-x\n+y", "may not be written"),
        ("*** Update File: git\n-x\n+y", "may not be written"),
        ("*** Add File: .git/hooks/pre-commit\n+x", "may not be written"),
        ("*** Update File: a\n*** Move to: .git/a\n x", "may not be written"),
        ("*** Update File: ../hidden/f\n x", "may not be seen"),
        ("*** Add File: n\n+x\n*** Delete File: ../outside/f", "may not be written"),
    ] {
        let scratch = Scratch::new(&before);
        for folder in ["outside", "hidden"] {
            fs::create_dir(scratch.root.with_file_name(folder)).expect("folder");
            fs::write(scratch.root.with_file_name(folder).join("f"), "x\n").expect("file");
        }
        let rule = |path: PathBuf, access| PathRule { path, access };
        let profile = Profile::new(
            SandboxMode::WorkspaceWrite,
            Access::Read,
            vec![
                rule(scratch.root.clone(), Access::Write),
                rule(scratch.root.join(".git"), Access::Read),
                rule(scratch.root.with_file_name("hidden"), Access::Hidden),
            ],
            NetworkAccess::Off,
        );
        let untouched = scratch.files();
        let found = scratch.apply_within(body, Mode::AllOrNothing, profile).map(|_| ()).expect_err(body);
        assert!(found.contains(error), "{body}: {found}");
        assert_eq!(scratch.files(), untouched, "{body}");
        let outside = fs::read_dir(scratch.root.with_file_name("outside")).expect("folder").count();
        assert_eq!(outside, 1, "{body}");
        let text = fs::read_to_string(scratch.root.with_file_name("outside").join("f"));
        assert_eq!(text.expect("file"), "x\n", "{body}");
    }
}

#[test]
fn people_see_the_real_differences() {
    let scratch = Scratch::new(&["a=one\ntwo\n", "b=x\n", "c=old\n", "l->c"]);
    let body = "*** Update File: ./a\n*** Move to: d/../e\n- two\n+2\n*** Delete File: b\n*** Add File: c\n+new\n\
                *** Delete File: l";
    let applied = scratch.apply(body, Mode::AllOrNothing).expect("applied");
    let shown: Vec<_> = applied
        .changes
        .iter()
        .map(|change| {
            let name = |path: &Path| path.strip_prefix(&scratch.root).expect("inside").display().to_string();
            let to = change.moved_to.as_deref().map(name).unwrap_or_default();
            format!("{} {to}\n{}", name(&change.path), change.diff)
        })
        .collect();
    assert_eq!(
        shown,
        [
            "a e\n@@ -1,2 +1,2 @@\n one\n-two\n+2\n",
            "b \n@@ -1 +0,0 @@\n-x\n",
            "c \n@@ -1 +1 @@\n-old\n+new\n",
            "l \n@@ -1 +0,0 @@\n-c\n",
        ]
    );
}

/// A tree of a few files, each a list of line numbers.
fn tree() -> impl Strategy<Value = BTreeMap<&'static str, Vec<u32>>> {
    let names = proptest::sample::subsequence(vec!["a", "b c", "d/e", "d/f", "g"], 0..5);
    let content = || proptest::sample::subsequence((0..20).collect::<Vec<u32>>(), 0..20);
    (names, proptest::collection::vec(content(), 5))
        .prop_map(|(names, contents)| names.into_iter().zip(contents).collect())
}

fn as_text(lines: &[u32]) -> String {
    lines.iter().map(|line| format!("line {line}\n")).collect()
}

/// The patch that makes one tree of the other.
fn patch_between(old: &BTreeMap<&str, Vec<u32>>, new: &BTreeMap<&str, Vec<u32>>) -> String {
    let mut sections = Vec::new();
    for (name, after) in new {
        match old.get(name) {
            None => {
                let added: String = as_text(after).lines().map(|line| format!("\n+{line}")).collect();
                sections.push(format!("*** Add File: {name}{added}"));
            }
            Some(before) if before != after => {
                let (before, after) = (as_text(before), as_text(after));
                let diff = similar::TextDiff::from_lines(&before, &after);
                let mut section = format!("*** Update File: {name}");
                for hunk in diff.unified_diff().context_radius(2).iter_hunks() {
                    section.push_str("\n@@");
                    for change in hunk.iter_changes() {
                        section.push_str(&format!("\n{}{}", change.tag(), change.value().trim_end()));
                    }
                }
                sections.push(section);
            }
            Some(_) => {}
        }
    }
    sections.extend(
        old.keys().filter(|name| !new.contains_key(*name)).map(|name| format!("*** Delete File: {name}")),
    );
    sections.join("\n")
}

proptest! {
    #[test]
    fn the_edits_between_two_trees_make_one_of_the_other(old in tree(), new in tree()) {
        let files = |tree: &BTreeMap<&str, Vec<u32>>| -> Vec<String> {
            tree.iter().map(|(name, lines)| format!("{name}={}", as_text(lines))).collect()
        };
        let (before, after) = (files(&old), files(&new));
        let scratch = Scratch::new(&before.iter().map(String::as_str).collect::<Vec<_>>());
        let patch = patch_between(&old, &new);
        prop_assume!(!patch.is_empty());
        prop_assert!(scratch.apply(&patch, Mode::AllOrNothing).is_ok(), "{}", patch);
        prop_assert_eq!(scratch.files(), after, "{}", patch);
    }

    #[test]
    fn no_text_makes_the_reader_panic(
        text in "((\\*\\*\\* (Begin Patch|End Patch|Add File: a|Delete File: |Update File: f|Move to: g|End of File|Environment ID: x))|@@|[-+ ]?[ab]?|<<'?EOF'?|\u{0}|ü)(\n[-+ @]{0,2}[ab*]{0,3}){0,6}"
    ) {
        let _ = read(&text);
        let _ = read(&format!("*** Begin Patch\n{text}\n*** End Patch"));
    }
}
