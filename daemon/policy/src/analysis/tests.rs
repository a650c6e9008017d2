//! What is found in a command, and what is said not to be known.

use super::*;

fn of(script: &str) -> Analysis {
    analyse(&["/bin/bash".into(), "-c".into(), script.into()])
}

/// Every command but the shell itself, as words with a blank between them.
fn commands(script: &str) -> Vec<(String, Place)> {
    let shown = |command: &Simple| {
        let words: Vec<&str> = command.argv.iter().map(Word::shown).collect();
        (words.join(" "), command.place)
    };
    of(script).commands.iter().skip(1).map(shown).collect()
}

#[test]
fn commands_are_found_with_their_places() {
    for (script, expected) in [
        ("a 'b c' | d", vec![("a b c", Place::Top), ("d", Place::Top)]),
        ("a $(b)", vec![("a $(b)", Place::Top), ("b", Place::Substitution)]),
        ("(a)", vec![("a", Place::Group)]),
        ("if a; then b; fi", vec![("a", Place::ControlFlow), ("b", Place::ControlFlow)]),
        ("f() { a; }", vec![("a", Place::Function)]),
        ("env X=1 a b", vec![("env X=1 a b", Place::Top), ("a b", Place::Wrapped)]),
        ("sh -c 'a; b'", vec![("sh -c a; b", Place::Top), ("a", Place::Nested), ("b", Place::Nested)]),
        ("> f a b", vec![("a b", Place::Top)]),
    ] {
        let mut found = commands(script);
        let mut expected: Vec<_> =
            expected.into_iter().map(|(text, place)| (text.to_owned(), place)).collect();
        found.sort();
        expected.sort();
        assert_eq!(found, expected, "{script}");
    }
}

#[test]
fn what_is_more_than_plain_is_named() {
    for (script, feature) in [
        ("a $x", Feature::Expansion),
        ("a *", Feature::Expansion),
        ("a `b`", Feature::Substitution),
        ("a > b", Feature::Redirection),
        ("a <<E\nE", Feature::Heredoc),
        ("X=1 a", Feature::Assignment),
        ("f() { a; }", Feature::Function),
        (":(){ :|:& };:", Feature::ForkBomb),
        ("! a", Feature::ControlFlow),
        ("{ a; }", Feature::Group),
        ("a &", Feature::Background),
    ] {
        let analysis = of(script);
        assert!(analysis.features.contains(&feature), "{script}: {:?}", analysis.features);
        assert!(!analysis.is_plain, "{script}");
    }
    assert!(of("a 'b' && c | d 2>/dev/null").is_plain);
}

#[test]
fn characters_beyond_ascii_are_letters() {
    for text in [
        "\u{10fffd}",
        "$\u{10fffd}",
        "a\u{a0}b",
        "<<\u{10fffd}\n\u{10fffd}",
        "{\u{10fffd}",
        "\u{10fffd}<\u{10fffd}",
    ] {
        let _ = of(text);
    }
    assert_eq!(commands("a\u{a0}b \u{10fffd}"), [("a\u{a0}b \u{10fffd}".to_owned(), Place::Top)]);
    assert!(of("cat <<\u{e9}\n\u{fc}\n\u{e9}\n").gaps.contains(&Gap::Unparsed));
}

#[test]
fn what_is_not_known_is_a_gap() {
    for (script, gap) in [
        ("a 'b", Gap::Unparsed),
        ("a >\nb", Gap::Unparsed),
        ("a\rb", Gap::Unparsed),
        ("$a", Gap::UnknownProgram),
        ("a | sh", Gap::UnknownScript),
        ("eval $a", Gap::UnknownScript),
        ("python3 -c a", Gap::Foreign),
    ] {
        assert!(of(script).gaps.contains(&gap), "{script}: {:?}", of(script).gaps);
        assert!(!of(script).is_complete());
    }
    // The parser needs time for these that grows with the square of their length.
    for slow in [
        format!("true {}", "$[".repeat(30_000)),
        "cat <<A ".repeat(8_000),
        format!("bash -c '{}'\n", "$[".repeat(1_000)).repeat(30),
    ] {
        assert!(of(&slow).gaps.contains(&Gap::TooSlow), "{:?}", of(&slow).gaps);
    }
    for large in ["a ".repeat(40_000), "a | ".repeat(1_000), "env ".repeat(10_000), "$(".repeat(20_000)] {
        assert!(!of(&large).is_complete());
    }
}
