//! Waits while a command runs: for its end, for the daemon, for what it hands out, for calls that want an answer, and for
//! what takes its protection away. Knows nothing of rungs.

use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use helper_protocol::bytes::Bytes;
use helper_protocol::order::Order;
use helper_protocol::report::{End, Failure, Refusals, Report};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus};

use crate::channel::{Channel, Heard};
use crate::failure::Step;
use crate::guards::{self, Guards};
use crate::hand::{Taker, Thing};
use crate::inner;
use crate::supervise::{Stage, Supervisor};
use crate::syscall;
use crate::terminal;

/// How the command is signalled.
pub(crate) enum Signalling<'a> {
    /// Through the first process of its namespaces, which passes SIGTERM and SIGINT on.
    First(&'a OwnedFd),
    /// The same, by what that process hands out itself. Until then no order is heeded.
    Handed,
    /// As a process group; only its own process is killed at once.
    Group(Pid, &'a OwnedFd),
}

impl Signalling<'_> {
    /// Reaches the command's process group, as a terminal does, with any signal but SIGKILL. That is for the process that
    /// all others end with.
    fn send(&self, signal: Signal, handed: Option<&OwnedFd>) -> Result<(), Errno> {
        let process = match self {
            Self::Group(group, _) if signal != Signal::KILL => {
                return rustix::process::kill_process_group(*group, signal);
            }
            Self::First(process) | Self::Group(_, process) => process,
            Self::Handed => handed.ok_or(Errno::SRCH)?,
        };
        rustix::process::pidfd_send_signal(process, signal)
    }

    /// Whether there is somebody who can be signalled.
    fn is_there(&self, handed: Option<&OwnedFd>) -> bool {
        match self {
            Self::First(_) | Self::Group(..) => true,
            Self::Handed => handed.is_some(),
        }
    }
}

/// This process's children: the one that it started, and orphans that came to it.
pub(crate) struct Children {
    main: Pid,
    status: Option<WaitStatus>,
}

impl Children {
    pub(crate) fn new(main: Pid) -> Self {
        Self { main, status: None }
    }

    /// Takes note of those that have ended.
    fn reap(&mut self) {
        while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
            if pid == self.main {
                self.status = Some(status);
            }
        }
    }

    /// How the main one ended, which it has or is about to.
    fn wait_for_main(&mut self) -> End {
        while self.status.is_none() {
            match rustix::process::waitpid(Some(self.main), WaitOptions::empty()) {
                Ok(Some((_, status))) => self.status = Some(status),
                Ok(None) | Err(Errno::INTR) => {}
                Err(_) => break,
            }
        }
        self.status.map_or(End::Signal(libc::SIGKILL), inner::end)
    }
}

/// What came of a command.
pub(crate) struct Outcome {
    /// How it ended.
    pub(crate) end: End,
    /// What was refused to it.
    pub(crate) refusals: Refusals,
    /// To be let go of when nobody waits any more.
    pub(crate) leftover: Option<OwnedFd>,
}

/// One command that is watched.
pub(crate) struct Watch<'a> {
    channel: &'a mut Channel,
    children: Children,
    /// Until the command runs: takes the reason why it does not.
    setup: Option<OwnedFd>,
    /// Until everything was handed out.
    taker: Option<Taker>,
    /// What the filter's calls wait at.
    listener: Option<OwnedFd>,
    /// Whether that was ever handed out.
    has_filter: bool,
    /// The first process inside, where that hands itself out.
    first: Option<OwnedFd>,
    /// For the daemon, with the report that the command runs: a listener, a terminal.
    handed: Vec<OwnedFd>,
    /// The command's end of its terminal, held so that it never looks as if the command was through with it.
    terminal: Option<OwnedFd>,
    supervisor: Option<Supervisor<'a>>,
    guards: Guards,
    /// The paths whose protection fell away; then the command was killed.
    exposed: Vec<Bytes>,
    promise: Promise,
}

/// What the command's process hands out before the command runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Promise {
    /// What the filter's calls wait at; without it nothing runs.
    Filter,
    /// It may do without: nothing depends on it.
    Nothing,
}

impl<'a> Watch<'a> {
    pub(crate) fn new(
        channel: &'a mut Channel,
        children: Children,
        setup: OwnedFd,
        taker: Taker,
        supervisor: Supervisor<'a>,
        promise: Promise,
    ) -> Self {
        Self {
            channel,
            children,
            setup: Some(setup),
            taker: Some(taker),
            listener: None,
            has_filter: false,
            first: None,
            handed: Vec::new(),
            terminal: None,
            supervisor: Some(supervisor),
            guards: Guards::default(),
            exposed: Vec::new(),
            promise,
        }
    }

    /// Watches over these mounts too, once their list is handed out.
    pub(crate) fn guarding(self, guards: Guards) -> Self {
        Self { guards, ..self }
    }

    /// Watches a command whose first process says at the end how it ended. `silence` is why it said nothing.
    pub(crate) fn until_the_end_of(
        &mut self,
        ended: OwnedFd,
        signalling: &Signalling<'_>,
        silence: impl FnOnce() -> Failure,
    ) -> Result<Outcome, Failure> {
        let watched = self.watch(&ended, signalling);
        let has_run = self.has_filter || !self.exposed.is_empty();
        let watched = watched.and_then(|()| if has_run { Ok(()) } else { Err(silence()) });
        if let Err(failure) = watched {
            // It fails where nothing runs any more.
            let _ = signalling.send(Signal::KILL, self.first.as_ref());
            return Err(failure);
        }
        let mut said = Vec::new();
        std::fs::File::from(ended)
            .read_to_end(&mut said)
            .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
            .step("learn how the command ended")?;
        let end = if said.is_empty() {
            // It was killed before it could say; the kernel has killed the command before it lets go of it.
            self.children.wait_for_main();
            End::Signal(libc::SIGKILL)
        } else {
            serde_json::from_slice(&said).map_err(|_| Failure::Plan {
                reason: "the sandbox's first process makes no sense".to_owned(),
            })?
        };
        Ok(self.outcome(end))
    }

    /// Watches a command that is a child of this process.
    pub(crate) fn until_it_ends(
        &mut self,
        command: &OwnedFd,
        signalling: &Signalling<'_>,
    ) -> Result<Outcome, Failure> {
        self.watch(command, signalling)?;
        let end = self.children.wait_for_main();
        Ok(self.outcome(end))
    }

    fn outcome(&mut self, end: End) -> Outcome {
        let exposed = std::mem::take(&mut self.exposed);
        Outcome {
            end: if exposed.is_empty() { end } else { End::Exposed(exposed) },
            refusals: self.supervisor.take().map(Supervisor::refusals).unwrap_or_default(),
            leftover: std::mem::take(&mut self.guards).release(),
        }
    }

    /// Watches until `finished` becomes readable.
    fn watch(&mut self, finished: &OwnedFd, signalling: &Signalling<'_>) -> Result<(), Failure> {
        let mut said = Vec::new();
        let mut is_listening = true;
        loop {
            self.children.reap();
            let is_heeding = is_listening && signalling.is_there(self.first.as_ref());
            let news = self.wait_for_news(is_heeding, finished)?;
            if news.has_order {
                is_listening = self.obey(signalling)?;
            }
            if news.has_things {
                self.take_all()?;
            }
            if news.has_said {
                self.hear(&mut said)?;
            }
            // Before it gets any answer.
            let may_be_exposed = news.has_changed_mounts
                || (news.has_moves && self.guards.may_have_moved())
                || self.guards.patience().is_some_and(|left| left.is_zero());
            if may_be_exposed && self.exposed.is_empty() {
                self.look_at_guards(signalling)?;
            }
            if news.is_deserted {
                self.listener = None;
            }
            if news.has_call
                && let (Some(listener), Some(supervisor)) = (&self.listener, &mut self.supervisor)
            {
                let stage = if self.setup.is_some() { Stage::Starting } else { Stage::Running };
                supervisor.attend(listener, self.channel, stage);
            }
            // Invariant: who finishes has closed the setup's pipe, so its end is not missed.
            if news.has_finished && self.setup.is_none() {
                // Of one that was killed half-way it does not matter what it complains of.
                let is_through = said.is_empty() || !self.exposed.is_empty();
                return if is_through { Ok(()) } else { Err(failure(&said)) };
            }
        }
    }

    /// Whether the daemon may still say something.
    fn obey(&mut self, signalling: &Signalling<'_>) -> Result<bool, Failure> {
        let order = self.channel.order();
        let send = |signal| signalling.send(signal, self.first.as_ref());
        let (done, is_listening) = match order {
            Some(Heard::Order(Order::Terminate)) => (send(Signal::TERM), true),
            Some(Heard::Order(Order::Interrupt)) => (send(Signal::INT), true),
            Some(Heard::Order(Order::Decide { id, verdict })) => {
                if let (Some(listener), Some(supervisor)) = (&self.listener, &mut self.supervisor) {
                    supervisor.decide(listener, id, verdict);
                }
                (Ok(()), true)
            }
            Some(Heard::End) => (send(Signal::KILL), false),
            None => (Ok(()), true),
        };
        match done {
            // There is nobody any more, which is what was wanted.
            Ok(()) | Err(Errno::SRCH) => Ok(is_listening),
            Err(errno) => Err(errno).step("signal the command"),
        }
    }

    /// Kills the command if it has lost a protection.
    fn look_at_guards(&mut self, signalling: &Signalling<'_>) -> Result<(), Failure> {
        self.exposed = self.guards.fallen()?;
        if self.exposed.is_empty() {
            return Ok(());
        }
        // Nothing of it goes on by an answer: what still waits for one finds that there is no such call.
        self.listener = None;
        match signalling.send(Signal::KILL, self.first.as_ref()) {
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(errno) => Err(errno).step("kill a command that has lost its protection"),
        }
    }

    /// Takes what the command's process has handed out.
    fn take_all(&mut self) -> Result<(), Failure> {
        let Some(taker) = &self.taker else { return Ok(()) };
        let mut is_over = true;
        while let Some((thing, descriptor)) = taker.take() {
            is_over = false;
            match thing {
                Thing::Filter => {
                    // Older kernels do without.
                    let _ = syscall::answer_at_once(&descriptor);
                    self.listener = Some(descriptor);
                    self.has_filter = true;
                }
                Thing::Proxy => self.handed.push(descriptor),
                Thing::First => self.first = Some(descriptor),
                Thing::Mounts => self.guards.watch(descriptor)?,
                // Given while the command runs, to who waits for it.
                Thing::Bound => {}
                Thing::Terminal => {
                    self.terminal = terminal::other_end(&descriptor).ok();
                    self.handed.push(descriptor);
                }
            }
        }
        if is_over {
            self.taker = None;
        }
        Ok(())
    }

    /// Hears of the setup; its end without a word means that the command runs.
    fn hear(&mut self, said: &mut Vec<u8>) -> Result<(), Failure> {
        let Some(pipe) = &self.setup else { return Ok(()) };
        let mut buffer = [0; 1024];
        match rustix::io::read(pipe, &mut buffer) {
            Ok(0) => {
                self.setup = None;
                // It was handed out before, and may not have been seen yet.
                self.take_all()?;
                if said.is_empty() && (self.has_filter || self.promise == Promise::Nothing) {
                    self.channel.report_with(&Report::Started, &std::mem::take(&mut self.handed));
                }
                Ok(())
            }
            Ok(count) => {
                said.extend_from_slice(&buffer[..count]);
                Ok(())
            }
            Err(Errno::INTR) => Ok(()),
            Err(errno) => Err(errno).step("learn whether the command runs"),
        }
    }

    fn wait_for_news(&self, is_heeding: bool, finished: &OwnedFd) -> Result<News, Failure> {
        let daemon = is_heeding.then(|| self.channel.as_fd());
        let guards = Some(&self.guards).filter(|_| self.exposed.is_empty());
        let wanted: [(Option<BorrowedFd<'_>>, PollFlags); 7] = [
            (Some(finished.as_fd()), PollFlags::IN),
            (daemon, PollFlags::IN),
            (self.taker.as_ref().map(AsFd::as_fd), PollFlags::IN),
            (self.setup.as_ref().map(AsFd::as_fd), PollFlags::IN),
            (guards.and_then(Guards::changes), guards::CHANGE),
            (guards.and_then(Guards::moves), PollFlags::IN),
            (self.listener.as_ref().map(AsFd::as_fd), PollFlags::IN),
        ];
        let present = wanted.iter().filter_map(|(source, news)| Some(PollFd::new(source.as_ref()?, *news)));
        let mut sources: Vec<_> = present.collect();
        let patience = guards.and_then(Guards::patience).and_then(|left| Timespec::try_from(left).ok());
        match rustix::event::poll(&mut sources, patience.as_ref()) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok(News::default()),
            Err(errno) => return Err(errno).step("wait for the command"),
        }
        // It hangs up when nobody is left who could call; then there is nothing to be received.
        let is_deserted = self.listener.is_some()
            && sources
                .last()
                .is_some_and(|it| !it.revents().contains(PollFlags::IN) && !it.revents().is_empty());
        let mut ready = sources.iter().map(|source| !source.revents().is_empty());
        let [has_finished, has_order, has_things, has_said, has_changed_mounts, has_moves, has_call] =
            wanted.map(|(source, _)| source.is_some() && ready.next() == Some(true));
        Ok(News {
            has_finished,
            has_order,
            has_things,
            has_said,
            has_changed_mounts,
            has_moves,
            has_call,
            is_deserted,
        })
    }
}

/// Who has something.
#[derive(Default)]
struct News {
    has_finished: bool,
    has_order: bool,
    has_things: bool,
    has_said: bool,
    has_changed_mounts: bool,
    has_moves: bool,
    has_call: bool,
    is_deserted: bool,
}

fn failure(said: &[u8]) -> Failure {
    serde_json::from_slice(said)
        .unwrap_or_else(|_| Failure::Plan { reason: "the setup ended without a reason".to_owned() })
}
