//! What is known of a program that a command in the sandbox is about to start: the names of its file, and whether it is
//! the one that its name makes people think of. Looks at files as the daemon sees them, which is how the command sees
//! them except where its profile says otherwise.

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use policy::started::File;
use protocol::profile::{Access, Profile};
use sandbox::Execution;
use workspace::sight::Sight;

/// So much of a file is looked at for an interpreter's name, as the kernel does.
const FIRST_LINE: u64 = 256;
/// So many interpreters the kernel goes through.
const MOST_INTERPRETERS: usize = 4;
/// So many links the kernel follows.
const MOST_LINKS: usize = 40;
/// Variables that shells set anew for every program.
const SHELLS_OWN: [&str; 4] = ["PWD", "OLDPWD", "SHLVL", "_"];

/// A variable of an environment.
pub(crate) type Variable = (OsString, OsString);

/// What was copied of a program.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// Its file, absolute.
    path: PathBuf,
    argv: Vec<String>,
    /// Whether `argv` is all that there is, to the last byte.
    is_text: bool,
}

/// A program that was looked at.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    /// Its arguments as they were given.
    pub(crate) argv: Vec<String>,
    /// The same under each name that it has.
    pub(crate) forms: Vec<Vec<String>>,
    /// Its file, without links.
    pub(crate) real: PathBuf,
    /// Whether its file can't be known here.
    is_unseen: bool,
    is_text: bool,
}

impl Seen {
    pub(crate) fn of(execution: &Execution) -> Self {
        Self::new(execution.cwd.join(&execution.program), &execution.argv)
    }

    /// Of a command with these arguments, in this folder and with this environment; none where there is no such program.
    pub(crate) fn named(argv: &[String], cwd: &Path, environment: &[Variable]) -> Option<Self> {
        let name = argv.first()?;
        let path = if name.contains('/') { cwd.join(name) } else { found(&search_path(environment), name)? };
        Some(Self { path, argv: argv.to_vec(), is_text: true })
    }

    /// Of a program with this file, absolute, and these arguments.
    pub(crate) fn new(path: PathBuf, argv: &[OsString]) -> Self {
        Self {
            path,
            argv: argv.iter().map(|argument| argument.to_string_lossy().into_owned()).collect(),
            is_text: argv.iter().all(|argument| argument.to_str().is_some()),
        }
    }
}

impl Program {
    /// Looks at its file. Blocks, but never for long.
    pub(crate) fn look(seen: Seen, profile: &Arc<Profile>) -> Self {
        let Seen { path, argv, is_text } = seen;
        let sight = Sight::new(Arc::clone(profile));
        let under = |name: &Path, arguments: &[String]| {
            std::iter::once(name.to_string_lossy().into_owned()).chain(arguments.iter().cloned()).collect()
        };
        let arguments = argv.get(1..).unwrap_or_default();
        let mut forms: Vec<Vec<String>> = vec![argv.clone(), under(&path, arguments)];
        let mut real = path.clone();
        let mut is_unseen = is_in_own_view(&path, profile) || leads_through_proc(&path);
        let (mut file, mut arguments) = (path, arguments.to_vec());
        for step in 0..=MOST_INTERPRETERS {
            let Ok(opened) = sight.open(&file) else { break };
            if step == 0 {
                real.clone_from(&opened.path);
            }
            forms.push(under(&opened.path, &arguments));
            let Some((interpreter, argument)) = interpreter(opened.file) else { break };
            is_unseen |= is_in_own_view(&interpreter, profile);
            let script = file.to_string_lossy().into_owned();
            arguments = argument.into_iter().chain([script]).chain(arguments).collect();
            forms.push(under(&interpreter, &arguments));
            file = interpreter;
        }
        forms.dedup();
        Self { argv, forms, real, is_unseen, is_text }
    }

    /// Whether its file can be known.
    pub(crate) fn file(&self) -> File {
        if self.is_unseen { File::Unseen } else { File::Known }
    }

    /// The environment with which it may run outside the sandbox: that of its command, which was started with `given`
    /// and now has `environment`. Looks at files; blocks.
    ///
    /// # Errors
    /// Why it may not: what about it the command could have made itself, or could still make.
    pub(crate) fn trusted(
        &self,
        environment: &[Variable],
        given: &[Variable],
        profile: &Profile,
    ) -> Result<Vec<Variable>, String> {
        if !self.is_text || self.is_unseen {
            return Err("what it is can't be known".to_owned());
        }
        let is_own = |name: &OsStr| SHELLS_OWN.iter().any(|own| name == *own);
        let is_given =
            |variable: &Variable| given.contains(variable) || is_own(&variable.0) || is_of_sandbox(variable);
        if let Some((name, _)) = environment.iter().find(|variable| !is_given(variable)) {
            return Err(format!("the variable `{}` is not as it was given", name.to_string_lossy()));
        }
        let folders = search_path(given);
        // What it starts outside is looked up there meanwhile. So a folder that is not there yet, and a link that can be
        // made to lead elsewhere, are as bad as a folder that may be written.
        let is_bent = |folder: &PathBuf| !folder.is_absolute() || may_be_changed(folder, profile);
        if let Some(folder) = folders.iter().find(|folder| is_bent(folder)) {
            return Err(format!("`PATH` has `{}`, which commands may change", folder.display()));
        }
        if may_be_changed(&self.real, profile) {
            return Err("commands may write its file".to_owned());
        }
        let name = self.argv.first().map_or("", String::as_str);
        let meant = if name.contains('/') {
            Path::new(name).is_absolute().then(|| PathBuf::from(name))
        } else {
            found(&folders, name)
        };
        if meant.and_then(|path| path.canonicalize().ok()).as_ref() != Some(&self.real) {
            return Err("its file is not the one that its name means".to_owned());
        }
        let own = environment.iter().filter(|(name, _)| is_own(name));
        let given = given.iter().filter(|(name, _)| !is_own(name));
        Ok(given.chain(own).cloned().collect())
    }
}

/// Whether commands may change what an absolute path leads to.
pub(crate) fn may_be_changed(path: &Path, profile: &Profile) -> bool {
    leads_through(path, |at| profile.access(at) == Access::Write)
}

/// A script that runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Script {
    /// Whether commands may change what it says.
    pub(crate) may_be_written: bool,
}

/// The script that a program runs which may have been started by the script's own name, so that its arguments are those
/// that the kernel has put together. Looks at files; blocks.
pub(crate) fn script_of(argv: &[String], cwd: &Path, profile: &Arc<Profile>) -> Option<Script> {
    let sight = Sight::new(Arc::clone(profile));
    let starter = Path::new(argv.first()?);
    // One argument may stand before it.
    argv.iter().skip(1).take(2).find_map(|argument| {
        let opened = sight.open(&cwd.join(argument)).ok()?;
        let may_be_written = profile.access(&opened.path) == Access::Write;
        let (interpreter, _) = interpreter(opened.file)?;
        (interpreter == starter).then_some(Script { may_be_written })
    })
}

/// Whether a path leads elsewhere for the command than it does here.
fn is_in_own_view(path: &Path, profile: &Profile) -> bool {
    // What runs already may start itself again.
    let is_itself = ["/proc/self/exe", "/proc/thread-self/exe"].iter().any(|own| path == Path::new(own));
    // What has no name any more, or never had one, is told as deleted.
    let is_nameless = path.to_string_lossy().ends_with(" (deleted)");
    let is_own = path.starts_with("/proc") || path.starts_with("/dev") || is_nameless;
    is_own && !is_itself || profile.has_own_tmp && path.starts_with("/tmp")
}

/// Whether links on the way lead to `/proc`, where `self` is somebody else for the command than it is here.
fn leads_through_proc(path: &Path) -> bool {
    // What is said outright is looked at by itself.
    !path.starts_with("/proc") && leads_through(path, |at| at.starts_with("/proc"))
}

/// Whether one of the places on the way to an absolute path, links and the last one among them, is such a one. What does
/// not exist is a place, too. Too many links lead anywhere.
fn leads_through(path: &Path, is_such: impl Fn(&Path) -> bool) -> bool {
    let backwards = |path: &Path| -> Vec<OsString> {
        path.components().rev().map(|part| part.as_os_str().to_owned()).collect()
    };
    let (mut left, mut at, mut links) = (backwards(path), PathBuf::new(), 0);
    while let Some(part) = left.pop() {
        if part == ".." {
            at.pop();
            continue;
        }
        at.push(&part);
        if is_such(&at) {
            return true;
        }
        if let Ok(target) = at.read_link() {
            links += 1;
            if links > MOST_LINKS {
                return true;
            }
            at.pop();
            left.extend(backwards(&target));
        }
    }
    false
}

/// What the sandbox itself says, of its proxy and of whose the process is; outside it means nothing.
fn is_of_sandbox((name, _): &Variable) -> bool {
    let name = name.to_string_lossy().to_ascii_lowercase();
    name.ends_with("_proxy") || name.starts_with("skein_")
}

/// The file of this name that is found first.
fn found(folders: &[PathBuf], name: &str) -> Option<PathBuf> {
    folders.iter().map(|folder| folder.join(name)).find(|path| path.is_file())
}

fn search_path(environment: &[Variable]) -> Vec<PathBuf> {
    let path = environment.iter().find(|(name, _)| name == "PATH");
    path.map(|(_, value)| std::env::split_paths(value).collect()).unwrap_or_default()
}

/// What the first line of a file says runs it, with the one argument that it may have.
fn interpreter(file: std::fs::File) -> Option<(PathBuf, Option<String>)> {
    let mut first = Vec::new();
    file.take(FIRST_LINE).read_to_end(&mut first).ok()?;
    let line = first.strip_prefix(b"#!")?;
    let line = line.split(|&byte| byte == b'\n').next()?;
    let text = String::from_utf8_lossy(line);
    let text = text.trim_matches([' ', '\t', '\0']);
    let (program, argument) = match text.split_once([' ', '\t']) {
        Some((program, argument)) => (program, Some(argument.trim_start().to_owned())),
        None => (text, None),
    };
    (!program.is_empty()).then(|| (PathBuf::from(program), argument))
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::profile::{NetworkAccess, PathRule, SandboxMode};

    /// A folder that commands may write, in a place that they may not.
    struct Place {
        _folder: tempfile::TempDir,
        root: PathBuf,
        profile: Arc<Profile>,
    }

    impl Place {
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("scratch");
            let root = folder.path().canonicalize().expect("real");
            for name in ["work", "safe"] {
                std::fs::create_dir(root.join(name)).expect("folder");
            }
            let paths = vec![PathRule { path: root.join("work"), access: Access::Write }];
            let profile = Profile::new(SandboxMode::WorkspaceWrite, Access::Read, paths, NetworkAccess::Off);
            Self { _folder: folder, root, profile: Arc::new(profile) }
        }

        fn write(&self, name: &str, text: &str) -> PathBuf {
            let path = self.root.join(name);
            std::fs::write(&path, text).expect("file");
            path
        }

        fn look(&self, path: &Path, argv: &[&str]) -> Program {
            let argv = argv.iter().map(|&word| word.to_owned()).collect();
            Program::look(Seen { path: path.to_owned(), argv, is_text: true }, &self.profile)
        }
    }

    #[test]
    fn a_script_goes_by_the_names_of_its_interpreters_too() {
        let place = Place::new();
        let tool = place.write("safe/tool", "no script");
        let first = place.write("work/first", &format!("#! {} one argument \nrest", tool.display()));
        let program = place.look(&first, &["x", "y"]);
        let shown = first.to_string_lossy().into_owned();
        let expected = [tool.to_string_lossy().as_ref(), "one argument", &shown, "y"].map(str::to_owned);
        assert!(program.forms.contains(&expected.to_vec()), "{:?}", program.forms);
        assert_eq!(program.real, first);
    }

    #[test]
    fn a_link_goes_by_the_name_of_its_file() {
        let place = Place::new();
        let tool = place.write("safe/tool", "");
        let link = place.root.join("work/link");
        rustix::fs::symlink(&tool, &link).expect("link");
        let program = place.look(&link, &["./link", "a"]);
        assert_eq!(program.real, tool);
        assert!(program.forms.contains(&vec![tool.to_string_lossy().into_owned(), "a".to_owned()]));
    }

    #[test]
    fn what_could_still_be_put_into_the_search_path_keeps_a_program_inside() {
        let place = Place::new();
        let tool = place.write("safe/tool", "");
        rustix::fs::symlink(place.root.join("safe"), place.root.join("work/link")).expect("link");
        rustix::fs::symlink(place.root.join("safe"), place.root.join("fixed")).expect("link");
        let program = place.look(&tool, &["tool"]);
        for (first, expected) in [
            ("safe", true),
            ("fixed", true),
            ("missing", true),
            ("work", false),
            ("work/missing/bin", false),
            ("work/link", false),
            ("safe/../work/link", false),
        ] {
            let path = format!("{}:{}", place.root.join(first).display(), place.root.join("safe").display());
            let given = [("PATH".into(), path.into())];
            let trusted = program.trusted(&given, &given, &place.profile);
            assert_eq!(trusted.is_ok(), expected, "{first}: {trusted:?}");
        }
    }

    #[test]
    fn what_only_the_command_can_see_is_unseen() {
        let place = Place::new();
        for (path, expected) in [
            ("/proc/self/fd/3", true),
            ("/dev/fd/3", true),
            ("/memfd:x (deleted)", true),
            ("/proc/7/exe", true),
            ("/proc/self/exe", false),
            ("/usr/bin/env", false),
        ] {
            assert_eq!(is_in_own_view(Path::new(path), &place.profile), expected, "{path}");
        }
        let own_tmp = Profile { has_own_tmp: true, ..Profile::clone(&place.profile) };
        assert!(is_in_own_view(Path::new("/tmp/x"), &own_tmp));
    }
}
