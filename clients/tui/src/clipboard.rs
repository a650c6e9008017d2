//! An image from the clipboard of the desktop, through the program that can read it. Knows nothing of where it goes.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::process::Command;

use crate::image::{Image, MOST_BYTES};

/// How long a program may take: the window that holds the image may be far away.
const LIMIT: Duration = Duration::from_secs(5);

/// A program with its arguments.
type Words = &'static [&'static str];

const WAYLAND: Words = &["wl-paste", "--no-newline", "--type", "image/png"];
const X11: Words = &["xclip", "-selection", "clipboard", "-target", "image/png", "-out"];
const MACOS: Words = &["pngpaste", "-"];

/// The image in the clipboard. Dropping this ends the program that reads it.
///
/// # Errors
/// That there is none, or what is missing to read it, for a person.
pub(crate) async fn image() -> Result<Image, String> {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let words = if cfg!(target_os = "macos") {
        MACOS
    } else if is_set("WAYLAND_DISPLAY") {
        WAYLAND
    } else if is_set("DISPLAY") {
        X11
    } else {
        return Err("There is no clipboard with images here; paste the path of an image instead".to_owned());
    };
    read(words).await
}

async fn read(words: &[&str]) -> Result<Image, String> {
    let Some((program, arguments)) = words.split_first() else { return Err("Nothing reads it".to_owned()) };
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let mut child = command
        .spawn()
        .map_err(|error| format!("The clipboard is read by `{program}`, which can't be run: {error}"))?;
    let mut data = Vec::new();
    let reading = async {
        let out = child.stdout.take()?;
        out.take(MOST_BYTES + 1).read_to_end(&mut data).await.ok()
    };
    let _read =
        tokio::time::timeout(LIMIT, reading).await.map_err(|_| format!("`{program}` took too long"))?;
    if data.is_empty() {
        return Err("There is no image in the clipboard".to_owned());
    }
    Image::of_bytes(data)
        .map_err(|what| format!("What is in the clipboard can't be shown to the agent: {what}"))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_the_program_prints_is_the_image() {
        let image = read(&["printf", "GIF89a-and-more"]).await.unwrap();
        assert_eq!(image.chip(), "[image, 1 kB gif]");
    }

    #[tokio::test]
    async fn what_is_none_is_told() {
        assert!(read(&["true"]).await.unwrap_err().contains("no image"));
        assert!(read(&["printf", "text"]).await.unwrap_err().contains("no PNG"));
        assert!(read(&["no-such-program-here"]).await.unwrap_err().contains("can't be run"));
    }
}
