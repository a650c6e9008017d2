//! What watching files costs: a look through a large tree, as before and after each command, and a rewind of many
//! files through the daemon.

use std::fs;
use std::path::Path;
use std::time::Instant;

use serde_json::json;
use skein_tests::scripted_model::reply::Reply;
use workspace::history::Tree;

use crate::measure::{Failure, Runs, cost, median_ms};
use crate::stage::Stage;
use crate::table::Table;

/// A look through 50,000 files, most of which are as they were. It happens in this process, as it does in the daemon.
pub(crate) fn scan(_executable: &Path, runs: Runs, table: &mut Table) -> Result<(), Failure> {
    let scratch = tempfile::tempdir().map_err(Failure::of)?;
    let root = scratch.path().canonicalize().map_err(Failure::of)?;
    let files = runs.pick(50_000, 2_000);
    for number in 0..files {
        let folder = root.join(format!("crate_{}/src/module_{}", number % 10, number / 100));
        if number % 100 < 10 {
            fs::create_dir_all(&folder).map_err(Failure::of)?;
        }
        let text = format!("fn step_{number}() {{}}\n").repeat(40);
        fs::write(folder.join(format!("file_{number}.rs")), text).map_err(Failure::of)?;
    }
    let mut tree = Tree::new(root.clone(), Vec::new(), tempfile::tempfile().map_err(Failure::of)?);
    let started = Instant::now();
    tree.look().map_err(Failure::of)?;
    table.figure(&format!("first look through {files} files"), median_ms(vec![started.elapsed()]), "ms");
    // What was written a moment ago is read once more.
    tree.look().map_err(Failure::of)?;
    let mut took = Vec::new();
    for run in 0..runs.pick(21, 3) {
        fs::write(root.join("changed"), run.to_string()).map_err(Failure::of)?;
        let started = Instant::now();
        let changes = tree.look().map_err(Failure::of)?;
        took.push(started.elapsed());
        if changes.len() != 1 {
            return Err(Failure::Other(format!("{} changes were found, not 1", changes.len())));
        }
    }
    table.at_most(&format!("look through {files} files, one changed"), median_ms(took), 60.0, "ms");
    Ok(())
}

/// `skein rewind` of a turn that made, changed and removed files, and its undo, by turns.
pub(crate) fn rewind(executable: &Path, runs: Runs, table: &mut Table) -> Result<(), Failure> {
    let files = runs.pick(1_000, 90);
    let script = "rm gone/*; for file in kept/*; do echo more >> $file; done; mkdir made; cd gone; cd ../made; \
                  for file in ../kept/*; do cp $file .; done";
    let mut answers = 0;
    let stage = Stage::new(executable, move |_| {
        answers += 1;
        if answers == 1 { Reply::call("shell", &json!({"command": script})) } else { Reply::text("Done.") }
    })?;
    let repository = stage.env.repository();
    for folder in ["gone", "kept"] {
        fs::create_dir(repository.join(folder)).map_err(Failure::of)?;
        for number in 0..files / 3 {
            let text = format!("fn step_{number}() {{}}\n").repeat(40);
            fs::write(repository.join(folder).join(format!("file_{number}.rs")), text)
                .map_err(Failure::of)?;
        }
    }
    cost(stage.exec(&["go"]), "skein exec")?;
    let (mut back, mut again) = (Vec::new(), Vec::new());
    for _ in 0..runs.pick(7, 1) {
        back.push(cost(stage.env.command(["rewind", "--last"]), "skein rewind")?.0.wall);
        if repository.join("made").exists() {
            return Err(Failure::Other("the rewind did not take everything back".to_owned()));
        }
        again.push(cost(stage.env.command(["rewind", "--last", "--undo"]), "skein rewind --undo")?.0.wall);
    }
    table.figure(&format!("rewind of {files} files"), median_ms(back), "ms");
    table.figure(&format!("its undo, {files} files"), median_ms(again), "ms");
    Ok(())
}
