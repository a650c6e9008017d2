//! The engine, with an outside that answers from a list.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::*;

/// Answers each call with its arguments, and counts how often it was asked whether to stop.
#[derive(Default)]
struct Echo {
    printed: RefCell<String>,
    answers: RefCell<VecDeque<(u64, Result<String, String>)>>,
    /// Stops after so many questions; 0: never.
    patience: Cell<u64>,
    asked: Arc<AtomicU64>,
}

impl Outside for Echo {
    fn print(&self, text: String) {
        self.printed.borrow_mut().push_str(&text);
    }

    fn call(&self, call: u64, name: String, arguments: serde_json::Value) {
        let outcome = if name == "bad" { Err("no".to_owned()) } else { Ok(format!("{name} {arguments}")) };
        self.answers.borrow_mut().push_back((call, outcome));
    }

    fn receive(&self) -> Option<(u64, Result<String, String>)> {
        self.answers.borrow_mut().pop_front()
    }

    fn is_stopped(&self) -> bool {
        let asked = self.asked.fetch_add(1, Ordering::Relaxed);
        self.patience.get() != 0 && asked > self.patience.get()
    }
}

/// Stops the code in the moment in which it has an answer.
#[derive(Default)]
struct Hasty {
    called: Cell<Option<u64>>,
    is_stopped: Arc<AtomicBool>,
}

impl Outside for Hasty {
    fn print(&self, _text: String) {}

    fn call(&self, call: u64, _name: String, _arguments: serde_json::Value) {
        self.called.set(Some(call));
    }

    fn receive(&self) -> Option<(u64, Result<String, String>)> {
        self.is_stopped.store(true, Ordering::Relaxed);
        self.called.take().map(|call| (call, Ok(String::new())))
    }

    fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::Relaxed)
    }
}

#[test]
fn what_stopped_code_was_about_to_do_is_not_left_to_the_next_code() {
    let hasty = Rc::new(Hasty::default());
    let engine = Engine::new(Rc::clone(&hasty) as Rc<dyn Outside>).expect("an engine");
    for (code, expected) in [
        ("let kept = 0; await tools.x(); for (;;) {}", "0"),
        ("await tools.x(); for (;;) await (kept = 1)", "1"),
    ] {
        assert_eq!(engine.run(code.to_owned()), Ended::Stopped, "{code}");
        hasty.is_stopped.store(false, Ordering::Relaxed);
        assert_eq!(engine.run("kept".to_owned()), value(expected), "{code}");
    }
}

fn engine() -> (Rc<Echo>, Engine) {
    let echo = Rc::new(Echo::default());
    let engine = Engine::new(Rc::clone(&echo) as Rc<dyn Outside>).expect("an engine");
    (echo, engine)
}

fn value(text: &str) -> Ended {
    Ended::Value(Some(text.to_owned()))
}

#[test]
fn the_last_expression_is_shown() {
    let (_, engine) = engine();
    for (code, expected) in [
        ("1 + 1", "2"),
        ("'text'", "text"),
        ("[1, 'a', null, undefined]", "[1, \"a\", null, undefined]"),
        ("({a: 1, 'b c': [2n]})", "{ a: 1, \"b c\": [2n] }"),
        ("new Map([[1, {x: 2}]])", "Map {1 => { x: 2 }}"),
        ("new Set(['a'])", "Set {\"a\"}"),
        ("(() => 1)", "[function (anonymous)]"),
        ("const round = {}; round.self = round; round", "{ self: [circular] }"),
        ("new Uint8Array(3)", "Uint8Array [0, 0, 0]"),
        ("new Date(0)", "1970-01-01T00:00:00.000Z"),
        ("Promise.resolve(7)", "7"),
        ("await (async () => 8)()", "8"),
        ("({get bad() { throw 1 }})", "[can't be shown]"),
    ] {
        assert_eq!(engine.run(code.to_owned()), value(expected), "{code}");
    }
    assert_eq!(engine.run("let quiet = 1;".to_owned()), Ended::Value(None));
    let Ended::Value(Some(long)) = engine.run("Array(1000).fill(1)".to_owned()) else { panic!("no value") };
    assert!(long.ends_with("… 900 more]"), "{long}");
}

#[test]
fn variables_functions_and_classes_stay() {
    let (_, engine) = engine();
    for code in ["let a = 1; const b = 2; var c = 3", "function add(x) { return a + x } class K { k = 5 }"] {
        assert!(matches!(engine.run(code.to_owned()), Ended::Value(_)), "{code}");
    }
    assert_eq!(engine.run("const d = await add(b); d + c + new K().k".to_owned()), value("11"));
    assert_eq!(engine.run("a += 1; d + a".to_owned()), value("5"));
}

#[test]
fn an_exception_has_its_line_and_harms_nothing() {
    let (_, engine) = engine();
    let Ended::Exception(text) = engine.run("let x = 1;\n\nx.y.z".to_owned()) else { panic!("no exception") };
    assert!(text.starts_with("TypeError: ") && text.contains("js_repl:3"), "{text}");
    let Ended::Exception(text) = engine.run("let y = (".to_owned()) else { panic!("no exception") };
    assert!(text.starts_with("SyntaxError: ") && text.contains("js_repl:1"), "{text}");
    let Ended::Exception(text) = engine.run("await 1;\nthrow 'plain'".to_owned()) else { panic!("none") };
    assert_eq!(text, "Uncaught plain");
    assert_eq!(engine.run("x".to_owned()), value("1"));
}

#[test]
fn tools_are_called_and_awaited_to_the_last() {
    let (echo, engine) = engine();
    let code = "const both = await Promise.all([tools.read_file({path: 'a'}), tools.call('x', 1)]); both";
    assert_eq!(engine.run(code.to_owned()), value(r#"["read_file {\"path\":\"a\"}", "x 1"]"#));
    let code = "try { await tools.bad() } catch (error) { error.message }";
    assert_eq!(engine.run(code.to_owned()), value("no"));
    let Ended::Exception(text) = engine.run("await tools.bad()".to_owned()) else { panic!("no exception") };
    assert!(text.starts_with("Error: no"), "{text}");
    // One that nobody awaits is waited for all the same.
    let code = "tools.late({}).then(console.log); 'done'";
    assert_eq!(engine.run(code.to_owned()), value("done"));
    assert_eq!(*echo.printed.borrow(), "late {}\n");
}

#[test]
fn what_never_comes_is_not_waited_for() {
    let (_, engine) = engine();
    let Ended::Exception(text) = engine.run("await new Promise(() => {})".to_owned()) else { panic!("none") };
    assert_eq!(text, "What it awaits never comes");
}

#[test]
fn endless_code_stops_when_it_is_told_to_and_variables_stay() {
    let (echo, engine) = engine();
    engine.run("let kept = 'here'".to_owned());
    for code in [
        "while (true) {}",
        "await (async () => { while (true) await null })()",
        "try { for (;;) {} } catch { for (;;) {} } finally { for (;;) {} }",
        "(function again() { try { again() } finally { again() } })()",
        "'a'.repeat(40).match(/(a+a+)+b/)",
        "await new Promise(done => { const again = () => Promise.resolve().then(again); again() })",
    ] {
        echo.asked.store(0, Ordering::Relaxed);
        echo.patience.set(5);
        assert_eq!(engine.run(code.to_owned()), Ended::Stopped, "{code}");
        echo.patience.set(0);
        assert_eq!(engine.run("kept".to_owned()), value("here"), "{code}");
    }
}

#[test]
fn memory_and_stack_have_an_end() {
    let (_, engine) = engine();
    for code in [
        "const all = []; for (;;) all.push(new Array(100000).fill(1))",
        "let text = 'x'; for (;;) text += text",
        "new Uint8Array(1e9)",
        "(function deep() { return deep() + 1 })()",
        "'a'.repeat(2 ** 29) + 'b'",
    ] {
        let ended = engine.run(format!("(() => {{ {code} }})()"));
        assert!(matches!(ended, Ended::Exception(_)), "{code}: {ended:?}");
        assert_eq!(engine.run("1".to_owned()), value("1"), "{code}");
    }
}

#[test]
fn nothing_but_the_language_is_there() {
    let (_, engine) = engine();
    let names =
        ["require", "process", "std", "os", "fetch", "XMLHttpRequest", "WebAssembly", "Worker", "load"];
    for name in names.into_iter().chain(["scriptArgs", "setTimeout", "Deno", "Bun", "print"]) {
        assert_eq!(engine.run(format!("typeof {name}")), value("undefined"), "{name}");
    }
    for code in ["await import('fs')", "await import('std')", "await import('./a.js')", "import 'os'"] {
        let ended = engine.run(code.to_owned());
        assert!(matches!(ended, Ended::Exception(_)), "{code}: {ended:?}");
    }
}
