//! The terminal under the terminal UI: of any size, resized all the time, pasted into, and given back as it was, however
//! it ends.

use rustix::process::Signal;
use skein_tests::environment::process::Invocation;
use skein_tests::environment::terminal::keys;
use skein_tests::scripted_model::reply::{Answer, Reply};

use crate::scene::{escalates, outside, scene};
use crate::tui_scene::{
    PLAIN, READY, STILL, asked, idle, leave, many_points, restored, screen, screen_of, send, turn,
};

#[test]
fn a_terminal_of_five_rows_shows_a_turn_and_a_question() {
    let folder = outside();
    let file = folder.path().join("made");
    let (_model, env) = scene([escalates(&["touch", &file.to_string_lossy()]), Reply::text("It is there.")]);
    env.prepend_settings("approval_policy = \"on-request\"\n").unwrap();
    let terminal = screen_of(&env, &[], (20, 5));
    terminal.press("make it\r").unwrap();
    asked(&terminal);
    assert!(terminal.rows().len() <= 5);
    terminal.press("y").unwrap();
    terminal.wait_for("Ask for").unwrap();
    assert!(file.exists());
    let all = leave(terminal);
    assert!(all.contains(&"• It is there.".to_owned()), "{all:#?}");
}

#[test]
fn a_storm_of_sizes_ends_in_a_whole_screen() {
    let text = "Words that go on and on, so that lines break anew. ".repeat(60);
    let (_model, env) = scene([Reply::from(Answer::new().text(text + "Finished.").in_pieces(400))]);
    let terminal = screen(&env, &[]);
    send(&terminal, "tell me");
    for step in 0..60_u16 {
        terminal.resize(30 + step * 37 % 120, 6 + step * 13 % 40).unwrap();
        terminal.press("x").unwrap();
        terminal.press("\x7f").unwrap();
    }
    terminal.resize(90, 20).unwrap();
    terminal.wait_for("Finished.").unwrap();
    let is_whole = |screen: &vt100::Screen| {
        let contents = screen.contents();
        let mut rows = contents.trim_end().lines().rev();
        let mut begins = |text: &str| rows.next().is_some_and(|row| row.starts_with(text));
        begins("  idle") && begins(&format!("› {READY}"))
    };
    terminal.wait_until("a whole screen", |screen, _| is_whole(screen)).unwrap();
    // It stays so.
    let _ = terminal.wait_for_silence(STILL);
    terminal.wait_until("a whole screen", |screen, _| is_whole(screen)).unwrap();
    leave(terminal);
}

#[test]
fn a_megabyte_is_pasted_as_one_piece_and_sent_as_it_is() {
    let (model, env) = scene([Reply::text("That was long.")]);
    let text: String = (0..20_000).map(|line| format!("line {line} {:->40}\n", "")).collect();
    assert!(text.len() > 1_000_000);
    let terminal = screen(&env, &[]);
    terminal.press("look: ").unwrap();
    terminal.paste(&text).unwrap();
    terminal.wait_for("look: [pasted 20,000 lines]").unwrap();
    assert!(terminal.rows().len() <= 24);
    terminal.press(keys::ENTER).unwrap();
    terminal.wait_for("That was long.").unwrap();
    idle(&terminal);
    let request = model.requests()[0].json().to_string();
    for line in [0, 9_999, 19_999] {
        assert!(request.contains(&format!("line {line} ")), "{line}");
    }
    leave(terminal);
}

#[test]
fn a_dumb_terminal_is_told_what_to_do() {
    let (_model, env) = scene([Reply::text("One.")]);
    for term in ["dumb", ""] {
        let mut terminal = env.command([""; 0]).variable("TERM", term).at_terminal(200, 24).unwrap();
        let status = terminal.wait().unwrap();
        let text = terminal.rows().join("\n");
        assert_ne!(status.code(), Some(0), "{text}");
        assert!(text.contains("dumb") && text.contains("skein exec"), "{text}");
        terminal.look(|_, asked| assert_eq!((asked.frames, asked.others.len()), (0, 0), "{asked:?}"));
    }
}

#[test]
fn the_terminal_is_given_back_however_it_ends() {
    let (_model, env) = scene([Reply::text("One.")]);
    for arguments in [&[][..], &["--fullscreen"]] {
        for signal in [Signal::TERM, Signal::HUP, Signal::INT, Signal::QUIT] {
            let mut terminal = screen(&env, arguments);
            terminal.look(|screen, _| assert!(screen.bracketed_paste()));
            terminal.signal(signal).unwrap();
            terminal.wait().unwrap();
            restored(&terminal);
        }
    }
}

#[test]
fn a_shell_has_the_terminal_while_it_is_suspended() {
    let (_model, env) = scene([Reply::text("Back again.")]);
    let skein = skein_tests::environment::executable::skein_exe().unwrap();
    // A shell with job control; of what it is given, only the program's variables matter.
    let shell = env.command(["-i"]).program("/bin/sh").variable("PS1", "sh> ").variable("ENV", "/dev/null");
    let terminal = Invocation::at_terminal(shell, 80, 24).unwrap();
    terminal.wait_for("sh> ").unwrap();
    terminal.press(&format!("{}\r", skein.display())).unwrap();
    terminal.wait_for(READY).unwrap();
    terminal.press("half a").unwrap();
    terminal.wait_for("› half a").unwrap();
    terminal.press(keys::CTRL_Z).unwrap();
    terminal.wait_until("the shell", |screen, _| screen.contents().trim_end().ends_with("sh>")).unwrap();
    restored(&terminal);
    terminal.press("echo it\"'\"s alive\r").unwrap();
    terminal.wait_for("it's alive").unwrap();
    terminal.press("fg\r").unwrap();
    terminal.wait_until("the screen", |screen, _| screen.bracketed_paste()).unwrap();
    terminal.wait_for("› half a").unwrap();
    turn(&terminal, " word", "Back again.");
    terminal.press(keys::CTRL_D).unwrap();
    terminal.wait_until("the shell", |screen, _| screen.contents().trim_end().ends_with("sh>")).unwrap();
    restored(&terminal);
}

#[test]
fn the_mouse_scrolls_and_selects_where_all_of_the_terminal_is_taken() {
    const WHEEL_UP: &str = "\x1b[<64;10;5M";
    const WHEEL_DOWN: &str = "\x1b[<65;10;5M";
    let (_model, env) = scene([many_points()]);
    env.prepend_settings(PLAIN).unwrap();
    let terminal = screen(&env, &["--fullscreen"]);
    turn(&terminal, "tell me", "That is all.");
    // In pieces, as they come: of more than a kilobyte at once the rest waits in crossterm for the next key.
    let turn_wheel = |way: &str, until: &str| {
        let shown = || terminal.rows().join("\n");
        while !shown().contains(until) {
            let before = terminal.look(|screen, _| screen.contents());
            terminal.press(&way.repeat(40)).unwrap();
            terminal.wait_until("other rows", |screen, _| screen.contents() != before).unwrap();
        }
        // The rest of the last piece moves nothing any more, or a row or two.
        let _ = terminal.wait_for_silence(STILL);
    };
    turn_wheel(WHEEL_UP, "› tell me");
    let rows = terminal.rows();
    assert!(rows.iter().any(|row| row == "› tell me"), "{rows:#?}");
    let row = rows.iter().position(|row| row.ends_with("point 3 of it")).unwrap();
    // Columns are counted from 1, and the marks before it take one each.
    let column = rows[row].chars().count() - "point 3 of it".len() + 1;
    let (last, row) = (column + "point 3 of it".len() - 1, row + 1);
    let press = |what: String| terminal.press(&what).unwrap();
    press(format!("\x1b[<0;{column};{row}M\x1b[<32;{};{row}M\x1b[<32;{last};{row}M", column + 3));
    press(format!("\x1b[<0;{last};{row}m"));
    let selected = "cG9pbnQgMyBvZiBpdA==";
    terminal
        .wait_until("what was selected in the clipboard", |_, asked| {
            asked.clipboard.last().is_some_and(|text| text == selected)
        })
        .unwrap();
    turn_wheel(WHEEL_DOWN, "That is all.");
    leave(terminal);
}

#[test]
fn an_idle_screen_is_not_drawn() {
    let (_model, env) = scene([Reply::text("One.")]);
    let terminal = screen(&env, &[]);
    turn(&terminal, "hi", "One.");
    // What comes a moment later, such as the branch, is drawn; from then on nothing is.
    let is_still = || {
        let frames = terminal.look(|_, asked| asked.frames);
        terminal.wait_for_silence(STILL * 10) == 0 && terminal.look(|_, asked| asked.frames) == frames
    };
    assert!((0..5).any(|_| is_still()), "{:#?}", terminal.rows());
}
