//! Keys that are stored, and accounts that somebody signs in with, against a server of accounts that misbehaves too.
//! There is no keyring here, so secrets lie in the file.

use std::fs;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use protocol::event::Event;
use protocol::session::SessionCreateParams;
use protocol::turn::TurnOutcome;
use skein_tests::environment::process::{Input, Output, Running};
use skein_tests::environment::terminal::keys;
use skein_tests::fake_servers::accounts::{ACCOUNT, EMAIL, FakeAccounts, Mood, Page, marker};
use skein_tests::rpc::TestClient;
use skein_tests::scripted_model::reply::Reply;
use skein_tests::{ScriptedModel, TestEnv};

use crate::scene::SOON;

/// A home whose provider takes accounts.
struct Place {
    accounts: FakeAccounts,
    model: ScriptedModel,
    env: TestEnv,
}

impl Place {
    fn new(replies: impl IntoIterator<Item = Reply>) -> Self {
        let accounts = FakeAccounts::start().unwrap();
        let model = ScriptedModel::start(replies).unwrap();
        let env = TestEnv::new(&model).unwrap();
        let provider = accounts.settings(&model.base_url());
        env.write_settings(&format!("model = \"scripted\"\nmodel_provider = \"chatgpt\"\n{provider}"))
            .unwrap();
        Self { accounts, model, env }
    }

    /// A sign-in in a browser that waits, and the page that the person is to open.
    fn begin(&self) -> (Running, Page) {
        let running = self.env.spawn(["login"]).unwrap();
        running.wait_for_stderr("&state=", SOON).unwrap();
        let page = Page::in_text(&running.stderr(), &self.accounts).unwrap();
        (running, page)
    }

    fn sign_in(&self) {
        let output = self.env.run(["login", "--device-auth"]).unwrap();
        assert_eq!(output.code(), Some(0), "{output:?}");
    }

    fn exec(&self) -> Output {
        self.env.run(["exec", "hello"]).unwrap()
    }

    fn stored(&self) -> String {
        fs::read_to_string(self.env.skein_home().join("state/credentials.json")).unwrap_or_default()
    }
}

/// Whether nobody waits for this sign-in any more. The port may be another test's by now, which knows nothing of it.
fn is_over(page: &Page) -> bool {
    page.sign_in().is_none_or(|answer| answer.starts_with("HTTP/1.1 400"))
}

#[test]
fn who_gives_up_while_a_key_is_typed_has_the_terminal_as_it_was() {
    let model = ScriptedModel::start([] as [Reply; 0]).unwrap();
    let env = TestEnv::new(&model).unwrap();
    let mut terminal = env.command(["login", "anthropic"]).at_terminal(80, 24).unwrap();
    terminal.wait_for("it is not shown").unwrap();
    let begin = Instant::now();
    while terminal.is_as_shells_want().unwrap() {
        assert!(begin.elapsed() < SOON, "what is typed is shown: {:?}", terminal.rows());
        std::thread::yield_now();
    }
    terminal.press(keys::CTRL_C).unwrap();
    let status = terminal.wait().unwrap();
    assert!(terminal.is_as_shells_want().unwrap(), "{status:?} {:?}", terminal.rows());
    assert_eq!(status.code(), Some(130), "{:?}", terminal.rows());
    terminal.wait_for("no key was stored").unwrap();
}

#[test]
fn a_key_is_stored_for_its_owner_alone_used_and_forgotten() {
    let model = ScriptedModel::start([Reply::text("Hi.")]).unwrap();
    let env = TestEnv::new(&model).unwrap();
    let settings = fs::read_to_string(env.settings_file()).unwrap();
    env.write_settings(&settings.replace("SCRIPTED_API_KEY", "ANOTHER_KEY")).unwrap();
    let exec = || env.run(["exec", "hello"]).unwrap();

    let failed = exec();
    assert_eq!(failed.code(), Some(1), "{failed:?}");
    assert!(
        failed.stderr.contains("Set `ANOTHER_KEY`, or store a key with `skein login scripted`"),
        "{failed:?}"
    );

    let login = env.command(["login", "scripted"]).input(Input::Text("sk-of-login\n".into()));
    let login = login.run().unwrap();
    assert_eq!(login.code(), Some(0), "{login:?}");
    assert!(login.stdout.contains("credentials.json, which only you can read"), "{login:?}");
    assert!(login.stderr.contains("not in the keyring, because"), "{login:?}");
    assert_eq!(exec().code(), Some(0));
    assert_eq!(model.requests()[0].header("authorization"), Some("Bearer sk-of-login"));
    let whoami = env.run(["whoami"]).unwrap();
    assert!(whoami.code() == Some(0) && whoami.stdout.contains("a key in the file"), "{whoami:?}");
    assert!(!whoami.stdout.contains("sk-of-login"));

    let hidden =
        env.command(["login", "scripted"]).variable("ANOTHER_KEY", "x").input(Input::Text("k".into()));
    assert!(hidden.run().unwrap().stderr.contains("`ANOTHER_KEY` is set, and goes before it"));
    let logout = env.run(["logout"]).unwrap();
    assert_eq!((logout.code(), logout.stdout.trim()), (Some(0), "forgot what was stored of scripted"));
    assert_eq!(exec().code(), Some(1), "without a restart");
    assert_eq!(env.run(["logout"]).unwrap().code(), Some(2));
}

#[cfg(unix)]
#[test]
fn the_file_of_secrets_has_the_mode_0600() {
    let model = ScriptedModel::start(Vec::<Reply>::new()).unwrap();
    let env = TestEnv::new(&model).unwrap();
    env.command(["login", "scripted"]).input(Input::Text("sk-of-login".into())).run().unwrap();
    let meta = rustix::fs::stat(env.skein_home().join("state/credentials.json")).unwrap();
    assert_eq!(meta.st_mode & 0o777, 0o600);
}

#[test]
fn a_key_is_no_argument_and_no_nothing() {
    let model = ScriptedModel::start(Vec::<Reply>::new()).unwrap();
    let env = TestEnv::new(&model).unwrap();
    assert_eq!(env.run(["login", "scripted", "sk-key"]).unwrap().code(), Some(2));
    assert_eq!(env.run(["login", "scripted"]).unwrap().code(), Some(2), "nothing is piped in");
    let two = env.command(["login", "scripted"]).input(Input::Text("one\ntwo\n".into())).run().unwrap();
    assert_eq!(two.code(), Some(2), "{two:?}");
    let unknown = env.command(["login", "nobody"]).input(Input::Text("k".into())).run().unwrap();
    assert!(unknown.code() == Some(2) && unknown.stderr.contains("`scripted`"), "{unknown:?}");
}

#[test]
fn a_person_signs_in_with_a_browser() {
    let place = Place::new([Reply::text("Hi.")]);
    let (running, page) = place.begin();
    assert_eq!((page.value("code_challenge_method"), page.value("client_id")), ("S256", "test"));

    let foreign = page.come_back("code=code-1&state=guessed").unwrap();
    assert!(foreign.starts_with("HTTP/1.1 400"), "{foreign}");
    let without = page.come_back("code=code-1").unwrap();
    assert!(without.starts_with("HTTP/1.1 400"), "{without}");
    assert!(place.accounts.server.asked().is_empty(), "nothing was exchanged for it");

    let welcome = page.sign_in().unwrap();
    assert!(welcome.starts_with("HTTP/1.1 200") && welcome.contains("You are signed in"), "{welcome}");
    let output = running.wait(SOON).unwrap();
    assert_eq!(output.code(), Some(0), "{output:?}");
    assert!(output.stdout.contains(EMAIL) && output.stdout.contains("plan plus"), "{output:?}");
    assert!(is_over(&page), "the listener takes one answer");

    let exchange = place.accounts.server.asked_for("POST /oauth/token").remove(0);
    assert!(
        exchange.body.contains("code_verifier=") && exchange.body.contains("code=code-1"),
        "{exchange:?}"
    );
    assert_eq!(place.exec().code(), Some(0));
    let request = place.model.requests().remove(0);
    assert!(request.header("authorization").unwrap().ends_with(&marker(1)));
    assert_eq!(request.header("chatgpt-account-id"), Some(ACCOUNT));
}

#[test]
fn a_sign_in_takes_any_port_where_the_usual_one_is_taken() {
    let begin = Instant::now();
    // Another test may have it, and give it back at any moment.
    let _usual = loop {
        match TcpListener::bind("127.0.0.1:1455") {
            Ok(usual) => break usual,
            Err(error) => assert!(begin.elapsed() < SOON, "{error}"),
        }
        std::thread::yield_now();
    };
    let place = Place::new([]);
    let (running, page) = place.begin();
    assert!(page.port() != 1455 && page.port() != 0);
    assert!(page.sign_in().unwrap().starts_with("HTTP/1.1 200"));
    assert_eq!(running.wait(SOON).unwrap().code(), Some(0));
}

#[test]
fn what_goes_wrong_in_a_sign_in_is_told_and_nothing_is_kept() {
    let place = Place::new([]);
    let (running, page) = place.begin();
    let state = page.value("state").to_owned();
    let page =
        page.come_back(&format!("error=access_denied&error_description=Not%20you&state={state}")).unwrap();
    assert!(page.starts_with("HTTP/1.1 400") && page.contains("Not you"), "{page}");
    let output = running.wait(SOON).unwrap();
    assert!(output.code() == Some(1) && output.stderr.contains("Not you"), "{output:?}");

    for (mood, words) in [(Mood::Broken, "out of order"), (Mood::Talking, "can't be understood")] {
        let (running, page) = place.begin();
        place.accounts.set_mood(mood);
        assert!(page.sign_in().unwrap().starts_with("HTTP/1.1 400"));
        let output = running.wait(SOON).unwrap();
        assert!(output.code() == Some(1) && output.stderr.contains(words), "{mood:?}: {output:?}");
        place.accounts.set_mood(Mood::Good);
    }
    assert_eq!(place.stored(), "");
    assert_eq!(place.env.run(["whoami"]).unwrap().code(), Some(1));
}

#[test]
fn a_sign_in_that_is_given_up_closes_its_port() {
    let place = Place::new([]);
    let (running, page) = place.begin();
    running.interrupt().unwrap();
    assert_eq!(running.wait(SOON).unwrap().code(), Some(130));
    assert!(is_over(&page));
    let (first, old) = place.begin();
    let (second, new) = place.begin();
    assert_ne!(old.value("state"), new.value("state"));
    assert!(new.sign_in().unwrap().starts_with("HTTP/1.1 200"));
    assert_eq!(second.wait(SOON).unwrap().code(), Some(0));
    let output = first.wait(SOON).unwrap();
    assert!(output.code() == Some(1) && output.stderr.contains("another one began"), "{output:?}");
}

#[test]
fn a_slow_server_of_accounts_keeps_nobody_from_giving_up() {
    let place = Place::new([]);
    let (running, page) = place.begin();
    place.accounts.set_mood(Mood::Silent);
    let browser = std::thread::spawn(move || page.sign_in());
    assert!(place.accounts.server.wait_for("POST /oauth/token", SOON));
    running.interrupt().unwrap();
    assert_eq!(running.wait(SOON).unwrap().code(), Some(130));
    assert!(place.accounts.server.wait_for_drop("/oauth/token", SOON), "the exchange is given up");
    assert_eq!(browser.join().unwrap(), None);
}

#[test]
fn a_machine_without_a_browser_signs_in_by_a_code() {
    let place = Place::new([Reply::text("Hi.")]);
    let output = place.env.run(["login", "--device-auth"]).unwrap();
    assert_eq!(output.code(), Some(0), "{output:?}");
    assert!(output.stderr.contains("ABCD-1234") && output.stderr.contains("/codex/device"), "{output:?}");
    assert_eq!(place.exec().code(), Some(0));
    let logout = place.env.run(["logout"]).unwrap();
    assert_eq!(logout.code(), Some(0), "{logout:?}");
    let failed = place.exec();
    assert!(failed.stderr.contains("Sign in with `skein login chatgpt`"), "{failed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_sessions_renew_a_token_once() {
    let place = Place::new((0..20).map(|_| Reply::text("Hi.")));
    place.accounts.set_life(-10);
    place.sign_in();
    place.accounts.set_life(3600);
    let client = TestClient::connect(&place.env, "twenty").await.unwrap();
    let params = || SessionCreateParams { cwd: place.env.repository(), ..SessionCreateParams::default() };
    let sessions = join_all((0..20).map(|_| client.create_with(params()))).await;
    let turns = sessions.into_iter().map(|session| async {
        let session = session.unwrap();
        client.start(session, "hello").await.unwrap();
        let mut follower = client.follow(session).await.unwrap();
        follower.until_turn_ends(SOON).await.unwrap();
        let ended = follower.seen().events().find_map(|event| match event {
            Event::TurnEnded(ended) => Some(ended.outcome.clone()),
            _ => None,
        });
        assert_eq!(ended, Some(TurnOutcome::Completed));
    });
    join_all(turns).await;
    assert_eq!(place.accounts.renewals(), 1);
    assert!(place.model.requests().iter().all(|request| {
        request.header("authorization").is_some_and(|header| header.ends_with(&marker(2)))
    }));
}

#[test]
fn a_renewal_that_fails_is_tried_again_and_one_that_is_refused_is_not() {
    let place = Place::new([Reply::text("Hi.")]);
    place.accounts.set_life(-10);
    place.sign_in();
    place.accounts.set_mood(Mood::Broken);
    let broken = place.exec();
    assert!(broken.code() == Some(1) && broken.stderr.contains("out of order"), "{broken:?}");
    place.accounts.set_mood(Mood::Revoking);
    for _ in 0..2 {
        let ended = place.exec();
        assert!(ended.code() == Some(1) && ended.stderr.contains("too old"), "{ended:?}");
        assert!(ended.stderr.contains("Sign in with `skein login chatgpt`"), "{ended:?}");
    }
    let asked = place.accounts.renewals();
    place.accounts.set_mood(Mood::Good);
    place.accounts.set_life(3600);
    assert_eq!(place.exec().code(), Some(1), "it has ended until somebody signs in again");
    assert_eq!(place.accounts.renewals(), asked);
    place.sign_in();
    assert_eq!(place.exec().code(), Some(0));
}

#[test]
fn a_token_that_the_provider_refuses_is_renewed_in_the_middle_of_a_turn() {
    let place = Place::new([Reply::unauthorized(), Reply::text("Hi.")]);
    place.sign_in();
    let output = place.exec();
    assert_eq!(output.code(), Some(0), "{output:?}");
    assert_eq!(place.accounts.renewals(), 1);
}

#[test]
fn an_account_outlives_its_daemon() {
    let place = Place::new([Reply::text("Hi.")]);
    place.sign_in();
    assert_eq!(
        place.env.command(["daemon", "stop"]).limit(Duration::from_secs(12)).run().unwrap().code(),
        Some(0)
    );
    assert_eq!(place.exec().code(), Some(0));
    assert_eq!(place.accounts.renewals(), 0);
}
