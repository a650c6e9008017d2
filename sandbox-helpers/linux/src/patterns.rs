//! Finds what a plan's patterns name, and makes rules of it. Knows files by their names alone; follows no link.
//!
//! A pattern lessens what is there when the command starts: what matches and all below it. To find that, the folders
//! below the pattern's literal beginning are looked through. Where they hold too much for that, the command is refused.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use helper_protocol::bytes::Bytes;
use helper_protocol::plan::{Access, Pattern, Rules};
use helper_protocol::report::Failure;

/// How many entries of folders are looked at for one command.
const MAX_ENTRIES: usize = 200_000;

/// The rules by path, parents first, with those that the patterns come to.
pub(crate) fn expand(rules: &Rules) -> Result<BTreeMap<PathBuf, Access>, Failure> {
    expand_at_most(rules, MAX_ENTRIES)
}

fn expand_at_most(rules: &Rules, max_entries: usize) -> Result<BTreeMap<PathBuf, Access>, Failure> {
    let paths = rules.paths.iter().map(|rule| (Path::new(OsStr::from_bytes(&rule.path.0)), rule.access));
    let mut search = Search { patterns: &rules.patterns, left: max_entries, found: BTreeMap::new() };
    for (path, access) in paths {
        let most = path.ancestors().filter_map(|above| search.most(above)).min().unwrap_or(Access::Write);
        search.found.insert(path.to_owned(), access.min(most));
    }
    for Pattern { pattern, .. } in &rules.patterns {
        if !pattern.starts_with('/') || fast_glob::validate(pattern).is_err() {
            return Err(refused(Path::new(pattern), "is no absolute pattern that makes sense"));
        }
    }
    let mut roots: Vec<_> =
        rules.patterns.iter().map(|pattern| literal_beginning(&pattern.pattern)).collect();
    roots.sort();
    let mut last: Option<&Path> = None;
    for root in &roots {
        if last.is_none_or(|last| !root.starts_with(last)) {
            search.look_at(root)?;
            search.look_through(root)?;
            last = Some(root);
        }
    }
    Ok(search.found)
}

struct Search<'a> {
    patterns: &'a [Pattern],
    /// How many entries may still be looked at.
    left: usize,
    found: BTreeMap<PathBuf, Access>,
}

impl Search<'_> {
    /// The most that patterns which match this very path allow.
    fn most(&self, path: &Path) -> Option<Access> {
        let matches =
            |pattern: &&Pattern| fast_glob::glob_match(&pattern.pattern, path.as_os_str().as_bytes());
        self.patterns.iter().filter(matches).map(|pattern| pattern.access).min()
    }

    /// What the rules found so far allow.
    fn access(&self, path: &Path) -> Access {
        path.ancestors().find_map(|above| self.found.get(above)).copied().unwrap_or(Access::Read)
    }

    /// Makes a rule of a path that has to be lessened; says what is allowed there now.
    fn look_at(&mut self, path: &Path) -> Result<Access, Failure> {
        let before = self.access(path);
        let now = self.most(path).map_or(before, |most| most.min(before));
        if now < before && fs::symlink_metadata(path).is_ok() {
            self.found.insert(path.to_owned(), now);
        }
        Ok(now)
    }

    fn look_through(&mut self, root: &Path) -> Result<(), Failure> {
        let mut folders = vec![root.to_owned()];
        while let Some(folder) = folders.pop() {
            let entries = match fs::read_dir(&folder) {
                Ok(entries) => entries,
                Err(error) if is_of_no_matter(error.kind()) => continue,
                Err(error) => return Err(refused(&folder, &format!("can't be looked through: {error}"))),
            };
            for entry in entries {
                let entry =
                    entry.map_err(|error| refused(&folder, &format!("can't be looked through: {error}")))?;
                self.left = self.left.checked_sub(1).ok_or_else(|| {
                    refused(root, "holds too much to be looked through for what the profile's patterns name")
                })?;
                let path = entry.path();
                let access = self.look_at(&path)?;
                // All below what is hidden is hidden.
                if access > Access::Hidden && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    folders.push(path);
                }
            }
        }
        Ok(())
    }
}

/// The user can't look there, so no command can; or it went away.
fn is_of_no_matter(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::PermissionDenied)
}

/// The components before the first that is not plain text.
fn literal_beginning(pattern: &str) -> PathBuf {
    let is_plain = |component: &Component<'_>| {
        let special = |byte: &u8| b"*?[]{}\\!".contains(byte);
        !component.as_os_str().as_bytes().iter().any(special)
    };
    Path::new(pattern).components().take_while(is_plain).collect()
}

fn refused(path: &Path, reason: &str) -> Failure {
    Failure::Rule { path: Bytes(path.as_os_str().as_bytes().to_vec()), reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use helper_protocol::plan::{Network, Reading, Rule, Tmp};

    fn rules(root: &Path, paths: &[(&str, Access)], patterns: &[(&str, Access)]) -> Rules {
        let path = |name: &str| Bytes(root.join(name).as_os_str().as_bytes().to_vec());
        let pattern = |name: &str| root.join(name).to_str().expect("text").to_owned();
        Rules {
            paths: paths.iter().map(|&(name, access)| Rule { path: path(name), access }).collect(),
            patterns: patterns
                .iter()
                .map(|&(name, access)| Pattern { pattern: pattern(name), access })
                .collect(),
            network: Network::Off,
            local_sockets: Vec::new(),
            tmp: Tmp::Shared,
            reading: Reading::Silent,
        }
    }

    #[test]
    fn what_is_there_and_matches_becomes_a_rule() {
        let scratch = tempfile::tempdir().expect("scratch");
        let root = scratch.path();
        for name in
            ["w/.env", "w/a/.env", "w/a/b/.env.local", "w/a/.environment", "w/keys/deep/id.pem", "out/.env"]
        {
            fs::create_dir_all(root.join(name).parent().expect("parent")).expect("mkdir");
            fs::write(root.join(name), "x").expect("write");
        }
        std::os::unix::fs::symlink("../out", root.join("w/link")).expect("link");
        let (hidden, read, write) = (Access::Hidden, Access::Read, Access::Write);
        let rules = rules(
            root,
            &[("w", write), ("w/keys/open", write)],
            &[("w/**/.env{,.*}", hidden), ("w/keys", hidden), ("w/a", read)],
        );
        let found = expand(&rules).expect("found");
        let found: Vec<_> =
            found.iter().map(|(path, access)| (path.strip_prefix(root).expect("below"), *access)).collect();
        let wanted = [
            ("w", write),
            ("w/.env", hidden),
            ("w/a", read),
            ("w/a/.env", hidden),
            ("w/a/b/.env.local", hidden),
            ("w/keys", hidden),
            ("w/keys/open", hidden),
        ]
        .map(|(name, access)| (Path::new(name), access));
        assert_eq!(found, wanted);
    }

    #[test]
    fn too_much_is_refused_and_never_less_hidden() {
        let scratch = tempfile::tempdir().expect("scratch");
        for name in ["a", "b", "c"] {
            fs::write(scratch.path().join(name), "x").expect("write");
        }
        let rules = rules(scratch.path(), &[], &[("**/c", Access::Hidden)]);
        assert!(expand_at_most(&rules, 3).is_ok());
        assert!(matches!(expand_at_most(&rules, 2), Err(Failure::Rule { .. })));
    }

    #[test]
    fn the_search_begins_where_the_pattern_stops_being_plain() {
        for (pattern, root) in
            [("/a/b/**/.env", "/a/b"), ("/a/b.txt", "/a/b.txt"), ("/{a,b}/c", "/"), ("/a/x?/y", "/a")]
        {
            assert_eq!(literal_beginning(pattern), Path::new(root), "{pattern}");
        }
    }
}
