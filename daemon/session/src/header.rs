//! A session without its turns, as it is kept beside the log, so that a long session need not be folded from its
//! beginning. An accelerator: what can't be read is ignored, and the log is folded instead.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;

use protocol::agent::AgentOrigin;
use protocol::client_tool::RegisteredTool;
use protocol::ids::{QuestionId, RequestId, Seq, SessionId, Timestamp, TurnId};
use protocol::model::Usage;
use protocol::question::Answer;
use protocol::session::{InstructionFile, QueuedInput, SessionSettings};
use protocol::turn::Turn;
use protocol::usage::Spending;
use serde::{Deserialize, Serialize};

use crate::effect::Reply;
use crate::grants::Grants;
use crate::state::SessionState;

/// Changes when a header of an older build can't be used any more.
const VERSION: u32 = 3;

/// The stored form.
#[derive(Serialize, Deserialize)]
struct Header {
    version: u32,
    created_at: Timestamp,
    updated_at: Timestamp,
    title: Option<String>,
    settings: SessionSettings,
    instructions: Vec<InstructionFile>,
    #[serde(default)]
    agent: Option<AgentOrigin>,
    is_archived: bool,
    turn_count: u32,
    queue: VecDeque<QueuedInput>,
    answered: VecDeque<(QuestionId, Answer)>,
    requests: VecDeque<(RequestId, Seq, Reply)>,
    usage: Usage,
    #[serde(default)]
    context_tokens: Option<u64>,
    spent: Spending,
    warned: BTreeMap<String, u64>,
    grants: Grants,
    rewound: BTreeSet<TurnId>,
    #[serde(default)]
    touched: VecDeque<(PathBuf, TurnId)>,
    #[serde(default)]
    client_tools: Vec<RegisteredTool>,
}

/// The header of a session at rest; `None` while a turn runs or files are brought back.
#[must_use]
pub(crate) fn write(state: &SessionState) -> Option<String> {
    if state.running.is_some() || state.rewinding.is_some() {
        return None;
    }
    let header = Header {
        version: VERSION,
        created_at: state.created_at,
        updated_at: state.updated_at,
        title: state.title.clone(),
        settings: state.settings.clone(),
        instructions: state.instructions.clone(),
        agent: state.agent.clone(),
        is_archived: state.is_archived,
        turn_count: state.turn_count(),
        queue: state.queue.clone(),
        answered: state.answered.clone(),
        requests: state.requests.clone(),
        usage: state.usage,
        context_tokens: state.context_tokens,
        spent: state.spent,
        warned: state.warned.clone(),
        grants: state.grants.clone(),
        rewound: state.rewound.clone(),
        touched: state.touched.clone(),
        client_tools: state.client_tools.clone(),
    };
    serde_json::to_string(&header).ok()
}

/// The state as of `seq`, with the last turns that `turns` holds; `None` if the header is of another build or
/// does not fit.
#[must_use]
pub(crate) fn read(id: SessionId, seq: Seq, body: &str, turns: Vec<Turn>) -> Option<SessionState> {
    let header: Header =
        serde_json::from_str(body).ok().filter(|header: &Header| header.version == VERSION)?;
    let earlier_turns = header.turn_count.checked_sub(u32::try_from(turns.len()).ok()?)?;
    let mut state = SessionState {
        id,
        seq,
        created_at: header.created_at,
        updated_at: header.updated_at,
        title: header.title,
        settings: header.settings,
        instructions: header.instructions,
        agent: header.agent,
        is_archived: header.is_archived,
        earlier_turns,
        turns,
        running: None,
        queue: header.queue,
        questions: Vec::new(),
        answered: header.answered,
        requests: header.requests,
        usage: header.usage,
        context_tokens: header.context_tokens,
        spent: header.spent,
        warned: header.warned,
        last_request: None,
        grants: header.grants,
        connections: BTreeMap::new(),
        growing: BTreeMap::new(),
        client_tools: header.client_tools,
        rewound: header.rewound,
        rewinding: None,
        touched: header.touched,
    };
    state.mark_rewound();
    Some(state)
}
