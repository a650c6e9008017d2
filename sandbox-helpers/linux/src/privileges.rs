//! Gives up what a command must not have: capabilities, the caller's keys, resources without bound. Knows no
//! files.

use helper_protocol::plan::Limits;
use helper_protocol::report::Failure;
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit};
use rustix::thread::{CapabilitiesSecureBits, CapabilitySet, CapabilitySets};

use crate::failure::Step;
use crate::syscall;

/// How many processes and threads a command may have if the plan does not say. Far beyond what builds need.
pub(crate) const MAX_PROCESSES: u64 = 16 * 1024;

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

/// Who counts the command's processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counted {
    /// The limits of this process: all of the user's in its user namespace.
    ByLimits,
    /// The control group that it is in.
    InAGroup,
}

/// Sets the resource limits of a confined command. Memory is bounded for each process by itself, and what processes
/// share is not counted; a control group around the whole tree does that, where there is one. Where one counts processes
/// that of the user's others does not matter.
pub(crate) fn limit(limits: Limits, counted: Counted) -> Result<(), Failure> {
    bound(Resource::Core, 0).step("forbid core dumps")?;
    let processes = match counted {
        Counted::ByLimits => Some(limits.max_processes.unwrap_or(MAX_PROCESSES)),
        Counted::InAGroup => None,
    };
    for (resource, most, step) in [
        (Resource::Nproc, processes, "limit the number of processes"),
        (Resource::Data, limits.max_memory_bytes, "limit memory"),
        (Resource::Fsize, limits.max_file_bytes, "limit the length of files"),
    ] {
        if let Some(most) = most {
            bound(resource, most).step(step)?;
        }
    }
    Ok(())
}

/// Lowers a limit; one that is lower already stays.
fn bound(resource: Resource, most: u64) -> Result<(), Errno> {
    let allowed = rustix::process::getrlimit(resource).maximum.unwrap_or(u64::MAX);
    let bound = Some(most.min(allowed));
    rustix::process::setrlimit(resource, Rlimit { current: bound, maximum: bound })
}
