//! The terminal UI within GNU screen, which keeps rows of its own as tmux does, and passes less on: no colours beyond its
//! own, no synchronized updates, no answers to most questions.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use skein_tests::TestEnv;
use skein_tests::environment::executable::skein_exe;
use skein_tests::environment::terminal::{Terminal, keys};
use skein_tests::error::HarnessError;
use skein_tests::scripted_model::reply::{Answer, Reply};
use skein_tests::skip::skipped;

use crate::scene::scene;
use crate::tui_scene::{PLAIN, READY, expect_many_points, many_points, over_within, send};

const SETTINGS: &str = "startup_message off\ndeflogin off\nvbell off\ndefscrollback 20000\ndefutf8 on\n\
                        term screen-256color\n";
const MISSING: &str = "GNU screen is not installed";
/// What the session of screen is called.
const NAME: &str = "skein";

/// A session of screen that ends with this, with all that runs in it.
struct Screen {
    /// Its sockets, and copies of what it shows.
    folder: PathBuf,
}

impl Screen {
    /// Runs skein in a new window at a terminal; absent where there is no screen.
    fn start(env: &TestEnv, size: (u16, u16)) -> Option<(Self, Terminal)> {
        Command::new("screen").arg("-v").output().ok()?;
        env.write_file("screenrc", SETTINGS).unwrap();
        let screen = Self { folder: tempfile::tempdir().unwrap().keep() };
        // Only its owner may look into it, as screen wants it.
        rustix::fs::chmod(&screen.folder, rustix::fs::Mode::RWXU).unwrap();
        let skein = skein_exe().unwrap();
        let words = ["-U", "-c", "screenrc", "-S", NAME, &skein.to_string_lossy()];
        let command = env.command(words).program("screen").variable("SHELL", "/bin/sh");
        let command = command.variable("SCREENDIR", screen.folder.as_os_str());
        let terminal = command.at_terminal(size.0, size.1).unwrap();
        terminal.wait_for(READY).unwrap();
        Some((screen, terminal))
    }

    fn run(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("screen");
        command.arg("-S").arg(NAME).args(arguments).env("SCREENDIR", &self.folder);
        let run = command.output().unwrap();
        assert!(run.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&run.stdout));
        String::from_utf8_lossy(&run.stdout).into_owned()
    }

    /// All rows that it has, those that were scrolled out of sight first. Of letters beyond ASCII it copies one byte.
    fn everything(&self) -> Vec<String> {
        let file = self.folder.join("copy");
        self.run(&["-X", "hardcopy", "-h", &file.to_string_lossy()]);
        // It answers once the copy is written.
        self.run(&["-Q", "title"]);
        let copy = fs::read(file).unwrap();
        String::from_utf8_lossy(&copy).lines().map(|row| row.trim_end().to_owned()).collect()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let mut command = Command::new("screen");
        command.args(["-S", NAME, "-X", "quit"]).env("SCREENDIR", &self.folder);
        let _gone = command.output();
        let _gone = fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn what_was_said_is_in_the_history_of_screen_in_its_order_and_once() -> Result<(), HarnessError> {
    let (_model, env) = scene([many_points()]);
    env.prepend_settings(PLAIN).unwrap();
    let Some((screen, terminal)) = Screen::start(&env, (80, 24)) else { return skipped(MISSING) };
    send(&terminal, "tell me");
    over_within(&terminal, "That is all.");
    expect_many_points(&screen.everything(), "tell me");
    Ok(())
}

#[test]
fn another_size_and_a_paste_within_screen_lose_nothing() -> Result<(), HarnessError> {
    let text: String = (1..=400).map(|word| format!("word{word} ")).collect();
    let (model, env) =
        scene([Reply::from(Answer::new().text(text + "That is all.")), Reply::text("And another one.")]);
    env.prepend_settings(PLAIN).unwrap();
    let Some((screen, terminal)) = Screen::start(&env, (100, 30)) else { return skipped(MISSING) };
    send(&terminal, "tell me");
    over_within(&terminal, "That is all.");
    // It copies its first rows only when it is as high again as it was.
    for (columns, rows) in [(100, 20), (100, 40), (100, 12), (100, 30)] {
        terminal.resize(columns, rows).unwrap();
        let size = format!("/({columns},{rows})");
        while !screen.run(&["-Q", "info"]).contains(&size) {}
    }
    over_within(&terminal, READY);
    terminal.look(|screen, _| assert!(screen.bracketed_paste()));
    let pasted: String = (1..=20).map(|line| format!("pasted line {line}\n")).collect();
    terminal.paste(&pasted).unwrap();
    terminal.wait_for("[pasted 20 lines]").unwrap();
    terminal.press(keys::ENTER).unwrap();
    over_within(&terminal, "And another one.");
    let requests = model.requests();
    assert!(requests[1].json().to_string().contains("pasted line 20"), "it was one paste");
    let all = screen.everything();
    let words: Vec<&str> =
        all.iter().flat_map(|row| row.split_whitespace()).filter(|word| word.starts_with("word")).collect();
    let wanted: Vec<String> = (1..=400).map(|word| format!("word{word}")).collect();
    assert_eq!(words, wanted, "{all:#?}");
    for said in ["tell me", "And another one."] {
        assert_eq!(all.iter().filter(|row| row.contains(said)).count(), 1, "{said}: {all:#?}");
    }
    Ok(())
}
