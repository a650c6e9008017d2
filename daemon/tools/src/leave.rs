//! How a call says that its command is to leave the sandbox: in our words, or in those that some models have learnt.

use serde::Deserialize;

/// What some models say instead of `escalate`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SandboxPermissions {
    UseDefault,
    RequireEscalated,
    WithAdditionalPermissions,
}

/// What a call says of the sandbox. `escalate` is what models are told of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish {
    pub(crate) escalate: bool,
    pub(crate) sandbox_permissions: Option<SandboxPermissions>,
}

impl Wish {
    /// Whether the command is to leave the sandbox.
    ///
    /// # Errors
    /// What to do instead.
    pub(crate) fn is_to_leave(self) -> Result<bool, String> {
        match self.sandbox_permissions {
            Some(SandboxPermissions::UseDefault) | None => Ok(self.escalate),
            Some(SandboxPermissions::RequireEscalated) => Ok(true),
            Some(SandboxPermissions::WithAdditionalPermissions) => {
                Err("Ask with `request_permissions` first, then run the command as it is".to_owned())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_is_understood_in_either_words() {
        use SandboxPermissions::{RequireEscalated, UseDefault, WithAdditionalPermissions};
        for (escalate, sandbox_permissions, expected) in [
            (false, None, Some(false)),
            (true, None, Some(true)),
            (false, Some(RequireEscalated), Some(true)),
            (false, Some(UseDefault), Some(false)),
            (false, Some(WithAdditionalPermissions), None),
        ] {
            let wish = Wish { escalate, sandbox_permissions };
            assert_eq!(wish.is_to_leave().ok(), expected, "{wish:?}");
        }
    }
}
