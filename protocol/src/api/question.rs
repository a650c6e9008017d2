//! `question/*`.

use jsonrpsee::core::RpcResult;
use jsonrpsee::proc_macros::rpc;

use crate::question::{QuestionAnswerParams, QuestionAnswerResult, QuestionListParams, QuestionListResult};

/// Lists and answers questions.
#[rpc(server, client, namespace = "question", namespace_separator = "/")]
pub trait Question {
    /// Lists the questions that wait, oldest first.
    #[method(name = "list")]
    async fn list(&self, params: QuestionListParams) -> RpcResult<QuestionListResult>;

    /// Answers a question; the first answer wins.
    #[method(name = "answer", with_extensions)]
    async fn answer(&self, params: QuestionAnswerParams) -> RpcResult<QuestionAnswerResult>;
}
