//! Which files a hook's command, or the arguments of a server, name, as far as its words tell: a script beside it, say.
//! What such a script runs in its turn is not known.

use std::io;
use std::path::{Path, PathBuf};

/// Words for the folder, as commands have them.
const ROOT_WORDS: [&str; 6] = [
    "${CLAUDE_PROJECT_DIR}",
    "$CLAUDE_PROJECT_DIR",
    "${CODEX_PROJECT_DIR}",
    "$CODEX_PROJECT_DIR",
    "${SKEIN_PROJECT_DIR}",
    "$SKEIN_PROJECT_DIR",
];

/// Folders of the machine, whose files are no repository's to change.
const OF_THE_MACHINE: [&str; 10] =
    ["/usr", "/bin", "/sbin", "/lib", "/lib64", "/opt", "/etc", "/nix", "/System", "/Library"];

/// A command with more words, or that names more files, is not looked into; so no hook of a folder can keep the daemon
/// busy.
const MAX_WORDS: usize = 2000;
const MAX_FILES: usize = 32;

/// The real paths of the files that a command, or the arguments of a program, name when it is run in a folder, each
/// once, in their order; not those of the machine.
///
/// # Errors
/// When there are too many words or files.
pub fn named_files(root: &Path, parts: &[&str]) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut words_seen = 0_usize;
    for part in parts {
        let mut text = (*part).to_owned();
        for word in ROOT_WORDS {
            for quoted in [format!("\"{word}\""), word.to_owned()] {
                text = text.replace(&quoted, ".");
            }
        }
        // A name may hold whatever stands between words elsewhere: a whole argument, or what follows its `=`, is a word
        // of its own, each quoted part is, and so are the words in it.
        let whole = [text.as_str(), text.split_once('=').map_or("", |(_, value)| value)];
        for words in [whole.to_vec(), quoted(&text), text.split(is_between).collect()] {
            for word in words.into_iter().filter(|word| !word.is_empty()) {
                words_seen += 1;
                if words_seen > MAX_WORDS || found.len() > MAX_FILES {
                    return Err(io::Error::other("it names more than can be looked at"));
                }
                let Ok(real) = root.join(word).canonicalize() else { continue };
                let is_of_the_machine =
                    !real.starts_with(root) && OF_THE_MACHINE.iter().any(|folder| real.starts_with(folder));
                if real.is_file() && !is_of_the_machine && !found.contains(&real) {
                    found.push(real);
                }
            }
        }
    }
    Ok(found)
}

/// What stands between words of a shell, or between a name and its value.
fn is_between(character: char) -> bool {
    character.is_whitespace() || "'\"`;&|<>(){}=\\$,:".contains(character)
}

fn quoted(text: &str) -> Vec<&str> {
    ['"', '\''].into_iter().flat_map(|quote| text.split(quote).skip(1).step_by(2)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn scripts_are_found_however_they_are_named() {
        let scratch = tempfile::tempdir().expect("scratch");
        let root = scratch.path().canonicalize().expect("real").join("a repo");
        fs::create_dir_all(root.join(".claude/hooks")).expect("folder");
        for file in ["check.sh", ".claude/hooks/a.py", "with space.sh", "lib.js"] {
            fs::write(root.join(file), "").expect("write");
        }
        fs::write(scratch.path().join("outside.sh"), "").expect("write");
        for (command, expected) in [
            ("./check.sh", vec!["check.sh"]),
            ("sh check.sh && node --require=./lib.js x", vec!["check.sh", "lib.js"]),
            ("\"$CLAUDE_PROJECT_DIR\"/.claude/hooks/a.py", vec![".claude/hooks/a.py"]),
            ("python3 \"${CLAUDE_PROJECT_DIR}/.claude/hooks/a.py\" -q", vec![".claude/hooks/a.py"]),
            ("$CODEX_PROJECT_DIR/check.sh", vec!["check.sh"]),
            ("bash './with space.sh'", vec!["with space.sh"]),
            ("(check.sh);`check.sh`", vec!["check.sh"]),
            ("../outside.sh; jq -r .tool_name; .claude", vec!["../outside.sh"]),
            ("/bin/sh -c true", vec![]),
        ] {
            let expected: Vec<_> =
                expected.into_iter().map(|file| root.join(file).canonicalize().expect("real")).collect();
            assert_eq!(named_files(&root, &[command]).expect("few words"), expected, "{command}");
        }
        assert!(named_files(&root, &[&"a ".repeat(MAX_WORDS + 1)]).is_err());
        assert!(named_files(&root, &vec!["a"; MAX_WORDS + 1]).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn an_argument_is_a_name_whatever_stands_in_it() {
        let scratch = tempfile::tempdir().expect("scratch");
        let root = scratch.path().canonicalize().expect("real");
        let names = ["a\"b.sh", "c\\d.sh", "e=f.sh", "g h.sh"];
        for name in names {
            fs::write(root.join(name), "").expect("write");
        }
        let expected: Vec<_> = names.iter().map(|name| root.join(name)).collect();
        assert_eq!(named_files(&root, &names).expect("few words"), expected);
        let named = named_files(&root, &["--config=a\"b.sh"]).expect("few words");
        assert_eq!(named, [root.join("a\"b.sh")]);
    }
}
