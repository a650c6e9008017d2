//! One `SKILL.md`: what stands before its text, as YAML between two lines of dashes, and the text.

use std::path::PathBuf;

use protocol::text::is_invisible;
use serde::Deserialize;

/// Letters of a name.
const MAX_NAME: usize = 64;
/// Characters of a description.
const MAX_DESCRIPTION: usize = 1024;
/// Begins and ends what stands before the text.
const FENCE: &str = "---";

/// A skill as its file has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skill {
    /// Letters, digits, `-` and `_`.
    pub name: String,
    /// What it is for, on one line, without control characters.
    pub description: String,
    /// Its `SKILL.md`, by its real path.
    pub file: PathBuf,
    /// What it says.
    pub text: String,
    /// Whether models are not told of it, so that only a person calls for it.
    pub is_by_name_only: bool,
}

/// Why a file is no skill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkillProblem {
    /// The file, or the folder.
    pub path: PathBuf,
    /// From 1, where it is about a line.
    pub line: Option<u32>,
    /// What is wrong.
    pub message: String,
}

/// What is known of what may stand before the text. Other keys, `allowed-tools` for one, say nothing here: what a
/// session may do is not a skill's to say.
#[derive(Default, Deserialize)]
#[serde(default)]
struct FrontMatter {
    name: Option<String>,
    description: Option<String>,
    #[serde(rename = "disable-model-invocation")]
    is_by_name_only: Option<String>,
}

/// Understands the text of a `SKILL.md` in a folder of this name.
pub(super) fn understand(file: PathBuf, folder: &str, text: &str) -> Result<Skill, SkillProblem> {
    let problem =
        |line, message: &str| SkillProblem { path: file.clone(), line, message: message.to_owned() };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let Some((front, body)) = split(text) else {
        let message =
            "It does not begin with a line `---`, then `name` and `description`, then another `---`";
        return Err(problem(Some(1), message));
    };
    let front = front_matter(front).map_err(|(line, message)| problem(line, &message))?;
    let name = front.name.map_or_else(|| folder.to_owned(), |name| name.trim().to_owned());
    let is_name = |name: &str| {
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        !name.is_empty() && name.len() <= MAX_NAME && name.chars().all(fits)
    };
    if !is_name(&name) {
        let message = format!("Its name must have letters, digits, `-` and `_`, at most {MAX_NAME}");
        return Err(problem(Some(1), &message));
    }
    let description = front.description.map(|text| one_line(&text));
    let Some(description) = description.filter(|text| !text.is_empty()) else {
        return Err(problem(Some(1), "It has no `description`"));
    };
    let is_by_name_only = front.is_by_name_only.is_some_and(|word| word.trim() == "true");
    Ok(Skill { name, description, file, text: body.trim().to_owned(), is_by_name_only })
}

/// What stands between the lines of dashes, and what follows.
fn split(text: &str) -> Option<(&str, &str)> {
    let rest = text.strip_prefix(FENCE)?;
    let rest = rest.strip_prefix('\n').or_else(|| rest.strip_prefix("\r\n"))?;
    let mut at = 0;
    for line in rest.split_inclusive('\n') {
        if line.trim_end() == FENCE {
            return Some((&rest[..at], &rest[at + line.len()..]));
        }
        at += line.len();
    }
    None
}

fn front_matter(text: &str) -> Result<FrontMatter, (Option<u32>, String)> {
    if text.trim().is_empty() {
        return Ok(FrontMatter::default());
    }
    read(text).or_else(|error| {
        // Many people write a colon into a description without quotes, and other agents take it.
        read(&quoted(text)).map_err(|_| {
            // A line of dashes stands before.
            let line =
                error.location().and_then(|place| u32::try_from(place.line()).ok()).map(|line| line + 1);
            let message = error.without_snippet().to_string();
            let message = message.lines().next().unwrap_or_default();
            (line, format!("What stands between the lines `---` is not YAML: {}", one_line(message)))
        })
    })
}

/// In bounds: a few lines have no use for references that grow.
fn read(text: &str) -> Result<FrontMatter, serde_saphyr::Error> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_aliases: 16, max_anchors: 16, max_nodes: 2_000, max_depth: 32 },
    };
    serde_saphyr::from_str_with_options(text, options)
}

/// The same with quotes around plain values that have a colon in them.
fn quoted(text: &str) -> String {
    let line = |line: &str| {
        let (key, value) = line.split_once(": ")?;
        let is_key =
            !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
        let value = value.trim();
        let is_plain = !value.starts_with(['"', '\'', '|', '>', '[', '{', '&', '*', '!', '#']);
        (is_key && is_plain && value.contains(':')).then(|| format!("{key}: '{}'", value.replace('\'', "''")))
    };
    text.lines().map(|text| line(text).unwrap_or_else(|| text.to_owned())).collect::<Vec<_>>().join("\n")
}

/// On one line, without what a terminal or a reader could be led astray by, and not too long.
fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let text: String = words.join(" ").chars().filter(|&c| is_harmless(c)).collect();
    match text.char_indices().nth(MAX_DESCRIPTION) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

/// Neither a control character nor one that hides or turns text around.
fn is_harmless(c: char) -> bool {
    !c.is_control() && !is_invisible(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<Skill, (Option<u32>, String)> {
        understand("/s/SKILL.md".into(), "folder", text).map_err(|problem| (problem.line, problem.message))
    }

    #[test]
    fn what_people_write_is_understood() {
        let text = "---\nname: notes\ndescription: >-\n  Writes\n  notes.\nmetadata:\n  a: [1, 2]\n---\n\n# Do\nit\n";
        let skill = check(text).expect("a skill");
        assert_eq!(
            (skill.name.as_str(), skill.description.as_str(), skill.text.as_str(), skill.is_by_name_only),
            ("notes", "Writes notes.", "# Do\nit", false)
        );
        let text = "\u{feff}---\r\ndescription: \"x\"\r\ndisable-model-invocation: true\r\n---\r\nbody";
        let skill = check(text).expect("a skill");
        assert_eq!((skill.name.as_str(), skill.is_by_name_only), ("folder", true));
        let skill = check("---\nname: a\ndescription: Use when: it's late\n---\n").expect("with a colon");
        assert_eq!(skill.description, "Use when: it's late");
        for name in ["1", "off"] {
            assert_eq!(
                check(&format!("---\nname: {name}\ndescription: true\n---\n")).expect("words").name,
                name
            );
        }
    }

    #[test]
    fn what_is_malformed_is_told_with_its_line() {
        for (text, line, part) in [
            ("# no front", Some(1), "does not begin"),
            ("---\nname: a\n", Some(1), "does not begin"),
            ("---\nname: a\n---\n", Some(1), "no `description`"),
            ("---\nname: a\ndescription: ''\n---\n", Some(1), "no `description`"),
            ("---\nname: ../a\ndescription: x\n---\n", Some(1), "must have letters"),
            ("---\nname: a\ndescription: [x\n---\n", None, "not YAML"),
        ] {
            let (found, message) = check(text).expect_err("malformed");
            assert!(message.contains(part), "{text:?}: {message}");
            assert!(line.is_none() || found == line, "{text:?}: {found:?}");
        }
        let (line, _) = check("---\nname: a\nx: y\ndescription: \"x\n---\n").expect_err("malformed");
        assert!(line.is_some_and(|line| line >= 4), "{line:?}");
    }

    #[test]
    fn nothing_in_a_description_leads_astray() {
        let text = "---\nname: a\ndescription: \"a\\e[31m\\u202Eb\\nc\\u200B\"\n---\n";
        assert_eq!(check(text).expect("a skill").description, "a[31mb c");
        let long = "ü".repeat(MAX_DESCRIPTION + 1);
        let skill = check(&format!("---\nname: a\ndescription: {long}\n---\n")).expect("a skill");
        assert_eq!(
            skill.description.chars().count(),
            MAX_DESCRIPTION + 1,
            "one of them is the mark of a cut"
        );
    }

    #[test]
    fn references_do_not_grow() {
        let mut text = String::from("---\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..12 {
            let all = vec![format!("*a{}", level - 1); 10].join(", ");
            text.push_str(&format!("a{level}: &a{level} [{all}]\n"));
        }
        text.push_str("name: a\ndescription: x\n---\n");
        assert!(check(&text).is_err());
    }
}
