//! Makes a filter of what is answered to each call: a search by the call's number, so that each takes few steps. Knows
//! instructions, not what calls do.
//!
//! The kernel runs a filter once for each call that there is when it is installed, so each step that all calls take costs
//! there, too: about a microsecond.

use std::collections::BTreeMap;

use libc::c_long;
use rustix::io::Errno;
use seccompiler::{BpfProgram, sock_filter};

/// What is answered to a call; to others: go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// It fails.
    Fails(Errno),
    /// It waits for an answer.
    Waits,
    /// It waits if one of these bits is set in this argument.
    WaitsIf { argument: u8, bits: u32 },
    /// It fails with `EPERM` if all conditions of one of these rules hold.
    DeniedIf(Vec<Vec<Condition>>),
}

/// What holds of an argument, as far as its lower half goes: no call that is asked has more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    Is(u8, u32),
    IsNot(u8, u32),
    /// Of these bits just those are set: argument, bits, those.
    Bits(u8, u32, u32),
}

/// What is answered, by number.
#[derive(Clone, Debug, Default)]
pub(super) struct Replies(BTreeMap<u32, Reply>);

impl Replies {
    /// What is said later of a call holds.
    pub(super) fn set(&mut self, calls: impl IntoIterator<Item = c_long>, reply: &Reply) {
        self.0.extend(calls.into_iter().map(|call| (plain(call), reply.clone())));
    }

    /// The filter. x32 calls, which have the architecture of ordinary ones, kill the process, and so do those of others.
    pub(super) fn program(&self) -> BpfProgram {
        let mut runs: Vec<Run<'_>> = Vec::new();
        for (&call, reply) in &self.0 {
            match runs.last_mut() {
                Some(run) if run.last + 1 == call && run.reply == reply => run.last = call,
                Some(_) | None => runs.push(Run { first: call, last: call, reply }),
            }
        }
        let mut steps = Vec::with_capacity(USUAL_STEPS);
        search(&runs, &mut steps);
        steps.extend([
            answer(libc::SECCOMP_RET_KILL_PROCESS),
            instruction(JUMP_FROM, 0, 1, 0x4000_0000),
            instruction(LOAD, 0, 0, NUMBER_AT),
            answer(libc::SECCOMP_RET_KILL_PROCESS),
            instruction(JUMP_EQUAL, 1, 0, ARCHITECTURE),
            instruction(LOAD, 0, 0, ARCHITECTURE_AT),
        ]);
        steps.reverse();
        steps
    }
}

/// Room for the filter of a usual command.
const USUAL_STEPS: usize = 256;

/// Calls in a row that are answered alike.
struct Run<'a> {
    first: u32,
    last: u32,
    reply: &'a Reply,
}

/// What is written from its end on, last step first: so it is known how far it is over what comes behind.
type Backwards = Vec<sock_filter>;

/// Answers a call whose number is at hand.
fn search(runs: &[Run<'_>], steps: &mut Backwards) {
    match runs {
        [] => steps.push(answer(libc::SECCOMP_RET_ALLOW)),
        [run] => {
            steps.push(answer(libc::SECCOMP_RET_ALLOW));
            let end = steps.len();
            code(run.reply, steps);
            let past = near(steps.len() - end);
            if run.first == run.last {
                steps.push(instruction(JUMP_EQUAL, 0, past, run.first));
            } else {
                steps.push(instruction(JUMP_FROM, past, 0, run.last + 1));
                steps.push(instruction(JUMP_FROM, 0, past + 1, run.first));
            }
        }
        _ => {
            let (low, high) = runs.split_at(runs.len() / 2);
            search(low, steps);
            let end = steps.len();
            search(high, steps);
            let past = steps.len() - end;
            match u8::try_from(past) {
                Ok(past) => steps.push(instruction(JUMP_FROM, 0, past, high[0].first)),
                Err(_) => {
                    steps.push(instruction(JUMP, 0, 0, u32::try_from(past).unwrap_or(u32::MAX)));
                    steps.push(instruction(JUMP_FROM, 1, 0, high[0].first));
                }
            }
        }
    }
}

/// Ends in an answer, whatever is found.
fn code(reply: &Reply, steps: &mut Backwards) {
    match reply {
        Reply::Fails(errno) => steps.push(fails(*errno)),
        Reply::Waits => steps.push(answer(libc::SECCOMP_RET_USER_NOTIF)),
        Reply::WaitsIf { argument, bits } => steps.extend([
            answer(libc::SECCOMP_RET_ALLOW),
            answer(libc::SECCOMP_RET_USER_NOTIF),
            instruction(JUMP_BITS, 0, 1, *bits),
            load(*argument),
        ]),
        Reply::DeniedIf(rules) => {
            steps.push(answer(libc::SECCOMP_RET_ALLOW));
            rules.iter().rev().for_each(|conditions| rule(conditions, steps));
        }
    }
}

/// Denies if all conditions hold, and else goes on behind it.
fn rule(conditions: &[Condition], steps: &mut Backwards) {
    let end = steps.len();
    steps.push(fails(Errno::PERM));
    for condition in conditions.iter().rev() {
        let past = near(steps.len() - end);
        match *condition {
            Condition::Is(argument, value) => {
                steps.extend([instruction(JUMP_EQUAL, 0, past, value), load(argument)]);
            }
            Condition::IsNot(argument, value) => {
                steps.extend([instruction(JUMP_EQUAL, past, 0, value), load(argument)]);
            }
            Condition::Bits(argument, bits, value) => steps.extend([
                instruction(JUMP_EQUAL, 0, past, value),
                instruction(AND, 0, 0, bits),
                load(argument),
            ]),
        }
    }
}

/// A short way. What is jumped over here is written down in this crate, and a test runs all of it.
fn near(steps: usize) -> u8 {
    u8::try_from(steps).unwrap_or(u8::MAX)
}

/// Instructions, and where the parts of what a filter sees begin (linux/bpf_common.h, `struct seccomp_data`).
pub(super) const LOAD: u16 = 0x20;
pub(super) const AND: u16 = 0x54;
pub(super) const JUMP: u16 = 0x05;
pub(super) const JUMP_EQUAL: u16 = 0x15;
pub(super) const JUMP_FROM: u16 = 0x35;
pub(super) const JUMP_BITS: u16 = 0x45;
pub(super) const ANSWER: u16 = 0x06;
pub(super) const NUMBER_AT: u32 = 0;
pub(super) const ARCHITECTURE_AT: u32 = 4;
pub(super) const ARGUMENTS_AT: u32 = 16;

/// This machine's (linux/audit.h).
#[cfg(target_arch = "x86_64")]
pub(super) const ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
pub(super) const ARCHITECTURE: u32 = 0xc000_00b7;

fn load(argument: u8) -> sock_filter {
    instruction(LOAD, 0, 0, ARGUMENTS_AT + 8 * u32::from(argument))
}

fn fails(errno: Errno) -> sock_filter {
    answer(libc::SECCOMP_RET_ERRNO | errno.raw_os_error().cast_unsigned())
}

fn instruction(code: u16, jt: u8, jf: u8, k: u32) -> sock_filter {
    sock_filter { code, jt, jf, k }
}

fn answer(value: u32) -> sock_filter {
    instruction(ANSWER, 0, 0, value)
}

pub(super) fn plain(call: c_long) -> u32 {
    u32::try_from(call).unwrap_or(u32::MAX)
}
