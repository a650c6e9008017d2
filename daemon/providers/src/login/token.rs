//! The tokens of an account and what they say of it (RFC 7519). Their signatures are not checked: they come from the
//! server itself, over TLS, and decide nothing here but what is shown and when they are renewed.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::credentials::secret::Secret;

/// How long a token holds that does not say so, in seconds. Its provider refuses it earlier if need be.
const USUAL_LIFE: u64 = 3600;
/// Where OpenAI puts what it knows of an account.
const OPENAI_CLAIM: &str = "https://api.openai.com/auth";

/// An account's tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tokens {
    pub(crate) access: Secret,
    pub(crate) refresh: Option<Secret>,
    /// In seconds since 1970.
    pub(crate) expires_at: u64,
    pub(crate) identity: Identity,
}

/// Whose they are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The person's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The plan, in the provider's word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// What the provider calls the account; it goes with every request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_id: Option<String>,
}

/// What a token endpoint answers (RFC 6749, 5.1).
#[derive(Deserialize)]
pub(crate) struct TokenAnswer {
    id_token: Option<String>,
    access_token: Option<String>,
    refresh_token: Option<String>,
    expires_in: Option<u64>,
}

/// As they are kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    access: String,
    refresh: Option<String>,
    expires_at: u64,
    identity: Identity,
}

impl Drop for Kept {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.access);
        zeroize::Zeroize::zeroize(&mut self.refresh);
    }
}

impl Tokens {
    /// What was answered; what is missing in it stays as it was before.
    pub(crate) fn new(answer: TokenAnswer, before: Option<&Self>, now: u64) -> Result<Self, String> {
        let text = answer.access_token.filter(|token| !token.is_empty());
        let access = match (text, before) {
            (Some(token), _) => Secret::new(token),
            (None, Some(before)) if answer.id_token.is_some() => before.access.clone(),
            (None, _) => return Err("it has no `access_token`".to_owned()),
        };
        if access.reveal().chars().any(char::is_control) {
            return Err("its `access_token` is no token".to_owned());
        }
        let claims = claims(access.reveal());
        let told = claims.get("exp").and_then(Value::as_u64);
        let expires_at = told.unwrap_or_else(|| now.saturating_add(answer.expires_in.unwrap_or(USUAL_LIFE)));
        let identity = match &answer.id_token {
            Some(token) => Identity::of(&self::claims(token)),
            None => before.map(|before| before.identity.clone()).unwrap_or_default(),
        };
        let refresh = answer.refresh_token.map(Secret::new);
        let refresh = refresh.or_else(|| before.and_then(|before| before.refresh.clone()));
        Ok(Self { access, refresh, expires_at, identity })
    }

    /// As text, to be kept.
    pub(crate) fn write(&self) -> Secret {
        let kept = Kept {
            access: self.access.reveal().to_owned(),
            refresh: self.refresh.as_ref().map(|token| token.reveal().to_owned()),
            expires_at: self.expires_at,
            identity: self.identity.clone(),
        };
        // Texts and a number always have a JSON form.
        Secret::new(serde_json::to_string(&kept).unwrap_or_default())
    }

    /// What was kept; `None` if it is something else.
    pub(crate) fn read(kept: &Secret) -> Option<Self> {
        let kept: Kept = serde_json::from_str(kept.reveal()).ok()?;
        Some(Self {
            access: Secret::new(kept.access.clone()),
            refresh: kept.refresh.clone().map(Secret::new),
            expires_at: kept.expires_at,
            identity: kept.identity.clone(),
        })
    }

    /// Headers that go with the token.
    pub(crate) fn headers(&self) -> BTreeMap<String, String> {
        let id = self.identity.account_id.clone().filter(|id| !id.contains(char::is_control));
        id.map(|id| ("chatgpt-account-id".to_owned(), id)).into_iter().collect()
    }
}

impl Identity {
    fn of(claims: &Value) -> Self {
        let text = |value: &Value| value.as_str().map(shown);
        let openai = &claims[OPENAI_CLAIM];
        Self {
            email: text(&claims["email"]),
            plan: text(&openai["chatgpt_plan_type"]),
            account_id: text(&openai["chatgpt_account_id"]),
        }
    }
}

/// A text of a token as it can be shown.
fn shown(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(200).collect()
}

/// What a token claims; nothing if it is none that can be read.
fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap_or_default();
    let bytes = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).unwrap_or_default();
    serde_json::from_slice(&bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn token(claims: &Value) -> String {
        format!("h.{}.s", URL_SAFE_NO_PAD.encode(claims.to_string()))
    }

    fn answer(value: Value) -> TokenAnswer {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn tokens_tell_whose_they_are_and_survive_being_kept() {
        let identity = json!({"email": "a@b\u{7}.c", OPENAI_CLAIM: {"chatgpt_account_id": "acc", "chatgpt_plan_type": "plus"}});
        let answer =
            answer(json!({"id_token": token(&identity), "access_token": token(&json!({"exp": 500})),
            "refresh_token": "r"}));
        let tokens = Tokens::new(answer, None, 100).unwrap();
        assert_eq!((tokens.expires_at, tokens.identity.email.as_deref()), (500, Some("a@b.c")));
        assert_eq!(tokens.headers()["chatgpt-account-id"], "acc");
        assert_eq!(Tokens::read(&tokens.write()), Some(tokens));
        assert_eq!(Tokens::read(&Secret::new("nonsense".into())), None);
    }

    #[test]
    fn a_renewal_keeps_what_it_does_not_name() {
        let first = json!({"access_token": "a", "refresh_token": "r", "expires_in": 10});
        let first = Tokens::new(answer(first), None, 100).unwrap();
        assert_eq!(first.expires_at, 110);
        let second = Tokens::new(answer(json!({"access_token": "b"})), Some(&first), 200).unwrap();
        assert_eq!((second.access.reveal(), second.refresh), ("b", first.refresh));
        assert_eq!(second.expires_at, 200 + USUAL_LIFE);
    }

    #[test]
    fn what_is_no_token_is_refused() {
        for value in [json!({}), json!({"access_token": ""}), json!({"access_token": "a\r\nx: y"})] {
            assert!(Tokens::new(answer(value.clone()), None, 0).is_err(), "{value}");
        }
        assert_eq!(claims("a.!!!.b"), Value::Null);
    }
}
