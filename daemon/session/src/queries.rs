//! Answers of an actor to questions about its session. Decides nothing.

use protocol::session::SessionSnapshot;

use crate::actor::{Actor, answer};
use crate::handle::{Joined, Message, Questions, Start};

impl Actor {
    /// Answers a question about the session; what was decided before is durable.
    pub(crate) async fn answer_query(&mut self, query: Message) {
        match query {
            Message::Attach { attachment, start, reply } => {
                let seat = self.audience.join(attachment);
                let snapshot = match start {
                    Start::Snapshot { turns } => Some(Box::new(self.snapshot(0, turns))),
                    Start::Live => None,
                };
                answer(reply, Ok(Joined { seq: self.state.seq, snapshot, seat }));
            }
            Message::Drive { actor, request_id, wish, reply } => {
                answer(reply, self.audience.drive(&actor, request_id, wish));
            }
            Message::Focus { client, is_focused, reply } => {
                answer(reply, self.audience.focus(client, is_focused));
            }
            Message::IsFocused { reply } => answer(reply, Ok(self.audience.is_focused())),
            Message::LookAtFiles { reply } => {
                self.take_last_looks().await;
                self.look_meanwhile().await;
                answer(reply, Ok(()));
            }
            Message::Report { reply, .. } => answer(reply, Ok(())),
            Message::Read { skip, limit, reply } => {
                let wanted = u64::from(skip) + u64::from(limit);
                let result =
                    if wanted > self.state.turns.len() as u64 { self.load_earlier().await } else { Ok(()) };
                answer(reply, result.map(|()| self.snapshot(skip, limit)));
            }
            Message::Summary { reply } => answer(reply, Ok(self.state.summary())),
            Message::Tools { reply } => answer(reply, Ok(self.hands.listing(&self.state))),
            Message::Questions { reply } => {
                let answered = self.state.answered.iter().map(|(id, _)| *id).collect();
                answer(
                    reply,
                    Ok(Questions {
                        agent: self.state.agent.clone(),
                        open: self.state.questions.clone(),
                        answered,
                    }),
                );
            }
            Message::Request { .. } | Message::Stop { .. } | Message::End { .. } => {}
        }
    }

    fn snapshot(&self, skip: u32, limit: u32) -> SessionSnapshot {
        self.state.snapshot(skip as usize, limit as usize, self.audience.presence())
    }
}
