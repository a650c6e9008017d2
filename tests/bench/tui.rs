//! The terminal UI, at a terminal: how soon it is there, what a stream costs it, what it keeps, and what it takes while
//! nothing happens.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use skein_tests::environment::terminal::{Terminal, keys};
use skein_tests::scripted_model::reply::{Answer, Reply};
use skein_tests::scripted_model::request::Request;

use crate::daemon::{on_processor, resident};
use crate::log::long_session;
use crate::measure::{Failure, Runs, cost, median, percentile};
use crate::stage::{ANSWER, Stage};
use crate::table::Table;

/// What stands in an empty composer while nothing runs.
const READY: &str = "Ask for something";
/// What the model says last.
const LAST: &str = "That is all.";
/// A screen that is written nothing for so long has done what it had to.
const STILL: Duration = Duration::from_millis(400);

/// All of it but its memory.
pub(crate) fn all(executable: &Path, runs: Runs, table: &mut Table) -> Result<(), Failure> {
    first_frame(executable, runs, table)?;
    long(executable, runs, table)?;
    paragraph(executable, runs, table)?;
    keys_while_streaming(executable, runs, table)?;
    idle(executable, runs, table)
}

/// From the start of the program to a composer, with a daemon that runs and with none.
fn first_frame(executable: &Path, runs: Runs, table: &mut Table) -> Result<(), Failure> {
    let stage = Stage::plain(executable)?;
    let (mut warm, mut cold) = (Vec::new(), Vec::new());
    for _ in 0..runs.pick(15, 2) {
        stage.env.stop();
        let (terminal, elapsed) = started(&stage, &[], &[READY])?;
        cold.push(elapsed);
        drop(terminal);
        let (_terminal, elapsed) = started(&stage, &[], &[READY])?;
        warm.push(elapsed);
    }
    table.at_most("screen: first frame, daemon runs", median(warm), 15.0, "ms");
    table.at_most("screen: first frame, no daemon", median(cold), 120.0, "ms");
    Ok(())
}

/// From the start of the program to a composer below the last line of a session of 2,000 turns.
fn long(executable: &Path, runs: Runs, table: &mut Table) -> Result<(), Failure> {
    let stage = Stage::plain(executable)?;
    cost(stage.exec(&["hello"]), "skein exec")?;
    stage.env.stop();
    let (session, _) = long_session(&stage.env, 2000)?;
    let (mut first, mut again) = (Vec::new(), Vec::new());
    for _ in 0..runs.pick(7, 2) {
        stage.env.stop();
        cost(stage.env.command(["daemon", "start"]), "skein daemon start")?;
        for figures in [&mut first, &mut again] {
            let attach = ["attach", &session.to_string()];
            figures.push(started(&stage, &attach, &[READY, ANSWER])?.1);
        }
    }
    table.at_most("screen: 2,000 turns, composer and last line, first time", median(first), 40.0, "ms");
    table.at_most("screen: 2,000 turns, composer and last line, again", median(again), 40.0, "ms");
    Ok(())
}

/// Small deltas in one paragraph, as fast as they go, and twice as many.
fn paragraph(executable: &Path, runs: Runs, table: &mut Table) -> Result<(), Failure> {
    const DELTAS: usize = 20_000;
    let (mut once, mut twice) = (Vec::new(), Vec::new());
    for _ in 0..runs.pick(5, 1) {
        for (deltas, figures) in [(DELTAS, &mut once), (2 * DELTAS, &mut twice)] {
            let answer = Answer::new().text("word ".repeat(deltas) + "\n\n" + LAST).in_pieces(deltas);
            let stage = Stage::new(executable, move |_: &Request| Reply::from(answer.clone()))?;
            let (terminal, _) = started(&stage, &[], &[READY])?;
            let before = on_processor(terminal.pid())?;
            turn(&terminal, LAST)?;
            // Of a burst the end is seen before the middle is written.
            let _ = terminal.wait_for_silence(STILL);
            let used = on_processor(terminal.pid())?.saturating_sub(before);
            let shown: usize = terminal.everything().iter().map(|row| row.matches("word").count()).sum();
            if shown != deltas {
                return Err(Failure::Other(format!("{shown} of {deltas} words were shown")));
            }
            figures.push(used.as_secs_f64() * 1e3);
        }
    }
    let (once, twice) = (median(once), median(twice));
    table.at_most("screen: 20,000 deltas in one paragraph, CPU", once, 1000.0, "ms");
    table.at_most("screen: 40,000 deltas against 20,000", twice / once, 2.3, "times");
    Ok(())
}

/// From a key to its letter on the screen, while 1,000 deltas a second arrive.
fn keys_while_streaming(executable: &Path, runs: Runs, table: &mut Table) -> Result<(), Failure> {
    let (mut middle, mut late) = (Vec::new(), Vec::new());
    for _ in 0..runs.pick(5, 1) {
        let deltas: usize = runs.pick(8000, 2000);
        let answer =
            Answer::new().text("word ".repeat(deltas)).in_pieces(deltas).pace(Duration::from_millis(1));
        let stage = Stage::new(executable, move |_: &Request| Reply::from(answer.clone()))?;
        let (terminal, _) = started(&stage, &[], &[READY])?;
        begin(&terminal)?;
        terminal.wait_for("word word")?;
        let mut delays = Vec::new();
        for key in 0..runs.pick(300_u64, 40) {
            // At moments that have nothing to do with those of frames.
            std::thread::sleep(Duration::from_micros(3000 + key * 7919 % 17_000));
            let is_letter = key % 2 == 0;
            let pressed = Instant::now();
            terminal.press(if is_letter { "x" } else { "\x7f" })?;
            terminal
                .wait_until("the key's letter", |screen, _| screen.contents().contains("› x") == is_letter)?;
            delays.push(pressed.elapsed().as_secs_f64() * 1e3);
        }
        if terminal.look(|screen, _| screen.contents().contains(READY)) {
            return Err(Failure::Other("the stream ended before the keys did".to_owned()));
        }
        middle.push(percentile(&delays, 50.0));
        late.push(percentile(&delays, 99.0));
    }
    table.figure("screen: key to letter at 1,000 deltas/s, p50", median(middle), "ms");
    table.at_most("screen: key to letter at 1,000 deltas/s, p99", median(late), 16.0, "ms");
    Ok(())
}

/// Resident memory at the first frame, once code has its colours, and after 100,000 lines in a hundred messages.
pub(crate) fn memory(executable: &Path, runs: Runs, table: &mut Table) -> Result<(), Failure> {
    const CODE: &str = "```rust\nfn main() {}\n```\n\nThat is code.";
    let [mut start, mut coloured, mut after] = [const { Vec::new() }; 3];
    for _ in 0..runs.pick(3, 1) {
        let mut replies = vec![long_answer(), Reply::text(CODE)];
        let stage =
            Stage::new(executable, move |_: &Request| replies.pop().unwrap_or_else(|| Reply::text(LAST)))?;
        let (terminal, _) = started(&stage, &[], &[READY])?;
        for (last, figures) in
            [(None, &mut start), (Some("That is code."), &mut coloured), (Some(LAST), &mut after)]
        {
            if let Some(last) = last {
                turn(&terminal, last)?;
            }
            let _ = terminal.wait_for_silence(STILL);
            figures.push(resident(terminal.pid())? / 1024.0);
        }
    }
    table.at_most("screen: resident after its start", median(start), 25.0, "MB");
    table.figure("screen: resident once code has its colours", median(coloured), "MB");
    table.at_most("screen: resident after 100,000 lines", median(after), 40.0, "MB");
    Ok(())
}

/// A hundred messages of a thousand lines each, half of them code.
fn long_answer() -> Reply {
    let mut answer = Answer::new();
    for message in 0..100 {
        let mut text = "```rust\n".to_owned();
        (0..500).for_each(|line| text.push_str(&format!("let line_{line} = call(\"{message}\");\n")));
        text.push_str("```\n\n");
        (0..500).for_each(|line| text.push_str(&format!("- Line {line} of what the model says.\n")));
        answer = answer.text(text).in_pieces(100);
    }
    answer.text(LAST).into()
}

/// How often it wakes while nothing happens.
fn idle(executable: &Path, runs: Runs, table: &mut Table) -> Result<(), Failure> {
    let stage = Stage::plain(executable)?;
    let (terminal, _) = started(&stage, &[], &[READY])?;
    turn(&terminal, ANSWER)?;
    // The notices that come and go have gone.
    let _ = terminal.wait_for_silence(Duration::from_secs(10));
    let time = Duration::from_secs(runs.pick(30, 3));
    let (before, used) = (wakes(terminal.pid())?, on_processor(terminal.pid())?);
    let written = terminal.wait_for_silence(time);
    let woken = wakes(terminal.pid())? - before;
    let used = on_processor(terminal.pid())?.saturating_sub(used);
    if written > 0 {
        return Err(Failure::Other(format!("{written} bytes were drawn on an idle screen")));
    }
    let what = |figure: &str| format!("idle screen, {} s: {figure}", time.as_secs());
    table.at_most(&what("times it woke"), woken, 0.0, "times");
    table.at_most(&what("CPU"), used.as_secs_f64() * 1e3, 0.0, "ms");
    Ok(())
}

/// A screen, and the milliseconds until all of these texts were on it.
fn started(stage: &Stage, arguments: &[&str], wanted: &[&str]) -> Result<(Terminal, f64), Failure> {
    let command = stage.env.command(arguments.iter().copied());
    let begin = Instant::now();
    let terminal = command.at_terminal(100, 30)?;
    terminal.wait_until("the first frame", |screen, _| {
        let contents = screen.contents();
        wanted.iter().all(|text| contents.contains(text))
    })?;
    Ok((terminal, begin.elapsed().as_secs_f64() * 1e3))
}

fn begin(terminal: &Terminal) -> Result<(), Failure> {
    terminal.press("go on")?;
    terminal.wait_for("› go on")?;
    terminal.press(keys::ENTER)?;
    Ok(())
}

/// A turn from its start to its end; this is what the model says last.
fn turn(terminal: &Terminal, last: &str) -> Result<(), Failure> {
    begin(terminal)?;
    terminal.wait_until("the turn's end", |screen, _| {
        let contents = screen.contents();
        contents.contains(READY) && contents.contains(last) && contents.contains(" tokens in, ")
    })?;
    Ok(())
}

/// How often the threads of a process were woken.
fn wakes(pid: i32) -> Result<f64, Failure> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).map_err(Failure::of)?;
    let mut all = 0.0;
    for thread in threads {
        let status =
            fs::read_to_string(thread.map_err(Failure::of)?.path().join("status")).map_err(Failure::of)?;
        let count = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        all += count.and_then(|count| count.trim().parse::<f64>().ok()).unwrap_or_default();
    }
    Ok(all)
}
