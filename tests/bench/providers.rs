//! What the clients of models take: how fast a stream of each wire API is read, and how long the first byte takes over
//! a connection that is new and one that is open. Clients run in this process, as they do in the daemon; servers stand
//! on the loopback in threads of their own.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use model::client::ModelClient;
use model::event::ModelEvent;
use model::request::{InputContent, InputItem, ModelRequest};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use providers::settings::{Key, ProviderError, ProviderSettings, RequestOptions, Transport};
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::measure::{Failure, Runs, median, median_ms};
use crate::table::Table;

/// What every stream says, again and again: about a token.
const WORDS: [&str; 6] = ["fn ", "read_line", "(&mut self) ", "→ ", "the answer is ", "\\n    "];

/// Makes a client.
type Make = fn(ProviderSettings) -> Result<Arc<dyn ModelClient>, ProviderError>;

/// One API: its name, its client, what stands before the deltas, a delta, and what stands after them.
struct Api {
    name: &'static str,
    make: Make,
    begin: fn() -> Vec<Value>,
    delta: fn(&str) -> Value,
    end: fn(&str) -> Vec<Value>,
}

const APIS: [Api; 4] = [
    Api {
        name: "responses",
        make: providers::responses,
        begin: || vec![json!({"type": "response.created", "response": {"id": "resp_1"}})],
        delta: |text| {
            json!({"type": "response.output_text.delta", "sequence_number": 1234, "item_id": "msg_68c1f7",
                "output_index": 0, "content_index": 0, "delta": text, "logprobs": [], "obfuscation": "aJ2kd8"})
        },
        end: |text| {
            let part = json!({"type": "output_text", "text": text, "annotations": []});
            let item = json!({"type": "message", "role": "assistant", "content": [part]});
            vec![
                json!({"type": "response.output_item.done", "output_index": 0, "item": item}),
                json!({"type": "response.completed", "response": {"usage": {"input_tokens": 7, "output_tokens": 2}}}),
            ]
        },
    },
    Api {
        name: "chat",
        make: providers::chat_completions,
        begin: Vec::new,
        delta: |text| {
            json!({"id": "chatcmpl-68c1f7", "object": "chat.completion.chunk", "created": 1_764_000_000, "model": "m",
                "choices": [{"index": 0, "delta": {"content": text}, "logprobs": null, "finish_reason": null}]})
        },
        end: |_| vec![json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})],
    },
    Api {
        name: "messages",
        make: providers::messages,
        begin: || {
            let usage = json!({"input_tokens": 7, "output_tokens": 1});
            vec![
                json!({"type": "message_start", "message": {"id": "msg_1", "usage": usage}}),
                json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
            ]
        },
        delta: |text| json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}),
        end: |_| {
            let end = json!({"stop_reason": "end_turn"});
            vec![
                json!({"type": "content_block_stop", "index": 0}),
                json!({"type": "message_delta", "delta": end, "usage": {"output_tokens": 2}}),
                json!({"type": "message_stop"}),
            ]
        },
    },
    Api {
        name: "gemini",
        make: providers::gemini,
        begin: Vec::new,
        delta: |text| {
            json!({"candidates": [{"content": {"role": "model", "parts": [{"text": text}]}, "index": 0}],
                "modelVersion": "m", "responseId": "68c1f7"})
        },
        end: |_| vec![json!({"candidates": [{"finishReason": "STOP"}]})],
    },
];

/// Reads a long stream of each API. What is counted is the processor time of the reading thread, the kernel's share
/// with it; the server writes from another.
pub(crate) fn parsing(_executable: &Path, runs: Runs, table: &mut Table) -> Result<(), Failure> {
    let deltas = runs.pick(200_000, 10_000);
    let runtime = runtime()?;
    for api in &APIS {
        let body = body(api, deltas);
        let address = serve(body.clone())?;
        let client = client(api, format!("http://{address}/v1"), Vec::new())?;
        let (mut speeds, mut costs) = (Vec::new(), Vec::new());
        for _ in 0..runs.pick(7, 1) {
            let before = own_time()?;
            let count = runtime.block_on(read(&client))?;
            let took = own_time()?.saturating_sub(before).as_secs_f64();
            if count < deltas {
                return Err(Failure::Other(format!("{}: {count} of {deltas} deltas came", api.name)));
            }
            speeds.push(amount(body.len()) / 1e6 / took);
            costs.push(took * 1e3 / amount(deltas) * 10_000.0);
        }
        table.at_least(&format!("{}: stream read", api.name), median(speeds), 200.0, "MB/s of a core");
        table.figure(&format!("{}: 10,000 deltas read", api.name), median(costs), "ms CPU");
    }
    Ok(())
}

/// The time to the first event over TLS: with a connection of its own, and with one that is there.
pub(crate) fn first_byte(_executable: &Path, runs: Runs, table: &mut Table) -> Result<(), Failure> {
    let scratch = tempfile::tempdir().map_err(Failure::of)?;
    let api = &APIS[0];
    let (address, bundle) = serve_secure(body(api, 1), scratch.path())?;
    let url = format!("https://localhost:{}/v1", address.port());
    let (mut cold, mut warm) = (Vec::new(), Vec::new());
    let runtime = runtime()?;
    for _ in 0..runs.pick(30, 3) {
        let client = client(api, url.clone(), vec![bundle.clone()])?;
        // The certificates of the system are read before the first request, ahead of time as in the daemon.
        for times in [&mut cold, &mut warm] {
            times.push(runtime.block_on(async {
                let begin = Instant::now();
                let mut events = client.stream(request());
                let first = events.next().await;
                let took = begin.elapsed();
                while events.next().await.is_some() {}
                first.transpose().map_err(|failure| Failure::Other(failure.message))?;
                Ok::<_, Failure>(took)
            })?);
        }
    }
    table.figure("first event, new client and connection (TLS)", median_ms(cold), "ms");
    table.figure("first event, open connection (TLS)", median_ms(warm), "ms");
    Ok(())
}

async fn read(client: &Arc<dyn ModelClient>) -> Result<usize, Failure> {
    let mut events = client.stream(request());
    let mut count = 0;
    while let Some(event) = events.next().await {
        match event {
            Ok(ModelEvent::TextDelta { .. }) => count += 1,
            Ok(_) => {}
            Err(failure) => return Err(Failure::Other(failure.message)),
        }
    }
    Ok(count)
}

fn body(api: &Api, deltas: usize) -> String {
    let words: Vec<&str> = WORDS.iter().copied().cycle().take(deltas).collect();
    let said = words.concat();
    let deltas = words.iter().map(|word| (api.delta)(word));
    let events = (api.begin)().into_iter().chain(deltas).chain((api.end)(&said));
    events.map(|event| format!("data: {event}\n\n")).collect()
}

fn request() -> ModelRequest {
    ModelRequest {
        model: "m".to_owned(),
        instructions: "".into(),
        tools: Vec::new().into(),
        input: vec![InputItem::UserMessage(vec![InputContent::Text("hi".to_owned())])],
        reasoning_effort: None,
        reasoning_summary: None,
        output_schema: None,
        cache_key: "key".to_owned(),
    }
}

fn client(api: &Api, base_url: String, ca_bundles: Vec<PathBuf>) -> Result<Arc<dyn ModelClient>, Failure> {
    let settings = ProviderSettings {
        id: "bench".to_owned(),
        name: "Bench".to_owned(),
        base_url,
        key: Key::None,
        http_headers: BTreeMap::new(),
        query_params: BTreeMap::new(),
        request_max_retries: 0,
        stream_max_retries: 0,
        stream_idle_timeout: Duration::from_secs(60),
        connect_timeout: Duration::from_secs(60),
        ca_bundles,
        client_certificate: None,
        proxy: None,
        transport: Transport::Events,
        recording: None,
        options: RequestOptions::default(),
    };
    (api.make)(settings).map_err(Failure::of)
}

/// Says the same to every request, for as long as this program runs.
fn serve(body: String) -> Result<SocketAddr, Failure> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(Failure::of)?;
    let address = listener.local_addr().map_err(Failure::of)?;
    thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            let body = body.clone();
            thread::spawn(move || converse(stream, &body));
        }
    });
    Ok(address)
}

/// The same over TLS, with a certificate that it has written into the folder.
fn serve_secure(body: String, folder: &Path) -> Result<(SocketAddr, PathBuf), Failure> {
    let key = KeyPair::generate().map_err(Failure::of)?;
    let params = CertificateParams::new(vec!["localhost".to_owned()]).map_err(Failure::of)?;
    let certificate = params.self_signed(&key).map_err(Failure::of)?.pem();
    let bundle = folder.join("certificate.pem");
    std::fs::write(&bundle, &certificate).map_err(Failure::of)?;
    let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).map_err(Failure::of)?;
    let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).map_err(Failure::of)?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(Failure::of)?
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .map_err(Failure::of)?;
    let config = Arc::new(config);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(Failure::of)?;
    let address = listener.local_addr().map_err(Failure::of)?;
    thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            let Ok(connection) = ServerConnection::new(Arc::clone(&config)) else { return };
            let body = body.clone();
            // Without it an answer waits for the acknowledgement of what came before.
            let _ = stream.set_nodelay(true);
            thread::spawn(move || converse(StreamOwned::new(connection, stream), &body));
        }
    });
    Ok((address, bundle))
}

/// Answers requests until the client has no more.
fn converse(stream: impl Read + Write, body: &str) {
    let mut stream = BufReader::new(stream);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            match stream.read_line(&mut line) {
                Ok(1..) => {}
                Ok(0) | Err(_) => return,
            }
            if line.trim().is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        if stream.read_exact(&mut vec![0; length]).is_err() {
            return;
        }
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n";
        let head = format!("{head}content-length: {}\r\n\r\n", body.len());
        let out = stream.get_mut();
        if out.write_all(head.as_bytes()).and_then(|()| out.write_all(body.as_bytes())).is_err() {
            return;
        }
        if out.flush().is_err() {
            return;
        }
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::of)
}

/// Processor time of this thread.
fn own_time() -> Result<Duration, Failure> {
    let usage = getrusage(UsageWho::RUSAGE_THREAD).map_err(Failure::of)?;
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Ok(Duration::from_micros(micros.unsigned_abs()))
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn amount(count: usize) -> f64 {
    count as f64
}
