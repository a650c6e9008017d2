//! A second, strict reader of scripts that knows words, quotes and what joins commands, and refuses everything else.
//! A script counts as plain only if this reader and the grammar find the same commands.

/// Redirections that touch no file.
const NOWHERE: [&str; 4] = ["2>/dev/null", ">/dev/null", "&>/dev/null", "2>&1"];

/// Takes a script apart into plain commands joined by `&&`, `||`, `;`, `|` or newlines. `None` if it holds
/// anything that a shell would expand, redirect to a file, group or run in the background.
pub(crate) fn split(script: &str) -> Option<Vec<Vec<String>>> {
    let mut commands = Vec::new();
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = Chars(script);
    loop {
        if word.is_none() && !words.is_empty() && chars.skip_nowhere() {
            continue;
        }
        let Some(character) = chars.next() else { break };
        match character {
            ' ' | '\t' => words.extend(word.take()),
            '\n' | ';' | '|' | '&' => {
                words.extend(word.take());
                let is_doubled = chars.peek() == Some(character);
                if is_doubled {
                    chars.next();
                }
                if character == '&' && !is_doubled || character == ';' && is_doubled {
                    return None;
                }
                if chars.peek() == Some('&') && character == '|' {
                    return None;
                }
                if words.is_empty() && character != '\n' {
                    return None;
                }
                if !words.is_empty() {
                    commands.push(std::mem::take(&mut words));
                }
            }
            '\'' => {
                let quoted = word.get_or_insert_default();
                loop {
                    match chars.next()? {
                        '\'' => break,
                        other => quoted.push(other),
                    }
                }
            }
            '"' => {
                let quoted = word.get_or_insert_default();
                loop {
                    match chars.next()? {
                        '"' => break,
                        '$' | '`' | '\\' | '!' => return None,
                        other => quoted.push(other),
                    }
                }
            }
            plain if plain.is_alphanumeric() || "_-./:,+@%^=".contains(plain) => {
                // `X=1 command` and `~` change what runs or where; `=` may only stand inside an argument.
                if plain == '=' && (words.is_empty() || word.is_none()) {
                    return None;
                }
                word.get_or_insert_default().push(plain);
            }
            _ => return None,
        }
    }
    words.extend(word);
    if !words.is_empty() {
        commands.push(words);
    }
    Some(commands)
}

struct Chars<'a>(&'a str);

impl Chars<'_> {
    fn peek(&self) -> Option<char> {
        self.0.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let character = self.peek()?;
        self.0 = self.0.get(character.len_utf8()..)?;
        Some(character)
    }

    /// Skips a redirection that touches no file; says whether there was one.
    fn skip_nowhere(&mut self) -> bool {
        let behind = NOWHERE.iter().find_map(|redirection| self.0.strip_prefix(redirection));
        match behind {
            Some(behind) if behind.chars().next().is_none_or(|next| " \t\n;|".contains(next)) => {
                self.0 = behind;
                true
            }
            Some(_) | None => false,
        }
    }
}
