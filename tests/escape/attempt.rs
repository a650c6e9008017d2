//! One row of the tables.

/// A script that tries to get out. What came of it, the witnesses in the yard tell.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attempt {
    pub(crate) name: &'static str,
    pub(crate) policy: &'static str,
    pub(crate) rungs: Rungs,
    /// Whether it works where nothing confines it, so that its row can fail.
    pub(crate) control: Control,
    pub(crate) script: &'static str,
}

/// Where an attempt is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rungs {
    All,
    /// Not on the Landlock rung, which says so of itself.
    Namespaces,
}

/// What an attempt does without a sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Control {
    /// It is seen to work.
    Works,
    /// It would harm the machine, or needs more than this machine has.
    NotTried,
}

/// With the usual policy, held everywhere, and seen to work without a sandbox.
pub(crate) const fn works(name: &'static str, script: &'static str) -> Attempt {
    Attempt { name, policy: "workspace-write", rungs: Rungs::All, control: Control::Works, script }
}

/// As `works`, but never tried without a sandbox.
pub(crate) const fn inside(name: &'static str, script: &'static str) -> Attempt {
    Attempt { control: Control::NotTried, ..works(name, script) }
}

impl Attempt {
    pub(crate) const fn read_only(self) -> Self {
        Self { policy: "read-only", ..self }
    }

    pub(crate) const fn not_on_landlock(self) -> Self {
        Self { rungs: Rungs::Namespaces, ..self }
    }
}
