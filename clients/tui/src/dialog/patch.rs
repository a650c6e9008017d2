//! What a patch does, file by file. A patch names its files wherever it likes, between hundreds of lines; whoever is asked
//! about it learns of all of them first. Knows nothing of how that is drawn.

use serde_json::Value;

/// What begins a file, as `apply_patch` reads it: in any line of a patch, whatever stands around it.
const WRITES: &str = "*** Add File: ";
const DELETES: &str = "*** Delete File: ";
const EDITS: &str = "*** Update File: ";
/// In the line after the last one of these.
const MOVES: &str = "*** Move to: ";

/// What becomes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    /// All of it is written, whether or not it was there.
    Write,
    Delete,
    Edit,
}

/// What a patch does to one file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) deed: Deed,
    /// As the patch names it.
    pub(super) path: String,
    pub(super) moved_to: Option<String>,
    pub(super) added: usize,
    pub(super) removed: usize,
}

/// All that a patch does, in its order. What can't be carried out may be among it, what is carried out is always.
pub(super) fn changes(patch: &str) -> Vec<Change> {
    let mut changes = Vec::new();
    match serde_json::from_str(patch) {
        // Some models give it to a shell, or in an object; then it is a text somewhere in there.
        Ok(arguments @ Value::Object(_)) => within(&arguments, &mut changes),
        Ok(_) | Err(_) => read(patch, &mut changes),
    }
    changes
}

fn within(value: &Value, changes: &mut Vec<Change>) {
    match value {
        Value::String(text) => read(text, changes),
        Value::Array(values) => values.iter().for_each(|value| within(value, changes)),
        Value::Object(values) => values.values().for_each(|value| within(value, changes)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn read(patch: &str, changes: &mut Vec<Change>) {
    // Each text has files of its own.
    let first = changes.len();
    let mut is_after_header = false;
    for line in patch.trim().lines() {
        // A shell may take tabs off, and no line of a patch begins with one.
        let line = line.trim_start_matches('\t').trim_end();
        if let Some((deed, path)) = header(line.trim()) {
            let (path, moved_to) = (path.to_owned(), None);
            changes.push(Change { deed, path, moved_to, added: 0, removed: 0 });
            is_after_header = true;
            continue;
        }
        if let Some(change) = changes[first..].last_mut() {
            match line.strip_prefix(MOVES) {
                Some(to) if is_after_header && change.deed == Deed::Edit => {
                    change.moved_to = Some(to.to_owned());
                }
                Some(_) | None => {
                    change.added += usize::from(line.starts_with('+'));
                    change.removed += usize::from(line.starts_with('-'));
                }
            }
        }
        is_after_header = false;
    }
}

fn header(line: &str) -> Option<(Deed, &str)> {
    [(WRITES, Deed::Write), (DELETES, Deed::Delete), (EDITS, Deed::Edit)]
        .into_iter()
        .find_map(|(begin, deed)| Some((deed, line.strip_prefix(begin)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(patch: &str, wanted: &[&str]) {
        let short = |change: &Change| {
            let to = change.moved_to.iter().map(|to| format!(" > {to}")).collect::<String>();
            format!("{:?} {}{to} +{} -{}", change.deed, change.path, change.added, change.removed)
        };
        let found: Vec<String> = changes(patch).iter().map(short).collect();
        assert_eq!(found, wanted, "{patch}");
    }

    #[test]
    fn every_file_is_named_with_what_becomes_of_it() {
        check(
            "*** Begin Patch\n*** Update File: a\n@@ fn x\n c\n-o\n+n\n+m\n*** Add File: b c\n+x\n++y\n\
             *** Delete File: d\n*** Update File: e\n*** Move to: f\n@@\n-o\n+n\n*** End Patch\n",
            &["Edit a +2 -1", "Write b c +2 -0", "Delete d +0 -0", "Edit e > f +1 -1"],
        );
    }

    #[test]
    fn no_file_hides_where_the_tool_would_find_it() {
        for hidden in ["   *** Delete File: d  ", " *** Delete File: d", "\t*** Delete File: d\r"] {
            check(&format!("*** Update File: a\n a\n{hidden}"), &["Edit a +0 -0", "Delete d +0 -0"]);
        }
        check("*** Begin Patch\r\n*** Delete File: d\r\n*** End Patch\r\n", &["Delete d +0 -0"]);
        check("<<EOF\n*** Begin Patch\n*** Delete File: d\n*** End Patch\nEOF", &["Delete d +0 -0"]);
        check("*** Update File: a\n*** Move to: b  \n a", &["Edit a > b +0 -0"]);
    }

    #[test]
    fn lines_of_files_are_no_files() {
        check("*** Add File: a\n+*** Delete File: b", &["Write a +1 -0"]);
        check("*** Update File: a\n-*** Add File: b\n a\n*** Move to: c", &["Edit a +0 -1"]);
        check("just words", &[]);
        check("", &[]);
    }

    #[test]
    fn a_patch_in_the_arguments_of_a_shell_is_found() {
        let script = "cd src && apply_patch <<-EOF\n\t*** Begin Patch\n\t*** Update File: a\n\t*** Move to: b\n\t-x\n\
                      \t*** End Patch\n\tEOF";
        let call = serde_json::json!({"command": ["bash", "-lc", script], "timeout_ms": 1});
        check(&call.to_string(), &["Edit a > b +0 -1"]);
    }
}
