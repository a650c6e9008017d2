//! Runs a program in a process group of its own, with a limit of time, and hears all it says. Knows nothing of
//! which program it is. Unix only for now: the group is what makes the limit hold for its children too.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid};
use serde_json::Value;

use crate::error::HarnessError;

/// How long a program may take unless told otherwise.
pub const LIMIT: Duration = Duration::from_secs(60);

/// How long the output is read on after the program has ended. It can only take that long if something that the
/// program left behind holds its pipes.
const AFTER_END: Duration = Duration::from_secs(2);

/// What a program reads from its standard input.
#[derive(Clone, Debug)]
pub enum Input {
    /// Nothing; it is at its end.
    Empty,
    /// This, then the end.
    Text(String),
    /// What `Running::write` gives it; it stays open until `Running::close_input`.
    Open,
}

/// A program that is to be run. Sees no variables but those it is given.
#[derive(Clone, Debug)]
pub struct Invocation {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<OsString>,
    pub(crate) folder: PathBuf,
    pub(crate) variables: Vec<(OsString, OsString)>,
    input: Input,
    limit: Duration,
}

impl Invocation {
    /// A program with its arguments, in a folder.
    #[must_use]
    pub fn new<A: Into<OsString>>(
        program: impl Into<PathBuf>,
        arguments: impl IntoIterator<Item = A>,
        folder: impl Into<PathBuf>,
    ) -> Self {
        Self {
            program: program.into(),
            arguments: arguments.into_iter().map(Into::into).collect(),
            folder: folder.into(),
            variables: Vec::new(),
            input: Input::Empty,
            limit: LIMIT,
        }
    }

    /// Adds or replaces a variable.
    #[must_use]
    pub fn variable(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        let name = name.into();
        self.variables.retain(|(known, _)| *known != name);
        self.variables.push((name, value.into()));
        self
    }

    /// Takes a variable away.
    #[must_use]
    pub fn without_variable(mut self, name: &str) -> Self {
        self.variables.retain(|(known, _)| known != name);
        self
    }

    /// Runs another program instead, with all else the same.
    #[must_use]
    pub fn program(mut self, program: impl Into<PathBuf>) -> Self {
        self.program = program.into();
        self
    }

    /// Runs it elsewhere.
    #[must_use]
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = folder.into();
        self
    }

    /// Says what it reads.
    #[must_use]
    pub fn input(mut self, input: Input) -> Self {
        self.input = input;
        self
    }

    /// Says how long `run` waits.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Runs it to its end. After the limit its whole process group is killed.
    ///
    /// # Errors
    /// `Command`, `Timeout`.
    pub fn run(self) -> Result<Output, HarnessError> {
        let limit = self.limit;
        self.spawn()?.wait(limit)
    }

    /// Starts it. What is still running when the result is dropped is killed, its process group with it.
    ///
    /// # Errors
    /// `Command`.
    pub fn spawn(self) -> Result<Running, HarnessError> {
        let name = self.name();
        let wrap = |source| HarnessError::Command { command: name.clone(), source };
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).current_dir(&self.folder).env_clear().envs(self.variables);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.stdin(match self.input {
            Input::Empty => Stdio::null(),
            Input::Text(_) | Input::Open => Stdio::piped(),
        });
        // tokio's command can set the group without an import that exists on Unix only.
        let mut command = tokio::process::Command::from(command);
        command.process_group(0);
        let started = Instant::now();
        let mut child = command.as_std_mut().spawn().map_err(wrap)?;
        let pid = Pid::from_child(&child);
        let stdout = Capture::begin(child.stdout.take());
        let stderr = Capture::begin(child.stderr.take());
        let stdin = child.stdin.take();
        let (tell, ended) = channel();
        // Does not collect the child, so that its number stays its own until `Running` has done with it.
        let watcher = std::thread::spawn(move || {
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            while let Err(rustix::io::Errno::INTR) = waitid(WaitId::Pid(pid), options) {}
            // Nobody listens if `Running` is being dropped.
            let _ = tell.send(Instant::now());
        });
        let watcher = Some(watcher);
        let mut running = Running {
            name: name.clone(),
            child,
            pid,
            started,
            stdin,
            stdout,
            stderr,
            ended,
            watcher,
            is_collected: false,
        };
        if let Input::Text(text) = &self.input {
            // A program that does not read its input closes the pipe; that is its own business.
            let _ = running.write(text);
            running.close_input();
        }
        Ok(running)
    }

    pub(crate) fn name(&self) -> String {
        let arguments = self.arguments.iter().map(|argument| argument.to_string_lossy());
        let program = self.program.to_string_lossy();
        std::iter::once(program).chain(arguments).collect::<Vec<_>>().join(" ")
    }
}

/// What a program said and how it ended.
#[derive(Clone, Debug)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// Standard output; what is no UTF-8 is replaced.
    pub stdout: String,
    /// Standard error, likewise.
    pub stderr: String,
    /// From its start to its end.
    pub duration: Duration,
    /// Whether its pipes were closed with it; if not, it left something behind that holds them.
    pub closed_its_pipes: bool,
}

impl Output {
    /// The exit code; none if a signal ended it.
    #[must_use]
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// The lines of standard output as JSON; an error names the line that is none.
    ///
    /// # Errors
    /// The line, and what is wrong with it.
    pub fn json_lines(&self) -> Result<Vec<Value>, String> {
        let parse = |line: &str| serde_json::from_str(line).map_err(|error| format!("`{line}`: {error}"));
        self.stdout.lines().map(parse).collect()
    }
}

/// A program that runs. Dropping it kills its process group.
#[derive(Debug)]
pub struct Running {
    name: String,
    child: Child,
    pid: Pid,
    started: Instant,
    stdin: Option<ChildStdin>,
    stdout: Capture,
    stderr: Capture,
    ended: Receiver<Instant>,
    watcher: Option<JoinHandle<()>>,
    is_collected: bool,
}

impl Running {
    /// Its process id, which is its group's too.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// What it has printed so far.
    #[must_use]
    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// What it has complained so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Gives it something to read. Blocks while the pipe is full.
    ///
    /// # Errors
    /// `Command` when it does not read any more.
    pub fn write(&mut self, text: &str) -> Result<(), HarnessError> {
        let written = match &mut self.stdin {
            Some(stdin) => stdin.write_all(text.as_bytes()).and_then(|()| stdin.flush()),
            None => Err(io::Error::from(io::ErrorKind::BrokenPipe)),
        };
        written.map_err(|source| HarnessError::Command { command: self.name.clone(), source })
    }

    /// Ends its input.
    pub fn close_input(&mut self) {
        self.stdin = None;
    }

    /// Waits until its standard output contains a text.
    ///
    /// # Errors
    /// `NotPrinted` when it did not in time, or ended before.
    pub fn wait_for_stdout(&self, wanted: &str, limit: Duration) -> Result<(), HarnessError> {
        self.wait_for(&self.stdout, wanted, limit)
    }

    /// Waits until its standard error contains a text.
    ///
    /// # Errors
    /// `NotPrinted` when it did not in time, or ended before.
    pub fn wait_for_stderr(&self, wanted: &str, limit: Duration) -> Result<(), HarnessError> {
        self.wait_for(&self.stderr, wanted, limit)
    }

    /// Waits for the end of a line of its standard output, counted from 0, and returns it; none if it ended before.
    ///
    /// # Errors
    /// `NotPrinted` when it did not come in time.
    pub fn wait_for_line(&self, number: usize, limit: Duration) -> Result<Option<String>, HarnessError> {
        let count = |heard: &Heard| heard.bytes.iter().filter(|byte| **byte == b'\n').count();
        let heard = self.stdout.wait(limit, |heard| heard.is_closed || count(heard) > number);
        let line = heard.bytes.split(|byte| *byte == b'\n').nth(number);
        match line.filter(|_| count(&heard) > number) {
            Some(line) => Ok(Some(String::from_utf8_lossy(line).into_owned())),
            None if heard.is_closed => Ok(None),
            None => Err(HarnessError::NotPrinted {
                command: self.name.clone(),
                wanted: format!("line {number}"),
                limit,
                seen: String::from_utf8_lossy(&heard.bytes).into_owned(),
            }),
        }
    }

    fn wait_for(&self, capture: &Capture, wanted: &str, limit: Duration) -> Result<(), HarnessError> {
        let contains = |heard: &Heard| String::from_utf8_lossy(&heard.bytes).contains(wanted);
        let heard = capture.wait(limit, |heard| heard.is_closed || contains(heard));
        if contains(&heard) {
            return Ok(());
        }
        let seen = String::from_utf8_lossy(&heard.bytes).into_owned();
        Err(HarnessError::NotPrinted { command: self.name.clone(), wanted: wanted.to_owned(), limit, seen })
    }

    /// Sends it SIGINT, as Ctrl-C does.
    ///
    /// # Errors
    /// `Command`.
    pub fn interrupt(&self) -> Result<(), HarnessError> {
        self.signal(Signal::INT)
    }

    /// Sends it SIGTERM.
    ///
    /// # Errors
    /// `Command`.
    pub fn terminate(&self) -> Result<(), HarnessError> {
        self.signal(Signal::TERM)
    }

    /// Sends it SIGHUP, as a terminal that is closed does.
    ///
    /// # Errors
    /// `Command`.
    pub fn hang_up(&self) -> Result<(), HarnessError> {
        self.signal(Signal::HUP)
    }

    /// Sends it SIGSTOP: it does nothing any more until `thaw`.
    ///
    /// # Errors
    /// `Command`.
    pub fn freeze(&self) -> Result<(), HarnessError> {
        self.signal(Signal::STOP)
    }

    /// Sends it SIGCONT.
    ///
    /// # Errors
    /// `Command`.
    pub fn thaw(&self) -> Result<(), HarnessError> {
        self.signal(Signal::CONT)
    }

    /// Sends it SIGKILL; only it, not its group.
    ///
    /// # Errors
    /// `Command`.
    pub fn kill(&self) -> Result<(), HarnessError> {
        self.signal(Signal::KILL)
    }

    fn signal(&self, signal: Signal) -> Result<(), HarnessError> {
        let wrap = |errno: rustix::io::Errno| HarnessError::Command {
            command: self.name.clone(),
            source: errno.into(),
        };
        kill_process(self.pid, signal).map_err(wrap)
    }

    /// Waits for its end. After the limit its whole process group is killed.
    ///
    /// # Errors
    /// `Timeout`, `Command`.
    pub fn wait(mut self, limit: Duration) -> Result<Output, HarnessError> {
        let ended = self.ended.recv_timeout(limit);
        if let Err(RecvTimeoutError::Timeout) = ended {
            self.end_group();
        }
        let wrap = |source| HarnessError::Command { command: self.name.clone(), source };
        let status = self.child.wait().map_err(wrap)?;
        self.is_collected = true;
        let closed_its_pipes = [&self.stdout, &self.stderr]
            .iter()
            .all(|capture| capture.wait(AFTER_END, |heard| heard.is_closed).is_closed);
        let (stdout, stderr) = (self.stdout.text(), self.stderr.text());
        match ended {
            Ok(end) => {
                let duration = end.duration_since(self.started);
                Ok(Output { status, stdout, stderr, duration, closed_its_pipes })
            }
            Err(_) => Err(HarnessError::Timeout { command: self.name.clone(), limit, stdout, stderr }),
        }
    }

    fn end_group(&self) {
        // Fails only when the group is gone already.
        let _ = kill_process_group(self.pid, Signal::KILL);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.is_collected {
            self.end_group();
            // An error means that there is nothing to collect.
            let _ = self.child.wait();
        }
        if let Some(watcher) = self.watcher.take() {
            // It ends with the child; it has no way to panic.
            let _ = watcher.join();
        }
    }
}

/// What came through a pipe so far. Its thread ends when the last writer has closed the pipe.
#[derive(Debug)]
struct Capture {
    shared: Arc<(Mutex<Heard>, Condvar)>,
}

#[derive(Debug, Default)]
struct Heard {
    bytes: Vec<u8>,
    is_closed: bool,
}

impl Capture {
    fn begin(pipe: Option<impl Read + Send + 'static>) -> Self {
        let shared = Arc::new((Mutex::new(Heard::default()), Condvar::new()));
        let writer = Arc::clone(&shared);
        std::thread::spawn(move || {
            let (heard, changed) = &*writer;
            let mut buffer = [0_u8; 8192];
            let mut pipe = pipe;
            while let Some(pipe) = &mut pipe {
                match pipe.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(count) => lock(heard).bytes.extend_from_slice(&buffer[..count]),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(_) => break,
                }
                changed.notify_all();
            }
            lock(heard).is_closed = true;
            changed.notify_all();
        });
        Self { shared }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&lock(&self.shared.0).bytes).into_owned()
    }

    fn wait(&self, limit: Duration, until: impl Fn(&Heard) -> bool) -> MutexGuard<'_, Heard> {
        let (heard, changed) = &*self.shared;
        let waited = changed.wait_timeout_while(lock(heard), limit, |heard| !until(heard));
        waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    fn shell(script: &str) -> Invocation {
        Invocation::new("/bin/sh", ["-c", script], "/").variable("PATH", "/usr/bin:/bin")
    }

    #[test]
    fn output_status_and_duration_are_told() {
        let output = shell("echo out; echo err >&2; exit 7").run().unwrap();
        assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("out\n", "err\n"));
        assert_eq!(output.code(), Some(7));
        assert!(output.closed_its_pipes && output.duration < SOON);
    }

    #[test]
    fn the_program_sees_only_the_variables_it_is_given() {
        let script =
            shell("env").variable("A", "1").variable("A", "2").variable("B", "3").without_variable("B");
        let output = script.run().unwrap();
        let mut names: Vec<_> = output.stdout.lines().filter(|line| !line.starts_with('_')).collect();
        names.sort_unstable();
        assert_eq!(names, ["A=2", "PATH=/usr/bin:/bin", "PWD=/"]);
    }

    #[test]
    fn input_is_read_to_its_end() {
        let output = shell("cat").input(Input::Text("hello".to_owned())).run().unwrap();
        assert_eq!(output.stdout, "hello");
        assert_eq!(shell("cat").run().unwrap().stdout, "");
    }

    #[test]
    fn the_limit_kills_the_whole_group() {
        let script = shell("sleep 600 & echo $!; sleep 600").limit(Duration::from_millis(200));
        let begin = Instant::now();
        let Err(HarnessError::Timeout { stdout, .. }) = script.run() else { panic!("no timeout") };
        assert!(begin.elapsed() < SOON);
        // Both pipes were closed before the error came, so the child in the background is on its way out.
        let child: u32 = stdout.trim().parse().unwrap();
        let state = || std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
        while !state().is_empty() && !state().contains(") Z ") {
            assert!(begin.elapsed() < SOON, "{}", state());
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_running_program_can_be_talked_to_and_interrupted() {
        let script =
            "trap 'echo caught; exit 130' INT; read line; echo got $line; while :; do sleep 0.01; done";
        let mut running = shell(script).input(Input::Open).spawn().unwrap();
        running.write("ping\n").unwrap();
        running.wait_for_stdout("got ping", SOON).unwrap();
        running.interrupt().unwrap();
        let output = running.wait(SOON).unwrap();
        assert_eq!((output.code(), output.stdout.as_str()), (Some(130), "got ping\ncaught\n"));
    }

    #[test]
    fn a_text_that_never_comes_is_told_with_what_came() {
        let running = shell("echo something else").spawn().unwrap();
        let Err(HarnessError::NotPrinted { seen, .. }) = running.wait_for_stdout("this", SOON) else {
            panic!("found")
        };
        assert_eq!(seen, "something else\n");
    }

    #[test]
    fn a_pipe_that_is_left_open_is_noticed() {
        let mut output = shell("sleep 600 & echo $!").run().unwrap();
        assert!(!output.closed_its_pipes);
        output.stdout.retain(|letter| letter.is_ascii_digit());
        let child = Pid::from_raw(output.stdout.parse().unwrap()).unwrap();
        kill_process(child, Signal::KILL).unwrap();
    }

    #[test]
    fn dropping_a_running_program_kills_it() {
        let running = shell("echo up; sleep 600").spawn().unwrap();
        running.wait_for_stdout("up", SOON).unwrap();
        let pid = running.pid();
        drop(running);
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    }

    #[test]
    fn json_lines_name_the_line_that_is_none() {
        let output = shell("echo '{\"a\":1}'; echo oops").run().unwrap();
        assert!(output.json_lines().unwrap_err().starts_with("`oops`"));
    }
}
