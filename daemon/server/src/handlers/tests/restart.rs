//! Turns that outlive a daemon, and with whose environment they go on.

use protocol::turn::InterruptReason;

use super::*;

/// Answers after a moment, and soon when it is asked again.
const SCRIPT_OF_TWO: &str = "[[step]]\nwait_ms = 300\nsay = \"Hello there\"\n";

/// The settings of the test daemon, with a provider that needs a key.
fn keyed(daemon: &TestDaemon) -> (String, String) {
    let open = fs::read_to_string(daemon.daemon.folders.config_file()).expect("config");
    let keyed = format!("{open}env_key = \"MY_KEY\"\n");
    (open, keyed)
}

async fn loaded(client: &Client) -> u32 {
    client.status(DaemonStatusParams::default()).await.expect("status").loaded_sessions
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_that_was_handed_over_waits_for_a_client_that_brings_the_key() {
    let daemon = TestDaemon::start().await;
    fs::write(daemon.scratch.path().join("script.toml"), SCRIPT_OF_TWO).expect("script");
    let client = daemon.connect().await;
    let session = daemon.create(&client).await;
    client.start(hello(session.id)).await.expect("turn");
    let (_, keyed) = keyed(&daemon);
    let daemon = daemon.restart(true, &keyed).await;

    let without = daemon.connect_with(&[("HOME", "/home/me")]).await;
    assert_eq!(loaded(&without).await, 0, "it waits, out of memory");
    let list = SessionClient::list(&without, SessionListParams::default()).await.expect("list");
    assert_eq!(list.sessions.len(), 1, "others are served meanwhile");
    let attaching = attach(&without, session.id, Some(Seq::ZERO));
    let bringing = daemon.connect_with(&[("MY_KEY", "secret")]);
    let (mut feed, _with) = tokio::join!(attaching, bringing);
    let events = events_of_turn(&mut feed).await;
    assert_eq!(*outcome(&events), TurnOutcome::Completed);
    let resumed = events.iter().filter_map(|record| match &record.event {
        Event::TurnResumed(resumed) => Some(resumed.was_handed_over),
        _ => None,
    });
    assert_eq!(resumed.collect::<Vec<_>>(), [true]);
    let known = daemon.daemon.circumstances.of(session.id).expect("known");
    assert_eq!(daemon.daemon.circumstances.variables_of(&known).value(&["MY_KEY"]), Some("secret"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_that_needs_no_key_goes_on_with_the_first_client() {
    let daemon = TestDaemon::start().await;
    fs::write(daemon.scratch.path().join("script.toml"), SCRIPT_OF_TWO).expect("script");
    let client = daemon.connect().await;
    let session = daemon.create(&client).await;
    client.start(hello(session.id)).await.expect("turn");
    let (open, _) = keyed(&daemon);
    let daemon = daemon.restart(true, &open).await;
    let client = daemon.connect().await;
    let mut feed = attach(&client, session.id, Some(Seq::ZERO)).await;
    assert_eq!(*outcome(&events_of_turn(&mut feed).await), TurnOutcome::Completed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_that_was_stopped_does_not_go_on() {
    let daemon = TestDaemon::start().await;
    fs::write(daemon.scratch.path().join("script.toml"), SCRIPT_OF_TWO).expect("script");
    let client = daemon.connect().await;
    let session = daemon.create(&client).await;
    client.start(hello(session.id)).await.expect("turn");
    let (open, _) = keyed(&daemon);
    let daemon = daemon.restart(false, &open).await;
    let client = daemon.connect().await;
    let mut feed = attach(&client, session.id, Some(Seq::ZERO)).await;
    let events = events_of_turn(&mut feed).await;
    let stopped = TurnOutcome::Interrupted { reason: InterruptReason::DaemonStopped, actor: None };
    assert_eq!(*outcome(&events), stopped);
}
