//! Files are read by a process of their own, and none does harm.

use std::time::{Duration, Instant};

use policy::rules::Rule;
use rules::Reader;

/// A reader whose processes are the example, which is built with the tests, beside them.
fn reader() -> Reader {
    let test = std::env::current_exe().unwrap_or_default();
    let folder = test.parent().and_then(|folder| folder.parent());
    Reader::new(folder.map(|folder| folder.join("examples").join("reader")).unwrap_or_default())
}

#[test]
fn rules_come_with_the_name_of_their_file_and_their_line() {
    let rules = reader().read("my.rules", "\nprefix_rule(['ls'], match='ls -l')\n").unwrap();
    let [Rule::Prefix(rule)] = rules.as_slice() else { panic!("{rules:?}") };
    assert_eq!((rule.place.file.as_str(), rule.place.line), ("my.rules", 2));
    let error = reader().read("my.rules", "\n\n  oops(").unwrap_err();
    assert!(error.to_string().starts_with("my.rules:3:"), "{error}");
}

#[test]
fn a_hostile_file_is_ended_and_said_to_be_wrong() {
    let (nested, long) = ("[".repeat(300_000), " ".repeat(2_000_000));
    for text in [
        "for i in range(1000000000000000000):\n  pass",
        "def f(n): return f(n + 1)\nf(0)",
        "x = [0] * 1000000000",
        "x = 'a' * 1000000000000",
        "x = 'a' * 100000000\ny = x.replace('a', x)",
        "x = [1]\nfor i in range(60):\n  x = [x, x]\ny = str(x)",
        "x = [1]\ny = [1]\nfor i in range(60):\n  x = [x, x]\n  y = [y, y]\nz = x == y",
        "x = 3\nfor i in range(60):\n  x = x * x",
        nested.as_str(),
        long.as_str(),
    ] {
        let started = Instant::now();
        let found = reader().read("bad.rules", text);
        assert!(found.is_err(), "{}", text.chars().take(80).collect::<String>());
        assert!(started.elapsed() < Duration::from_secs(10));
    }
}

#[test]
fn a_loop_without_end_is_told_at_once() {
    // The first start of the executable may have to read it from the disk.
    assert!(reader().read("a.rules", "prefix_rule(['ls'])").is_ok());
    // On a machine that does other things too, one of several tries has it to itself.
    let mut times = (0..20).map(|_| {
        let started = Instant::now();
        let error = reader().read("bad.rules", "for i in range(1000000000000000000):\n  pass").unwrap_err();
        assert!(error.to_string().starts_with("bad.rules:1:"), "{error}");
        started.elapsed()
    });
    assert!(times.any(|time| time < Duration::from_millis(200)));
}

#[test]
fn a_program_that_is_no_reader_is_an_error_of_every_file() {
    for program in ["/nonexistent", "/bin/true", "/bin/cat"] {
        assert!(Reader::new(program.into()).read("a.rules", "prefix_rule(['ls'])").is_err(), "{program}");
    }
}
