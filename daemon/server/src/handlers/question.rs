//! `question/*`.

use jsonrpsee::Extensions;
use jsonrpsee::core::{RpcResult, async_trait};
use protocol::api::question::QuestionServer;
use protocol::question::{
    QuestionAnswerParams, QuestionAnswerResult, QuestionListParams, QuestionListResult,
};
use session::input::Request;

use super::{Handlers, caller};

#[async_trait]
impl QuestionServer for Handlers {
    async fn list(&self, params: QuestionListParams) -> RpcResult<QuestionListResult> {
        if let Some(id) = params.session_id {
            self.0.recovery.passed(id).await;
        }
        let mut questions = self.0.sessions.questions(params.session_id).await?;
        if let Some(id) = params.session_id {
            for agent in self.0.agents.waiting_below(id).await? {
                questions.extend(self.0.sessions.questions(Some(agent)).await?);
            }
            questions.sort_by_key(|open| (open.question.asked_at, open.question.id));
        }
        Ok(QuestionListResult { questions })
    }

    async fn answer(
        &self,
        extensions: &Extensions,
        params: QuestionAnswerParams,
    ) -> RpcResult<QuestionAnswerResult> {
        let connection = caller(extensions)?;
        let QuestionAnswerParams { question_id, decision, request_id } = params;
        let session = self.0.sessions.with_question(question_id).await?;
        self.lend(session.id(), connection).await?;
        let request = Request::Answer { question_id, decision };
        session.request(connection.actor()?, request_id, request).await?;
        Ok(QuestionAnswerResult { session_id: session.id() })
    }
}
