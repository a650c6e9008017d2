//! A request and its answer over any wire API: send, read, and after a failure that may pass pause and send again.
//! Knows nothing of what is sent and read; that is the wire API's.

use std::collections::VecDeque;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{iter, once, unfold};
use model::client::{ModelClient, ModelStream, UnfitTool};
use model::event::ModelEvent;
use model::limits::RateLimit;
use model::request::{InputItem, ModelRequest};
use protocol::item::OpaqueReasoning;
use protocol::model::{ProviderFailure, Usage};
use protocol::tool::ToolSpecification;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::debug;

use crate::failure::Failure;
use crate::provider::{Asked, Provider, Reply};
use crate::recording::{Form, Place, Player, Tape};
use crate::retry::Budget;
use crate::searches;
use crate::settings::{ProviderError, ProviderSettings};
use crate::sse::{Events, SseError};
use crate::wire_api::{Compacting, Progress, Reader, WireApi};

/// How long what may still come after a whole answer is waited for. It only tells what the answer took.
const REST_TIME: Duration = Duration::from_secs(1);

/// How long the end of the body may take after the answer is complete. Only a body that has ended leaves its
/// connection to the next request.
const END_OF_BODY_TIME: Duration = Duration::from_millis(50);

/// A client of one provider.
pub(crate) struct Client<A>(Arc<Provider<A>>);

impl<A: WireApi> Client<A> {
    /// # Errors
    /// What is wrong with the settings.
    pub(crate) fn new(api: A, settings: ProviderSettings) -> Result<Self, ProviderError> {
        Ok(Self(Arc::new(Provider::new(api, settings)?)))
    }

    /// The same, but what the provider says was recorded.
    ///
    /// # Errors
    /// What is wrong with the settings.
    pub(crate) fn playing(api: A, settings: ProviderSettings, player: Player) -> Result<Self, ProviderError> {
        Ok(Self(Arc::new(Provider::new(api, settings)?.playing(player))))
    }
}

impl<A: WireApi> ModelClient for Client<A> {
    fn stream(&self, request: ModelRequest) -> ModelStream {
        let provider = Arc::clone(&self.0);
        let asked = async move {
            let is_left_out = |item: &InputItem| matches!(item, InputItem::Reasoning(reasoning) if !provider.api.takes_back(reasoning));
            let dropped = request.input.iter().any(is_left_out).then_some(Ok(ModelEvent::ReasoningDropped));
            let answer = match Question::new(&provider, &request) {
                Ok(question) => unfold(Asking::new(provider, question), Asking::next).left_stream(),
                Err(failure) => once(async move { Err(provider.show(failure)) }).right_stream(),
            };
            iter(dropped).chain(answer)
        };
        Box::pin(once(asked).flatten().fuse())
    }

    fn compact(&self, request: ModelRequest) -> Option<ModelStream> {
        let provider = Arc::clone(&self.0);
        if !provider.compacts() {
            return None;
        }
        let compacting = provider.api.compaction(&request, &provider.options)?;
        Some(match Question::of_compaction(&provider, &request, compacting) {
            Ok(question) => Box::pin(unfold(Asking::new(provider, question), Asking::next).fuse()),
            Err(failure) => Box::pin(once(async move { Err(provider.show(failure)) })),
        })
    }

    fn takes_back(&self, opaque: &OpaqueReasoning) -> bool {
        self.0.api.takes_back(opaque)
    }

    fn check_tool(&self, tool: &ToolSpecification) -> Result<(), UnfitTool> {
        self.0.api.check_tool(tool).map_err(|reason| UnfitTool { tool: tool.name.clone(), reason })
    }

    fn left_out(&self, request: &ModelRequest) -> Vec<String> {
        let search = searches::wanted(&self.0.api, request, &self.0.options);
        let text = |reason| format!("The web search that `web_search` asks for is left out: {reason}");
        search.err().map(text).into_iter().collect()
    }

    fn rate_limits(&self) -> Vec<RateLimit> {
        self.0.rate_limits()
    }

    fn warm_up(&self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let provider = Arc::clone(&self.0);
        Box::pin(async move { provider.warm_up().await })
    }
}

/// What is asked, and asked again after a failure.
struct Question<R> {
    asked: Asked,
    /// Has read nothing yet.
    reader: R,
}

impl<R: Reader> Question<R> {
    fn new<A: WireApi<Reader = R>>(provider: &Provider<A>, request: &ModelRequest) -> Result<Self, Failure> {
        provider.check_key()?;
        let asked = Asked {
            url: provider.url(&request.model),
            body: provider.api.body(request, &provider.options)?,
            message: provider.message(request)?,
            model: request.model.clone(),
            place: Place::of(Form::Events, &request.input),
        };
        Ok(Self { asked, reader: provider.api.reader(request) })
    }

    fn of_compaction<A: WireApi<Reader = R>>(
        provider: &Provider<A>,
        request: &ModelRequest,
        compacting: Compacting<A>,
    ) -> Result<Self, Failure> {
        provider.check_key()?;
        let Compacting { path, body, reader } = compacting;
        let asked = Asked {
            url: provider.below(path),
            body: body?,
            message: None,
            model: request.model.clone(),
            place: Place::of(Form::Object, &request.input),
        };
        Ok(Self { asked, reader })
    }
}

/// A request that is being answered. Dropping it closes the connection, unless the answer was complete.
struct Asking<A: WireApi> {
    provider: Arc<Provider<A>>,
    question: Question<A::Reader>,
    phase: Phase<A::Reader>,
    /// Retries of requests that got no answer.
    requests: Budget,
    /// Retries of requests whose answer broke off.
    answers: Budget,
    /// How many requests were sent.
    sent: usize,
}

enum Phase<R> {
    /// Sends this, for this to read the answer.
    Send(Bytes, R),
    Read(Box<Reading<R>>),
    Pause(Duration),
    End,
}

/// Which part of a try failed.
#[derive(Clone, Copy)]
enum Stage {
    Request,
    Answer,
}

impl<A: WireApi> Asking<A> {
    fn new(provider: Arc<Provider<A>>, question: Question<A::Reader>) -> Self {
        Self {
            requests: Budget::new(provider.request_max_retries),
            answers: Budget::new(provider.stream_max_retries),
            phase: question.first_try(),
            sent: 0,
            provider,
            question,
        }
    }

    async fn next(mut self) -> Option<(Result<ModelEvent, ProviderFailure>, Self)> {
        loop {
            let event = match mem::replace(&mut self.phase, Phase::End) {
                Phase::End => return None,
                Phase::Pause(pause) => {
                    tokio::time::sleep(pause).await;
                    self.phase = self.question.first_try();
                    continue;
                }
                Phase::Send(body, reader) => {
                    let time = self.sent;
                    self.sent += 1;
                    let sent = Box::pin(self.provider.send(&self.question.asked, body.clone(), time)).await;
                    match sent {
                        Ok(reply) => {
                            self.phase = Phase::Read(Box::new(Reading::new(reply, body, reader)));
                            continue;
                        }
                        Err(failure) => self.failed(Stage::Request, failure),
                    }
                }
                Phase::Read(mut reading) => match reading.next(&self.provider).await {
                    Ok(Piece::Event(completed @ ModelEvent::Completed { .. })) => Ok(completed),
                    Ok(Piece::Event(event)) => {
                        self.phase = Phase::Read(reading);
                        Ok(event)
                    }
                    Ok(Piece::Paused(body)) => {
                        self.phase = Phase::Send(body, reading.reader);
                        continue;
                    }
                    Err(failure) => {
                        // The broken connection is not to be there during the pause.
                        drop(reading);
                        self.failed(Stage::Answer, failure)
                    }
                },
            };
            return Some((event, self));
        }
    }

    /// What a failure means: another try, or the end.
    fn failed(&mut self, stage: Stage, failure: Failure) -> Result<ModelEvent, ProviderFailure> {
        let budget = match stage {
            Stage::Request => &mut self.requests,
            Stage::Answer => &mut self.answers,
        };
        let pause = budget.take(failure.again);
        let failure = self.provider.show(failure);
        debug!(provider = failure.provider, kind = ?failure.kind, status = failure.status, ?pause, "a try failed");
        let Some(delay) = pause else { return Err(failure) };
        self.phase = Phase::Pause(delay);
        Ok(ModelEvent::Retrying { attempt: budget.used, max_attempts: budget.max, delay, failure })
    }
}

impl<R: Clone> Question<R> {
    fn first_try(&self) -> Phase<R> {
        Phase::Send(self.asked.body.clone(), self.reader.clone())
    }
}

/// An answer that is being read.
struct Reading<R> {
    /// Not there any more once all that matters was read.
    events: Option<Events>,
    tape: Option<Tape>,
    reader: R,
    /// The request that it answers.
    sent: Bytes,
    progress: Progress,
    /// What was told of what it took.
    spent: Usage,
    /// How long what may still come is waited for, once the answer is whole.
    rest_until: Option<Instant>,
    /// Read and not yet passed on.
    ready: VecDeque<ModelEvent>,
    /// The request that goes on with an answer that paused.
    follow_up: Option<Bytes>,
}

/// What comes of reading.
enum Piece {
    Event(ModelEvent),
    /// The answer paused; this request goes on with it.
    Paused(Bytes),
}

impl<R: Reader> Reading<R> {
    fn new(reply: Reply, sent: Bytes, reader: R) -> Self {
        let Reply { events, tape } = reply;
        let (progress, ready) = (Progress::Open, VecDeque::new());
        Self {
            events: Some(events),
            tape,
            reader,
            sent,
            progress,
            spent: Usage::default(),
            rest_until: None,
            ready,
            follow_up: None,
        }
    }

    async fn next<A: WireApi>(&mut self, provider: &Provider<A>) -> Result<Piece, Failure> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(Piece::Event(event));
            }
            if let Some(body) = self.follow_up.take() {
                return Ok(Piece::Paused(body));
            }
            self.progress = match self.data(provider).await? {
                Some(data) => {
                    if let Some(tape) = &mut self.tape {
                        tape.event(&data);
                    }
                    let progress = self.reader.take(&data, &mut self.ready)?;
                    if progress == Progress::Open {
                        self.tell_spent();
                    }
                    progress
                }
                None => Progress::Over,
            };
            if self.progress == Progress::Over {
                self.finish().await;
                self.follow_up = self.reader.close(&self.sent, &mut self.ready);
            }
        }
    }

    /// Tells what the answer took so far, if more is known of it.
    fn tell_spent(&mut self) {
        let usage = self.reader.spent();
        if usage != self.spent {
            self.spent = usage;
            self.ready.push_back(ModelEvent::Spent { usage });
        }
    }

    /// The data of the next event; `None` when none is needed any more.
    async fn data<A: WireApi>(&mut self, provider: &Provider<A>) -> Result<Option<String>, Failure> {
        let Some(events) = &mut self.events else { return Ok(None) };
        if self.progress != Progress::Open {
            let until = *self.rest_until.get_or_insert_with(|| Instant::now() + REST_TIME);
            let rest = timeout_at(until, events.next()).await;
            return Ok(rest.ok().flatten().and_then(Result::ok));
        }
        // A comment is not an event: a server that only says that it lives does not answer.
        match provider.in_time(events.next()).await? {
            Some(Ok(data)) => Ok(Some(data)),
            Some(Err(SseError::Broken(cause))) => Err(Failure::cut(&provider.name, &cause)),
            Some(Err(error @ (SseError::TooLong | SseError::NotText))) => {
                Err(Failure::malformed(error.to_string()))
            }
            None => Err(Failure::cut(&provider.name, "the stream ended before the answer did")),
        }
    }

    /// Reads to the end of the body, which has come already or comes now, but for servers that keep it open. A
    /// WebSocket stays open for the next request.
    async fn finish(&mut self) {
        if let Some(mut tape) = self.tape.take() {
            tape.complete();
        }
        match self.events.take() {
            Some(Events::Messages(messages)) => messages.release(),
            Some(mut events @ Events::Sent(_)) => {
                let end = async { while let Some(Ok(_)) = events.next().await {} };
                if timeout(END_OF_BODY_TIME, end).await.is_err() {
                    debug!("the provider keeps a finished stream open; the connection is closed");
                }
            }
            None => {}
        }
    }
}
