//! `output/*`.

use jsonrpsee::core::{RpcResult, async_trait};
use protocol::api::output::OutputServer;
use protocol::error::{ErrorCode, ProtocolError};
use protocol::output::{OutputReadParams, OutputReadResult};

use super::Handlers;

/// Bytes of a part, if a client does not say, and at most.
const PART_BYTES: u64 = 256 * 1024;
const MAX_PART_BYTES: u64 = 1024 * 1024;

#[async_trait]
impl OutputServer for Handlers {
    async fn read_output(&self, params: OutputReadParams) -> RpcResult<OutputReadResult> {
        let OutputReadParams { session_id, blob, offset_bytes, limit_bytes } = params;
        let kept = self.0.store.blob_of(session_id, &blob).await.map_err(ProtocolError::from)?;
        let Some(bytes) = kept else {
            let message = format!("Nothing is kept as `{}` for the session", blob.0);
            return Err(ProtocolError::new(ErrorCode::NotFound, message).into());
        };
        Ok(part(&bytes, offset_bytes, limit_bytes.unwrap_or(PART_BYTES)))
    }
}

/// A part of an output, from the beginning of a letter to the end of one.
fn part(bytes: &[u8], offset: u64, limit: u64) -> OutputReadResult {
    let length = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
    let rest = bytes.get(length(offset)..).unwrap_or_default();
    let mut end = length(limit.clamp(4, MAX_PART_BYTES)).min(rest.len());
    let goes_on = |end: usize| rest.get(end).is_some_and(|byte| byte & 0b1100_0000 == 0b1000_0000);
    let longest = end.saturating_sub(3);
    while goes_on(end) && end > longest {
        end -= 1;
    }
    let (part, left) = rest.split_at(end);
    OutputReadResult {
        text: String::from_utf8_lossy(part).into_owned(),
        next_offset_bytes: (!left.is_empty()).then(|| offset + end as u64),
        total_bytes: bytes.len() as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_an_output_are_the_whole_whatever_their_lengths() {
        let text = "é日👩 and more\n".repeat(20);
        for limit in [1, 4, 5, 7, 64, 10_000] {
            let (mut read, mut offset) = (String::new(), Some(0));
            while let Some(at) = offset {
                let part = part(text.as_bytes(), at, limit);
                assert_eq!(part.total_bytes, text.len() as u64);
                read.push_str(&part.text);
                offset = part.next_offset_bytes;
            }
            assert_eq!(read, text, "{limit}");
        }
    }

    #[test]
    fn what_is_no_text_and_a_place_behind_the_end_are_read_all_the_same() {
        let bytes = [0x80; 100];
        let first = part(&bytes, 0, 10);
        assert_eq!((first.text.chars().count(), first.next_offset_bytes), (7, Some(7)));
        let behind = part(&bytes, 1000, 10);
        assert_eq!((behind.text.as_str(), behind.next_offset_bytes), ("", None));
    }
}
