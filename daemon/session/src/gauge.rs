//! How many tokens a request has: from its bytes, by what the provider counted for the last one. Volatile; a session
//! that was just loaded guesses on the safe side.

use context::size;
use model::request::ModelRequest;
use protocol::model::Usage;

/// Tenths of a byte of a token: before anything was counted, and the bounds of what is believed.
const USUAL: u64 = 35;
const LEAST: u64 = 15;
const MOST: u64 = 80;

/// What is known of a session's requests.
#[derive(Debug)]
pub(crate) struct Gauge {
    tenths_per_token: u64,
    /// Bytes of the request that goes on.
    asked: Option<u64>,
}

impl Default for Gauge {
    fn default() -> Self {
        Self { tenths_per_token: USUAL, asked: None }
    }
}

impl Gauge {
    /// Tokens of a request.
    pub(crate) fn tokens(&self, request: &ModelRequest) -> u64 {
        size::of_request(request).saturating_mul(10) / self.tenths_per_token
    }

    /// Bytes of so many tokens.
    pub(crate) fn bytes(&self, tokens: u64) -> u64 {
        tokens.saturating_mul(self.tenths_per_token) / 10
    }

    /// Notes that a request is made.
    pub(crate) fn asked(&mut self, request: &ModelRequest) {
        self.asked = Some(size::of_request(request));
    }

    /// Notes what the provider counted for it.
    pub(crate) fn answered(&mut self, usage: Usage) {
        if let Some(bytes) = self.asked.take().filter(|_| usage.input_tokens > 0) {
            self.tenths_per_token = (bytes.saturating_mul(10) / usage.input_tokens).clamp(LEAST, MOST);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(bytes: usize) -> ModelRequest {
        ModelRequest {
            model: "m".into(),
            instructions: "x".repeat(bytes).into(),
            tools: [].into(),
            input: Vec::new(),
            reasoning_effort: None,
            reasoning_summary: None,
            output_schema: None,
            cache_key: String::new(),
        }
    }

    #[test]
    fn what_the_provider_counted_is_believed_within_reason() {
        let mut gauge = Gauge::default();
        assert_eq!(gauge.tokens(&request(3_500)), 1_000);
        for (counted, tokens) in [(2_000, 2_000), (1_000, 1_000), (1, 500), (u64::MAX, 2_666), (0, 2_666)] {
            gauge.asked(&request(4_000));
            gauge.answered(Usage { input_tokens: counted, ..Usage::default() });
            assert_eq!(gauge.tokens(&request(4_000)), tokens, "after {counted}");
        }
        assert_eq!(gauge.bytes(1_000), 1_500);
    }
}
