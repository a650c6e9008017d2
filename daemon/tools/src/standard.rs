//! The tools that every session has.

use std::sync::Arc;

use sandbox::Launcher;

use crate::apply_patch::ApplyPatch;
use crate::close_agent::CloseAgent;
use crate::exec_command::ExecCommand;
use crate::find_files::FindFiles;
use crate::function::tool;
use crate::grep::Grep;
use crate::list_agents::ListAgents;
use crate::list_dir::ListDir;
use crate::read_file::ReadFile;
use crate::registry::Registry;
use crate::request_permissions::RequestPermissions;
use crate::request_user_input::RequestUserInput;
use crate::send_agent::SendAgent;
use crate::shell::Shell;
use crate::spawn_agent::SpawnAgent;
use crate::tool::Tool;
use crate::update_plan::UpdatePlan;
use crate::view_image::ViewImage;
use crate::wait_agent::WaitAgent;
use crate::wait_for::WaitFor;
use crate::write_stdin::WriteStdin;

/// All of them, and more that come after them; commands are started by this launcher.
#[must_use]
pub fn registry(launcher: Arc<Launcher>, more: Vec<Arc<dyn Tool>>) -> Registry {
    let mut others: Vec<Arc<dyn Tool>> = vec![
        Arc::new(ExecCommand::new(Arc::clone(&launcher))),
        Arc::new(WriteStdin),
        tool(ReadFile),
        tool(ListDir),
        tool(Grep),
        tool(FindFiles),
        tool(ViewImage::new()),
        tool(WaitFor),
        tool(SpawnAgent),
        tool(WaitAgent),
        tool(SendAgent),
        tool(CloseAgent),
        tool(ListAgents),
        Arc::new(UpdatePlan),
        tool(RequestUserInput),
        tool(RequestPermissions),
    ];
    others.extend(more);
    Registry::new(Arc::new(Shell::new(launcher)), Arc::new(ApplyPatch), others)
}

#[cfg(test)]
mod matrix;
#[cfg(test)]
pub(crate) mod tests;
