//! Which reply comes next. Knows nothing of HTTP.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::scripted_model::reply::{Reply, StatusReply};
use crate::scripted_model::request::Request;

type Answering = Box<dyn FnMut(&Request) -> Reply + Send>;

/// The replies to come.
pub(crate) enum Script {
    /// One after the other.
    Queue { replies: VecDeque<Arc<Reply>>, last: Option<Arc<Reply>>, when_empty: WhenEmpty },
    /// As a closure decides.
    Closure(Answering),
}

/// What a queue answers when it is empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenEmpty {
    /// 500 with a message that says so; `verify` complains.
    #[default]
    Fail,
    /// The last reply again, as often as asked.
    RepeatLast,
}

/// The next reply.
pub(crate) enum Next {
    Reply(Arc<Reply>),
    /// There was none; this stands in.
    Exhausted(Arc<Reply>),
}

impl Script {
    pub(crate) fn next(&mut self, request: &Request) -> Next {
        match self {
            Self::Closure(answering) => Next::Reply(Arc::new(answering(request))),
            Self::Queue { replies, last, when_empty } => match (replies.pop_front(), when_empty, &last) {
                (Some(reply), _, _) => {
                    *last = Some(Arc::clone(&reply));
                    Next::Reply(reply)
                }
                (None, WhenEmpty::RepeatLast, Some(reply)) => Next::Reply(Arc::clone(reply)),
                (None, WhenEmpty::RepeatLast | WhenEmpty::Fail, _) => {
                    Next::Exhausted(Arc::new(exhausted(request)))
                }
            },
        }
    }

    /// How many replies of a queue were not asked for.
    pub(crate) fn left(&self) -> usize {
        match self {
            Self::Queue { replies, .. } => replies.len(),
            Self::Closure(_) => 0,
        }
    }
}

fn exhausted(request: &Request) -> Reply {
    let message = format!("The script has no reply for request {}; it is empty.", request.number);
    StatusReply::error(500, &message, "server_error", Some("script_empty"))
        .header("x-should-retry", "false")
        .into()
}
