//! Versions of the protocol, and how a client and a daemon agree on one. Knows nothing of connections.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A version of the protocol. Adding keeps the number; removing or changing needs a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct ProtocolVersion(pub u32);

impl fmt::Display for ProtocolVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The versions that one side speaks, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VersionRange {
    /// The oldest.
    pub min: ProtocolVersion,
    /// The newest.
    pub max: ProtocolVersion,
}

/// What this build speaks.
pub const SUPPORTED: VersionRange = VersionRange { min: ProtocolVersion(1), max: ProtocolVersion(1) };

impl VersionRange {
    /// The newest version that both ranges hold, `None` if they do not meet.
    #[must_use]
    pub fn negotiate(self, other: Self) -> Option<ProtocolVersion> {
        let newest = self.max.min(other.max);
        (newest >= self.min && newest >= other.min).then_some(newest)
    }
}

impl fmt::Display for VersionRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.min == self.max {
            write!(f, "{}", self.min)
        } else {
            write!(f, "{} to {}", self.min, self.max)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(min: u32, max: u32) -> VersionRange {
        VersionRange { min: ProtocolVersion(min), max: ProtocolVersion(max) }
    }

    #[test]
    fn newest_common_version_is_picked() {
        assert_eq!(range(1, 4).negotiate(range(2, 3)), Some(ProtocolVersion(3)));
        assert_eq!(range(2, 3).negotiate(range(1, 4)), Some(ProtocolVersion(3)));
        assert_eq!(range(1, 2).negotiate(range(2, 9)), Some(ProtocolVersion(2)));
    }

    #[test]
    fn ranges_that_do_not_meet_have_no_version() {
        assert_eq!(range(1, 2).negotiate(range(3, 4)), None);
        assert_eq!(range(3, 4).negotiate(range(1, 2)), None);
    }
}
