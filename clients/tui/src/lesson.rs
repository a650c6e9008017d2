//! A line that a person adds to the instructions that agents are given: `#` and the line. Knows the files, nothing of how
//! one is chosen.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// The names of instruction files, by preference; as the daemon reads them.
const NAMES: [&str; 2] = ["AGENTS.md", "CLAUDE.md"];
/// The longest line.
const MOST_BYTES: usize = 4000;

/// The line that an input asks to be added, if it does.
pub(crate) fn line_of(text: &str) -> Option<&str> {
    let text = text.trim();
    let line = text.strip_prefix('#')?.trim();
    let is_line = !text.contains('\n') && !line.starts_with('#') && line.len() <= MOST_BYTES;
    Some(line).filter(|line| is_line && !line.is_empty())
}

/// The instruction file of the project that a folder is in: the one that is there, or the one that would be.
pub(crate) fn file_of_project(folder: &Path) -> PathBuf {
    let root = root(folder);
    let there = NAMES.iter().map(|name| root.join(name)).find(|file| file.exists());
    there.unwrap_or_else(|| root.join(NAMES[0]))
}

/// A person's own instruction file, beside their settings.
pub(crate) fn file_of_person(settings: &Path) -> PathBuf {
    settings.join(NAMES[0])
}

/// The files of instructions that hold in a folder, the person's own first and then from the project's root down, with
/// their sizes; those without one are not there, and could be.
pub(crate) fn files(folder: &Path, settings: Option<&Path>) -> Vec<(PathBuf, Option<u64>)> {
    let size = |file: &PathBuf| fs::metadata(file).ok().filter(fs::Metadata::is_file).map(|file| file.len());
    let own = settings.map(file_of_person);
    let root = root(folder);
    let mut folders: Vec<&Path> = folder.ancestors().take_while(|above| above.starts_with(root)).collect();
    folders.reverse();
    let below = folders
        .iter()
        .skip(1)
        .filter_map(|folder| NAMES.iter().map(|name| folder.join(name)).find(|file| size(file).is_some()));
    let files = own.into_iter().chain(Some(file_of_project(folder))).chain(below);
    files.map(|file| (size(&file), file)).map(|(size, file)| (file, size)).collect()
}

/// Adds a line at the end of a file; one of a project is not followed out of it.
///
/// # Errors
/// What is wrong, for a person.
pub(crate) fn add(file: &Path, line: &str) -> Result<(), String> {
    let wrong = |what: String| format!("`{}` can't be written: {what}", file.display());
    let added = || -> io::Result<()> {
        let folder = file.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        if file.symlink_metadata().is_ok_and(|metadata| metadata.is_symlink())
            && !file.canonicalize()?.starts_with(folder.canonicalize()?)
        {
            return Err(io::Error::other("it is a link that leads out of its folder"));
        }
        let gap = match fs::metadata(file) {
            // Opening what is no file may wait for ever.
            Ok(metadata) if !metadata.is_file() => return Err(io::Error::other("it is no file")),
            Ok(_) if !ends_a_line(file)? => "\n",
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(_) | Err(_) => "",
        };
        let mut open = OpenOptions::new().append(true).create(true).open(file)?;
        open.write_all(format!("{gap}- {line}\n").as_bytes())
    };
    added().map_err(|error| wrong(error.to_string()))
}

/// Whether a file is empty, or ends with the end of a line.
fn ends_a_line(file: &Path) -> io::Result<bool> {
    let mut open = File::open(file)?;
    if open.seek(SeekFrom::End(0))? == 0 {
        return Ok(true);
    }
    open.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    open.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

fn root(folder: &Path) -> &Path {
    folder.ancestors().find(|folder| folder.join(".git").exists()).unwrap_or(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_behind_a_hash_is_a_lesson() {
        for (text, line) in [
            ("# use tabs ", Some("use tabs")),
            ("#use tabs", Some("use tabs")),
            ("#", None),
            ("## Heading", None),
            ("# Title\nand text", None),
            ("use # tabs", None),
        ] {
            assert_eq!(line_of(text), line, "{text:?}");
        }
    }

    #[test]
    fn it_goes_to_the_end_of_the_file_that_is_there() {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path();
        fs::create_dir_all(root.join("a/.git")).unwrap();
        fs::create_dir_all(root.join("a/src")).unwrap();
        let file = file_of_project(&root.join("a/src"));
        assert_eq!(file, root.join("a/AGENTS.md"));
        fs::write(root.join("a/CLAUDE.md"), "Be brief.").unwrap();
        let file = file_of_project(&root.join("a/src"));
        add(&file, "use tabs").unwrap();
        add(&file, "no more").unwrap();
        assert_eq!(fs::read_to_string(file).unwrap(), "Be brief.\n- use tabs\n- no more\n");
        let own = file_of_person(&root.join("config"));
        add(&own, "mine").unwrap();
        assert_eq!(fs::read_to_string(own).unwrap(), "- mine\n");
    }

    #[test]
    fn the_files_that_hold_in_a_folder_are_found_from_the_root_down() {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path();
        fs::create_dir_all(root.join("a/.git")).unwrap();
        fs::create_dir_all(root.join("a/b/c")).unwrap();
        fs::write(root.join("a/b/CLAUDE.md"), "Be brief.").unwrap();
        let found = files(&root.join("a/b/c"), Some(&root.join("config")));
        let wanted = [
            (root.join("config/AGENTS.md"), None),
            (root.join("a/AGENTS.md"), None),
            (root.join("a/b/CLAUDE.md"), Some(9)),
        ];
        assert_eq!(found, wanted);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_that_leads_out_is_not_followed_and_what_is_no_file_is_not_opened() {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path();
        fs::create_dir(root.join("repo")).unwrap();
        fs::write(root.join("secret"), "x").unwrap();
        rustix::fs::symlink(root.join("secret"), root.join("repo/AGENTS.md")).unwrap();
        let wrong = add(&root.join("repo/AGENTS.md"), "line").unwrap_err();
        assert!(wrong.contains("leads out"), "{wrong}");
        assert_eq!(fs::read_to_string(root.join("secret")).unwrap(), "x");
        fs::create_dir_all(root.join("other/AGENTS.md")).unwrap();
        assert!(add(&root.join("other/AGENTS.md"), "line").unwrap_err().contains("no file"));
    }
}
