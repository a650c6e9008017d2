//! An MCP server over HTTP that lets in who has a token, and the server of accounts that gives them out (RFC 9728, 8414,
//! 7591, 7636, 9207). Both misbehave when they are told to.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use crate::error::HarnessError;
use crate::fake_servers::accounts::plain;
use crate::fake_servers::http::{Asked, FakeServer, Given};

/// Both, at one address.
pub struct Protected {
    /// What was asked of them.
    pub server: FakeServer,
    mood: Arc<Mutex<Mood>>,
}

/// How they behave.
#[derive(Clone, Debug)]
pub struct Mood {
    /// The challenge methods that the accounts know; absent: they do not say.
    pub methods: Option<Vec<&'static str>>,
    /// What the accounts call themselves, if not what they are.
    pub issuer: Option<String>,
    /// Where a person signs in, if not there.
    pub page: Option<String>,
    /// Where the accounts send who comes for a token, if anywhere.
    pub redirect: Option<String>,
    /// Whether they register who asks.
    pub registers: bool,
    /// Whether the address of a document is a client's id.
    pub reads_documents: bool,
    /// Whether what they say of themselves stands where OpenID Connect has it.
    pub is_open_id: bool,
    /// Whether a token can be renewed.
    pub renews: bool,
    /// How long a token holds, in seconds.
    pub life: u64,
    /// Tokens that were given out.
    pub given: u64,
    /// Those up to this one hold no longer.
    pub revoked: u64,
    /// A scope that a call wants beyond.
    pub wants: Option<&'static str>,
    /// A scope that the list of tools wants beyond what the first token has.
    pub lists_for: Option<&'static str>,
    /// Whether only the challenge says where the metadata is, and for what a person signs in.
    pub hides: bool,
    /// Whether it lets nobody in without a word of how to be let in.
    pub is_mute: bool,
}

impl Default for Mood {
    fn default() -> Self {
        Self {
            methods: Some(vec!["S256"]),
            issuer: None,
            page: None,
            redirect: None,
            registers: true,
            reads_documents: false,
            is_open_id: false,
            renews: true,
            life: 3600,
            given: 0,
            revoked: 0,
            wants: None,
            lists_for: None,
            hides: false,
            is_mute: false,
        }
    }
}

impl Protected {
    /// Both, as they should be.
    ///
    /// # Errors
    /// `Server`.
    pub fn start() -> Result<Self, HarnessError> {
        let mood = Arc::new(Mutex::new(Mood::default()));
        let served = Arc::clone(&mood);
        let server = FakeServer::start(move |asked| answer(&mut lock(&served), asked))?;
        Ok(Self { server, mood })
    }

    /// Changes how they behave.
    pub fn set(&self, change: impl FnOnce(&mut Mood)) {
        change(&mut lock(&self.mood));
    }

    /// The address of the MCP server.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}/mcp", self.server.address())
    }

    /// What the accounts call themselves.
    #[must_use]
    pub fn issuer(&self) -> String {
        format!("{}/accounts", self.server.address())
    }

    /// What came for tokens, as the fields of each form.
    #[must_use]
    pub fn exchanges(&self) -> Vec<BTreeMap<String, String>> {
        self.server.asked_for("POST /token").iter().map(|asked| form(&asked.body)).collect()
    }

    /// How often a token was renewed, or it was tried.
    #[must_use]
    pub fn renewals(&self) -> usize {
        self.exchanges().iter().filter(|fields| fields["grant_type"] == "refresh_token").count()
    }
}

fn lock(mood: &Mutex<Mood>) -> MutexGuard<'_, Mood> {
    mood.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The fields of a form.
fn form(body: &str) -> BTreeMap<String, String> {
    let pairs = body.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (plain(name), plain(&value.replace('+', " ")))).collect()
}

fn answer(mood: &mut Mood, asked: &Asked) -> Given {
    let address = format!("http://{}", asked.header("host").unwrap_or_default());
    match asked.line().as_str() {
        "GET /.well-known/oauth-protected-resource/mcp" if !mood.hides => Given::json(&json!({
            "resource": format!("{address}/mcp"),
            "authorization_servers": [format!("{address}/accounts")],
            "scopes_supported": ["read"],
        })),
        "GET /somewhere" if mood.hides => Given::json(&json!({
            "resource": format!("{address}/mcp"),
            "authorization_servers": [format!("{address}/accounts")],
        })),
        "GET /.well-known/oauth-authorization-server/accounts" if !mood.is_open_id => {
            Given::json(&metadata(mood, &address))
        }
        "GET /.well-known/openid-configuration/accounts" if mood.is_open_id => {
            Given::json(&metadata(mood, &address))
        }
        "POST /register" if mood.registers => {
            let wanted = asked.json();
            Given::status(201, &json!({"client_id": "registered", "redirect_uris": wanted["redirect_uris"]}))
        }
        "POST /token" => token(mood, &form(&asked.body)),
        "POST /elsewhere" => Given::json(&json!({"access_token": "stolen", "token_type": "Bearer"})),
        "POST /mcp" | "GET /mcp" if mood.is_mute && !is_let_in(mood, asked) => {
            Given::status(401, &json!({"error": "who are you?"}))
        }
        "POST /mcp" => call(mood, asked, &address),
        "GET /mcp" if mood.hides => Given::status(405, &json!({})),
        "GET /mcp" if !is_let_in(mood, asked) => challenge(&address, 401, "Bearer"),
        "GET /mcp" => Given::status(405, &json!({})),
        _ => Given::status(404, &json!({"error": "There is nothing here"})),
    }
}

fn metadata(mood: &Mood, address: &str) -> Value {
    let mut metadata = json!({
        "issuer": mood.issuer.clone().unwrap_or_else(|| format!("{address}/accounts")),
        "authorization_endpoint": mood.page.clone().unwrap_or_else(|| format!("{address}/authorize")),
        "token_endpoint": format!("{address}/token"),
        "response_types_supported": ["code"],
        "authorization_response_iss_parameter_supported": true,
        "client_id_metadata_document_supported": mood.reads_documents,
    });
    if mood.registers {
        metadata["registration_endpoint"] = json!(format!("{address}/register"));
    }
    if let Some(methods) = &mood.methods {
        metadata["code_challenge_methods_supported"] = json!(methods);
    }
    metadata
}

fn token(mood: &mut Mood, fields: &BTreeMap<String, String>) -> Given {
    if let Some(elsewhere) = &mood.redirect {
        let mut given = Given::status(307, &json!({}));
        given.headers.push(("location", elsewhere.clone()));
        return given;
    }
    let is_good = match fields.get("grant_type").map(String::as_str) {
        Some("authorization_code") => fields.get("code").is_some_and(|code| code == "code-1"),
        Some("refresh_token") => {
            mood.renews && fields.get("refresh_token") == Some(&format!("planted-refresh-{}", mood.given))
        }
        _ => false,
    };
    if !is_good {
        return Given::status(400, &json!({"error": "invalid_grant", "error_description": "not any more"}));
    }
    mood.given += 1;
    Given::json(&json!({
        "access_token": format!("planted-access-{}", mood.given),
        "token_type": "Bearer",
        "expires_in": mood.life,
        "refresh_token": format!("planted-refresh-{}", mood.given),
    }))
}

fn is_let_in(mood: &Mood, asked: &Asked) -> bool {
    let number = asked.header("authorization").and_then(|value| value.strip_prefix("Bearer planted-access-"));
    let number = number.and_then(|number| number.parse::<u64>().ok());
    number.is_some_and(|number| number > mood.revoked && number <= mood.given)
}

fn challenge(address: &str, status: u16, words: &str) -> Given {
    let mut given = Given::status(status, &json!({"error": "who are you?"}));
    let metadata = format!("{address}/.well-known/oauth-protected-resource/mcp");
    given.headers.push(("www-authenticate", format!("{words} resource_metadata=\"{metadata}\"")));
    given
}

/// One tool, over the revision with a handshake.
fn call(mood: &Mood, asked: &Asked, address: &str) -> Given {
    if !is_let_in(mood, asked) {
        let mut given = challenge(address, 401, "Bearer");
        if mood.hides {
            let said = format!("Bearer resource_metadata=\"{address}/somewhere\", scope=\"call\"");
            given.headers.retain(|(name, _)| *name != "www-authenticate");
            given.headers.push(("www-authenticate", said));
        }
        return given;
    }
    let message = asked.json();
    let result = match message["method"].as_str().unwrap_or_default() {
        "initialize" => json!({"protocolVersion": message["params"]["protocolVersion"],
            "capabilities": {"tools": {}}, "serverInfo": {"name": "protected", "version": "1"}}),
        "tools/list" if mood.lists_for.is_some() && mood.given == 1 => {
            let scope = mood.lists_for.unwrap_or_default();
            let words = format!("Bearer error=\"insufficient_scope\", scope=\"{scope}\",");
            return challenge(address, 403, &words);
        }
        "tools/list" => json!({"tools": [{"name": "echo", "inputSchema": {"type": "object"},
            "annotations": {"readOnlyHint": true}}]}),
        "tools/call" => match mood.wants {
            Some(scope) => {
                let words = format!("Bearer error=\"insufficient_scope\", scope=\"{scope}\",");
                return challenge(address, 403, &words);
            }
            None => json!({"content": [{"type": "text", "text": "let in"}]}),
        },
        _ if message["id"].is_null() => return Given::status(202, &json!({})),
        _ => {
            let error = json!({"code": -32601, "message": "no such method"});
            return Given::json(&json!({"jsonrpc": "2.0", "id": message["id"], "error": error}));
        }
    };
    Given::json(&json!({"jsonrpc": "2.0", "id": message["id"], "result": result}))
}
