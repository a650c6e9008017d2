//! Gives up what a command must not have: capabilities, the caller's keys, resources without bound. Knows no
//! files.

use helper_protocol::report::Failure;
use rustix::process::{Resource, Rlimit};
use rustix::thread::{CapabilitiesSecureBits, CapabilitySet, CapabilitySets};

use crate::failure::Step;
use crate::syscall;

/// How many processes and threads a command may have if the plan does not say. Far beyond what builds need.
const MAX_PROCESSES: u64 = 16 * 1024;

/// Whether what bounds the capabilities of programs is empty already. A process inherits it, and each of the forty or so
/// takes a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BoundingSet {
    Full,
    Cleared,
}

/// Sees to it that no program that is started gets capabilities. Those of this process stay, also over a fork.
pub(crate) fn clear_bounding_set() -> Result<(), Failure> {
    syscall::clear_bounding_set().step("clear the capabilities' bounding set")
}

/// Gives up all capabilities, for this process and all it will start.
pub(crate) fn drop_capabilities(bounding_set: BoundingSet) -> Result<(), Failure> {
    let own = rustix::thread::capabilities(None).step("read the capabilities")?;
    if own.permitted.is_empty() && own.inheritable.is_empty() {
        return Ok(());
    }
    if own.effective.contains(CapabilitySet::SETPCAP) {
        match bounding_set {
            BoundingSet::Full => clear_bounding_set()?,
            BoundingSet::Cleared => {}
        }
        // Otherwise user id 0 would get capabilities back at each `exec`.
        rustix::thread::set_capabilities_secure_bits(
            CapabilitiesSecureBits::NO_ROOT
                | CapabilitiesSecureBits::NO_ROOT_LOCKED
                | CapabilitiesSecureBits::NO_SETUID_FIXUP
                | CapabilitiesSecureBits::NO_SETUID_FIXUP_LOCKED
                | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE
                | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE_LOCKED,
        )
        .step("set the secure bits")?;
    }
    rustix::thread::clear_ambient_capability_set().step("clear the ambient capabilities")?;
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    rustix::thread::set_capabilities(None, none).step("drop the capabilities")
}

/// Whose processes a bound on processes counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counted {
    /// Those in the command's own user namespace.
    Own,
    /// All of the user's, so a bound is set only where the plan asks for one.
    AllOfTheUser,
}

/// Sets the resource limits of a confined command.
pub(crate) fn limit(max_processes: Option<u64>, counted: Counted) -> Result<(), Failure> {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    rustix::process::setrlimit(Resource::Core, none).step("forbid core dumps")?;
    let wanted = match counted {
        Counted::Own => Some(max_processes.unwrap_or(MAX_PROCESSES)),
        Counted::AllOfTheUser => max_processes,
    };
    let Some(wanted) = wanted else { return Ok(()) };
    let allowed = rustix::process::getrlimit(Resource::Nproc).maximum.unwrap_or(u64::MAX);
    let bound = Some(wanted.min(allowed));
    rustix::process::setrlimit(Resource::Nproc, Rlimit { current: bound, maximum: bound })
        .step("limit the number of processes")
}
