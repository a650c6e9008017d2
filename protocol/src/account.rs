//! Who a provider knows its user as: keys, accounts, and how one signs in. No result ever holds a secret.

use std::fmt;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::ids::Timestamp;

/// A secret on its way to the daemon. Never printed, never sent the other way, and gone from memory when it is dropped.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct SecretText(pub String);

impl Drop for SecretText {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.0);
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

/// A sign-in under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct LoginId(pub Uuid);

/// Parameters of `account/list`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccountListParams {}

/// Result of `account/list`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccountListResult {
    /// Of each provider that needs a credential, by their ids.
    pub accounts: Vec<Account>,
}

/// What there is for one provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Account {
    /// The provider's id.
    pub provider: String,
    /// What people call it.
    pub name: String,
    /// Whether its users sign in with an account; else it takes a key.
    #[serde(default)]
    pub has_sign_in: bool,
    /// What is used; absent: there is nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<Credential>,
}

/// Where a credential comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum Credential {
    /// An environment variable of the client, or of the daemon.
    #[serde(rename_all = "camelCase")]
    Environment {
        /// Its name.
        variable: String,
    },
    /// A key that was stored.
    #[serde(rename_all = "camelCase")]
    Stored {
        /// Where.
        place: CredentialPlace,
    },
    /// A program of the settings prints it.
    #[serde(rename_all = "camelCase")]
    Command {
        /// The program.
        program: String,
    },
    /// An account that somebody signed in with.
    #[serde(rename_all = "camelCase")]
    SignedIn {
        /// Where it is kept.
        place: CredentialPlace,
        /// Whose it is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        email: Option<String>,
        /// The plan, in the provider's word.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        plan: Option<String>,
        /// When its token ends; it is renewed before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_at: Option<Timestamp>,
    },
    /// A credential of a newer protocol.
    #[serde(untagged)]
    Unknown(serde_json::Value),
}

/// Where a credential is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum CredentialPlace {
    /// In the keyring of the platform.
    Keyring,
    /// In a file that only its owner can read.
    #[serde(rename_all = "camelCase")]
    File {
        /// Which.
        path: PathBuf,
        /// Why not in the keyring.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// A place of a newer protocol.
    #[serde(untagged)]
    Unknown(serde_json::Value),
}

/// Parameters of `account/setKey`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccountSetKeyParams {
    /// The provider's id.
    pub provider: String,
    /// The key.
    pub key: SecretText,
}

/// Result of `account/setKey`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccountSetKeyResult {
    /// Where it is kept now.
    pub place: CredentialPlace,
    /// A variable that goes before it, and is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hidden_by: Option<String>,
}

/// How to sign in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum LoginMethod {
    /// In a browser on this machine.
    #[default]
    Browser,
    /// By a code that is typed into a browser anywhere.
    Device,
    /// A method of a newer protocol.
    #[serde(untagged)]
    Unknown(String),
}

/// Parameters of `account/login`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccountLoginParams {
    /// A provider that has accounts.
    pub provider: String,
    /// How.
    #[serde(default)]
    pub method: LoginMethod,
}

/// Result of `account/login`. The sign-in goes on in the daemon; `account/awaitLogin` tells how it ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccountLoginResult {
    /// Names it.
    pub login_id: LoginId,
    /// The page to open.
    pub url: String,
    /// What to type there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_code: Option<String>,
    /// When it is too late.
    pub expires_at: Timestamp,
}

/// Names a sign-in, for `account/awaitLogin` and `account/cancelLogin`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LoginRef {
    /// Which.
    pub login_id: LoginId,
}

/// How far a sign-in is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum LoginStatus {
    /// Nobody has signed in yet.
    Pending,
    /// Somebody has.
    #[serde(rename_all = "camelCase")]
    Completed {
        /// The account.
        account: Account,
    },
    /// It came to nothing.
    #[serde(rename_all = "camelCase")]
    Failed {
        /// Why.
        message: String,
    },
    /// A status of a newer protocol.
    #[serde(untagged)]
    Unknown(serde_json::Value),
}

/// Parameters of `account/logout`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccountLogoutParams {
    /// The provider's id.
    pub provider: String,
}

/// Result of `account/logout`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccountLogoutResult {
    /// Whether there was something to remove.
    pub was_stored: bool,
    /// What is left, which only its owner can remove.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<Credential>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_printed() {
        let params = AccountSetKeyParams { provider: "p".into(), key: SecretText("sk-planted".into()) };
        assert!(!format!("{params:?}").contains("planted"));
    }
}
