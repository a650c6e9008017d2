//! Patches that a model gives to the shell instead of the tool. Only what a shell would surely do the same with
//! is taken: one call with one heredoc, and nothing around it but a change of folder.

/// A patch in a shell command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Recognised {
    /// `apply_patch <<WORD …`, in this folder; empty for the one where the command runs.
    Call { folder: String, patch: String },
    /// A patch itself, where a command should be.
    BarePatch,
}

/// The patch in an argument vector, if it is nothing else.
pub(crate) fn recognise(argv: &[String]) -> Option<Recognised> {
    let script = match argv {
        [shell, flag, script] if is_shell(shell) && matches!(flag.as_str(), "-c" | "-lc") => script,
        [only] => only,
        _ => return None,
    };
    if script.trim_start().starts_with("*** Begin Patch") {
        return Some(Recognised::BarePatch);
    }
    if argv.len() == 1 {
        return None;
    }
    let (folder, call) = match script.trim_start().strip_prefix("cd").and_then(change_of_folder) {
        Some(found) => found,
        None => (String::new(), script.trim_start()),
    };
    let after = call.strip_prefix("apply_patch").or_else(|| call.strip_prefix("applypatch"))?;
    let patch = heredoc(after.trim_start_matches([' ', '\t']).strip_prefix("<<")?)?;
    Some(Recognised::Call { folder, patch })
}

fn is_shell(program: &str) -> bool {
    matches!(program.rsplit('/').next(), Some("bash" | "sh" | "zsh"))
}

/// ` DIR && `: the folder, and what follows.
fn change_of_folder(text: &str) -> Option<(String, &str)> {
    let text = text.strip_prefix([' ', '\t'])?.trim_start_matches([' ', '\t']);
    let (folder, rest) = word(text)?;
    let rest = rest.trim_start_matches([' ', '\t']).strip_prefix("&&")?;
    // `cd -` and `cd -P` are something else.
    (!folder.is_empty() && !folder.starts_with('-')).then(|| (folder, rest.trim_start()))
}

/// A bare word or a quoted string that a shell would take as it stands.
fn word(text: &str) -> Option<(String, &str)> {
    let (word, rest) = match text.chars().next()? {
        quote @ ('\'' | '"') => text[1..].split_once(quote)?,
        _ => {
            let is_plain = |c: char| c.is_alphanumeric() || "_-./+,:@%=".contains(c);
            text.split_at(text.find(|c| !is_plain(c)).unwrap_or(text.len()))
        }
    };
    let is_expanded = text.starts_with('"') && word.contains(['$', '`', '\\']);
    // After a word comes a blank or an operator; anything else would be more of the word.
    let ends = rest.chars().next().is_none_or(|c| " \t\r\n&<".contains(c));
    (!is_expanded && ends).then(|| (word.to_owned(), rest))
}

/// What follows `<<`: the text up to the line that is the word, if nothing else follows.
fn heredoc(text: &str) -> Option<String> {
    let (text, is_indented) = text.strip_prefix('-').map_or((text, false), |text| (text, true));
    let (end, rest) = word(text.trim_start_matches([' ', '\t']))?;
    let (same_line, body) = rest.split_once('\n')?;
    if end.is_empty() || !same_line.trim().is_empty() {
        return None;
    }
    let mut patch = String::new();
    let mut lines = body.lines();
    loop {
        let line = lines.next()?;
        let line = if is_indented { line.trim_start_matches('\t') } else { line };
        if line == end {
            break;
        }
        patch.push_str(line);
        patch.push('\n');
    }
    lines.all(|line| line.trim().is_empty()).then_some(patch)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATCH: &str = "*** Begin Patch\n*** Add File: a\n+$x\n*** End Patch\n";

    fn in_shell(script: &str) -> Option<Recognised> {
        recognise(&["/bin/bash".to_owned(), "-lc".to_owned(), script.to_owned()])
    }

    #[test]
    fn a_call_with_one_heredoc_is_a_patch() {
        for (before, after, folder) in [
            ("apply_patch <<'EOF'\n", "EOF", ""),
            ("apply_patch <<EOF\n", "EOF\n", ""),
            ("apply_patch <<\"PATCH\"\n", "PATCH\n\n", ""),
            (" apply_patch<< 'EOF' \n", "EOF", ""),
            ("applypatch <<-'EOF'\n", "\t\tEOF", ""),
            ("cd src && apply_patch <<'EOF'\n", "EOF", "src"),
            ("cd 'my src' && apply_patch <<'EOF'\n", "EOF", "my src"),
            ("cd \"/a b\"&&\n apply_patch <<'EOF'\n", "EOF", "/a b"),
            ("cd ../x_y-1.2 && apply_patch <<'EOF'\n", "EOF", "../x_y-1.2"),
        ] {
            let expected = Recognised::Call { folder: folder.to_owned(), patch: PATCH.to_owned() };
            assert_eq!(in_shell(&format!("{before}{PATCH}{after}")), Some(expected), "{before}…{after}");
        }
    }

    #[test]
    fn tabs_are_taken_off_as_a_shell_would() {
        let script = "apply_patch <<-EOF\n\t*** Begin Patch\n\t+\tx\n\t*** End Patch\n\tEOF";
        let patch = "*** Begin Patch\n+\tx\n*** End Patch\n".to_owned();
        assert_eq!(in_shell(script), Some(Recognised::Call { folder: String::new(), patch }));
    }

    #[test]
    fn anything_more_is_a_shell_command() {
        for (before, after) in [
            ("cd src; apply_patch <<'EOF'\n", "EOF"),
            ("cd src || apply_patch <<'EOF'\n", "EOF"),
            ("cd src\napply_patch <<'EOF'\n", "EOF"),
            ("cd && apply_patch <<'EOF'\n", "EOF"),
            ("cd - && apply_patch <<'EOF'\n", "EOF"),
            ("cd $HOME && apply_patch <<'EOF'\n", "EOF"),
            ("cd \"$HOME\" && apply_patch <<'EOF'\n", "EOF"),
            ("cd ~ && apply_patch <<'EOF'\n", "EOF"),
            ("cd a b && apply_patch <<'EOF'\n", "EOF"),
            ("cd 'a'b && apply_patch <<'EOF'\n", "EOF"),
            ("cd a && cd b && apply_patch <<'EOF'\n", "EOF"),
            ("true && apply_patch <<'EOF'\n", "EOF"),
            ("X=1 apply_patch <<'EOF'\n", "EOF"),
            ("./apply_patch <<'EOF'\n", "EOF"),
            ("apply_patch x <<'EOF'\n", "EOF"),
            ("apply_patch <<'EOF' x\n", "EOF"),
            ("apply_patch <<'EOF' | cat\n", "EOF"),
            ("apply_patch <<'EOF' > log\n", "EOF"),
            ("apply_patch <<'EOF' && ls\n", "EOF"),
            ("apply_patch <<'EOF'\n", "EOF\nls"),
            ("apply_patch <<'EOF'\n", "EOF && ls"),
            ("apply_patch <<'EOF'\n", " EOF"),
            ("apply_patch <<'EOF'\n", ""),
            ("apply_patch <<''\n", "\n"),
            ("apply_patch <<<'EOF'\n", "EOF"),
            ("apply_patch <<E\"OF\"\n", "EOF"),
            ("bash -lc apply_patch <<'EOF'\n", "EOF"),
            ("cat <<'EOF'\n", "EOF"),
        ] {
            assert_eq!(in_shell(&format!("{before}{PATCH}{after}")), None, "{before}…{after}");
        }
        let argv = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        let call = format!("apply_patch <<'EOF'\n{PATCH}EOF");
        for words in [
            &["apply_patch", PATCH][..],
            &["bash", "-x", &call],
            &["python3", "-c", &call],
            &["bash", "-c", &call, "more"],
            &[&call],
            &["ls"],
            &[],
        ] {
            assert_eq!(recognise(&argv(words)), None, "{words:?}");
        }
    }

    #[test]
    fn a_bare_patch_is_no_command() {
        assert_eq!(in_shell(&format!("\n{PATCH}")), Some(Recognised::BarePatch));
        assert_eq!(recognise(&[PATCH.to_owned()]), Some(Recognised::BarePatch));
    }
}
