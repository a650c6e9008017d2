//! What people do to commands that go on in the background.

use protocol::error::{ErrorCode, ProtocolError};
use protocol::event::{Event, ItemChanged};
use protocol::item::{Item, ItemBody, ItemStatus, Notice, NoticeLevel};
use protocol::turn::Actor;
use tools::belongings::Standing;

use crate::effect::{Effect, Reply};
use crate::moment::Moment;
use crate::state::SessionState;
use crate::turn::agent::place;

/// Letters of a command that are told.
const COMMAND_LETTERS: usize = 200;

/// Ends one. It is told as an item of the turn that runs, or of the last one, to people and to the model, which would
/// take it for something that went wrong.
pub(crate) fn end(
    state: &SessionState,
    actor: &Actor,
    process_id: u32,
    moment: &mut Moment,
) -> Result<Vec<Effect>, ProtocolError> {
    let conflict = |message: String| Err(ProtocolError::new(ErrorCode::Conflict, message));
    let listed = "`skein ps` lists the commands that go on, with their numbers";
    let command = match &moment.process {
        Standing::GoesOn { command } => shown(command),
        Standing::InCall => {
            let message =
                format!("The turn still waits for process {process_id}: it is not in the background");
            return conflict(message).map_err(|error| {
                error.with_hint("`skein stop` without `--process` stops the turn, and it too")
            });
        }
        Standing::Ended => return conflict(format!("Process {process_id} has ended already")),
        Standing::EndedBy { name } => {
            return conflict(format!("Process {process_id} was ended already, from `{name}`"));
        }
        Standing::Unknown => {
            let message = format!("No process {process_id} goes on in the background of this session");
            return Err(ProtocolError::new(ErrorCode::NotFound, message).with_hint(listed));
        }
    };
    let by = actor.name.clone();
    let text =
        format!("You ended process {process_id}, which went on in the background (from `{by}`): {command}");
    let context = format!(
        "[Skein: the user ended process {process_id}, which went on in the background: `{command}`. What it did \
         before stands.]"
    );
    let mut effects = Vec::new();
    // A command belongs to a call of a turn, so there is one.
    if let Some((turn_id, step)) = place(state) {
        let item = Item {
            id: moment.item_id(),
            turn_id,
            step,
            status: ItemStatus::Completed,
            started_at: moment.at,
            completed_at: Some(moment.at),
            called_by: None,
            body: ItemBody::Notice(Notice { level: NoticeLevel::Information, text, context: Some(context) }),
        };
        effects.push(Effect::Append(vec![Event::ItemCompleted(ItemChanged { item })]));
    }
    effects.push(Effect::EndCommand { process_id, by });
    effects.push(Effect::Reply(Ok(Reply::Done)));
    Ok(effects)
}

fn shown(command: &str) -> String {
    let cut: String = command.chars().take(COMMAND_LETTERS).collect();
    if cut.len() < command.len() { format!("{cut}…") } else { cut }
}
