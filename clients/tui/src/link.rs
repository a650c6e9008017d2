//! The session's other end: follows it, and makes the calls that the screen asks for, one after the other. Knows
//! nothing of the screen.

use client::{Attached, ClientError, Update};
use protocol::api::question::QuestionClient;
use protocol::api::session::SessionClient;
use protocol::api::turn::TurnClient;
use protocol::ids::{ClientId, QuestionId, RequestId, SessionId, TurnId};
use protocol::question::{Decision, QuestionAnswerParams};
use protocol::session::{SessionUpdateParams, SettingsOverrides};
use protocol::turn::{
    InputPart, InterruptReason, TurnEnqueueParams, TurnInterruptParams, TurnLimits, TurnStartParams,
    TurnSteerParams,
};
use tokio::sync::mpsc;

/// What the screen asks for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Call {
    /// Starts a turn.
    Start(String),
    /// Says something into the turn that runs.
    Steer(String),
    /// Says something after the turn that runs.
    Enqueue(String),
    /// Ends a turn.
    Interrupt(TurnId),
    /// Answers a question.
    Answer(QuestionId, Decision),
    /// Changes settings.
    Change(Box<SettingsOverrides>),
}

/// What happened at the other end.
#[derive(Debug)]
pub(crate) enum News {
    /// The session went on, or the connection did; and who we are on it now.
    Update(Update, ClientId),
    /// A call was answered; settings may have been understood in part only.
    Told(Call, Result<Vec<String>, ClientError>),
    /// The session can't be followed any more.
    Ended(ClientError),
}

/// Follows the session until it ends or nobody asks any more. A call in progress holds the feed up, not the screen.
pub(crate) async fn follow(
    mut attached: Attached,
    session: SessionId,
    mut calls: mpsc::Receiver<Call>,
    news: mpsc::Sender<News>,
) {
    loop {
        let happened = tokio::select! {
            biased;
            call = calls.recv() => match call {
                Some(call) => {
                    let result = make(&mut attached, session, &call).await;
                    News::Told(call, result)
                }
                None => return,
            },
            update = attached.next() => match update {
                Ok(update) => News::Update(update, attached.connection().welcome().client_id),
                Err(error) => News::Ended(error),
            },
        };
        let is_over = matches!(happened, News::Ended(_));
        if news.send(happened).await.is_err() || is_over {
            return;
        }
    }
}

async fn make(
    attached: &mut Attached,
    session_id: SessionId,
    call: &Call,
) -> Result<Vec<String>, ClientError> {
    let request_id = Some(RequestId::generate());
    let input = |text: &String| vec![InputPart::Text { text: text.clone() }];
    match call {
        Call::Start(text) => {
            let params = TurnStartParams {
                session_id,
                input: input(text),
                output_schema: None,
                limits: TurnLimits::default(),
                expected_seq: None,
                request_id,
            };
            attached.call(async |rpc| rpc.start(params.clone()).await).await?;
        }
        Call::Steer(text) => {
            let params =
                TurnSteerParams { session_id, input: input(text), expected_turn_id: None, request_id };
            attached.call(async |rpc| rpc.steer(params.clone()).await).await?;
        }
        Call::Enqueue(text) => {
            let params = TurnEnqueueParams { session_id, input: input(text), request_id };
            attached.call(async |rpc| rpc.enqueue(params.clone()).await).await?;
        }
        Call::Interrupt(turn) => {
            let params = TurnInterruptParams {
                session_id,
                expected_turn_id: Some(*turn),
                reason: InterruptReason::Requested,
                request_id,
            };
            attached.call(async |rpc| rpc.interrupt(params.clone()).await).await?;
        }
        Call::Answer(question_id, decision) => {
            let params =
                QuestionAnswerParams { question_id: *question_id, decision: decision.clone(), request_id };
            attached.call(async |rpc| rpc.answer(params.clone()).await).await?;
        }
        Call::Change(overrides) => {
            let params = SessionUpdateParams {
                session_id,
                title: None,
                overrides: (**overrides).clone(),
                unarchive: false,
                request_id,
            };
            let updated = attached.call(async |rpc| SessionClient::update(rpc, params.clone()).await).await?;
            return Ok(updated.warnings.into_iter().map(|warning| warning.message).collect());
        }
    }
    Ok(Vec::new())
}
