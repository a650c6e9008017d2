//! Standard input of `exec`: the prompt, context beside a prompt, or nothing. Knows nothing of flags.

use std::io::{self, IsTerminal, Read};
use std::time::Duration;

use tokio::sync::mpsc;

use crate::error::CliError;
use crate::output::Output;

/// How long a prompt waits for the first byte of context. Long enough for a command that thinks before it
/// prints; the price is paid only where an input was left open and silent.
const GRACE: Duration = Duration::from_secs(2);
/// More than a request to the daemon can hold.
const MOST_BYTES: usize = 16 * 1024 * 1024;
const PIECE_BYTES: usize = 64 * 1024;

/// What standard input is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// It is the prompt: read to its end.
    Prompt,
    /// There is a prompt; what is piped in beside it is context.
    Context,
}

/// Reads what is wanted; `None` where there is nothing. Dropping it leaves the reading thread behind, which ends
/// with the process.
pub(crate) async fn read(wanted: Wanted, output: Output) -> Result<Option<String>, CliError> {
    if io::stdin().is_terminal() {
        return match wanted {
            Wanted::Prompt => Err(CliError::usage(
                "There is no prompt",
                "Give it as an argument, `skein exec \"…\"`, or pipe it in, `skein exec - < task.md`",
            )),
            Wanted::Context => Ok(None),
        };
    }
    let mut pieces = pieces(io::stdin());
    let first = match wanted {
        Wanted::Prompt => pieces.recv().await,
        Wanted::Context => match tokio::time::timeout(GRACE, pieces.recv()).await {
            Ok(piece) => piece,
            Err(_) => {
                output.note("note: standard input is open, and nothing came; going on without it");
                return Ok(None);
            }
        },
    };
    collect(first, pieces, wanted).await
}

async fn collect(
    first: Option<io::Result<Vec<u8>>>,
    mut pieces: mpsc::Receiver<io::Result<Vec<u8>>>,
    wanted: Wanted,
) -> Result<Option<String>, CliError> {
    let mut bytes = Vec::new();
    let mut next = first;
    while let Some(piece) = next {
        match piece {
            Ok(piece) => bytes.extend(piece),
            // A closed descriptor, as some callers leave it, holds no context.
            Err(_) if wanted == Wanted::Context => return Ok(None),
            Err(source) => return Err(CliError::System { what: "Can't read standard input", source }),
        }
        if bytes.len() > MOST_BYTES {
            return Err(CliError::usage(
                "Standard input is too long for a prompt",
                "Put it into a file of the folder and name the file in the prompt",
            ));
        }
        next = pieces.recv().await;
    }
    let text = String::from_utf8(bytes).map_err(|_| {
        CliError::usage("Standard input is not UTF-8", "Convert it, or put it into a file of the folder")
    })?;
    Ok((!text.trim().is_empty()).then_some(text))
}

/// Reads in a thread, since a read of a pipe can't be taken back.
fn pieces(mut source: impl Read + Send + 'static) -> mpsc::Receiver<io::Result<Vec<u8>>> {
    let (tx, rx) = mpsc::channel(4);
    let reader = move || {
        let mut buffer = vec![0; PIECE_BYTES];
        loop {
            let piece = match source.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => Ok(buffer[..length].to_vec()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
            let is_last = piece.is_err();
            if tx.blocking_send(piece).is_err() || is_last {
                break;
            }
        }
    };
    // If no thread can be made, the channel closes at once: there is no input.
    let _ends_with_the_process = std::thread::Builder::new().name("stdin".to_owned()).spawn(reader);
    rx
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read_all(bytes: &'static [u8], wanted: Wanted) -> Result<Option<String>, CliError> {
        let mut pieces = pieces(bytes);
        let first = pieces.recv().await;
        collect(first, pieces, wanted).await
    }

    #[tokio::test]
    async fn input_is_read_to_its_end() {
        let text = read_all("one\ntwo ✓\n".as_bytes(), Wanted::Prompt).await.unwrap();
        assert_eq!(text.as_deref(), Some("one\ntwo ✓\n"));
    }

    #[tokio::test]
    async fn blank_input_is_none() {
        assert_eq!(read_all(b" \n", Wanted::Context).await.unwrap(), None);
    }

    #[tokio::test]
    async fn bytes_that_are_no_text_are_refused() {
        assert!(matches!(read_all(b"\xff\xfe", Wanted::Prompt).await, Err(CliError::Usage { .. })));
    }
}
