//! A server of accounts that speaks OAuth (RFC 6749, 7636) with the paths of OpenAI's, and the browser of a person who
//! signs in there. It misbehaves when it is told to.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::error::HarnessError;
use crate::fake_servers::http::{Asked, FakeServer, Given};

/// The address of the person who signs in.
pub const EMAIL: &str = "ada@example.org";
/// What the account is called.
pub const ACCOUNT: &str = "acc-1";

/// A server of accounts.
pub struct FakeAccounts {
    /// What was asked of it.
    pub server: FakeServer,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    mood: Mood,
    /// Tokens that were given out.
    given: u64,
    /// How long a token holds, in seconds; a negative one has ended already.
    life: i64,
    /// Looks at a device's code before it counts as typed.
    patience: u64,
}

/// How it behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mood {
    /// As it should.
    #[default]
    Good,
    /// It fails with 500.
    Broken,
    /// It takes no refresh token any more.
    Revoking,
    /// It answers with a page.
    Talking,
    /// It never answers.
    Silent,
}

impl FakeAccounts {
    /// One that behaves.
    ///
    /// # Errors
    /// `Server`.
    pub fn start() -> Result<Self, HarnessError> {
        let state = Arc::new(Mutex::new(State { life: 3600, ..State::default() }));
        let served = Arc::clone(&state);
        let server = FakeServer::start(move |asked| {
            let mut state = served.lock().unwrap_or_else(PoisonError::into_inner);
            answer(&mut state, asked)
        })?;
        Ok(Self { server, state })
    }

    /// Changes how it behaves.
    pub fn set_mood(&self, mood: Mood) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).mood = mood;
    }

    /// Changes how long further tokens hold, in seconds.
    pub fn set_life(&self, seconds: i64) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).life = seconds;
    }

    /// The settings of a provider whose accounts these are, and whose API is there.
    #[must_use]
    pub fn settings(&self, base_url: &str) -> String {
        format!(
            "[model_providers.chatgpt]\nbase_url = \"{base_url}\"\nrequest_max_retries = 0\n\
             oauth = {{ issuer = \"{}\", client_id = \"test\" }}\n",
            self.server.address()
        )
    }

    /// How often a token was renewed.
    #[must_use]
    pub fn renewals(&self) -> usize {
        let asked = self.server.asked_for("POST /oauth/token");
        asked.iter().filter(|asked| asked.json()["grant_type"] == "refresh_token").count()
    }
}

fn answer(state: &mut State, asked: &Asked) -> Given {
    match state.mood {
        Mood::Good => {}
        Mood::Broken => return Given::status(500, &json!({"error": {"message": "out of order"}})),
        Mood::Talking => {
            let mut page = Given::json(&Value::Null);
            page.body = "<html>Please wait</html>".to_owned();
            return page;
        }
        Mood::Silent => return Given::silence(),
        Mood::Revoking => {
            return Given::status(
                401,
                &json!({"error": {"code": "refresh_token_expired", "message": "too old"}}),
            );
        }
    }
    match asked.line().as_str() {
        "POST /oauth/token" => {
            state.given += 1;
            Given::json(&tokens(state))
        }
        "POST /api/accounts/deviceauth/usercode" => {
            state.patience = 1;
            Given::json(&json!({"device_auth_id": "device-1", "user_code": "ABCD-1234", "interval": "0"}))
        }
        "POST /api/accounts/deviceauth/token" if state.patience > 0 => {
            state.patience -= 1;
            Given::status(403, &json!({"error": "authorization_pending"}))
        }
        "POST /api/accounts/deviceauth/token" => {
            Given::json(&json!({"authorization_code": "code-of-device", "code_verifier": "verifier"}))
        }
        _ => Given::status(404, &json!({"error": "There is nothing here"})),
    }
}

/// The access token that is given out as the `number`th, from 1. Its middle differs by when it ends.
#[must_use]
pub fn marker(number: u64) -> String {
    format!("planted-signature-{number}")
}

fn tokens(state: &State) -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let end = i64::try_from(now).unwrap_or(i64::MAX).saturating_add(state.life);
    let token =
        |claims: Value| format!("h.{}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()), marker(state.given));
    let identity = json!({
        "email": EMAIL,
        "https://api.openai.com/auth": {"chatgpt_account_id": ACCOUNT, "chatgpt_plan_type": "plus"},
    });
    json!({
        "access_token": token(json!({ "exp": end })),
        "id_token": token(identity),
        "refresh_token": format!("planted-refresh-{}", state.given),
    })
}

/// The page that a person was told to open, and what stands in its query.
#[derive(Debug)]
pub struct Page {
    query: BTreeMap<String, String>,
}

impl Page {
    /// The first address of a server of accounts in a text.
    #[must_use]
    pub fn in_text(text: &str, accounts: &FakeAccounts) -> Option<Self> {
        Self::at(text, &accounts.server.address())
    }

    /// The first address in a text that begins so.
    #[must_use]
    pub fn at(text: &str, address: &str) -> Option<Self> {
        let begin = text.find(address)?;
        let address = text[begin..].split_whitespace().next()?;
        let (_, query) = address.split_once('?')?;
        let pair = |pair: &str| pair.split_once('=').map(|(name, value)| (name.to_owned(), plain(value)));
        Some(Self { query: query.split('&').filter_map(pair).collect() })
    }

    /// A value of its query.
    #[must_use]
    pub fn value(&self, name: &str) -> &str {
        self.query.get(name).map(String::as_str).unwrap_or_default()
    }

    /// The port that the browser is sent back to.
    #[must_use]
    pub fn port(&self) -> u16 {
        let address = self.value("redirect_uri").trim_start_matches("http://");
        let host = address.split('/').next().unwrap_or_default();
        host.rsplit(':').next().and_then(|port| port.parse().ok()).unwrap_or(0)
    }

    /// The browser comes back with this query; the answer, or nothing if nobody listens.
    #[must_use]
    pub fn come_back(&self, query: &str) -> Option<String> {
        let port = self.port();
        let path = self.value("redirect_uri").splitn(4, '/').nth(3)?;
        let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
        write!(stream, "GET /{path}?{query} HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n").ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        (!text.is_empty()).then_some(text)
    }

    /// The browser of a person who signed in.
    #[must_use]
    pub fn sign_in(&self) -> Option<String> {
        self.come_back(&format!("code=code-1&state={}", self.value("state")))
    }
}

/// A text of a query without its signs.
pub(crate) fn plain(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, more @ ..] = rest {
        let coded = more.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let coded = coded.filter(|_| *first == b'%').and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(coded.unwrap_or(*first));
        rest = if coded.is_some() { &more[2..] } else { more };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
