//! `update_plan`: the plan that the model works after, for people to see. An item of its own kind.

use std::path::Path;

use futures_util::future::BoxFuture;
use protocol::item::{ItemBody, ItemStatus, Plan, PlanStep, PlanStepStatus};
use protocol::tool::{ToolCall, ToolSpecification};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::arguments;
use crate::tool::{CallError, RunContext, RunOutcome, Tool};

/// The tool's name.
const NAME: &str = "update_plan";
/// Steps at most.
const MAX_STEPS: usize = 100;

/// Sets the plan.
pub(crate) struct UpdatePlan;

/// The arguments.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {
    #[serde(default)]
    explanation: Option<String>,
    plan: Vec<Step>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Step {
    step: String,
    status: Status,
}

#[derive(Clone, Copy, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Status {
    Pending,
    InProgress,
    Completed,
}

impl Tool for UpdatePlan {
    fn specification(&self) -> ToolSpecification {
        ToolSpecification {
            name: NAME.to_owned(),
            description: include_str!("update_plan.md").trim().to_owned(),
            input: arguments::input::<Arguments>(),
        }
    }

    fn prepare(&self, call: &ToolCall, _cwd: &Path) -> Result<ItemBody, CallError> {
        let Arguments { explanation, plan } = arguments::read(call)?;
        let bad = |reason: &str| CallError::BadArguments { tool: NAME.to_owned(), reason: reason.to_owned() };
        if plan.iter().filter(|step| step.status == Status::InProgress).count() > 1 {
            return Err(bad("At most one step may be `in_progress`"));
        }
        if plan.len() > MAX_STEPS {
            return Err(bad("A plan has at most 100 steps"));
        }
        let step = |step: Step| PlanStep {
            text: step.step,
            status: match step.status {
                Status::Pending => PlanStepStatus::Pending,
                Status::InProgress => PlanStepStatus::InProgress,
                Status::Completed => PlanStepStatus::Completed,
            },
        };
        let steps = plan.into_iter().map(step).collect();
        Ok(ItemBody::Plan(Plan { call: call.clone(), explanation, steps, message: None }))
    }

    fn run(&self, body: ItemBody, _context: RunContext) -> BoxFuture<'static, RunOutcome> {
        let outcome = match body {
            ItemBody::Plan(plan) => {
                let message = Some("Plan updated".to_owned());
                RunOutcome { status: ItemStatus::Completed, body: ItemBody::Plan(Plan { message, ..plan }) }
            }
            other => RunOutcome { status: ItemStatus::Failed, body: other },
        };
        Box::pin(std::future::ready(outcome))
    }
}
