//! What a tool asks the session's model by itself, and what comes of it. Knows nothing of who asks for what.

/// What the model is told. It sees nothing of the session, and has no tools.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelQuestion {
    /// What it is to be.
    pub instructions: String,
    /// What was said, oldest first.
    pub said: Vec<Said>,
    /// How long the answer may be, in tokens; beyond it the answer is cut off.
    pub max_tokens: u64,
}

/// A part of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// To the model.
    ToModel(String),
    /// By the model.
    ByModel(String),
}

/// What the model answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelAnswer {
    /// The model's name, as the provider knows it.
    pub model: String,
    /// All that it said.
    pub text: String,
    /// Why it ended.
    pub end: AnswerEnd,
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerEnd {
    /// It is complete.
    Finished,
    /// It became too long.
    CutOff,
}
