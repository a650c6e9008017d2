//! `cargo xhelper`: builds the small helper as it ships and puts it beside the large executable in `target/release`.
//! Knows how it is linked, nothing of what it does.
//!
//! It is started for each command, and what happens before its first line costs more than all that it does: finding and
//! relocating libraries, and with glibc asking the processor some sixty questions, which trap in a virtual machine. So it
//! is linked statically, and with musl where Rust has that target (`rustup target add x86_64-unknown-linux-musl`).
#![expect(clippy::print_stderr, reason = "a program for the shell prints")]

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

const PACKAGE: &str = "skein-sandbox";

fn main() -> ExitCode {
    match build() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xhelper: {error}");
            ExitCode::FAILURE
        }
    }
}

fn build() -> io::Result<()> {
    let musl = format!("{}-unknown-linux-musl", std::env::consts::ARCH);
    if !has_target(&musl) {
        eprintln!(
            "xhelper: the target {musl} is not installed, so the helper is linked with glibc and starts slower"
        );
        return rustc(&["--", "-C", "target-feature=+crt-static"]);
    }
    rustc(&["--target", &musl])?;
    let target = target_folder()?;
    let shipped = target.join("release").join(PACKAGE);
    // In one step: a daemon may be about to take it.
    let new = shipped.with_extension("new");
    fs::create_dir_all(target.join("release"))?;
    fs::copy(target.join(&musl).join("release").join(PACKAGE), &new)?;
    fs::rename(new, shipped)
}

fn has_target(name: &str) -> bool {
    let output = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", name])
        .stderr(Stdio::null())
        .output();
    output.is_ok_and(|output| {
        output.status.success()
            && str::from_utf8(&output.stdout).is_ok_and(|path| Path::new(path.trim_end()).is_dir())
    })
}

fn rustc(arguments: &[&str]) -> io::Result<()> {
    let mut command = Command::new("cargo");
    command.args(["rustc", "--quiet", "--release", "--package", PACKAGE]).args(arguments);
    let status = command.status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("cargo ended with {status}"))) }
}

/// This program stands in its `debug/examples`.
fn target_folder() -> io::Result<PathBuf> {
    let own = std::env::current_exe()?;
    let folder = own.ancestors().nth(3).map(Path::to_owned);
    folder.ok_or_else(|| io::Error::other("this program does not stand in a target folder"))
}
