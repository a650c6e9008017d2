//! Writing on in the person's own editor. It has the terminal meanwhile.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

/// What was typed when no editor is set.
#[cfg(unix)]
const FALLBACK: &str = "vi";
#[cfg(not(unix))]
const FALLBACK: &str = "notepad";

/// Lets the person edit a text, and returns what became of it.
///
/// # Errors
/// What went wrong, for a person; the text is as it was.
pub(crate) async fn edit(text: &str) -> Result<String, String> {
    let wrong = |error: std::io::Error| format!("The text can't be handed to an editor: {error}");
    // Only its owner may read it, and it goes when this returns.
    let mut file = tempfile::Builder::new().prefix("skein-").suffix(".md").tempfile().map_err(wrong)?;
    file.write_all(text.as_bytes()).map_err(wrong)?;
    run(file.path()).await?;
    // Editors write another file in its place, so it is read by its name.
    fs::read_to_string(file.path()).map_err(wrong)
}

/// Opens a file, which may not be there yet.
///
/// # Errors
/// What went wrong, for a person.
pub(crate) async fn open(file: &Path) -> Result<(), String> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)
            .map_err(|error| format!("`{}` can't be made: {error}", folder.display()))?;
    }
    run(file).await
}

async fn run(file: &Path) -> Result<(), String> {
    let set = |name| std::env::var(name).ok().filter(|value: &String| !value.trim().is_empty());
    let editor = set("VISUAL").or_else(|| set("EDITOR")).unwrap_or_else(|| FALLBACK.to_owned());
    // As git and others do: words, the first one the program.
    let mut words = editor.split_whitespace();
    let program = words.next().unwrap_or(FALLBACK);
    let mut command = Command::new(program);
    command.args(words).arg(file);
    command.stdin(Stdio::inherit()).stdout(Stdio::inherit()).stderr(Stdio::inherit());
    let status = command.status().await.map_err(|error| format!("`{program}` can't be run: {error}"))?;
    if !status.success() {
        return Err(format!("`{program}` failed; the text is as it was"));
    }
    Ok(())
}
