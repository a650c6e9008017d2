//! What clients with a screen are to the daemon: who looks at a session is not called to it.

use protocol::api::session::SessionClient;
use protocol::session::{ClientRole, SessionFocusParams};
use serde_json::Value;
use skein_tests::scripted_model::reply::Reply;

use crate::scene::{SOON, client, scene, up, wait_for_file};

#[tokio::test(flavor = "multi_thread")]
async fn the_notify_program_leaves_a_person_alone_who_looks() {
    let (_model, env) = scene([Reply::text("One."), Reply::text("Two.")]);
    let script = format!(
        "cd {}; echo \"$0\" >> new; grep -q Two new && cp new told.part && mv told.part told",
        env.repository().display()
    );
    env.prepend_settings(&format!("notify = [\"/bin/sh\", \"-c\", '''{script}''']\n")).unwrap();
    up(&env);
    let client = client(&env, "screen").await;
    let (seen, unseen) = (client.create(&env).await.unwrap(), client.create(&env).await.unwrap());
    let mut follower = client.watch(seen, ClientRole::Driver).await.unwrap();
    let params = SessionFocusParams { session_id: seen, is_focused: true };
    SessionClient::focus(client.rpc(), params).await.unwrap();
    client.start(seen, "one").await.unwrap();
    follower.until_turn_ends(SOON).await.unwrap();
    // Notices are taken in their order: when this one is told, the one before would have been.
    let mut follower = client.watch(unseen, ClientRole::Driver).await.unwrap();
    client.start(unseen, "two").await.unwrap();
    follower.until_turn_ends(SOON).await.unwrap();
    wait_for_file(&env, "told");
    let told: Vec<Value> =
        env.read_file("told").unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0]["sessionId"], unseen.to_string());
}
