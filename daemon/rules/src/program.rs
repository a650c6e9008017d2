//! A file of rules as a program: parses and runs it, and collects the rules that its calls make. Steps and heap are
//! counted here so that ordinary mistakes have a good message; what holds against malice is the process around it.

use std::cell::RefCell;
use std::path::PathBuf;

use policy::rules::{
    Decision, HostExecutable, NetworkProtocol, NetworkRule, OutsideRule, PrefixRule, Rule, RulePlace,
    RuleProblem, Rules, words,
};
use serde::{Deserialize, Serialize};
use starlark::environment::{Globals, GlobalsBuilder, Module};
use starlark::eval::Evaluator;
use starlark::starlark_module;
use starlark::syntax::{AstModule, Dialect, DialectTypes};
use starlark::values::Value;
use starlark::values::list::ListRef;
use starlark::values::none::NoneType;

use crate::answer::{Answer, Complaint};

/// Calls and rounds of loops.
const MOST_STEPS: u64 = 200_000;
/// Bytes of the interpreter's heap.
const MOST_MEMORY: usize = 64 * 1024 * 1024;
/// Calls in calls.
const DEEPEST: usize = 100;
/// Rules of one file.
const MOST_RULES: usize = 10_000;

/// Runs the text.
pub(crate) fn run(text: String) -> Answer {
    let dialect = Dialect {
        enable_load: false,
        enable_load_reexport: false,
        enable_keyword_only_arguments: true,
        enable_types: DialectTypes::ParseOnly,
        enable_top_level_stmt: true,
        enable_f_strings: true,
        ..Dialect::Standard
    };
    // Some editors put it before a text; it says nothing.
    let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
    let parsed = AstModule::parse("", text, &dialect).map_err(|error| complaint(&error))?;
    let found = Found::default();
    Module::with_temp_heap(|module| {
        let mut evaluator = Evaluator::new(&module);
        evaluator.extra = Some(&found);
        let limits = evaluator
            .set_max_tick_count(MOST_STEPS)
            .and_then(|()| evaluator.set_max_heap_size(MOST_MEMORY))
            .and_then(|()| evaluator.set_max_callstack_size(DEEPEST));
        limits.map_err(|error| Complaint::of_the_whole(error.to_string()))?;
        evaluator.eval_module(parsed, &globals()).map_err(|error| complaint(&error)).map(drop)
    })?;
    let made: Result<Vec<Made>, _> =
        found.into_inner().iter().map(|made| serde_json::from_str(made)).collect();
    checked(made.map_err(|error| Complaint::of_the_whole(error.to_string()))?)
}

/// The calls that were made so far, as JSON: what the interpreter carries about can't be a type of ours without unsafe
/// code.
type Found = RefCell<Vec<String>>;

/// A rule with what stands beside it in its call.
#[derive(Debug, Serialize, Deserialize)]
struct Made {
    rule: Rule,
    /// From 1.
    column: u32,
    examples: Examples,
}

/// Commands that stand with a rule as examples.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Examples {
    matches: Vec<Vec<String>>,
    not_matches: Vec<Vec<String>>,
}

/// The rules, their examples held against them. Only here, because what says where a program may lie can stand behind
/// the rule.
fn checked(made: Vec<Made>) -> Answer {
    let mut among = Rules::default();
    for one in &made {
        if let Rule::Executable(_) = one.rule {
            among.add(one.rule.clone());
        }
    }
    for Made { rule, column, examples } in &made {
        let Rule::Prefix(rule) = rule else { continue };
        let checked = rule.check_no_match(&examples.not_matches, &among);
        checked.and_then(|()| rule.check_matches(&examples.matches, &among)).map_err(|problem| {
            Complaint { line: rule.place.line, column: *column, message: problem.to_string() }
        })?;
    }
    Ok(made.into_iter().map(|made| made.rule).collect())
}

/// Why a call makes no rule.
#[derive(Debug, thiserror::Error)]
enum CallProblem {
    #[error(transparent)]
    Rule(#[from] RuleProblem),
    #[error("There are more than {MOST_RULES} rules")]
    TooMany,
    #[error("The rule can't be kept")]
    NotKept,
}

fn wrong(argument: &'static str, expected: &'static str) -> CallProblem {
    RuleProblem::Value { argument, expected }.into()
}

fn complaint(error: &starlark::Error) -> Complaint {
    let (line, column) = error.span().map_or((0, 0), |span| {
        let begin = span.resolve_span().begin;
        (begin.line, begin.column)
    });
    // With what caused it: some say only by that what is wrong.
    let message = format!("{:#}", error.without_diagnostic());
    let first = message.lines().next().unwrap_or_default().trim_start_matches("error: ");
    Complaint { line: from_one(line), column: from_one(column), message: first.to_owned() }
}

fn globals() -> Globals {
    GlobalsBuilder::standard().with(calls).build()
}

#[starlark_module]
fn calls(builder: &mut GlobalsBuilder) {
    fn prefix_rule<'v>(
        pattern: Option<Value<'v>>,
        decision: Option<Value<'v>>,
        r#match: Option<Value<'v>>,
        not_match: Option<Value<'v>>,
        justification: Option<Value<'v>>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<NoneType> {
        let names =
            [("allow", Decision::Allow), ("prompt", Decision::Prompt), ("forbidden", Decision::Forbid)];
        let decision = decided(decision, &names, "`allow`, `prompt` or `forbidden`")?;
        let justification = text("justification", justification)?;
        let rule = PrefixRule::new(alternatives(pattern)?, decision, justification, place(eval))
            .map_err(CallProblem::from)?;
        let (matches, not_matches) = (examples("match", r#match)?, examples("not_match", not_match)?);
        keep(eval, Rule::Prefix(rule), Examples { matches, not_matches })?;
        Ok(NoneType)
    }

    fn outside_rule<'v>(
        pattern: Option<Value<'v>>,
        folder: Option<Value<'v>>,
        justification: Option<Value<'v>>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<NoneType> {
        let folder = text("folder", folder)?.map(PathBuf::from);
        let justification = text("justification", justification)?;
        let rule = OutsideRule::new(alternatives(pattern)?, folder, justification, place(eval))
            .map_err(CallProblem::from)?;
        keep(eval, Rule::Outside(rule), Examples::default())?;
        Ok(NoneType)
    }

    fn network_rule<'v>(
        host: Option<Value<'v>>,
        protocol: Option<Value<'v>>,
        decision: Option<Value<'v>>,
        justification: Option<Value<'v>>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<NoneType> {
        let protocol = match text("protocol", protocol)?.as_deref() {
            Some("http") => NetworkProtocol::Http,
            Some("https") => NetworkProtocol::Https,
            Some("socks5_tcp") => NetworkProtocol::Socks5Tcp,
            Some("socks5_udp") => NetworkProtocol::Socks5Udp,
            Some(_) | None => {
                return Err(wrong("protocol", "`http`, `https`, `socks5_tcp` or `socks5_udp`").into());
            }
        };
        let names = [
            ("allow", Decision::Allow),
            ("prompt", Decision::Prompt),
            ("deny", Decision::Forbid),
            ("forbidden", Decision::Forbid),
        ];
        let decision = decided(decision, &names, "`allow`, `prompt`, `deny` or `forbidden`")?;
        let host = text("host", host)?.unwrap_or_default();
        let justification = text("justification", justification)?;
        let rule = NetworkRule::new(&host, protocol, decision, justification, place(eval))
            .map_err(CallProblem::from)?;
        keep(eval, Rule::Network(rule), Examples::default())?;
        Ok(NoneType)
    }

    fn host_executable<'v>(
        name: Option<Value<'v>>,
        paths: Option<Value<'v>>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<NoneType> {
        let expected = "a list of absolute paths that end in the name";
        let paths = paths.and_then(list).and_then(|paths| paths.into_iter().map(string).collect());
        let paths = paths.ok_or_else(|| wrong("paths", expected))?;
        let name = text("name", name)?.unwrap_or_default();
        let rule = HostExecutable::new(name, paths).map_err(CallProblem::from)?;
        keep(eval, Rule::Executable(rule), Examples::default())?;
        Ok(NoneType)
    }
}

/// Where the call stands; the file's name is not known here.
fn place(evaluator: &Evaluator<'_, '_, '_>) -> RulePlace {
    RulePlace { file: String::new(), line: begin(evaluator).0 }
}

/// Line and column of the call, from 1.
fn begin(evaluator: &Evaluator<'_, '_, '_>) -> (u32, u32) {
    let span = evaluator.call_stack_top_location().map(|span| span.resolve_span().begin);
    span.map_or((1, 1), |begin| (from_one(begin.line), from_one(begin.column)))
}

fn from_one(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX).saturating_add(1)
}

fn keep(evaluator: &Evaluator<'_, '_, '_>, rule: Rule, examples: Examples) -> Result<(), CallProblem> {
    let found = evaluator.extra.and_then(|extra| extra.downcast_ref::<Found>());
    let mut found = found.ok_or(CallProblem::NotKept)?.borrow_mut();
    if found.len() >= MOST_RULES {
        return Err(CallProblem::TooMany);
    }
    let made = Made { rule, column: begin(evaluator).1, examples };
    found.push(serde_json::to_string(&made).map_err(|_| CallProblem::NotKept)?);
    Ok(())
}

fn string(value: Value<'_>) -> Option<String> {
    value.unpack_str().map(str::to_owned)
}

fn list<'v>(value: Value<'v>) -> Option<Vec<Value<'v>>> {
    ListRef::from_value(value).map(|list| list.iter().collect())
}

/// A string, or nothing where it is left out or `None`.
fn text(argument: &'static str, value: Option<Value<'_>>) -> Result<Option<String>, CallProblem> {
    match value.filter(|value| !value.is_none()) {
        None => Ok(None),
        Some(value) => string(value).map(Some).ok_or_else(|| wrong(argument, "a string")),
    }
}

fn decided(
    value: Option<Value<'_>>,
    names: &[(&str, Decision)],
    expected: &'static str,
) -> Result<Decision, CallProblem> {
    let Some(text) = text("decision", value)? else { return Ok(Decision::Allow) };
    let found = names.iter().find(|(name, _)| *name == text);
    found.map(|(_, decision)| *decision).ok_or_else(|| wrong("decision", expected))
}

/// A pattern: strings, or lists of alternatives. It may be left out as the interpreter sees it, which else would say
/// that it is missing, and not that another argument is misspelled.
fn alternatives(pattern: Option<Value<'_>>) -> Result<Vec<Vec<String>>, CallProblem> {
    let one = |value| match string(value) {
        Some(word) => Some(vec![word]),
        None => list(value)?.into_iter().map(string).collect(),
    };
    let elements = pattern.and_then(list).and_then(|elements| elements.into_iter().map(one).collect());
    elements
        .ok_or_else(|| wrong("pattern", "a list of strings, or of lists of alternatives, none of them empty"))
}

/// Commands: each a string or a list of words; one alone, too.
fn examples(argument: &'static str, value: Option<Value<'_>>) -> Result<Vec<Vec<String>>, CallProblem> {
    let Some(value) = value.filter(|value| !value.is_none()) else { return Ok(Vec::new()) };
    let values = list(value).unwrap_or_else(|| vec![value]);
    let example = |value| match string(value) {
        Some(text) => words(&text),
        None => {
            let words: Option<Vec<String>> = list(value)?.into_iter().map(string).collect();
            words.filter(|words| !words.is_empty())
        }
    };
    let found: Option<Vec<_>> = values.into_iter().map(example).collect();
    found.ok_or_else(|| wrong(argument, "a list of commands: strings, or lists of words"))
}

#[cfg(test)]
mod tests;
