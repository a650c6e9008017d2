//! One row of the tables.

/// A script that tries to get out. What came of it, the witnesses in the yard tell.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attempt {
    pub(crate) name: &'static str,
    pub(crate) under: Under,
    pub(crate) on_landlock: OnLandlock,
    /// Who can do it where nothing confines it, so that its row can fail.
    pub(crate) control: Control,
    pub(crate) script: &'static str,
}

/// Which profile it is tried under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Under {
    /// A policy of the command line.
    Policy(&'static str),
    /// What the settings describe under this name.
    Permissions(&'static str),
}

/// What Landlock makes of it. The other rungs hold everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnLandlock {
    Held,
    /// It gets out, and the rung says so of itself in these words.
    Admitted(&'static str),
}

/// What an attempt does without a sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Control {
    /// It is seen to work.
    Works,
    /// It is seen to work for the administrator.
    WorksForRoot,
    /// It would harm the machine, or needs more than this machine has.
    NotTried,
}

/// With the usual policy, held everywhere, and seen to work without a sandbox.
pub(crate) const fn works(name: &'static str, script: &'static str) -> Attempt {
    Attempt {
        name,
        under: Under::Policy("workspace-write"),
        on_landlock: OnLandlock::Held,
        control: Control::Works,
        script,
    }
}

/// As `works`, but only the administrator can do it.
pub(crate) const fn works_for_root(name: &'static str, script: &'static str) -> Attempt {
    Attempt { control: Control::WorksForRoot, ..works(name, script) }
}

/// As `works`, but never tried without a sandbox.
pub(crate) const fn inside(name: &'static str, script: &'static str) -> Attempt {
    Attempt { control: Control::NotTried, ..works(name, script) }
}

impl Attempt {
    pub(crate) const fn read_only(self) -> Self {
        Self { under: Under::Policy("read-only"), ..self }
    }

    /// Under the profile that closes files which something runs later.
    pub(crate) const fn strict(self) -> Self {
        Self { under: Under::Permissions("strict"), ..self }
    }

    /// Under a profile that opens the network.
    pub(crate) const fn with_network(self) -> Self {
        Self { under: Under::Permissions("online"), ..self }
    }

    pub(crate) const fn admitted_by_landlock(self, words: &'static str) -> Self {
        Self { on_landlock: OnLandlock::Admitted(words), ..self }
    }
}
