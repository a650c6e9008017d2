//! What a model may be asked for, judged by its name (Anthropic, "Models overview", "Adaptive thinking", "Extended
//! thinking"): how much it may say and in which form it is told how hard to think. A catalogue of models may know
//! better; this is what holds without one.

use protocol::model::{ReasoningEffort, ReasoningSummary};
use serde::Serialize;

/// The most tokens that an answer of a model may have, thinking included. Below what the newest allow, since that
/// much room is taken from the input of models that add it to what they have read.
pub(crate) fn max_tokens(model: &str) -> u32 {
    match Generation::of(model) {
        Generation::Claude(3, 0..=4) => 4096,
        Generation::Claude(3, 5..=6) => 8192,
        Generation::Claude(major, minor) if (major, minor) < ADAPTIVE => 32_000,
        Generation::Claude(..) | Generation::NewestClaude => 64_000,
        Generation::Other => 32_000,
    }
}

/// How the model is asked to think.
#[derive(Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(crate) enum Thinking {
    /// It decides itself; the effort is told beside it.
    Adaptive {
        #[serde(skip_serializing_if = "Option::is_none")]
        display: Option<&'static str>,
    },
    /// Up to so many tokens.
    Enabled { budget_tokens: u32 },
}

/// The smallest budget that the API takes.
const SMALLEST_BUDGET: u32 = 1024;

impl Thinking {
    /// The same with room for an answer among so many tokens; `None` if there is none.
    pub(crate) fn within(self, max_tokens: u32) -> Option<Self> {
        match self {
            Self::Adaptive { .. } => Some(self),
            Self::Enabled { budget_tokens } => {
                let budget_tokens = budget_tokens.min(max_tokens.saturating_sub(SMALLEST_BUDGET));
                (budget_tokens >= SMALLEST_BUDGET).then_some(Self::Enabled { budget_tokens })
            }
        }
    }
}

/// How the model is asked to think, if at all, and its effort, where it knows the word.
pub(crate) fn thinking<'a>(
    model: &str,
    effort: Option<&'a ReasoningEffort>,
    summary: Option<&ReasoningSummary>,
) -> (Option<Thinking>, Option<&'a str>) {
    let display = summary.map(|summary| match summary {
        ReasoningSummary::None => "omitted",
        ReasoningSummary::Auto
        | ReasoningSummary::Concise
        | ReasoningSummary::Detailed
        | ReasoningSummary::Other(_) => "summarized",
    });
    match Generation::of(model) {
        Generation::Claude(3, 0..=6) => (None, None),
        Generation::Claude(major, minor) if (major, minor) < ADAPTIVE => (effort.map(budget), None),
        Generation::Claude(..) | Generation::NewestClaude => {
            let thinks = effort.is_some() || display.is_some();
            (thinks.then_some(Thinking::Adaptive { display }), effort.map(word))
        }
        Generation::Other => (effort.map(budget), None),
    }
}

/// The first version that decides itself how long to think. From the next one on, models refuse a budget.
const ADAPTIVE: (u32, u32) = (4, 6);

/// Which models a name stands for.
#[derive(Debug, PartialEq)]
enum Generation {
    /// With its version.
    Claude(u32, u32),
    /// Without one, as a preview.
    NewestClaude,
    /// Another maker's.
    Other,
}

impl Generation {
    /// `claude-opus-4-6`, `claude-3-7-sonnet-20250219`, `anthropic/claude-opus-4.6`, `anthropic.claude-opus-4-6-v1`.
    fn of(model: &str) -> Self {
        let Some((_, name)) = model.split_once("claude") else { return Self::Other };
        let is_end = |letter| matches!(letter, '-' | '.' | '@' | ':');
        // What is longer is a date.
        let number = |word: &str| word.parse::<u32>().ok().filter(|_| word.len() <= 2);
        let mut words = name.split(is_end);
        let Some(major) = words.by_ref().find_map(number) else { return Self::NewestClaude };
        Self::Claude(major, words.next().and_then(number).unwrap_or_default())
    }
}

fn word(effort: &ReasoningEffort) -> &str {
    match effort {
        ReasoningEffort::Minimal | ReasoningEffort::Low => "low",
        ReasoningEffort::Medium => "medium",
        ReasoningEffort::High => "high",
        ReasoningEffort::XHigh => "xhigh",
        ReasoningEffort::Other(word) => word,
    }
}

/// At least 1024 and less than `max_tokens`, as the API wants it.
fn budget(effort: &ReasoningEffort) -> Thinking {
    let budget_tokens = match effort {
        ReasoningEffort::Minimal => SMALLEST_BUDGET,
        ReasoningEffort::Low => 4096,
        ReasoningEffort::Medium | ReasoningEffort::Other(_) => 10_000,
        ReasoningEffort::High => 20_000,
        ReasoningEffort::XHigh => 28_000,
    };
    Thinking::Enabled { budget_tokens }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_found_in_every_form_of_a_name() {
        for (model, wanted) in [
            ("claude-opus-4-20250514", Generation::Claude(4, 0)),
            ("claude-3-7-sonnet-20250219", Generation::Claude(3, 7)),
            ("claude-3-opus-latest", Generation::Claude(3, 0)),
            ("anthropic/claude-opus-4.6", Generation::Claude(4, 6)),
            ("us.anthropic.claude-haiku-4-5-20251001-v1:0", Generation::Claude(4, 5)),
            ("claude-sonnet-5", Generation::Claude(5, 0)),
            ("claude-mythos-preview", Generation::NewestClaude),
            ("qwen3:32b", Generation::Other),
        ] {
            assert_eq!(Generation::of(model), wanted, "{model}");
        }
    }

    #[test]
    fn each_generation_is_asked_in_its_form() {
        let high = ReasoningEffort::High;
        let ask = |model| thinking(model, Some(&high), Some(&ReasoningSummary::Auto));
        let adaptive = || Some(Thinking::Adaptive { display: Some("summarized") });
        assert_eq!(ask("claude-opus-5"), (adaptive(), Some("high")));
        assert_eq!(ask("claude-opus-4-6"), (adaptive(), Some("high")));
        assert_eq!(ask("claude-sonnet-4-5"), (Some(Thinking::Enabled { budget_tokens: 20_000 }), None));
        assert_eq!(ask("qwen3"), (Some(Thinking::Enabled { budget_tokens: 20_000 }), None));
        assert_eq!(ask("claude-3-5-haiku-latest"), (None, None));
        assert_eq!(thinking("claude-opus-5", None, None), (None, None));
        let hidden = thinking("claude-opus-5", None, Some(&ReasoningSummary::None));
        assert_eq!(hidden, (Some(Thinking::Adaptive { display: Some("omitted") }), None));
    }

    #[test]
    fn a_budget_shrinks_with_what_may_be_said() {
        let within = |max| Thinking::Enabled { budget_tokens: 20_000 }.within(max);
        assert_eq!(within(64_000), Some(Thinking::Enabled { budget_tokens: 20_000 }));
        assert_eq!(within(4096), Some(Thinking::Enabled { budget_tokens: 3072 }));
        assert_eq!(within(2047), None);
        assert!(Thinking::Adaptive { display: None }.within(1).is_some());
    }

    #[test]
    fn every_budget_leaves_room_for_an_answer() {
        for effort in [ReasoningEffort::Minimal, ReasoningEffort::XHigh] {
            let Thinking::Enabled { budget_tokens } = budget(&effort) else { panic!() };
            assert!(budget_tokens >= 1024 && budget_tokens < max_tokens("claude-3-7-sonnet"));
        }
        assert_eq!(max_tokens("claude-3-haiku-20240307"), 4096);
        assert_eq!(max_tokens("claude-opus-5-5"), 64_000);
    }
}
