//! An editor without a screen, on the Rust crate of the Agent Client Protocol: says yes once, cancels a turn, and loads
//! the session again. Arguments: the program, the folder. Prints one JSON object.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use agent_client_protocol::schema::ProtocolVersion;
use agent_client_protocol::v1::ConnectionTo;
use agent_client_protocol::v1::schema::{
    CancelNotification, ContentBlock, InitializeRequest, LoadSessionRequest, NewSessionRequest,
    PermissionOptionKind, PromptRequest, RequestPermissionOutcome, RequestPermissionRequest,
    RequestPermissionResponse, SelectedPermissionOutcome, SessionNotification, SessionUpdate, TextContent,
};
use agent_client_protocol::{AcpAgent, Agent, Client, Error};
use async_io::Timer;
use serde_json::{Value, json};

/// What the agent said.
#[derive(Default)]
struct Seen {
    text: String,
    kinds: BTreeSet<String>,
    asked: usize,
}

impl Seen {
    fn update(&mut self, update: &SessionUpdate) {
        if let SessionUpdate::AgentMessageChunk(chunk) = update
            && let ContentBlock::Text(text) = &chunk.content
        {
            self.text.push_str(&text.text);
        }
        let update = serde_json::to_value(update).unwrap();
        self.kinds.insert(update["sessionUpdate"].as_str().unwrap_or("none").to_owned());
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let program = arguments.next().expect("the program");
    let folder = PathBuf::from(arguments.next().expect("the folder"));
    let result = async_io::block_on(drive(program, folder)).expect("the agent does as the crate wants it");
    println!("{result}");
}

async fn drive(program: String, folder: PathBuf) -> Result<Value, Error> {
    let seen = Arc::new(Mutex::new(Seen::default()));
    let (updates, permissions, result) = (Arc::clone(&seen), Arc::clone(&seen), seen);
    let agent = AcpAgent::from_args([program, "acp".to_owned()])?;
    Client
        .v1()
        .name("acp-client")
        .on_receive_notification(
            async move |notification: SessionNotification, _cx| {
                updates.lock().unwrap().update(&notification.update);
                Ok(())
            },
            agent_client_protocol::on_receive_notification!(),
        )
        .on_receive_request(
            async move |request: RequestPermissionRequest, responder, _cx| {
                permissions.lock().unwrap().asked += 1;
                let once =
                    request.options.iter().find(|option| option.kind == PermissionOptionKind::AllowOnce);
                let once = once.expect("to allow it once is offered").option_id.clone();
                let outcome = RequestPermissionOutcome::Selected(SelectedPermissionOutcome::new(once));
                responder.respond(RequestPermissionResponse::new(outcome))
            },
            agent_client_protocol::on_receive_request!(),
        )
        .connect_with(agent, async move |agent: ConnectionTo<Agent>| {
            let greeted =
                agent.send_request(InitializeRequest::new(ProtocolVersion::V1)).block_task().await?;
            let session =
                agent.send_request(NewSessionRequest::new(folder.clone())).block_task().await?.session_id;
            let say = |text: &str| {
                let text = ContentBlock::Text(TextContent::new(text));
                agent.send_request(PromptRequest::new(session.clone(), vec![text]))
            };
            let first = say("ask").block_task().await?.stop_reason;
            let running = say("run");
            while !folder.join("started").exists() {
                Timer::after(Duration::from_millis(20)).await;
            }
            agent.send_notification(CancelNotification::new(session.clone()))?;
            let second = running.block_task().await?.stop_reason;
            let text = std::mem::take(&mut result.lock().unwrap().text);
            agent.send_request(LoadSessionRequest::new(session.clone(), folder.clone())).block_task().await?;
            let seen = result.lock().unwrap();
            Ok(json!({
                "version": greeted.protocol_version.as_u16(),
                "first": first,
                "second": second,
                "text": text,
                "replayed": seen.text,
                "asked": seen.asked,
                "kinds": seen.kinds,
            }))
        })
        .await
}
