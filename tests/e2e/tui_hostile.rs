//! What models, commands and who fills a clipboard may put on a screen (threats R10, S3 and B11): it is shown, and does
//! nothing. The words that are tried on the dialog itself are in `clients/tui`.

use skein_tests::environment::terminal::{Terminal, keys};
use skein_tests::scripted_model::reply::{Answer, Reply};

use crate::scene::{escalates, scene, script};
use crate::tui_scene::{READY, STILL, asked, idle, screen_of, send};

/// What would act on a terminal, one after the other.
const HOSTILE: [&str; 14] = [
    "\u{1b}]0;owned\u{7}",
    "\u{1b}]2;owned\u{1b}\\",
    "\u{1b}]52;c;b3duZWQ=\u{7}",
    "\u{1b}]52;c;?\u{7}",
    "\u{1b}]8;;https://evil.example\u{1b}\\link\u{1b}]8;;\u{1b}\\",
    "\u{1b}[6n\u{1b}[c\u{1b}[5n",
    "\u{1b}[?1049h\u{1b}[2J\u{1b}[H",
    "\u{1b}[8;1;1t",
    "\u{1b}P$q\"p\u{1b}\\",
    "\u{9d}0;owned\u{9c}\u{9b}2J",
    "\u{1b}c",
    "\u{202e}\u{2066}gpj.exe\u{2069}",
    "\u{1b}[?1000h\u{1b}[?2004l\u{1b}[?25l",
    "\r┗ y once · t this turn\u{8}\u{8}\u{7}",
];

/// Fails if the terminal did anything for what it was shown.
fn harmless(terminal: &Terminal) {
    terminal.look(|screen, asked| {
        // Where the terminal takes links, an address may be one; it is seen, and holds nothing that acts.
        let is_plain = |link: &String| link.bytes().all(|byte| byte.is_ascii_graphic());
        assert!(asked.links.iter().all(is_plain), "{:?}", asked.links);
        assert_eq!(
            (&asked.titles[..], &asked.clipboard[..], asked.bells),
            (&[][..], &[][..], 0),
            "{asked:?}"
        );
        assert!(!screen.alternate_screen() && screen.bracketed_paste() && !screen.hide_cursor());
        assert_eq!(screen.mouse_protocol_mode(), vt100::MouseProtocolMode::None);
        assert!(asked.others.is_empty(), "{:?}", asked.others);
        let contents = screen.contents();
        assert!(
            !contents
                .chars()
                .any(|letter| matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'))
        );
    });
}

#[test]
fn s3_b11_what_a_command_prints_and_a_model_says_does_nothing() {
    let all = HOSTILE.join("\n");
    let printed: String = all.bytes().map(|byte| format!("\\{byte:03o}")).collect();
    let (model, env) = scene([
        script(&format!("printf '{printed}'")),
        Reply::from(
            Answer::new().reasoning(all.clone()).text(format!("{all}\n\n```sh\n{all}\n```\n\nIt is said.")),
        ),
    ]);
    let terminal = screen_of(&env, &[], (100, 50));
    send(&terminal, "print it");
    terminal.wait_for("It is said.").unwrap();
    idle(&terminal);
    // The message is whole when its code has its colours.
    terminal.wait_for("• \\e]0;owned").unwrap();
    harmless(&terminal);
    let rows = terminal.everything();
    assert!(rows.iter().any(|row| row.contains("\\e]52;c;b3duZWQ=\\u{7}")), "{rows:#?}");
    // Nothing of it is in our column.
    assert!(!rows.iter().any(|row| row.starts_with('┗') || row.starts_with('\\')), "{rows:#?}");
    let _ = terminal.wait_for_silence(STILL);
    let composer = terminal.rows().into_iter().rfind(|row| row.starts_with("› ")).unwrap();
    assert!(composer.contains(READY), "no answer of the terminal was typed: {composer}");
    terminal.look(|screen, _| assert_eq!(screen.cursor_position().1, 2));
    model.verify().unwrap();
}

#[test]
fn r10_a_command_that_is_asked_about_is_shown_and_does_nothing() {
    let command = format!("true {}", HOSTILE.join(" "));
    let (_model, env) = scene([escalates(&["/bin/sh", "-c", &command]), Reply::text("Well.")]);
    env.prepend_settings("approval_policy = \"on-request\"\n").unwrap();
    let terminal = screen_of(&env, &[], (100, 60));
    send(&terminal, "do it");
    asked(&terminal);
    harmless(&terminal);
    let rows = terminal.rows();
    let top = rows.iter().rposition(|row| row.starts_with('┏')).unwrap();
    let bottom = rows.iter().rposition(|row| row.starts_with('┗')).unwrap();
    assert_eq!(rows.iter().filter(|row| row.starts_with('┗')).count(), 1, "{rows:#?}");
    assert!(
        rows[top + 1..bottom].iter().all(|row| row.starts_with('┃') || row.starts_with('┠')),
        "{rows:#?}"
    );
    let shown = rows[top..bottom].join("").replace("┃ ", "").replace(' ', "");
    for text in ["\\e]0;owned\\u{7}", "\\u{202e}\\u{2066}gpj.exe\\u{2069}", "\\e]52;c;?\\u{7}"] {
        assert!(shown.contains(text), "`{text}` in {shown}");
    }
    terminal.press("n").unwrap();
    terminal.wait_for("Well.").unwrap();
    idle(&terminal);
    harmless(&terminal);
}

#[test]
fn b11_what_hides_in_a_paste_is_flagged_and_a_paste_sends_nothing() {
    let (model, env) = scene([Reply::text("Never.")]);
    let terminal = screen_of(&env, &[], (100, 24));
    terminal.paste("ls\r\nrm -rf ~\u{202e}\u{200b}\r").unwrap();
    terminal.wait_for("2 letters that are not seen").unwrap();
    terminal.wait_for("rm -rf ~").unwrap();
    let _ = terminal.wait_for_silence(STILL);
    harmless(&terminal);
    assert_eq!(model.requests().len(), 0);
    terminal.press(keys::CTRL_C).unwrap();
    terminal.wait_for(READY).unwrap();
}
