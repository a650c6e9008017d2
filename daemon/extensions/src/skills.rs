//! Skills: folders with a `SKILL.md` that says how a particular task is done, after the Agent Skills format
//! (agentskills.io/specification). Nothing in them widens what a session may do.

mod file;
mod folder;
mod list;
mod mention;

pub use file::{Skill, SkillProblem};
pub use folder::read;
pub use list::list;
pub use mention::mentioned;

pub(crate) use folder::{Beside, Found, find};
