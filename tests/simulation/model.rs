//! A model that answers by chance: text in pieces, reasoning, calls, retries that void what it said, failures, and
//! now and then nothing for a long time.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::stream;
use model::client::{ModelClient, ModelStream};
use model::event::{ModelEvent, OutputItem, StopReason};
use model::request::ModelRequest;
use protocol::item::OpaqueReasoning;
use protocol::model::{ProviderFailure, ProviderFailureKind, Usage};
use protocol::tool::{CallInput, ToolCall};

use crate::clock::pause;
use crate::dice::Dice;
use crate::tool::BEHAVIOURS;
use crate::universe::Universe;

/// After so long a provider's client gives up by itself.
const STALLED_MS: u64 = 600_000;
/// Messages of an answer that is too much for a client that does not read.
const FLOOD: u32 = 600;

/// The model.
pub(crate) struct SimModel {
    universe: Arc<Universe>,
    dice: Dice,
    calls: AtomicU32,
}

enum Piece {
    Pause(u64),
    Say(Result<ModelEvent, ProviderFailure>),
}

impl SimModel {
    pub(crate) fn new(universe: Arc<Universe>) -> Self {
        let dice = universe.dice.fork();
        Self { universe, dice, calls: AtomicU32::new(0) }
    }

    fn answer(&self) -> VecDeque<Piece> {
        let mut pieces = Vec::new();
        let mut attempt = 0;
        while attempt < 2 && self.dice.percent(12) {
            attempt += 1;
            self.body(&mut pieces);
            let kept = self.dice.between(0..=pieces.len() as u64);
            pieces.truncate(usize::try_from(kept).unwrap());
            let (max_attempts, delay) = (5, Duration::from_millis(self.dice.between(0..=2000)));
            let failure = failure(ProviderFailureKind::Cut);
            pieces.push(said(ModelEvent::Retrying { attempt, max_attempts, delay, failure }));
            pieces.push(Piece::Pause(u64::try_from(delay.as_millis()).unwrap()));
        }
        self.body(&mut pieces);
        let kept = self.dice.between(0..=pieces.len() as u64);
        match self.dice.between(1..=100) {
            1..=6 => {
                pieces.truncate(usize::try_from(kept).unwrap());
                pieces.push(Piece::Say(Err(failure(ProviderFailureKind::Rejected))));
            }
            7..=9 => {
                pieces.truncate(usize::try_from(kept).unwrap());
                pieces.push(Piece::Pause(STALLED_MS));
                pieces.push(Piece::Say(Err(failure(ProviderFailureKind::Stalled))));
            }
            10 => pieces.truncate(usize::try_from(kept).unwrap()),
            11..=13 => pieces.push(completed(StopReason::Stopped("max_output_tokens".into()))),
            _ => pieces.push(completed(StopReason::Finished)),
        }
        pieces.into()
    }

    fn body(&self, pieces: &mut Vec<Piece>) {
        let mut index = 0;
        let mut next = || {
            index += 1;
            index - 1
        };
        self.pause(pieces);
        if self.dice.percent(2) {
            for _ in 0..FLOOD {
                let (index, text) = (next(), self.words().concat());
                pieces.push(said(ModelEvent::TextDelta { index, text: text.clone() }));
                pieces.push(said(ModelEvent::OutputItem { index, item: OutputItem::Message(text) }));
            }
            return;
        }
        if self.dice.percent(40) {
            let (index, summary) = (next(), self.words());
            for text in &summary {
                self.pause(pieces);
                pieces.push(said(ModelEvent::SummaryDelta { index, text: text.clone() }));
            }
            let item = OutputItem::Reasoning { summary: summary.concat(), opaque: None };
            pieces.push(said(ModelEvent::OutputItem { index, item }));
        }
        if self.dice.percent(70) {
            let words = self.dice.between(1..=12);
            self.message(next(), words, pieces);
        }
        if self.dice.percent(55) {
            for _ in 0..self.dice.between(1..=3) {
                self.pause(pieces);
                let item = OutputItem::ToolCall(self.call());
                pieces.push(said(ModelEvent::OutputItem { index: next(), item }));
            }
        }
    }

    fn message(&self, index: u32, words: u64, pieces: &mut Vec<Piece>) {
        let mut all = String::new();
        for _ in 0..words {
            let text = self.words().concat();
            all.push_str(&text);
            pieces.push(said(ModelEvent::TextDelta { index, text }));
            self.pause(pieces);
        }
        pieces.push(said(ModelEvent::OutputItem { index, item: OutputItem::Message(all) }));
    }

    fn call(&self) -> ToolCall {
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        let name = *self.dice.pick(&["command", "command", "command", "change", "other", "unknown"]).unwrap();
        let behaviour = *self.dice.pick(BEHAVIOURS).unwrap();
        // Some calls are alike, so that a leave for the session or for good matters.
        let alike = if self.dice.percent(70) { number } else { 0 };
        let input = CallInput::Json(format!("{behaviour} {alike}"));
        ToolCall { call_id: format!("call-{number}"), name: name.into(), input }
    }

    fn words(&self) -> Vec<String> {
        let word = |_| (*self.dice.pick(&["so ", "é", "ship\n", "ça va ", "😀", "x"]).unwrap()).to_owned();
        (0..self.dice.between(1..=4)).map(word).collect()
    }

    fn pause(&self, pieces: &mut Vec<Piece>) {
        match self.dice.between(1..=10) {
            1..=5 => {}
            6..=8 => pieces.push(Piece::Pause(self.dice.between(0..=20))),
            _ => pieces.push(Piece::Pause(self.dice.between(20..=900))),
        }
    }
}

impl ModelClient for SimModel {
    fn stream(&self, _: ModelRequest) -> ModelStream {
        self.universe.count("answers");
        self.told(self.answer())
    }

    fn compact(&self, _: ModelRequest) -> Option<ModelStream> {
        self.dice.percent(50).then(|| self.told(self.compacted()))
    }

    fn takes_back(&self, _: &OpaqueReasoning) -> bool {
        true
    }
}

impl SimModel {
    /// What a provider makes of a conversation by itself, or how it fails at it.
    fn compacted(&self) -> VecDeque<Piece> {
        let mut pieces = Vec::new();
        self.pause(&mut pieces);
        if self.dice.percent(30) {
            pieces.push(Piece::Say(Err(failure(ProviderFailureKind::Rejected))));
        } else {
            let item = serde_json::json!({"type": "compaction"});
            let opaque = OpaqueReasoning { wire_api: "p".into(), item };
            let item = OutputItem::Compaction(vec![opaque]);
            pieces.push(said(ModelEvent::OutputItem { index: 0, item }));
            pieces.push(completed(StopReason::Finished));
        }
        pieces.into()
    }

    fn told(&self, pieces: VecDeque<Piece>) -> ModelStream {
        let universe = Arc::clone(&self.universe);
        let start = (pieces, universe, None);
        Box::pin(stream::unfold(start, |(mut rest, universe, mut alone)| async move {
            alone.get_or_insert_with(|| universe.alone("answers of the model"));
            loop {
                match rest.pop_front()? {
                    Piece::Pause(ms) => pause(ms).await,
                    Piece::Say(event) => {
                        universe.fuse.point().await;
                        return Some((event, (rest, universe, alone)));
                    }
                }
            }
        }))
    }
}

fn said(event: ModelEvent) -> Piece {
    Piece::Say(Ok(event))
}

fn completed(stop: StopReason) -> Piece {
    let usage = Usage { input_tokens: 10, output_tokens: 5, ..Usage::default() };
    said(ModelEvent::Completed { usage, stop })
}

fn failure(kind: ProviderFailureKind) -> ProviderFailure {
    ProviderFailure { provider: "p".into(), kind, status: None, message: "by chance".into() }
}
