//! Which build an executable is. Two builds of one version are told apart by the size and the time of the file: cheap,
//! and the same for every process that was started from it. Knows nothing of what an executable does.

use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// What Linux appends to the name of an executable that was replaced or removed.
const DELETED: &str = " (deleted)";

/// The build of an executable of this version, as in `0.1.0+1a2b3c.19a8f0c4e21`; the version alone if the file can't be
/// looked at.
#[must_use]
pub fn of(version: &str, executable: &Path) -> String {
    let Ok(meta) = std::fs::metadata(executable) else { return version.to_owned() };
    let since =
        meta.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    format!("{version}+{:x}.{:x}", meta.len(), since.as_millis())
}

/// Whether two builds are of the same file. What stands before the `+` is the version of whoever looked at the file,
/// which is not that of the file if it was replaced meanwhile.
#[must_use]
pub fn is_same(one: &str, other: &str) -> bool {
    let file = |build: &str| build.split_once('+').map(|(_, file)| file.to_owned());
    match (file(one), file(other)) {
        (Some(one), Some(other)) => one == other,
        (None, _) | (_, None) => one == other,
    }
}

/// The file that this process runs, even if it was replaced or removed since.
///
/// # Errors
/// When the system does not tell.
pub fn running() -> io::Result<PathBuf> {
    if cfg!(target_os = "linux") { Ok(PathBuf::from("/proc/self/exe")) } else { std::env::current_exe() }
}

/// Where the file stands that this process was started from; after an upgrade the new one stands there.
///
/// # Errors
/// When the system does not tell.
pub fn installed() -> io::Result<PathBuf> {
    Ok(without_mark(std::env::current_exe()?))
}

fn without_mark(path: PathBuf) -> PathBuf {
    match path.to_str().and_then(|text| text.strip_suffix(DELETED)) {
        Some(before) if !path.exists() => PathBuf::from(before),
        Some(_) | None => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_changes_is_another_build_and_a_version_does_not_matter() {
        let scratch = tempfile::tempdir().expect("scratch");
        let file = scratch.path().join("skein");
        std::fs::write(&file, "one").expect("write");
        let first = of("0.1.0", &file);
        assert!(first.starts_with("0.1.0+3."), "{first}");
        assert!(is_same(&first, &of("0.2.0", &file)));
        std::fs::write(&file, "another").expect("write");
        assert!(!is_same(&first, &of("0.1.0", &file)));
    }

    #[test]
    fn a_build_that_is_not_known_is_only_like_itself() {
        let scratch = tempfile::tempdir().expect("scratch");
        let absent = of("0.1.0", &scratch.path().join("absent"));
        assert_eq!(absent, "0.1.0");
        assert!(is_same(&absent, "0.1.0") && !is_same(&absent, "0.1.0+3.1"));
    }

    #[test]
    fn the_mark_of_a_replaced_file_is_no_part_of_its_name() {
        let scratch = tempfile::tempdir().expect("scratch");
        let file = scratch.path().join("skein");
        let marked = scratch.path().join("skein (deleted)");
        assert_eq!(without_mark(marked.clone()), file);
        std::fs::write(&marked, "").expect("write");
        assert_eq!(without_mark(marked.clone()), marked);
    }
}
