//! A call over a daemon that is played: it hangs up in the middle, stops, refuses.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use jsonrpsee::server::{MethodsError, RpcModule, ServerBuilder, serve_with_graceful_shutdown, stop_channel};
use jsonrpsee::types::{ErrorObjectOwned, Params};
use protocol::api::turn::TurnClient;
use protocol::daemon::DaemonStatus;
use protocol::error::ProtocolError;
use protocol::ids::{ClientId, ItemId, RequestId, SessionId, TurnId};
use protocol::turn::{TurnSteerParams, TurnSteerResult};
use protocol::version::ProtocolVersion;
use tokio::sync::Notify;
use wire::folders::FolderEnvironment;
use wire::listen::{HomeLock, Listener};

use super::*;

/// What the played daemon does with a call.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Act {
    HangUp,
    Refuse(ErrorCode),
    /// Refuses for now, says that it stops, and goes.
    Stop,
    Answer,
}

/// What the played daemon remembers over all connections.
struct Played {
    acts: Mutex<Vec<Act>>,
    seen: Mutex<Vec<Option<RequestId>>>,
    is_stopping: AtomicBool,
    hang_up: Notify,
}

fn methods(played: Arc<Played>) -> Result<RpcModule<Arc<Played>>, MethodsError> {
    let epoch = uuid::Uuid::now_v7();
    let mut module = RpcModule::new(played);
    let welcome = move |_: Params<'_>, _: &Arc<Played>, _: &_| {
        Ok::<_, ErrorObjectOwned>(InitializeResult {
            protocol: ProtocolVersion(1),
            client_id: ClientId::generate(),
            daemon_version: "0".to_owned(),
            daemon_build: "0".to_owned(),
            epoch,
            features: Vec::new(),
        })
    };
    module.register_method("initialize", welcome).unwrap();
    module
        .register_async_method("turn/steer", async |params, played, _| {
            let params: TurnSteerParams = params.one().unwrap();
            played.seen.lock().unwrap().push(params.request_id);
            let act = played.acts.lock().unwrap().remove(0);
            match act {
                Act::HangUp => {
                    played.hang_up.notify_one();
                    std::future::pending().await
                }
                Act::Stop => {
                    played.is_stopping.store(true, Ordering::SeqCst);
                    Err(ErrorObjectOwned::from(ProtocolError::new(ErrorCode::Unavailable, "Stopping")))
                }
                Act::Refuse(code) => Err(ErrorObjectOwned::from(ProtocolError::new(code, "No"))),
                Act::Answer => {
                    Ok(TurnSteerResult { turn_id: TurnId::generate(), item_id: ItemId::generate() })
                }
            }
        })
        .unwrap();
    let status = move |_: Params<'_>, played: &Arc<Played>, _: &_| {
        let is_draining = played.is_stopping.swap(false, Ordering::SeqCst);
        if is_draining {
            played.hang_up.notify_one();
        }
        Ok::<_, ErrorObjectOwned>(DaemonStatus { is_draining, ..crate::upgrade::tests::status("0", None) })
    };
    module.register_method("daemon/status", status).unwrap();
    Ok(module)
}

/// Serves connections, one after the other. Hanging up drops the socket, whatever the server still does.
async fn serve(mut listener: Listener, played: Arc<Played>) {
    loop {
        let mut stream = listener.accept().await;
        let (near, mut far) = tokio::io::duplex(64 * 1024);
        let (stop, _server) = stop_channel();
        let module = methods(Arc::clone(&played)).unwrap();
        let service = ServerBuilder::default().to_service_builder().build(module, stop.clone());
        tokio::spawn(serve_with_graceful_shutdown(near, service, stop.shutdown()));
        tokio::select! {
            _ = tokio::io::copy_bidirectional(&mut stream, &mut far) => {}
            () = played.hang_up.notified() => {}
        }
    }
}

/// Steers once, over a daemon that does this one after the other. Returns how that ended, and the ids that came.
async fn steer(acts: &[Act]) -> (Result<(), ClientError>, Vec<Option<RequestId>>) {
    let scratch = tempfile::tempdir().unwrap();
    let skein_home = Some(scratch.path().to_owned());
    let folders = Folders::resolve_from(&FolderEnvironment { skein_home, runtime_dir: None }).unwrap();
    let lock = HomeLock::take(&folders).unwrap();
    let listener = Listener::bind(&folders, lock).unwrap();
    let played = Arc::new(Played {
        acts: Mutex::new(acts.to_vec()),
        seen: Mutex::new(Vec::new()),
        is_stopping: AtomicBool::new(false),
        hang_up: Notify::new(),
    });
    let serving = tokio::spawn(serve(listener, Arc::clone(&played)));
    let mut connection =
        Connection::open_at(folders, ConnectOptions::new("test").without_start()).await.unwrap();
    let params = TurnSteerParams {
        session_id: SessionId::generate(),
        input: Vec::new(),
        expected_turn_id: None,
        request_id: Some(RequestId::generate()),
    };
    let result = connection.call(async |rpc| rpc.steer(params.clone()).await).await;
    serving.abort();
    let seen = played.seen.lock().unwrap().clone();
    assert!(seen.iter().all(|id| *id == params.request_id), "{seen:?}");
    (result.map(|_| ()), seen)
}

#[tokio::test]
async fn a_call_that_lost_its_daemon_is_made_again_with_the_same_id() {
    let (result, seen) = steer(&[Act::HangUp, Act::HangUp, Act::Answer]).await;
    result.unwrap();
    assert_eq!(seen.len(), 3);
}

#[tokio::test]
async fn a_call_to_a_daemon_that_stops_waits_for_the_next_one() {
    let (result, seen) = steer(&[Act::Stop, Act::Answer]).await;
    result.unwrap();
    assert_eq!(seen.len(), 2);
}

#[tokio::test]
async fn a_call_that_always_loses_its_daemon_is_given_up() {
    let (result, seen) = steer(&[Act::HangUp; 9]).await;
    assert!(result.unwrap_err().is_lost());
    assert_eq!(seen.len(), 4);
}

#[tokio::test]
async fn a_refusal_is_final() {
    for code in [ErrorCode::Conflict, ErrorCode::Unavailable] {
        let (result, seen) = steer(&[Act::Refuse(code), Act::Answer]).await;
        assert_eq!(result.unwrap_err().refusal().unwrap().code, code);
        assert_eq!(seen.len(), 1);
    }
}
