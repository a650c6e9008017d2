//! Makes a mark of the helper's code, so that two executables can tell whether they hold the same helper. Knows files,
//! not what is in them.

use std::hash::{DefaultHasher, Hasher};
use std::io;
use std::path::Path;
use std::{env, fs};

/// What a helper is made of: its own code, and that of the plan.
const SOURCES: [&str; 2] = ["src", "../helper-protocol/src"];

fn main() -> io::Result<()> {
    let mut hasher = DefaultHasher::new();
    for folder in SOURCES {
        println!("cargo::rerun-if-changed={folder}");
        add(Path::new(folder), &mut hasher)?;
    }
    let version = env::var("CARGO_PKG_VERSION").unwrap_or_default();
    println!("cargo::rustc-env=SKEIN_HELPER_BUILD={version}+{:016x}", hasher.finish());
    Ok(())
}

fn add(path: &Path, hasher: &mut DefaultHasher) -> io::Result<()> {
    if !path.is_dir() {
        hasher.write(path.as_os_str().as_encoded_bytes());
        hasher.write(&fs::read(path)?);
        return Ok(());
    }
    let mut entries = fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    entries.sort();
    entries.iter().try_for_each(|entry| add(entry, hasher))
}
