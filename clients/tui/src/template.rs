//! Texts that a person keeps in files: fields between two lines of dashes, and what follows. Knows nothing of what the
//! fields mean.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

/// Files of a folder that are read, and bytes of each.
const MOST_FILES: usize = 200;
const MOST_BYTES: u64 = 32 * 1024;

/// A text with its fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Template {
    /// What the file is called, without its ending.
    pub(crate) name: String,
    fields: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Template {
    /// Reads the `.md` files of a folder, by their names, and says what can't be used. A folder that is not there has
    /// none.
    pub(crate) fn of_folder(folder: &Path) -> (Vec<Self>, Vec<String>) {
        let (mut templates, mut wrong) = (Vec::new(), Vec::new());
        let mut paths: Vec<_> = fs::read_dir(folder)
            .into_iter()
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
            .collect();
        paths.sort();
        for path in paths.into_iter().take(MOST_FILES) {
            let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
            if !is_name(name) {
                wrong
                    .push(format!("`{}`: its name must be small letters, digits and dashes", path.display()));
                continue;
            }
            match read(&path) {
                Ok(text) => templates.push(Self::parse(name, &text)),
                Err(error) => wrong.push(format!("`{}`: {error}", path.display())),
            }
        }
        (templates, wrong)
    }

    /// Takes a text apart.
    pub(crate) fn parse(name: &str, text: &str) -> Self {
        let text = text.trim_start_matches('\u{feff}').replace("\r\n", "\n");
        let headed = text.strip_prefix("---\n").and_then(|rest| {
            let (head, body) = rest.split_once("\n---")?;
            let (rest_of_line, body) = body.split_once('\n').unwrap_or((body, ""));
            rest_of_line.trim().is_empty().then_some((head, body))
        });
        let (head, body) = headed.unwrap_or(("", &text));
        let fields = head.lines().filter_map(|line| {
            let (key, value) = line.split_once(':')?;
            let value = value.trim();
            let value = value
                .strip_prefix(['"', '\''])
                .and_then(|value| value.strip_suffix(['"', '\'']))
                .unwrap_or(value);
            Some((key.trim().to_owned(), value.to_owned()))
        });
        Self { name: name.to_owned(), fields: fields.collect(), body: body.trim().to_owned() }
    }

    /// A field that is not empty.
    pub(crate) fn field(&self, key: &str) -> Option<&str> {
        let field = self.fields.iter().find(|(known, _)| known == key)?;
        Some(field.1.as_str()).filter(|value| !value.is_empty())
    }

    /// The fields' names.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(|(key, _)| key.as_str())
    }
}

/// Whether a text can be the name of a command or a mode.
pub(crate) fn is_name(text: &str) -> bool {
    text.starts_with(|letter: char| letter.is_ascii_lowercase())
        && text.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-')
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MOST_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MOST_BYTES {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("it has more than {MOST_BYTES} bytes"),
        ));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_stand_between_dashes() {
        let template = Template::parse(
            "x",
            "---\r\ndescription: \"Mends it: all\"\nsandbox: read-only\nempty:\n---\n\nDo it.\n---\n",
        );
        assert_eq!(template.field("description"), Some("Mends it: all"));
        assert_eq!(template.field("sandbox"), Some("read-only"));
        assert_eq!((template.field("empty"), template.field("other")), (None, None));
        assert_eq!(template.body, "Do it.\n---");
        for text in ["Only text.", "---\nno end", "--- \nx\n---\n"] {
            assert_eq!(Template::parse("x", text).body, text.trim());
        }
    }

    #[test]
    fn a_folder_is_read_and_what_is_wrong_is_told() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("mend.md"), "Mend it.").unwrap();
        fs::write(folder.path().join("notes.txt"), "no").unwrap();
        fs::write(folder.path().join("Bad name.md"), "no").unwrap();
        fs::write(folder.path().join("long.md"), "x".repeat(40_000)).unwrap();
        let (templates, wrong) = Template::of_folder(folder.path());
        assert_eq!(templates.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["mend"]);
        assert_eq!(wrong.len(), 2, "{wrong:?}");
        assert_eq!(Template::of_folder(Path::new("/no/such")), (Vec::new(), Vec::new()));
    }
}
