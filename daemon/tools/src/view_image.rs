//! `view_image`: shows an image to the model, decoded, made small enough and encoded anew, so that no bytes of the
//! file itself go anywhere.

use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::{DynamicImage, ImageDecoder, ImageError, ImageReader, Limits};
use protocol::item::ToolContent;
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::sync::Semaphore;
use workspace::sight::Sight;

use crate::function::{Function, Stopped, Told, look};
use crate::tool::RunContext;

/// How long it may take.
const WITHIN: Duration = Duration::from_secs(20);
/// The largest file that is decoded.
const MAX_FILE_BYTES: u64 = 32 * 1024 * 1024;
/// The longest side that is decoded.
const MAX_DECODED_SIDE: u32 = 16_384;
/// Memory of the decoded image.
const MAX_DECODED_BYTES: u64 = 48 * 1024 * 1024;
/// The longest side that a model sees.
const MAX_SIDE: u32 = 1_568;
/// The same where little detail is wanted.
const LOW_SIDE: u32 = 512;
/// The largest lossless image; beyond it, it is encoded as JPEG.
const MAX_PNG_BYTES: usize = 1024 * 1024;
/// Of 100.
const JPEG_QUALITY: u8 = 85;

/// Shows images.
pub(crate) struct ViewImage {
    /// One is decoded at a time: each may take much memory.
    decoding: Semaphore,
}

/// The arguments.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Arguments {
    path: PathBuf,
    #[serde(default)]
    detail: Detail,
}

/// How much is to be seen.
#[derive(Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Detail {
    #[default]
    High,
    Low,
}

/// An image as it is shown.
pub struct Picture {
    /// Such as `image/png`.
    pub media_type: &'static str,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// What it was, for the model.
    pub told: String,
}

impl ViewImage {
    pub(crate) fn new() -> Self {
        Self { decoding: Semaphore::new(1) }
    }
}

impl Function for ViewImage {
    type Arguments = Arguments;
    const NAME: &'static str = "view_image";
    const DESCRIPTION: &'static str = include_str!("view_image.md");
    const IS_READ_ONLY: bool = true;

    async fn call(&self, arguments: Arguments, context: RunContext) -> Result<Told, Stopped> {
        let path = context.cwd.join(&arguments.path);
        let side = match arguments.detail {
            Detail::High => MAX_SIDE,
            Detail::Low => LOW_SIDE,
        };
        let _turn = tokio::select! {
            turn = self.decoding.acquire() => turn,
            () = context.cancel.cancelled() => return Err(Stopped::Interrupted),
        };
        let work = move |sight: &Sight, _: &_| {
            let bytes = read(sight, &path)?;
            make(&bytes, side)
        };
        let shown = look(&context, WITHIN, work).await?.map_err(Stopped::Failed)?;
        let failed = |error: std::io::Error| Stopped::Failed(format!("The image can't be kept: {error}"));
        let mut spool = context.spools.open().await.map_err(failed)?;
        spool.write(&shown.bytes).await.map_err(failed)?;
        let blob = spool.finish().await.map_err(failed)?;
        let content = vec![ToolContent::Image { media_type: shown.media_type.to_owned(), blob }];
        Ok(Told { text: shown.told, content, structured: None })
    }
}

fn read(sight: &Sight, path: &Path) -> Result<Vec<u8>, String> {
    let opened = sight.open(path).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    if opened.size_bytes <= MAX_FILE_BYTES {
        let read = opened.file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes);
        read.map_err(|error| format!("`{}`: {error}", path.display()))?;
    }
    if opened.size_bytes.max(bytes.len() as u64) > MAX_FILE_BYTES {
        return Err(format!("The file has {} bytes; an image may have {MAX_FILE_BYTES}", opened.size_bytes));
    }
    Ok(bytes)
}

/// Makes of the bytes of an image what a model is shown. Takes a while.
///
/// # Errors
/// Why they are no image that can be shown, for the model.
pub fn picture(bytes: &[u8]) -> Result<Picture, String> {
    make(bytes, MAX_SIDE)
}

/// Makes of a file what the model is shown.
fn make(bytes: &[u8], max_side: u32) -> Result<Picture, String> {
    let reader =
        ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|error| error.to_string())?;
    let Some(format) = reader.format() else {
        return Err("It is no image of a kind that can be shown: PNG, JPEG, GIF or WebP".to_owned());
    };
    let bad = |error: ImageError| match error {
        ImageError::Limits(_) => {
            "The image is too large to be decoded; make it smaller with a command first".to_owned()
        }
        ImageError::Unsupported(_) => {
            "It is no image of a kind that can be shown: PNG, JPEG, GIF or WebP".to_owned()
        }
        other => format!("The image is broken: {other}"),
    };
    let mut decoder = reader.into_decoder().map_err(bad)?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_DECODED_SIDE);
    limits.max_image_height = Some(MAX_DECODED_SIDE);
    limits.max_alloc = Some(MAX_DECODED_BYTES);
    decoder.set_limits(limits).map_err(bad)?;
    let (width, height) = decoder.dimensions();
    // Not every decoder keeps to the limit itself.
    if decoder.total_bytes() > MAX_DECODED_BYTES {
        return Err(format!(
            "The image of {width} x {height} pixels is too large to be decoded; make it smaller with a command first"
        ));
    }
    let orientation = decoder.orientation().map_err(bad)?;
    let mut image = DynamicImage::from_decoder(decoder).map_err(bad)?;
    if width.max(height) > max_side {
        image = image.thumbnail(max_side, max_side);
    }
    image.apply_orientation(orientation);
    let (media_type, bytes) = encode(image)?;
    let name = format!("{format:?}").to_uppercase();
    let told = format!("{name}, {width} x {height} pixels");
    Ok(Picture { media_type, bytes, told })
}

fn encode(image: DynamicImage) -> Result<(&'static str, Vec<u8>), String> {
    let failed = |error: ImageError| format!("The image can't be encoded: {error}");
    let mut png = Vec::new();
    // Deeper colours than 8 bits are more than a model sees.
    let image = if image.color().has_alpha() {
        DynamicImage::ImageRgba8(image.into_rgba8())
    } else {
        DynamicImage::ImageRgb8(image.into_rgb8())
    };
    image.write_with_encoder(PngEncoder::new(&mut png)).map_err(failed)?;
    if png.len() <= MAX_PNG_BYTES {
        return Ok(("image/png", png));
    }
    drop(png);
    let mut jpeg = Vec::new();
    let encoder = JpegEncoder::new_with_quality(&mut jpeg, JPEG_QUALITY);
    DynamicImage::ImageRgb8(image.into_rgb8()).write_with_encoder(encoder).map_err(failed)?;
    Ok(("image/jpeg", jpeg))
}
