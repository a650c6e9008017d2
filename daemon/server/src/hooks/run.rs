//! Runs one hook: outside of any sandbox, supervised, for a bounded time.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use extensions::declared;
use extensions::hooks::{Answer, OnError, Verdict, understand};
use policy::profile::unrestricted;
use sandbox::{CommandRequest, Exit, Interception, Launcher, Output, Proxy, SandboxError, Stdin};
use session::world::CommandEnvironment;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};

use super::book::{Origin, Ready};

/// Bytes that are kept of what a hook prints; of the rest it is only relieved.
const MAX_OUTPUT: u64 = 1024 * 1024;
const MAX_ERRORS: u64 = 64 * 1024;

/// Variables that name the folder, as other programs have them.
const FOLDER_VARIABLES: [&str; 3] = ["SKEIN_PROJECT_DIR", "CLAUDE_PROJECT_DIR", "CODEX_PROJECT_DIR"];

/// What came of a hook.
pub(super) struct Ran {
    pub(super) answer: Answer,
    pub(super) took: Duration,
}

/// Runs a hook with this standard input and waits for it. Whatever becomes of it is an answer. Dropping the future ends
/// it, with all that it started.
pub(super) async fn run(
    ready: &Ready,
    input: String,
    cwd: &Path,
    environment: &CommandEnvironment,
    launcher: &Launcher,
) -> Ran {
    let begun = Instant::now();
    let answer = match check(ready).await {
        Ok(()) => {
            let running = answer(ready, input, cwd, environment, launcher);
            match tokio::time::timeout(ready.hook.timeout, running).await {
                Ok(Ok(answer)) => answer,
                Ok(Err(error)) => Answer::failed(format!("it can't be run: {error}")),
                Err(_) => Answer::failed(format!(
                    "it took longer than the {} s it is allowed and was ended",
                    ready.hook.timeout.as_secs_f64()
                )),
            }
        }
        Err(reason) => Answer::failed(reason),
    };
    Ran { answer: settled(answer, ready), took: begun.elapsed() }
}

/// A failure closes what the hook guards, if it is to be so.
fn settled(mut answer: Answer, ready: &Ready) -> Answer {
    if let (Some(failure), OnError::Block) = (&answer.failure, ready.hook.on_error) {
        answer.verdict = Verdict::Block(format!("The hook `{}` failed: {failure}", ready.hook.command));
    }
    answer
}

/// Looks whether a folder's hook is still what was trusted: what it names may have been changed since.
async fn check(ready: &Ready) -> Result<(), String> {
    let Origin::Folder { parts, trusted } = &ready.origin else { return Ok(()) };
    let (parts, trusted) = (Arc::clone(parts), trusted.clone());
    let hash = tokio::task::spawn_blocking(move || {
        declared::hook_hash(&parts.root, &trusted.file, &trusted.hook).is_ok_and(|hash| hash == trusted.hash)
    });
    match hash.await {
        Ok(true) => Ok(()),
        Ok(false) => Err("a file that it names was changed since it was trusted, so it was not run; see \
                          `skein config trust`"
            .to_owned()),
        Err(_) => Err("looking at it failed inside Skein".to_owned()),
    }
}

async fn answer(
    ready: &Ready,
    input: String,
    cwd: &Path,
    environment: &CommandEnvironment,
    launcher: &Launcher,
) -> Result<Answer, SandboxError> {
    let folder = match &ready.origin {
        Origin::User => cwd,
        Origin::Folder { parts, .. } => &parts.root,
    };
    let mut variables = environment.to_vec();
    variables.extend(FOLDER_VARIABLES.map(|name| (OsString::from(name), folder.as_os_str().to_owned())));
    let request = CommandRequest {
        argv: vec!["/bin/sh".into(), "-c".into(), (&ready.hook.command).into()],
        cwd: folder.to_owned(),
        environment: variables,
        profile: unrestricted(),
        stdin: Stdin::Piped,
        output: Output::Separate,
        proxy: Proxy::None,
        interception: Interception::Off,
    };
    let mut process = launcher.spawn(request).await?;
    let (mut output, mut errors) = (process.take_output(), process.take_errors());
    let typing = process.take_input();
    let tells = async {
        // One that does not listen is not told.
        if let Some(mut typing) = typing {
            let told = typing.write_all(input.as_bytes()).await;
            told.and(typing.shutdown().await)
        } else {
            Ok(())
        }
    };
    let (told, output, errors, exit) =
        tokio::join!(tells, kept(&mut output, MAX_OUTPUT), kept(&mut errors, MAX_ERRORS), process.wait());
    if let Err(error) = told {
        tracing::debug!(%error, "a hook did not read what it was told");
    }
    let code = match exit? {
        Exit::Code(code) => Some(code),
        Exit::Signal(_) => None,
    };
    Ok(understand(ready.hook.event, code, &output.unwrap_or_default(), &errors.unwrap_or_default()))
}

/// The beginning of what is printed; the rest is read and forgotten.
async fn kept(stream: &mut (impl AsyncRead + Unpin), most: u64) -> io::Result<String> {
    let mut bytes = Vec::new();
    (&mut *stream).take(most).read_to_end(&mut bytes).await?;
    tokio::io::copy(stream, &mut tokio::io::sink()).await?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
