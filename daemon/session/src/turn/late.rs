//! What is told at the end of a turn that changed files which something runs later, such as `Makefile`: who did not
//! look at every step should look at those.

use std::path::Path;

use protocol::event::{Event, ItemChanged};
use protocol::item::{Item, ItemBody, ItemStatus, Notice, NoticeLevel};

use crate::moment::Moment;
use crate::state::{Running, SessionState};

/// Files that the notice names.
const MAX_NAMED: usize = 10;

/// The notice, if there is something to tell.
pub(crate) fn notice(state: &SessionState, running: &Running, moment: &Moment) -> Option<Event> {
    if running.late.is_empty() {
        return None;
    }
    let shown =
        |path: &Path| format!("`{}`", path.strip_prefix(&state.settings.cwd).unwrap_or(path).display());
    let mut names: Vec<String> = running.late.iter().take(MAX_NAMED).map(|path| shown(path)).collect();
    let more = running.late.len() - names.len();
    if more > 0 {
        names.push(format!("and {more} more"));
    }
    let text = format!(
        "This turn changed files that other programs run later: {}. Look at them before you build, open an editor here or push.",
        names.join(", ")
    );
    let item = Item {
        id: moment.last_item_id(),
        turn_id: running.turn_id,
        step: running.step,
        status: ItemStatus::Completed,
        started_at: moment.at,
        completed_at: Some(moment.at),
        called_by: None,
        body: ItemBody::Notice(Notice { level: NoticeLevel::Warning, text, context: None }),
    };
    Some(Event::ItemCompleted(ItemChanged { item }))
}
