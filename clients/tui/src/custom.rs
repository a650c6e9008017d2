//! Commands that a person keeps in files: `commands/NAME.md` beside the settings is `/NAME`. What the file says is sent
//! as if it had been written. Knows nothing of how.

use std::path::Path;

use crate::template::Template;

/// A command of a person's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CustomCommand {
    pub(crate) name: String,
    /// What may follow, for a person.
    pub(crate) argument: String,
    pub(crate) meaning: String,
    text: String,
}

impl CustomCommand {
    /// Reads those beside the settings, and says what can't be used.
    pub(crate) fn of_folder(folder: &Path) -> (Vec<Self>, Vec<String>) {
        let (templates, mut wrong) = Template::of_folder(&folder.join("commands"));
        let mut commands = Vec::new();
        for template in templates {
            if template.body.is_empty() {
                wrong.push(format!("`commands/{}.md` says nothing", template.name));
                continue;
            }
            let first = template.body.lines().next().unwrap_or_default();
            commands.push(Self {
                argument: template.field("argument-hint").unwrap_or_default().to_owned(),
                meaning: template.field("description").unwrap_or(first).to_owned(),
                name: template.name,
                text: template.body,
            });
        }
        (commands, wrong)
    }

    /// What is sent: `$ARGUMENTS` stands for all that follows the name, `$1` to `$9` for its words. Where neither is
    /// there, what follows comes last.
    pub(crate) fn expand(&self, rest: &str) -> String {
        let words: Vec<&str> = rest.split_whitespace().collect();
        let mut text = String::new();
        let mut is_used = false;
        let mut left = self.text.as_str();
        while let Some(at) = left.find('$') {
            text.push_str(&left[..at]);
            left = &left[at + 1..];
            let digit = left.chars().next().and_then(|letter| letter.to_digit(10)).filter(|digit| *digit > 0);
            if let Some(after) = left.strip_prefix("ARGUMENTS") {
                text.push_str(rest);
                left = after;
                is_used = true;
            } else if let Some(digit) = digit {
                let word = usize::try_from(digit).ok().and_then(|digit| words.get(digit - 1));
                text.push_str(word.copied().unwrap_or_default());
                left = &left[1..];
                is_used = true;
            } else {
                text.push('$');
            }
        }
        text.push_str(left);
        if !is_used && !rest.is_empty() {
            text.push_str("\n\n");
            text.push_str(rest);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(text: &str, rest: &str) -> String {
        let command = CustomCommand {
            name: String::new(),
            argument: String::new(),
            meaning: String::new(),
            text: text.to_owned(),
        };
        command.expand(rest)
    }

    #[test]
    fn what_follows_stands_where_the_file_wants_it() {
        assert_eq!(expanded("Mend $ARGUMENTS now", "a b"), "Mend a b now");
        assert_eq!(expanded("From $2 to $1, not $3; $5 or $x", "a b"), "From b to a, not ;  or $x");
        assert_eq!(expanded("Mend it.", "in c"), "Mend it.\n\nin c");
        assert_eq!(expanded("Costs 5$", ""), "Costs 5$");
        assert_eq!(expanded("Say $1", "$ARGUMENTS"), "Say $ARGUMENTS", "what was put in is not read again");
    }

    #[test]
    fn a_file_is_a_command() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("commands")).unwrap();
        let text = "---\ndescription: Mends a file\nargument-hint: FILE\n---\nMend $1.";
        std::fs::write(folder.path().join("commands/mend.md"), text).unwrap();
        std::fs::write(folder.path().join("commands/none.md"), "\n").unwrap();
        let (commands, wrong) = CustomCommand::of_folder(folder.path());
        assert_eq!((commands[0].name.as_str(), commands[0].argument.as_str()), ("mend", "FILE"));
        assert_eq!(commands[0].meaning, "Mends a file");
        assert_eq!(wrong, ["`commands/none.md` says nothing"]);
    }
}
