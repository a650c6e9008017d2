//! Commands at a terminal of their own: what they see of it, what typing does, and that it ends with them.

use std::pin::Pin;

use protocol::profile::Access::Write;
use protocol::profile::SandboxRung;
use sandbox::{CommandRequest, Exit, Output, Process, TerminalSize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::processes::{at_end, everywhere, left, stubborn};
use crate::site::{RUNGS, Site};

fn at_terminal(site: &Site, script: &str) -> CommandRequest {
    let mut request = site.request(&[("work", Write)], script);
    request.output = Output::Terminal(TerminalSize { columns: 97, rows: 31 });
    request
}

/// Somebody who sits at the terminal of a command.
struct Person {
    process: Process,
    input: Pin<Box<dyn AsyncWrite + Send>>,
    output: Pin<Box<dyn AsyncRead + Send>>,
    seen: String,
}

impl Person {
    async fn at(site: &Site, script: &str) -> Self {
        let mut process = site.spawn(at_terminal(site, script)).await;
        let input = Box::pin(process.take_input().expect("a keyboard"));
        let output = Box::pin(process.take_output());
        Self { process, input, output, seen: String::new() }
    }

    async fn type_in(&mut self, keys: &str) {
        self.input.write_all(keys.as_bytes()).await.expect("typed");
    }

    /// Reads until this is to be seen, from now on.
    async fn sees(&mut self, text: &str) {
        self.seen.clear();
        while !self.seen.contains(text) {
            let mut piece = [0; 1024];
            let count = self.output.read(&mut piece).await.expect("output");
            assert!(count > 0, "`{text}` does not come: {}", self.seen);
            self.seen.push_str(str::from_utf8(&piece[..count]).expect("text"));
        }
    }

    /// Reads to the end; how the command ended.
    async fn end(mut self) -> Exit {
        at_end(self.output).await;
        self.process.wait().await.expect("exit")
    }
}

#[tokio::test]
async fn a_terminal_is_one_by_every_test_and_by_its_name() {
    let script = "test -t 0 && test -t 1 && test -t 2 && tty && stty size && echo by tty > /dev/tty \
                  && echo by name > $(tty) && ps -o tty= -p $$";
    for site in everywhere().await {
        let ran = site.run_request(at_terminal(&site, script)).await;
        assert_eq!(ran.exit, Exit::Code(0), "{:?} {ran:?}", site.rung);
        let lines: Vec<_> = ran.output.lines().map(str::trim).collect();
        let [name, "31 97", "by tty", "by name", same] = lines[..] else { panic!("{:?} {ran:?}", site.rung) };
        match site.rung {
            // Its own: there is no other.
            SandboxRung::Namespaces | SandboxRung::Bubblewrap => assert_eq!(name, "/dev/pts/0"),
            SandboxRung::Landlock | SandboxRung::Refused => assert!(name.starts_with("/dev/pts/"), "{name}"),
        }
        assert_eq!(format!("/dev/{same}"), name, "{:?}", site.rung);
        assert_eq!(ran.refusals, [], "{:?}", site.rung);
    }
}

#[tokio::test]
async fn control_characters_act_as_for_a_person() {
    let script = "trap 'echo interrupted' INT; (echo ready; exec sleep 1000); read -r x; echo \"got $x\"; cat; echo end";
    for site in everywhere().await {
        let mut person = Person::at(&site, script).await;
        person.sees("ready").await;
        person.type_in("\u{3}").await;
        person.sees("interrupted").await;
        // A character is rubbed out whole, and what is typed is seen.
        person.type_in("oneü\u{7f}\n").await;
        person.sees("got one\r\n").await;
        person.type_in("two\n").await;
        person.sees("two\r\ntwo\r\n").await;
        person.type_in("\u{4}").await;
        person.sees("end").await;
        assert_eq!(person.end().await, Exit::Code(0), "{:?}", site.rung);
        let mut person = Person::at(&site, "echo ready; exec sleep 1000").await;
        person.sees("ready").await;
        person.type_in("\u{1c}").await;
        assert_eq!(person.end().await, Exit::Signal(3), "{:?}", site.rung);
    }
}

#[tokio::test]
async fn a_new_size_is_told_to_the_programs() {
    let script = "trap 'stty size; exit 5' WINCH; echo ready; sleep 1000 & wait";
    for site in everywhere().await {
        let mut person = Person::at(&site, script).await;
        person.sees("ready").await;
        person.process.resize(TerminalSize { columns: 200, rows: 50 }).expect("resized");
        person.sees("50 200").await;
        assert_eq!(person.end().await, Exit::Code(5), "{:?}", site.rung);
        let piped = site.spawn(site.request(&[], "true")).await;
        piped.resize(TerminalSize { columns: 2, rows: 2 }).expect_err("it has none");
    }
}

#[tokio::test]
async fn what_holds_the_terminal_open_ends_with_the_command() {
    for site in everywhere().await {
        let ran = site.run_request(at_terminal(&site, &stubborn(&site))).await;
        assert_eq!((ran.exit, &*ran.output), (Exit::Code(0), "ready\r\n"), "{:?}", site.rung);
        assert_eq!(left(&site), [""; 0], "{:?}", site.rung);
        // And so it does where the person goes.
        let mut person = Person::at(&site, &(stubborn(&site) + "wait")).await;
        person.sees("ready").await;
        let Person { process, output, .. } = person;
        drop(process);
        at_end(output).await;
    }
}

#[tokio::test]
async fn all_that_was_printed_is_seen_before_the_end() {
    for site in everywhere().await {
        let ran = site.run_request(at_terminal(&site, "seq 20000; echo last")).await;
        assert!(ran.output.ends_with("20000\r\nlast\r\n"), "{:?} {}", site.rung, ran.output.len());
        assert_eq!(ran.output.lines().count(), 20_001, "{:?}", site.rung);
    }
}

#[tokio::test]
async fn nobody_types_in_the_persons_place() {
    // TIOCSTI, and TIOCLINUX with the wish to paste.
    let script = "import fcntl
for request, argument in ((0x5412, b'x'), (0x541c, b'\\x03')):
    try:
        fcntl.ioctl(0, request, argument)
        print('typed')
    except PermissionError as error:
        print('refused', error.errno)";
    for site in Site::on(&RUNGS).await {
        let mut request = at_terminal(&site, "");
        request.argv = ["/usr/bin/python3", "-c", script].map(Into::into).to_vec();
        let ran = site.run_request(request).await;
        assert_eq!(ran.output, "refused 1\r\nrefused 1\r\n", "{:?}", site.rung);
    }
}

#[tokio::test]
async fn other_terminals_are_out_of_reach() {
    for site in Site::on(&RUNGS).await {
        let other = rustix::pty::openpt(rustix::pty::OpenptFlags::RDWR).expect("a terminal");
        rustix::pty::unlockpt(&other).expect("unlocked");
        let name = rustix::pty::ptsname(&other, Vec::new()).expect("name").into_string().expect("text");
        // In namespaces the same name may be the command's own.
        let script =
            format!("test $(tty) = {name} || {{ echo x > {name} && echo written; }} 2> /dev/null; true");
        let ran = site.run_request(at_terminal(&site, &script)).await;
        assert_eq!(ran.output, "", "{:?}", site.rung);
        let pending = rustix::event::poll(
            &mut [rustix::event::PollFd::new(&other, rustix::event::PollFlags::IN)],
            Some(&rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 }),
        );
        assert_eq!(pending, Ok(0), "{:?}", site.rung);
    }
}

#[tokio::test]
async fn a_process_without_a_terminal_is_interrupted_too() {
    let script = "trap 'echo interrupted; exit 4' INT; (echo ready; exec sleep 1000)";
    for site in everywhere().await {
        let mut process = site.spawn(site.request(&[], script)).await;
        let mut output = process.take_output();
        let mut ready = [0; 6];
        output.read_exact(&mut ready).await.expect("ready");
        process.interrupt();
        let mut rest = String::new();
        output.read_to_string(&mut rest).await.expect("output");
        assert_eq!(rest, "interrupted\n", "{:?}", site.rung);
        assert_eq!(process.wait().await.expect("exit"), Exit::Code(4), "{:?}", site.rung);
    }
}
