//! Signing in with MCP servers over HTTP, whose accounts misbehave too (threat R16). There is no keyring here, so tokens
//! lie in the file.

use std::fs;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use skein_tests::environment::process::{Input, Running};
use skein_tests::fake_servers::accounts::Page;
use skein_tests::fake_servers::protected::{Mood, Protected};
use skein_tests::scripted_model::reply::{Answer, Reply};
use skein_tests::{ScriptedModel, TestEnv};

use crate::scene::{SOON, good_turn, scene};

/// A home with the server `far`, which wants its user to sign in.
struct Place {
    protected: Protected,
    model: ScriptedModel,
    env: TestEnv,
}

impl Place {
    fn new(replies: impl IntoIterator<Item = Reply>, lines: &str) -> Self {
        let protected = Protected::start().unwrap();
        let (model, env) = scene(replies);
        env.append_settings(&format!("\n[mcp_servers.far]\nurl = {:?}\n{lines}\n", protected.url())).unwrap();
        Self { protected, model, env }
    }

    /// A sign-in that waits, and the page that the person is to open.
    fn begin(&self, words: &[&str]) -> (Running, Page) {
        let words = ["mcp", "login", "far"].iter().chain(words).copied();
        let running = self.env.command(words).input(Input::Open).spawn().unwrap();
        running.wait_for_stderr("paste the whole", SOON).unwrap();
        let page = Page::at(&running.stderr(), &format!("{}/authorize", self.protected.server.address()));
        (running, page.unwrap())
    }

    /// The browser of a person who signed in.
    fn come_back(&self, page: &Page) -> Option<String> {
        page.come_back(&answer(page, &self.protected.issuer()))
    }

    fn sign_in(&self) {
        let (running, page) = self.begin(&[]);
        let told = self.come_back(&page).unwrap();
        assert!(told.starts_with("HTTP/1.1 200") && told.contains("You are signed in"), "{told}");
        let output = running.wait(SOON).unwrap();
        assert_eq!(output.code(), Some(0), "{output:?}");
        assert!(output.stdout.contains("signed in with far"), "{output:?}");
    }

    /// What is said of a sign-in that comes to nothing.
    fn refused(&self, mood: impl FnOnce(&mut Mood)) -> String {
        self.protected.set(mood);
        let output = self.env.run(["mcp", "login", "far"]).unwrap();
        assert_eq!(output.code(), Some(1), "{output:?}");
        self.protected.set(|mood| *mood = Mood { given: mood.given, ..Mood::default() });
        output.stderr
    }

    fn stored(&self) -> String {
        fs::read_to_string(self.env.skein_home().join("state/credentials.json")).unwrap_or_default()
    }

    fn state(&self) -> Value {
        let output = self.env.run(["mcp", "list", "--start", "--json"]).unwrap();
        assert_eq!(output.code(), Some(0), "{output:?}");
        let listed: Value = serde_json::from_str(&output.stdout).unwrap();
        listed[0]["state"]["type"].clone()
    }
}

fn answer(page: &Page, issuer: &str) -> String {
    format!("code=code-1&state={}&iss={issuer}", page.value("state"))
}

fn echo() -> Reply {
    Reply::call("mcp__far__echo", &json!({}))
}

/// What the model was told last.
fn told(model: &ScriptedModel) -> String {
    model.requests().last().unwrap().last_output().unwrap().to_owned()
}

#[test]
fn who_signs_in_is_let_in_until_they_sign_out() {
    let place = Place::new([echo(), Reply::text("Done.")], "");
    let listed = place.env.run(["mcp", "list", "--start"]).unwrap();
    assert!(listed.stdout.contains("sign in with `skein mcp login far`"), "{listed:?}");

    let (running, page) = place.begin(&[]);
    assert_eq!((page.value("code_challenge_method"), page.value("client_id")), ("S256", "registered"));
    assert_eq!((page.value("resource"), page.value("scope")), (place.protected.url().as_str(), "read"));
    let redirect = page.value("redirect_uri").to_owned();
    assert!(redirect.starts_with("http://127.0.0.1:"), "{redirect}");
    place.come_back(&page).unwrap();
    assert_eq!(running.wait(SOON).unwrap().code(), Some(0));
    assert_eq!(page.come_back("code=code-1"), None, "the listener takes one answer");
    let exchange = place.protected.exchanges().remove(0);
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(exchange["code_verifier"].as_bytes()));
    assert_eq!(challenge, page.value("code_challenge"));
    assert_eq!((&exchange["resource"], &exchange["redirect_uri"]), (&place.protected.url(), &redirect));

    assert_eq!(place.state(), "ready");
    good_turn(&place.env, &["go"]);
    assert_eq!(told(&place.model), "let in");
    assert!(place.stored().contains("planted-access-1"));
    // It is there again after a restart, and nobody signs in anew.
    assert_eq!(place.env.run(["daemon", "stop"]).unwrap().code(), Some(0));
    assert_eq!(place.state(), "ready");
    assert_eq!(place.protected.exchanges().len(), 1);

    let output = place.env.run(["mcp", "logout", "far"]).unwrap();
    assert!(output.code() == Some(0) && output.stdout.contains("forgot"), "{output:?}");
    assert!(!place.stored().contains("planted"));
    assert_eq!(place.state(), "loginRequired");
    let output = place.env.run(["mcp", "logout", "far"]).unwrap();
    assert!(output.stdout.contains("nobody was signed in"), "{output:?}");
}

#[cfg(unix)]
#[test]
fn the_tokens_are_their_owners_alone_and_never_logged() {
    let place = Place::new([], "");
    place.sign_in();
    let file = place.env.skein_home().join("state/credentials.json");
    assert_eq!(rustix::fs::stat(file).unwrap().st_mode & 0o777, 0o600);
    place.protected.set(|mood| mood.revoked = 1);
    assert_eq!(place.state(), "ready");
    let logs = place.env.run(["daemon", "logs"]).unwrap();
    assert!(!logs.stdout.contains("planted"), "{}", logs.stdout);
}

#[test]
fn an_answer_that_was_not_asked_for_changes_nothing() {
    let place = Place::new([], "");
    let (running, page) = place.begin(&[]);
    for query in ["code=code-1&state=guessed", "code=code-1"] {
        assert!(page.come_back(query).unwrap().starts_with("HTTP/1.1 400"), "{query}");
    }
    assert_eq!(place.protected.exchanges().len(), 0, "nothing was exchanged for it");
    // The answer of another server of accounts, which would be given the code.
    let page = page.come_back(&answer(&page, "https://other.example.org")).unwrap();
    assert!(page.starts_with("HTTP/1.1 400") && page.contains("issuer mismatch"), "{page}");
    let output = running.wait(SOON).unwrap();
    assert!(output.code() == Some(1) && output.stderr.contains("issuer mismatch"), "{output:?}");
    let (running, page) = place.begin(&[]);
    let denied = format!("error=access_denied&error_description=Not%20you&state={}", page.value("state"));
    assert!(page.come_back(&denied).unwrap().contains("Not you"));
    let output = running.wait(SOON).unwrap();
    assert!(output.code() == Some(1) && output.stderr.contains("Not you"), "{output:?}");
    assert_eq!(place.protected.exchanges().len(), 0);
    assert_eq!(place.stored(), "");
}

#[test]
fn accounts_that_do_not_hold_what_they_must_are_not_used() {
    let place = Place::new([], "");
    for methods in [None, Some(vec!["plain"])] {
        let told = place.refused(|mood| mood.methods = methods);
        assert!(told.contains("PKCE"), "{told}");
    }
    let told = place.refused(|mood| mood.issuer = Some("https://other.example.org".to_owned()));
    assert!(told.contains("issuer mismatch"), "{told}");
    for page in ["http://accounts.example.org/authorize", "javascript:alert(1)"] {
        let told = place.refused(|mood| mood.page = Some(page.to_owned()));
        assert!(told.contains("no `https`"), "{told}");
    }
    let told = place.refused(|mood| mood.registers = false);
    assert!(told.contains("registration"), "{told}");
    assert_eq!(place.protected.server.asked_for("POST /register").len(), 0);
    assert_eq!(place.stored(), "");
}

#[test]
fn nobody_signs_in_where_others_can_listen_or_with_a_program() {
    let (_model, env) = scene(Vec::<Reply>::new());
    env.append_settings(
        "\n[mcp_servers.open]\nurl = \"http://mcp.example.org/\"\n[mcp_servers.local]\ncommand = \"x\"\n",
    )
    .unwrap();
    for (name, wanted) in [("open", "no `https`"), ("local", "a program"), ("none", "no MCP server")] {
        let output = env.run(["mcp", "login", name]).unwrap();
        assert!(output.code() != Some(0) && output.stderr.contains(wanted), "{output:?}");
    }
}

#[test]
fn a_code_is_not_sent_on_to_where_the_accounts_point() {
    let place = Place::new([], "");
    let (running, page) = place.begin(&[]);
    let elsewhere = format!("{}/elsewhere", place.protected.server.address());
    place.protected.set(|mood| mood.redirect = Some(elsewhere));
    assert!(place.come_back(&page).unwrap().starts_with("HTTP/1.1 400"));
    assert_eq!(running.wait(SOON).unwrap().code(), Some(1));
    assert_eq!(place.protected.server.asked_for("POST /elsewhere").len(), 0);
    assert_eq!(place.stored(), "");
}

#[test]
fn a_token_that_is_refused_in_the_middle_is_renewed_once_for_all_calls() {
    let both = Answer::new().call("mcp__far__echo", &json!({})).call("mcp__far__echo", &json!({}));
    let place = Place::new([Reply::from(both), Reply::text("Done.")], "required = true");
    place.sign_in();
    assert_eq!(place.state(), "ready");
    place.protected.set(|mood| mood.revoked = 1);
    good_turn(&place.env, &["go"]);
    assert_eq!(told(&place.model), "let in");
    assert_eq!(place.protected.renewals(), 1, "{:?}", place.protected.exchanges());
    let renewal = place.protected.exchanges().pop().unwrap();
    assert_eq!(
        (&renewal["resource"], &renewal["client_id"]),
        (&place.protected.url(), &"registered".to_owned())
    );
    assert!(place.stored().contains("planted-refresh-2"), "the new one is kept");
}

#[test]
fn a_token_that_has_ended_is_renewed_before_it_is_sent() {
    let place = Place::new([], "");
    place.protected.set(|mood| mood.life = 0);
    place.sign_in();
    place.protected.set(|mood| mood.life = 3600);
    assert_eq!(place.state(), "ready");
    assert_eq!(place.protected.renewals(), 1);
    let sent = place.protected.server.asked_for("POST /mcp");
    assert!(sent.iter().all(|asked| asked.header("authorization") != Some("Bearer planted-access-1")));
}

#[test]
fn a_token_that_can_t_be_renewed_is_forgotten_and_the_person_is_told() {
    let place = Place::new([echo(), Reply::text("Done.")], "required = true");
    place.sign_in();
    assert_eq!(place.state(), "ready");
    place.protected.set(|mood| (mood.revoked, mood.renews) = (1, false));
    good_turn(&place.env, &["go"]);
    assert!(told(&place.model).contains("skein mcp login far"), "{}", told(&place.model));
    assert_eq!(place.state(), "loginRequired");
    assert!(!place.stored().contains("planted"));
    assert_eq!(place.protected.renewals(), 1, "a token that was refused is not tried again");
    // Who signs in anew is let in at once.
    place.protected.set(|mood| mood.renews = true);
    place.sign_in();
    assert_eq!(place.state(), "ready");
}

#[test]
fn the_address_can_be_pasted_where_the_browser_is_elsewhere() {
    let place = Place::new([], "");
    let (mut running, page) = place.begin(&[]);
    running.write("http://127.0.0.1/callback?code=code-1&state=guessed\n").unwrap();
    running.wait_for_stderr("not the address", SOON).unwrap();
    assert_eq!(place.protected.exchanges().len(), 0);
    let address = format!("{}?{}\n", page.value("redirect_uri"), answer(&page, &place.protected.issuer()));
    running.write(&address).unwrap();
    let output = running.wait(SOON).unwrap();
    assert_eq!(output.code(), Some(0), "{output:?}");
    assert_eq!(page.come_back("code=code-1"), None, "nobody listens any more");
    assert_eq!(place.state(), "ready");
}

#[test]
fn an_id_of_the_settings_is_taken_where_it_is_one() {
    let place = Place::new([], "oauth_client_id = \"mine\"\nscopes = [\"a\", \"b\"]");
    let (_running, page) = place.begin(&[]);
    assert_eq!((page.value("client_id"), page.value("scope")), ("mine", "a+b"));
    let (_running, page) = place.begin(&["--scopes", "c,d"]);
    assert_eq!(page.value("scope"), "c+d");
    assert_eq!(place.protected.server.asked_for("POST /register").len(), 0);

    let place = Place::new([], "oauth_client_id = \"https://example.org/client.json\"");
    let (_running, page) = place.begin(&[]);
    assert_eq!(page.value("client_id"), "registered", "these accounts read no documents");
    place.protected.set(|mood| mood.reads_documents = true);
    let (_running, page) = place.begin(&[]);
    assert_eq!(page.value("client_id"), "https://example.org/client.json");
}

#[test]
fn accounts_of_open_id_connect_are_found_too() {
    let place = Place::new([], "");
    place.protected.set(|mood| mood.is_open_id = true);
    place.sign_in();
    assert_eq!(place.state(), "ready");
}

#[test]
fn a_call_that_wants_more_leave_says_which() {
    let place = Place::new([echo(), Reply::text("Done.")], "required = true");
    place.sign_in();
    place.protected.set(|mood| mood.wants = Some("write"));
    good_turn(&place.env, &["go"]);
    assert!(told(&place.model).contains("skein mcp login far --scopes write"), "{}", told(&place.model));
    // Who does that loses nothing, also when the daemon that heard of it is gone.
    assert_eq!(place.env.run(["daemon", "stop"]).unwrap().code(), Some(0));
    let (_running, page) = place.begin(&["--scopes", "write"]);
    assert_eq!(page.value("scope"), "read+write");
}

#[test]
fn what_the_server_says_when_it_lets_nobody_in_tells_where_and_for_what() {
    let place = Place::new([], "");
    place.protected.set(|mood| mood.hides = true);
    let (running, page) = place.begin(&[]);
    assert_eq!(page.value("scope"), "call");
    place.come_back(&page).unwrap();
    assert_eq!(running.wait(SOON).unwrap().code(), Some(0));
    assert_eq!(place.state(), "ready");
    // It is known where to renew the token when the daemon that heard of it is gone.
    assert_eq!(place.env.run(["daemon", "stop"]).unwrap().code(), Some(0));
    place.protected.set(|mood| mood.revoked = 1);
    assert_eq!(place.state(), "ready");
    assert_eq!(place.protected.renewals(), 1);
}

#[test]
fn a_server_that_lets_nobody_in_without_a_word_is_signed_in_with_at_the_known_place() {
    let place = Place::new([], "");
    place.protected.set(|mood| mood.is_mute = true);
    assert_eq!(place.state(), "loginRequired");
    let listed = place.env.run(["mcp", "list"]).unwrap();
    assert!(listed.stdout.contains("skein mcp login far") && listed.stdout.contains("token"), "{listed:?}");
    place.sign_in();
    assert_eq!(place.state(), "ready");
    // A token that ends is renewed there, too.
    place.protected.set(|mood| mood.revoked = 1);
    assert_eq!(place.env.run(["daemon", "stop"]).unwrap().code(), Some(0));
    assert_eq!(place.state(), "ready");
    assert_eq!(place.protected.renewals(), 1);
}

#[test]
fn more_leave_is_asked_for_beside_what_was_given() {
    let place = Place::new([], "");
    place.protected.set(|mood| mood.lists_for = Some("write"));
    place.sign_in();
    assert_eq!(place.state(), "loginRequired");
    let (running, page) = place.begin(&[]);
    assert_eq!(page.value("scope"), "read+write");
    place.come_back(&page).unwrap();
    assert_eq!(running.wait(SOON).unwrap().code(), Some(0));
    assert_eq!(place.state(), "ready");
}
