//! The generated files on disk: which are stale, and how they are brought up to date. Knows nothing of what is
//! in them.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The folders in which every file is generated, so that one that is not rendered is left over.
const GENERATED_FOLDERS: &[&str] = &["samples", "typescript"];

/// `proto-schema/` of this checkout.
#[must_use]
pub fn path() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package).to_owned()
}

/// The files in `folder` that are missing, changed or left over, in order.
///
/// # Errors
/// If a file or folder can't be read.
pub fn stale(folder: &Path, wanted: &BTreeMap<PathBuf, String>) -> io::Result<Vec<PathBuf>> {
    let mut stale = left_over(folder, wanted)?;
    for (path, text) in wanted {
        match fs::read(folder.join(path)) {
            Ok(found) if found == text.as_bytes() => {}
            Ok(_) => stale.push(path.clone()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => stale.push(path.clone()),
            Err(error) => return Err(error),
        }
    }
    stale.sort();
    Ok(stale)
}

/// Brings `folder` up to date and tells which files it wrote or removed.
///
/// # Errors
/// If a file or folder can't be read or written.
pub fn write(folder: &Path, wanted: &BTreeMap<PathBuf, String>) -> io::Result<Vec<PathBuf>> {
    let stale = stale(folder, wanted)?;
    for path in &stale {
        let file = folder.join(path);
        match wanted.get(path) {
            Some(text) => {
                file.parent().map_or(Ok(()), fs::create_dir_all)?;
                fs::write(file, text)?;
            }
            None => fs::remove_file(file)?,
        }
    }
    Ok(stale)
}

fn left_over(folder: &Path, wanted: &BTreeMap<PathBuf, String>) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for generated in GENERATED_FOLDERS {
        let entries = match fs::read_dir(folder.join(generated)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        for entry in entries {
            let path = Path::new(generated).join(entry?.file_name());
            if !wanted.contains_key(&path) {
                found.push(path);
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(files: &[(&str, &str)]) -> BTreeMap<PathBuf, String> {
        files.iter().map(|(path, text)| (PathBuf::from(path), (*text).to_owned())).collect()
    }

    #[test]
    fn what_is_missing_changed_or_left_over_is_stale_until_it_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        write(folder, &files(&[("a.json", "1"), ("samples/b.json", "2"), ("samples/old.json", "3")]))
            .unwrap();
        fs::write(folder.join("README.md"), "not generated").unwrap();
        let wanted = files(&[("a.json", "1"), ("samples/b.json", "changed"), ("typescript/new.ts", "4")]);
        let expected = ["samples/b.json", "samples/old.json", "typescript/new.ts"].map(PathBuf::from);
        assert_eq!(stale(folder, &wanted).unwrap(), expected);
        assert_eq!(write(folder, &wanted).unwrap(), expected);
        assert!(stale(folder, &wanted).unwrap().is_empty());
        assert!(!folder.join("samples/old.json").exists() && folder.join("README.md").exists());
    }
}
