//! Images and notes that go along with a text. Images are found by a path that was pasted, and told apart by their
//! first bytes. Knows nothing of where they are shown.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use protocol::turn::InputPart;

/// Bytes of an image; the daemon takes no more.
pub(crate) const MOST_BYTES: u64 = 8 * 1024 * 1024;
/// How files of images end.
const ENDINGS: [&str; 5] = ["png", "jpg", "jpeg", "gif", "webp"];

/// An image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Image {
    media_type: &'static str,
    data: Arc<[u8]>,
}

/// A text that goes along with what a person says, and that they did not write: what a command printed that they ran.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Note {
    pub(crate) text: Arc<str>,
    /// What stands for it in the text that is written.
    pub(crate) chip: Arc<str>,
}

/// What a person says: a text, and notes and images beside it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) text: String,
    pub(crate) notes: Vec<Note>,
    pub(crate) images: Vec<Image>,
}

impl From<String> for Said {
    fn from(text: String) -> Self {
        Self { text, ..Self::default() }
    }
}

impl Said {
    /// As the daemon takes it.
    pub(crate) fn parts(&self) -> Vec<InputPart> {
        let is_alone = self.images.is_empty() && self.notes.is_empty();
        let text = Some(&self.text).filter(|text| is_alone || !text.is_empty());
        let text = text.map(|text| InputPart::Text { text: text.clone() });
        let notes = self.notes.iter().map(|note| InputPart::Text { text: note.text.to_string() });
        text.into_iter().chain(notes).chain(self.images.iter().map(Image::part)).collect()
    }
}

impl Image {
    /// Reads a file.
    ///
    /// # Errors
    /// What is wrong with it, for a person.
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let wrong = |what: String| format!("`{}` can't be shown to the agent: {what}", path.display());
        let file = File::open(path).map_err(|error| wrong(error.to_string()))?;
        if !file.metadata().is_ok_and(|metadata| metadata.is_file()) {
            return Err(wrong("it is no file".to_owned()));
        }
        let mut data = Vec::new();
        file.take(MOST_BYTES + 1).read_to_end(&mut data).map_err(|error| wrong(error.to_string()))?;
        Self::of_bytes(data).map_err(wrong)
    }

    /// What was read.
    ///
    /// # Errors
    /// What is wrong with it, for a person.
    pub(crate) fn of_bytes(data: Vec<u8>) -> Result<Self, String> {
        if data.len() as u64 > MOST_BYTES {
            return Err(format!("it has more than {MOST_BYTES} bytes"));
        }
        match media_type(&data) {
            Some(media_type) => Ok(Self { media_type, data: data.into() }),
            None => Err("it is no PNG, JPEG, GIF or WebP".to_owned()),
        }
    }

    /// What stands for it in the text that is written.
    pub(crate) fn chip(&self) -> String {
        let kind = self.media_type.trim_start_matches("image/");
        format!("[image, {} kB {kind}]", self.data.len().div_ceil(1000))
    }

    fn part(&self) -> InputPart {
        let data = base64::engine::general_purpose::STANDARD.encode(&self.data);
        InputPart::Image { media_type: self.media_type.to_owned(), data }
    }
}

/// The path of an image, if a pasted text is one: as terminals write what was dropped on them.
pub(crate) fn path_of(text: &str) -> Option<PathBuf> {
    let text = text.trim();
    if text.len() > 4096 || text.contains(['\n', '\r']) {
        return None;
    }
    let text = text.strip_prefix("file://").unwrap_or(text);
    let quoted = |mark: char| text.strip_prefix(mark).and_then(|text| text.strip_suffix(mark));
    let text = match quoted('\'').or_else(|| quoted('"')) {
        Some(text) => text.to_owned(),
        None => text.replace("\\ ", " "),
    };
    let path = match text.strip_prefix("~/") {
        Some(rest) => PathBuf::from(std::env::var_os("HOME")?).join(rest),
        None => PathBuf::from(text),
    };
    let ending = path.extension()?.to_str()?.to_ascii_lowercase();
    (path.is_absolute() && ENDINGS.contains(&ending.as_str())).then_some(path)
}

/// What the first bytes say.
fn media_type(data: &[u8]) -> Option<&'static str> {
    if data.starts_with(b"\x89PNG\r\n\x1a\n") {
        Some("image/png")
    } else if data.starts_with(b"\xff\xd8\xff") {
        Some("image/jpeg")
    } else if data.starts_with(b"GIF87a") || data.starts_with(b"GIF89a") {
        Some("image/gif")
    } else if data.starts_with(b"RIFF") && data.get(8..12) == Some(b"WEBP") {
        Some("image/webp")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_path_is_told_from_text() {
        for (text, path) in [
            ("/tmp/a.png", Some("/tmp/a.png")),
            (" '/tmp/my shot.PNG' ", Some("/tmp/my shot.PNG")),
            ("/tmp/my\\ shot.jpeg", Some("/tmp/my shot.jpeg")),
            ("file:///tmp/a.webp", Some("/tmp/a.webp")),
            ("a.png", None),
            ("look at /tmp/a.png", None),
            ("/tmp/a.rs", None),
            ("/tmp/a.png\n/tmp/b.png", None),
        ] {
            assert_eq!(path_of(text).as_deref(), path.map(Path::new), "{text}");
        }
    }

    #[test]
    fn the_bytes_say_what_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            path
        };
        let image = Image::read(&write("a.png", b"GIF89a-and-more")).unwrap();
        assert_eq!(image.chip(), "[image, 1 kB gif]");
        assert!(Image::read(&write("b.png", b"text")).unwrap_err().contains("no PNG"));
        assert!(Image::read(folder.path()).unwrap_err().contains("no file"));
        assert!(Image::read(Path::new("/no/such.png")).is_err());
        let said = Said { images: vec![image], ..Said::default() };
        assert!(
            matches!(&said.parts()[..], [InputPart::Image { media_type, .. }] if media_type == "image/gif")
        );
        assert_eq!(Said::from("x".to_owned()).parts().len(), 1);
    }
}
