//! Where the executable of a language server is. What a session may write is no place for it: there a repository or a
//! command could have put anything.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// The executable that a command means: an absolute path, or the first one of that name in the folders of `PATH`.
/// Only where `is_trusted` holds for it and for what it leads to. Looks at the file system.
#[must_use]
pub fn find_program(command: &str, path: &OsStr, is_trusted: impl Fn(&Path) -> bool) -> Option<PathBuf> {
    let may_be = |found: &Path| {
        let real = found.canonicalize().ok()?;
        let is_sound = found.is_absolute() && is_trusted(found) && is_trusted(&real) && is_executable(&real);
        is_sound.then(|| found.to_owned())
    };
    if command.contains('/') {
        return may_be(Path::new(command));
    }
    std::env::split_paths(path).find_map(|folder| may_be(&folder.join(command)))
}

/// Whether this file is found from the folder that an executable really is in. Looks at the file system.
#[must_use]
pub fn has_companion(program: &Path, companion: &str) -> bool {
    let real = program.canonicalize();
    real.is_ok_and(|real| real.parent().is_some_and(|folder| folder.join(companion).is_file()))
}

fn is_executable(real: &Path) -> bool {
    #[cfg(unix)]
    let may_be_run = rustix::fs::access(real, rustix::fs::Access::EXEC_OK).is_ok();
    #[cfg(not(unix))]
    let may_be_run = true;
    real.is_file() && may_be_run
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use rustix::fs::{Mode, chmod, symlink};
    use std::fs;

    #[test]
    fn only_programs_in_places_that_are_trusted_are_found() {
        let scratch = tempfile::tempdir().expect("scratch");
        let root = scratch.path().canonicalize().expect("real");
        for (name, mode) in [("repo/ls", 0o755), ("bin/ls", 0o755), ("plain/ls", 0o644)] {
            let path = root.join(name);
            fs::create_dir_all(path.parent().expect("parent")).expect("folder");
            fs::write(&path, "").expect("file");
            chmod(&path, Mode::from_raw_mode(mode)).expect("mode");
        }
        fs::create_dir(root.join("links")).expect("folder");
        symlink(root.join("repo/ls"), root.join("links/ls")).expect("link");
        let find = |command: &str, folders: &[&str]| {
            let path = std::env::join_paths(folders.iter().map(|folder| root.join(folder))).expect("path");
            find_program(command, &path, |found| !found.starts_with(root.join("repo")))
        };
        // A repository's own, what leads there, and what can't be run, are gone over.
        let folders = ["repo", "links", "plain", "bin"];
        assert_eq!(find("ls", &folders), Some(root.join("bin/ls")));
        assert_eq!(find("ls", &["repo", "links", "plain"]), None);
        assert_eq!(find("ls", &[]), None);
        let absolute = |name: &str| find(root.join(name).to_str().expect("text"), &[]);
        assert_eq!((absolute("bin/ls"), absolute("repo/ls")), (Some(root.join("bin/ls")), None));
        assert_eq!(find_program("ls", OsStr::new("."), |_| true), None);
        assert_eq!(find_program("./ls", OsStr::new("."), |_| true), None);
    }

    #[test]
    fn a_companion_is_looked_for_where_the_program_really_is() {
        let scratch = tempfile::tempdir().expect("scratch");
        let root = scratch.path().canonicalize().expect("real");
        for path in ["new/bin/tsc", "new/lib/server.js", "old/bin/tsc"] {
            fs::create_dir_all(root.join(path).parent().expect("parent")).expect("folder");
            fs::write(root.join(path), "").expect("file");
        }
        fs::create_dir(root.join("links")).expect("folder");
        symlink("../new/bin/tsc", root.join("links/tsc")).expect("link");
        let has = |program: &str| has_companion(&root.join(program), "../lib/server.js");
        assert!(has("new/bin/tsc") && has("links/tsc"));
        assert!(!has("old/bin/tsc") && !has("missing"));
    }
}
