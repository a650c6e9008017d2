//! `skill/*`.

use jsonrpsee::core::RpcResult;
use jsonrpsee::proc_macros::rpc;

use crate::skill::{SkillListParams, SkillListResult, SkillReadParams, SkillReadResult};

/// Skills of people and repositories.
#[rpc(server, client, namespace = "skill", namespace_separator = "/")]
pub trait Skills {
    /// Lists the skills that a session in a folder has, and those that it could have.
    #[method(name = "list", with_extensions)]
    async fn list_skills(&self, params: SkillListParams) -> RpcResult<SkillListResult>;

    /// Shows what a skill says.
    #[method(name = "read", with_extensions)]
    async fn read_skill(&self, params: SkillReadParams) -> RpcResult<SkillReadResult>;
}
