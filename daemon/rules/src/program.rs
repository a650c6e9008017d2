//! A file of rules as a program: parses and runs it, and collects the rules that its calls make. Steps and heap are
//! counted here so that ordinary mistakes have a good message; what holds against malice is the process around it.

use std::cell::RefCell;
use std::path::PathBuf;

use policy::rules::{
    Decision, HostExecutable, NetworkProtocol, NetworkRule, OutsideRule, PrefixRule, Rule, RulePlace,
    RuleProblem, words,
};
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
    let rules: Result<_, _> = found.into_inner().iter().map(|rule| serde_json::from_str(rule)).collect();
    rules.map_err(|error| Complaint::of_the_whole(error.to_string()))
}

/// The rules that were made so far, as the answer has them: what the interpreter carries about can't be a type of
/// ours without unsafe code.
type Found = RefCell<Vec<String>>;

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
    let from_one = |number: usize| u32::try_from(number).unwrap_or(u32::MAX).saturating_add(1);
    let message = error.without_diagnostic().to_string();
    let first = message.lines().next().unwrap_or_default().trim_start_matches("error: ");
    Complaint { line: from_one(line), column: from_one(column), message: first.to_owned() }
}

fn globals() -> Globals {
    GlobalsBuilder::standard().with(calls).build()
}

#[starlark_module]
fn calls(builder: &mut GlobalsBuilder) {
    fn prefix_rule<'v>(
        pattern: Value<'v>,
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
        rule.check_matches(&examples("match", r#match)?).map_err(CallProblem::from)?;
        rule.check_no_match(&examples("not_match", not_match)?).map_err(CallProblem::from)?;
        keep(eval, &Rule::Prefix(rule))?;
        Ok(NoneType)
    }

    fn outside_rule<'v>(
        pattern: Value<'v>,
        folder: Option<Value<'v>>,
        justification: Option<Value<'v>>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<NoneType> {
        let folder = text("folder", folder)?.map(PathBuf::from);
        let justification = text("justification", justification)?;
        let rule = OutsideRule::new(alternatives(pattern)?, folder, justification, place(eval))
            .map_err(CallProblem::from)?;
        keep(eval, &Rule::Outside(rule))?;
        Ok(NoneType)
    }

    fn network_rule<'v>(
        host: Value<'v>,
        protocol: Value<'v>,
        decision: Option<Value<'v>>,
        justification: Option<Value<'v>>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<NoneType> {
        let protocol = match text("protocol", Some(protocol))?.as_deref() {
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
        let host = text("host", Some(host))?.unwrap_or_default();
        let justification = text("justification", justification)?;
        let rule = NetworkRule::new(&host, protocol, decision, justification, place(eval))
            .map_err(CallProblem::from)?;
        keep(eval, &Rule::Network(rule))?;
        Ok(NoneType)
    }

    fn host_executable<'v>(
        name: Value<'v>,
        paths: Value<'v>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<NoneType> {
        let expected = "a list of absolute paths that end in the name";
        let paths = list(paths).and_then(|paths| paths.into_iter().map(string).collect());
        let paths = paths.ok_or_else(|| wrong("paths", expected))?;
        let name = text("name", Some(name))?.unwrap_or_default();
        keep(eval, &Rule::Executable(HostExecutable::new(name, paths).map_err(CallProblem::from)?))?;
        Ok(NoneType)
    }
}

/// Where the call stands; the file's name is not known here.
fn place(evaluator: &Evaluator<'_, '_, '_>) -> RulePlace {
    let line = evaluator.call_stack_top_location().map_or(0, |span| span.resolve_span().begin.line);
    RulePlace { file: String::new(), line: u32::try_from(line).unwrap_or(u32::MAX).saturating_add(1) }
}

fn keep(evaluator: &Evaluator<'_, '_, '_>, rule: &Rule) -> Result<(), CallProblem> {
    let found = evaluator.extra.and_then(|extra| extra.downcast_ref::<Found>());
    let mut rules = found.ok_or(CallProblem::NotKept)?.borrow_mut();
    if rules.len() >= MOST_RULES {
        return Err(CallProblem::TooMany);
    }
    rules.push(serde_json::to_string(rule).map_err(|_| CallProblem::NotKept)?);
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

/// A pattern: strings, or lists of alternatives.
fn alternatives(pattern: Value<'_>) -> Result<Vec<Vec<String>>, CallProblem> {
    let one = |value| match string(value) {
        Some(word) => Some(vec![word]),
        None => list(value)?.into_iter().map(string).collect(),
    };
    let elements = list(pattern).and_then(|elements| elements.into_iter().map(one).collect());
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
