//! The terminal UI within tmux, which keeps rows of its own: what was said is in its history, and can be copied there.

use std::path::PathBuf;
use std::process::Command;

use skein_tests::TestEnv;
use skein_tests::environment::executable::skein_exe;
use skein_tests::environment::terminal::{Terminal, keys};
use skein_tests::error::HarnessError;
use skein_tests::scripted_model::reply::{Answer, Point, Reply, Then};
use skein_tests::skip::skipped;

use crate::scene::scene;
use crate::tui_scene::{PLAIN, READY, expect_many_points, many_points, over_within, send};

const SETTINGS: &str = "set -g default-terminal screen-256color\nset -g status off\nset -g set-clipboard on\n\
                        set -sg escape-time 0\nset -g history-limit 20000\n";

/// A server of tmux that ends with this, with all that runs in it.
struct Tmux {
    socket: PathBuf,
}

impl Tmux {
    /// Runs skein in a new window at a terminal; absent where there is no tmux.
    fn start(env: &TestEnv, size: (u16, u16)) -> Option<(Self, Terminal)> {
        Command::new("tmux").arg("-V").output().ok()?;
        env.write_file("tmux.conf", SETTINGS).unwrap();
        let folder = tempfile::tempdir().unwrap().keep();
        let tmux = Self { socket: folder.join("tmux") };
        let skein = skein_exe().unwrap();
        let socket = tmux.socket.to_string_lossy().into_owned();
        let words = ["-u", "-S", &socket, "-f", "tmux.conf", "new-session", &skein.to_string_lossy()];
        let command = env.command(words).program("tmux").variable("SHELL", "/bin/sh");
        let terminal = command.at_terminal(size.0, size.1).unwrap();
        terminal.wait_for(READY).unwrap();
        Some((tmux, terminal))
    }

    fn run(&self, arguments: &[&str]) -> String {
        let run =
            Command::new("tmux").arg("-u").arg("-S").arg(&self.socket).args(arguments).output().unwrap();
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        String::from_utf8(run.stdout).unwrap()
    }

    /// All rows that it has, those that were scrolled out of sight first.
    fn everything(&self) -> Vec<String> {
        let rows = self.run(&["capture-pane", "-p", "-S", "-"]);
        rows.lines().map(|row| row.trim_end().to_owned()).collect()
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        let _gone = Command::new("tmux").arg("-S").arg(&self.socket).arg("kill-server").output();
        if let Some(folder) = self.socket.parent() {
            let _gone = std::fs::remove_dir_all(folder);
        }
    }
}

#[test]
fn what_was_said_is_in_the_history_of_tmux_in_its_order_and_once() -> Result<(), HarnessError> {
    let (_model, env) = scene([many_points()]);
    env.prepend_settings(PLAIN).unwrap();
    let Some((tmux, terminal)) = Tmux::start(&env, (80, 24)) else { return skipped("tmux is not installed") };
    send(&terminal, "tell me");
    over_within(&terminal, "That is all.");
    expect_many_points(&tmux.everything(), "tell me");
    Ok(())
}

#[test]
fn sizes_in_quick_succession_within_tmux_lose_nothing() -> Result<(), HarnessError> {
    let text: String = (1..=400).map(|word| format!("word{word} ")).collect();
    let (_model, env) =
        scene([Reply::from(Answer::new().text(text + "That is all.")), Reply::text("And another one.")]);
    env.prepend_settings(PLAIN).unwrap();
    let Some((tmux, terminal)) = Tmux::start(&env, (100, 30)) else {
        return skipped("tmux is not installed");
    };
    send(&terminal, "tell me");
    over_within(&terminal, "That is all.");
    // tmux tells of the first one at once, and of those that follow together, after a while.
    for (columns, rows) in [(60, 20), (120, 40), (40, 12), (90, 25)] {
        terminal.resize(columns, rows).unwrap();
        let size = format!("{columns}x{rows}");
        while tmux.run(&["display-message", "-p", "#{window_width}x#{window_height}"]).trim() != size {}
    }
    send(&terminal, "again");
    over_within(&terminal, "And another one.");
    let all = tmux.run(&["capture-pane", "-p", "-J", "-S", "-"]);
    let words: Vec<&str> = all.split_whitespace().filter(|word| word.starts_with("word")).collect();
    let wanted: Vec<String> = (1..=400).map(|word| format!("word{word}")).collect();
    assert_eq!(words, wanted, "{all}");
    for said in ["› tell me", "› again", "And another one."] {
        assert_eq!(all.matches(said).count(), 1, "{said}: {all}");
    }
    Ok(())
}

#[test]
fn a_window_of_half_the_height_keeps_no_copies_of_what_streams() -> Result<(), HarnessError> {
    let text: String = (1..=400).map(|word| format!("word{word} ")).collect();
    let streams = Answer::new().text(text).in_pieces(40).breaks(Point::MiddleOfLastOutput, Then::Stall);
    let (_model, env) = scene([Reply::from(streams)]);
    env.prepend_settings(PLAIN).unwrap();
    let Some((tmux, terminal)) = Tmux::start(&env, (80, 24)) else { return skipped("tmux is not installed") };
    send(&terminal, "tell me");
    // It is higher than what is shown of it.
    terminal.wait_for("word180").unwrap();
    for rows in [12, 24, 12] {
        terminal.resize(80, rows).unwrap();
        let size = format!("80x{rows}");
        while tmux.run(&["display-message", "-p", "#{window_width}x#{window_height}"]).trim() != size {}
        terminal
            .wait_until("the composer at the new size", |screen, _| {
                let is_of_size = screen.size().0.get() == rows;
                is_of_size
                    && screen.contents().contains("Enter says it")
                    && screen.contents().contains("word180")
            })
            .unwrap();
    }
    terminal.press(keys::ESCAPE).unwrap();
    over_within(&terminal, "Interrupted by");
    let all = tmux.run(&["capture-pane", "-p", "-J", "-S", "-"]);
    let words: Vec<&str> = all.split_whitespace().filter(|word| word.starts_with("word")).collect();
    let wanted: Vec<String> = (1..=words.len()).map(|word| format!("word{word}")).collect();
    assert!(words.len() >= 180 && words == wanted, "{all}");
    Ok(())
}

#[test]
fn the_last_answer_is_copied_through_tmux() -> Result<(), HarnessError> {
    let (_model, env) = scene([Reply::text("An answer to keep.")]);
    env.prepend_settings(PLAIN).unwrap();
    let Some((tmux, terminal)) = Tmux::start(&env, (80, 24)) else { return skipped("tmux is not installed") };
    send(&terminal, "say it");
    over_within(&terminal, "An answer to keep.");
    terminal.press("/copy ").unwrap();
    terminal.wait_for("› /copy").unwrap();
    terminal.press(keys::ENTER).unwrap();
    terminal.wait_for("letters to the clipboard").unwrap();
    terminal.wait_until("the clipboard", |_, asked| !asked.clipboard.is_empty()).unwrap();
    assert_eq!(tmux.run(&["show-buffer"]), "An answer to keep.");
    Ok(())
}
