//! Puts the command into a Landlock domain. Knows grants, not how they were found.

use helper_protocol::plan::Access;
use helper_protocol::report::Failure;
use landlock::{
    ABI, Access as _, AccessFs, BitFlags, CompatLevel, Compatible, PathBeneath, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, Scope,
};
use rustix::io::Errno;

use crate::failure::Step;
use crate::grants::Grant;
use crate::places::open_real;

/// What the domain has to hold by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Duty {
    /// Writing; mounts and namespaces hold the rest, and this is a second wall.
    Writing,
    /// Everything: reading as well, and signals and abstract sockets.
    All,
}

/// The oldest version that knows about truncation.
const LEAST: ABI = ABI::V3;
/// The oldest version with scopes for signals and abstract sockets.
const SCOPED: ABI = ABI::V6;

/// Restricts this process and all it will start. Nothing but what is granted is allowed.
pub(crate) fn restrict(grants: &[Grant], duty: Duty) -> Result<(), Failure> {
    let create = || -> Result<_, RulesetError> {
        let handled = match duty {
            Duty::Writing => AccessFs::from_write(LEAST),
            Duty::All => AccessFs::from_all(LEAST),
        };
        let scope_level = match duty {
            Duty::Writing => CompatLevel::BestEffort,
            Duty::All => CompatLevel::HardRequirement,
        };
        Ruleset::default()
            .set_compatibility(CompatLevel::HardRequirement)
            .handle_access(handled)?
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_write(SCOPED))?
            .set_compatibility(scope_level)
            .scope(Scope::from_all(SCOPED))?
            .set_compatibility(CompatLevel::BestEffort)
            .create()
    };
    let mut ruleset = create().map_err(|error| refused(&error))?;
    for grant in grants {
        let allowed = rights(grant.access, duty);
        if allowed.is_empty() {
            continue;
        }
        let path = match open_real(&grant.path) {
            Ok(path) => path,
            // It went away, or the user can't reach it; there is nothing to allow.
            Err(Errno::NOENT | Errno::ACCESS | Errno::LOOP | Errno::NOTDIR) => continue,
            Err(errno) => return Err(errno).step("look at what Landlock shall allow"),
        };
        // What only folders know is left out for anything else.
        let rule = PathBeneath::new(path, allowed).set_compatibility(CompatLevel::BestEffort);
        ruleset = ruleset.add_rule(rule).map_err(|error| refused(&error))?;
    }
    ruleset.restrict_self().map_err(|error| refused(&error))?;
    Ok(())
}

fn rights(access: Access, duty: Duty) -> BitFlags<AccessFs> {
    let reading = match duty {
        Duty::Writing => BitFlags::EMPTY,
        Duty::All => AccessFs::from_read(SCOPED),
    };
    match access {
        Access::Hidden => BitFlags::EMPTY,
        Access::Read => reading,
        Access::Write => reading | AccessFs::from_write(SCOPED),
    }
}

fn refused(error: &RulesetError) -> Failure {
    Failure::Setup {
        step: format!("enforce Landlock ({error})"),
        errno: rustix::io::Errno::OPNOTSUPP.raw_os_error(),
    }
}
