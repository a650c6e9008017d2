//! What the execution policy takes: a command that is judged by many rules.

use std::path::Path;
use std::time::Instant;

use policy::rules::{Decision, PrefixRule, Rule, RulePlace, Rules};
use policy::verdict::{Intent, evaluate};
use protocol::profile::{ApprovalPolicy, SandboxMode};

use crate::measure::{Failure, Runs, median_ms};
use crate::table::Table;

/// Rules that the command is held against.
const RULES: u32 = 500;

/// A script of several commands, the last of which the last rule forbids.
pub(crate) fn check(_executable: &Path, runs: Runs, table: &mut Table) -> Result<(), Failure> {
    let mut rules = Rules::default();
    for number in 1..=RULES {
        let decision = if number == RULES { Decision::Forbid } else { Decision::Allow };
        let pattern = vec![vec![format!("program-{number}")], vec!["push".to_owned(), "pull".to_owned()]];
        let place = RulePlace { file: "bench.rules".to_owned(), line: number };
        rules.add(Rule::Prefix(PrefixRule::new(pattern, decision, None, place).map_err(Failure::of)?));
    }
    let script = format!(
        "cd src && git status | grep -v x; for f in a b; do env A=1 timeout 5 cat \"$f\"; done; program-{RULES} push"
    );
    let argv = ["bash", "-lc", &script].map(str::to_owned);
    let intent =
        Intent { argv: &argv, cwd: Path::new("/repo"), folder: Path::new("/repo"), is_escalated: false };
    let mut took = Vec::new();
    for _ in 0..runs.pick(1001, 21) {
        let started = Instant::now();
        let verdict = evaluate(&intent, &rules, ApprovalPolicy::OnRequest, SandboxMode::WorkspaceWrite);
        took.push(started.elapsed());
        if verdict.decision != Decision::Forbid {
            return Err(Failure::Other(format!("the last rule did not decide: {}", verdict.reason)));
        }
    }
    table.at_most(&format!("check of a command against {RULES} rules"), median_ms(took), 1.0, "ms");
    Ok(())
}
