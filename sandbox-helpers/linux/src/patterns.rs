//! Finds what a plan's patterns name, and makes rules of it. Knows files by their names alone; follows no link.
//!
//! A pattern lessens what is there when the command starts: what matches and all below it. To find that, the folders
//! below the pattern's literal beginning are looked through. Where they hold too much for that, the command is refused.

use std::collections::{BTreeMap, BTreeSet};
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
/// The longest path that is looked at. The kernel takes 4095 bytes, and `bwrap` puts some before it.
const MAX_PATH: usize = 4096 - 256;

/// The rules by path, parents first, with those that the patterns come to.
pub(crate) fn expand(rules: &Rules) -> Result<BTreeMap<PathBuf, Access>, Failure> {
    expand_at_most(rules, MAX_ENTRIES)
}

fn expand_at_most(rules: &Rules, max_entries: usize) -> Result<BTreeMap<PathBuf, Access>, Failure> {
    let paths = rules.paths.iter().map(|rule| (Path::new(OsStr::from_bytes(&rule.path.0)), rule.access));
    let patterns = rules.patterns.iter().map(Ready::new).collect();
    let mut search = Search { patterns, left: max_entries, found: BTreeMap::new() };
    for (path, access) in paths {
        let most = most(&search.patterns, path);
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

/// The most that the patterns allow at a path that need not be there: those that match it or what it is below.
pub(crate) fn most(patterns: &[Ready<'_>], path: &Path) -> Access {
    path.ancestors().filter_map(|above| most_at(patterns, above)).min().unwrap_or(Access::Write)
}

/// The most that patterns which match this very path allow.
fn most_at(patterns: &[Ready<'_>], path: &Path) -> Option<Access> {
    patterns.iter().filter(|ready| ready.matches(path)).map(|ready| ready.pattern.access).min()
}

/// A pattern that many paths are held against.
pub(crate) struct Ready<'a> {
    pub(crate) pattern: &'a Pattern,
    /// How many components are plain.
    plain: usize,
    /// If it names nothing but files anywhere below a folder: which, and the folder. To look whether a name is among
    /// these takes a tenth of the time.
    named: Option<(&'a Path, BTreeSet<&'a [u8]>)>,
}

impl<'a> Ready<'a> {
    pub(crate) fn new(pattern: &'a Pattern) -> Self {
        Self { pattern, plain: plain_components(&pattern.pattern), named: named(&pattern.pattern) }
    }

    fn matches(&self, path: &Path) -> bool {
        let matches = match &self.named {
            Some((folder, names)) => {
                path.file_name().is_some_and(|name| names.contains(name.as_bytes()))
                    && path.parent().is_some_and(|parent| parent.starts_with(folder))
            }
            None => fast_glob::glob_match(&self.pattern.pattern, path.as_os_str().as_bytes()),
        };
        matches && !self.is_excepted(path)
    }

    /// Whether a path lies in a folder that the pattern leaves out.
    fn is_excepted(&self, path: &Path) -> bool {
        let except = &self.pattern.except;
        !except.is_empty()
            && path
                .components()
                .skip(self.plain)
                .any(|part| except.iter().any(|name| part.as_os_str() == name.as_str()))
    }
}

/// What a pattern names, if it is `FOLDER/**/NAME` or `FOLDER/**/{NAME,…}`.
fn named(pattern: &str) -> Option<(&Path, BTreeSet<&[u8]>)> {
    let (folder, last) = pattern.split_once("/**/")?;
    let names = last.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(last);
    let is_plain = |text: &str| !text.contains(['*', '?', '[', ']', '{', '}', '\\', '!']);
    let names: BTreeSet<_> = names.split(',').map(str::as_bytes).collect();
    let is_named = !folder.is_empty() && is_plain(folder) && is_plain(&last.replace(['{', '}'], ""));
    let is_one = last.starts_with('{') || !last.contains(',');
    let is_whole = last.matches('{').count() == usize::from(last.starts_with('{'))
        && last.matches('}').count() == usize::from(last.ends_with('}'))
        && last.starts_with('{') == last.ends_with('}');
    (is_named && is_one && is_whole && !last.contains('/')).then_some((Path::new(folder), names))
}

/// How many components a pattern begins with, the root among them, in which nothing but a backslash is special: that only
/// takes the meaning of what follows.
fn plain_components(pattern: &str) -> usize {
    let is_plain = |part: &Component<'_>| {
        let mut letters = part.as_os_str().as_bytes().iter();
        while let Some(letter) = letters.next() {
            match letter {
                b'\\' => drop(letters.next()),
                b'*' | b'?' | b'[' | b'{' => return false,
                _ => {}
            }
        }
        true
    };
    Path::new(pattern).components().take_while(is_plain).count()
}

struct Search<'a> {
    patterns: Vec<Ready<'a>>,
    /// How many entries may still be looked at.
    left: usize,
    found: BTreeMap<PathBuf, Access>,
}

impl Search<'_> {
    /// What the rules found so far allow.
    fn access(&self, path: &Path) -> Access {
        path.ancestors().find_map(|above| self.found.get(above)).copied().unwrap_or(Access::Read)
    }

    /// Makes a rule of a path that has to be lessened; says what is allowed there now.
    fn look_at(&mut self, path: &Path) -> Result<Access, Failure> {
        let before = self.access(path);
        let now = most_at(&self.patterns, path).map_or(before, |most| most.min(before));
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
                let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
                if path.as_os_str().len() > MAX_PATH {
                    if is_folder || most_at(&self.patterns, &path).is_some() {
                        self.close(&folder);
                        break;
                    }
                    continue;
                }
                let access = self.look_at(&path)?;
                // All below what is hidden is hidden; and where no pattern holds there is nothing to find.
                let is_left_out = self.patterns.iter().all(|ready| ready.is_excepted(&path));
                if access > Access::Hidden && !is_left_out && is_folder {
                    folders.push(path);
                }
            }
        }
        Ok(())
    }

    /// Lessens a folder with something in it whose path is too long to be named, as much as any pattern might lessen that.
    fn close(&mut self, folder: &Path) {
        let may_match = |ready: &&Ready<'_>| {
            !ready.is_excepted(folder) && folder.starts_with(literal_beginning(&ready.pattern.pattern))
        };
        let most = self.patterns.iter().filter(may_match).map(|ready| ready.pattern.access).min();
        let before = self.access(folder);
        if let Some(most) = most.filter(|most| *most < before) {
            self.found.insert(folder.to_owned(), most);
        }
    }
}

/// The user can't look there, so no command can; or it went away.
fn is_of_no_matter(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::PermissionDenied)
}

/// The components before the first that is not plain text.
pub(crate) fn literal_beginning(pattern: &str) -> PathBuf {
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
    use helper_protocol::plan::{Making, Network, Reading, Rule, Tmp};

    fn rules(root: &Path, paths: &[(&str, Access)], patterns: &[(&str, Access)]) -> Rules {
        let path = |name: &str| Bytes(root.join(name).as_os_str().as_bytes().to_vec());
        let pattern = |name: &str| root.join(name).to_str().expect("text").to_owned();
        Rules {
            paths: paths.iter().map(|&(name, access)| Rule { path: path(name), access }).collect(),
            patterns: patterns
                .iter()
                .map(|&(name, access)| Pattern {
                    pattern: pattern(name),
                    access,
                    except: vec!["left".into()],
                })
                .collect(),
            network: Network::Off,
            local_sockets: Vec::new(),
            tmp: Tmp::Shared,
            reading: Reading::Silent,
            making: Making::Free,
        }
    }

    #[test]
    fn what_is_there_and_matches_becomes_a_rule() {
        let scratch = tempfile::tempdir().expect("scratch");
        let root = scratch.path();
        for name in [
            "w/.env",
            "w/left/b/.env",
            "w/left/keys",
            "w/a/left/.env",
            "w/a/.env",
            "w/a/b/.env.local",
            "w/a/.environment",
            "w/keys/deep/id.pem",
            "out/.env",
        ] {
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
    fn where_paths_are_too_long_to_be_looked_at_the_folder_is_lessened() {
        let scratch = tempfile::tempdir().expect("scratch");
        let root = scratch.path();
        fs::create_dir(root.join("w")).expect("mkdir");
        let name = "n".repeat(200);
        let open = |folder: &rustix::fd::OwnedFd, name: &str| {
            let flags = rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC;
            rustix::fs::mkdirat(folder, name, 0o755.into()).expect("mkdir");
            rustix::fs::openat(folder, name, flags, rustix::fs::Mode::empty()).expect("open")
        };
        let mut folder = fs::File::open(root.join("w")).expect("open").into();
        for _ in 0..30 {
            folder = open(&folder, &name);
        }
        open(&folder, ".env");
        let rules = rules(
            root,
            &[("w", Access::Write)],
            &[("w/**/.env", Access::Hidden), ("w/**/Makefile", Access::Read), ("x/**", Access::Hidden)],
        );
        let found = expand(&rules).expect("found");
        let found: Vec<_> = found.into_iter().filter(|(_, access)| *access == Access::Hidden).collect();
        let [(closed, _)] = &found[..] else { panic!("{found:?}") };
        let length = closed.as_os_str().len();
        assert!(length <= MAX_PATH && length + 1 + name.len() > MAX_PATH, "{length}");
        assert!(closed.ends_with(&name));
    }

    #[test]
    fn names_below_a_folder_are_found_as_the_pattern_says() {
        let paths =
            ["/a", "/a/x", "/a/b/x", "/a/b/x/y", "/a/xx", "/a/b/y", "/x", "/ab/x", "/a/x,y", "/a/{x}"];
        for (pattern, is_short) in [
            ("/a/**/x", true),
            ("/a/**/{x,y}", true),
            ("/a/**/{x}", true),
            ("/a/**/x,y", false),
            ("/a/**/{x,{y}}", false),
            ("/a/**/{x,b/y}", false),
            ("/a/**/x*", false),
            ("/a/**/b/**/x", false),
            ("/*/**/x", false),
            ("/**/x", false),
        ] {
            assert_eq!(named(pattern).is_some(), is_short, "{pattern}");
            let given = Pattern { pattern: pattern.into(), access: Access::Read, except: Vec::new() };
            for path in paths {
                let wanted = fast_glob::glob_match(pattern, path);
                assert_eq!(Ready::new(&given).matches(Path::new(path)), wanted, "{pattern} {path}");
            }
        }
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
