//! Which calls of one answer may go on at the same time: those that change nothing, a few of them; any other one goes
//! alone, in its turn.

use protocol::item::{Item, ItemBody, ItemStatus};
use protocol::turn::Turn;

use crate::moment::Moment;
use crate::state::Running;

/// Calls that go on at the same time at most.
const MAX_TOGETHER: usize = 4;

/// The open calls whose turn it is, in the order of the answer: the first one, and if that changes nothing, also those
/// after it that don't either. What has begun is among them.
pub(crate) fn together<'a>(turn: &'a Turn, running: &Running, moment: &Moment) -> Vec<&'a Item> {
    first_of(turn.items.iter().filter(|item| is_open_call(item, running)), moment)
}

/// The first of these open calls, and if that changes nothing, also those after it that don't either.
pub(crate) fn first_of<'a>(mut open: impl Iterator<Item = &'a Item>, moment: &Moment) -> Vec<&'a Item> {
    let Some(first) = open.next() else { return Vec::new() };
    let mut together = vec![first];
    if is_read(first, moment) {
        together.extend(open.take_while(|item| is_read(item, moment)).take(MAX_TOGETHER - 1));
    }
    together
}

/// Whether a call changes nothing, so that it may go on beside others, and be made once more.
pub(crate) fn is_read(item: &Item, moment: &Moment) -> bool {
    matches!(&item.body, ItemBody::ToolCall(other) if moment.reads.contains(&other.call.name))
}

/// Calls that this daemon began and that have not ended, those that tools made among them.
pub(crate) fn in_flight(turn: &Turn, running: &Running) -> usize {
    let open = turn.items.iter().filter(|item| item.status == ItemStatus::InProgress);
    open.filter(|item| item.body.call().is_some() && running.begun.contains(&item.id)).count()
}

fn is_open_call(item: &Item, running: &Running) -> bool {
    item.called_by.is_none()
        && item.step == running.step
        && item.status == ItemStatus::InProgress
        && item.body.call().is_some()
}
