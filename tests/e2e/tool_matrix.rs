//! Which test shows what of each tool, and where there is nothing to show. The table is held against the tools that the
//! daemon has and the tests that there are, so that a new tool needs a row, and a test that goes leaves a hole that is
//! seen.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;
use skein_tests::scripted_model::reply::Reply;

use crate::scene::{good_turn, scene};

/// What shows how a tool behaves in one case.
#[derive(Clone, Copy)]
enum Cell {
    /// A test of this name, in the crate of the tool or here.
    Test(&'static str),
    /// Nothing can; why.
    Never(&'static str),
}

use Cell::{Never, Test};

/// The cases, in the order of a row.
const CASES: [&str; 8] = [
    "it does what it should",
    "the policy or a person says no",
    "its arguments are no good",
    "it takes too long",
    "its turn is stopped",
    "what it is given or finds is huge",
    "paths are hostile",
    "it is called beside others",
];

/// Tools that are offered only where there is something for them to do.
const SOMETIMES: [&str; 2] = ["tool_search", "tool_suggest"];

const ARGUMENTS: Cell = Test("arguments_that_are_no_good_are_told_with_the_tool_and_what_is_wrong");
const HUGE: Cell = Test("huge_arguments_make_no_huge_error");
const HIDDEN: Cell = Test("what_the_profile_hides_no_tool_that_looks_tells_of");
const UNANSWERED: Cell = Test("a_file_system_that_does_not_answer_is_not_waited_for");
const LOOK_STOPPED: Cell = Test("a_look_is_interrupted_though_the_file_system_does_not_answer");
const WAIT_STOPPED: Cell = Test("a_call_that_waits_is_interrupted_at_once");
const HOSTILE: Cell = Test("pipes_devices_and_loops_keep_no_tool_waiting");
const BESIDE: Cell = Test("calls_at_the_same_time_are_answered_as_alone");
const EXPIRES: Cell = Test("a_tool_whose_question_expires_or_is_left_goes_on");
const ALONE: Cell = Test("what_only_looks_may_run_beside_others");
const NO_AGENTS: Cell = Test("where_there_are_no_agents_each_call_for_one_says_so");
const NO_PATH: Cell = Never("It takes no path");
const AT_ONCE: Cell = Never("It waits for nothing");
const NOT_OURS: Cell = Never("The provider does it; nothing of it runs here");

const ROWS: [(&str, [Cell; 8]); 23] = [
    (
        "shell",
        [
            Test("a_command_that_works_is_completed"),
            Test("a_forbidden_command_is_not_run_and_the_model_is_told_why"),
            ARGUMENTS,
            Test("nothing_outlives_a_command_that_times_out"),
            Test("what_an_interrupted_command_had_changed_is_taken_back"),
            Test("one_huge_piece_is_bounded_too"),
            Test("the_workspace_is_writable_and_the_rest_is_not"),
            ALONE,
        ],
    ),
    (
        "apply_patch",
        [
            Test("every_way_to_hand_over_a_patch_leads_to_the_same_place"),
            Test("a_patch_that_is_not_allowed_says_what_and_why"),
            Test("arguments_that_are_no_json_are_the_models_to_mend"),
            Test("a_server_that_does_not_answer_holds_a_patch_up_no_longer_than_it_may"),
            Test("an_interrupted_call_changes_nothing"),
            Test("a_long_diff_is_cut_and_says_so"),
            Test("what_may_not_be_written_no_patch_reaches"),
            Test("a_link_that_is_swapped_all_the_time_leads_no_patch_out"),
        ],
    ),
    (
        "exec_command",
        [
            Test("a_quick_command_just_ends"),
            Test("a_program_of_a_command_in_the_background_is_asked_about_too"),
            ARGUMENTS,
            Test("a_process_goes_on_and_is_looked_at_again"),
            Test("a_stop_ends_what_is_begun"),
            Test("one_huge_piece_is_bounded_too"),
            Test("a_denied_pattern_holds_for_commands_tools_patches_and_searches"),
            Test("too_many_processes_end_the_one_that_was_not_looked_at_for_longest"),
        ],
    ),
    (
        "write_stdin",
        [
            Test("what_is_typed_reaches_a_process_and_its_end_too"),
            Test("another_sessions_process_is_out_of_reach"),
            ARGUMENTS,
            Test("a_process_goes_on_and_is_looked_at_again"),
            Test("a_stop_leaves_what_is_only_looked_at"),
            HUGE,
            NO_PATH,
            ALONE,
        ],
    ),
    (
        "read_file",
        [Test("a_file_is_read_in_parts"), HIDDEN, ARGUMENTS, UNANSWERED, LOOK_STOPPED, HUGE, HOSTILE, BESIDE],
    ),
    (
        "list_dir",
        [
            Test("a_folder_is_listed_in_pages"),
            HIDDEN,
            ARGUMENTS,
            UNANSWERED,
            LOOK_STOPPED,
            HUGE,
            HOSTILE,
            BESIDE,
        ],
    ),
    (
        "grep",
        [
            Test("grep_tells_lines_files_and_counts_in_pages"),
            HIDDEN,
            ARGUMENTS,
            UNANSWERED,
            Test("a_search_is_interrupted"),
            HUGE,
            HOSTILE,
            BESIDE,
        ],
    ),
    (
        "find_files",
        [
            Test("files_are_found_by_letters_and_globs"),
            HIDDEN,
            ARGUMENTS,
            UNANSWERED,
            LOOK_STOPPED,
            HUGE,
            HOSTILE,
            BESIDE,
        ],
    ),
    (
        "view_image",
        [
            Test("an_image_is_made_small_and_kept"),
            HIDDEN,
            ARGUMENTS,
            UNANSWERED,
            LOOK_STOPPED,
            Test("an_image_that_is_a_bomb_is_refused_at_once"),
            HOSTILE,
            BESIDE,
        ],
    ),
    (
        "wait_for",
        [
            Test("a_file_is_waited_for_until_it_is_there_and_until_it_changes"),
            HIDDEN,
            Test("a_wait_that_makes_no_sense_is_refused_before_it_begins"),
            Test("a_wait_ends_in_time_and_says_what_did_not_happen"),
            WAIT_STOPPED,
            HUGE,
            Test("what_may_not_be_seen_and_what_is_not_there_is_not_waited_for"),
            BESIDE,
        ],
    ),
    (
        "update_plan",
        [
            Test("a_plan_is_an_item_of_its_own"),
            Never("It changes nothing but what people are shown"),
            ARGUMENTS,
            AT_ONCE,
            AT_ONCE,
            HUGE,
            NO_PATH,
            ALONE,
        ],
    ),
    (
        "request_user_input",
        [
            Test("a_person_is_asked_and_the_answer_is_told"),
            Test("a_headless_turn_never_waits_for_an_answer_that_nobody_gives"),
            ARGUMENTS,
            EXPIRES,
            WAIT_STOPPED,
            HUGE,
            NO_PATH,
            ALONE,
        ],
    ),
    (
        "request_permissions",
        [
            Test("what_the_agent_asks_for_is_granted_for_a_turn_or_a_session_or_not"),
            Test("where_nobody_can_answer_a_request_for_permissions_grants_nothing"),
            ARGUMENTS,
            EXPIRES,
            WAIT_STOPPED,
            HUGE,
            Test("permissions_are_asked_for_by_real_path"),
            ALONE,
        ],
    ),
    (
        "js_repl",
        [
            Test("variables_stay_and_an_exception_has_its_line"),
            Test("a_call_that_the_policy_refuses_is_refused_inside_too"),
            Test("arguments_of_code_that_are_no_good_say_what_is_wrong"),
            Test("endless_code_is_stopped_and_what_cannot_be_is_killed"),
            Test("an_interrupt_stops_code_at_once_and_variables_are_kept"),
            Test("code_of_megabytes_is_refused_before_an_interpreter_starts"),
            Test("code_reaches_nothing_but_tools"),
            Test("code_goes_alone_because_what_it_calls_may_change_things"),
        ],
    ),
    (
        "tool_search",
        [
            Test("tools_beyond_the_budget_are_looked_for_first_and_are_there_from_then_on"),
            Never("It finds names of tools; the policy is asked when one of them is called"),
            Test("arguments_of_a_search_that_are_no_good_say_what_is_wrong"),
            AT_ONCE,
            AT_ONCE,
            Test("a_search_for_very_much_finds_no_more_than_it_may"),
            NO_PATH,
            Test("searches_at_the_same_time_find_what_one_alone_does"),
        ],
    ),
    (
        "tool_suggest",
        [
            Test("what_is_switched_off_is_suggested_to_a_person_and_a_yes_enables_it_for_the_session"),
            Test("only_a_yes_enables_what_was_suggested"),
            Test("what_is_suggested_and_not_there_is_told_with_what_is"),
            EXPIRES,
            Test("a_suggestion_that_nobody_answers_ends_with_its_turn"),
            Test("a_reason_of_megabytes_is_shown_to_nobody"),
            NO_PATH,
            Test("a_suggestion_that_nobody_answers_ends_with_its_turn"),
        ],
    ),
    (
        "spawn_agent",
        [
            Test("an_agent_works_and_its_parent_reads_what_it_said"),
            Test("too_many_and_too_deep_are_refused_with_what_to_do"),
            ARGUMENTS,
            Never("It starts a session and does not wait for it"),
            Test("a_parent_that_is_stopped_stops_its_agents_and_is_told"),
            HUGE,
            NO_PATH,
            ALONE,
        ],
    ),
    (
        "wait_agent",
        [
            Test("an_agent_works_and_its_parent_reads_what_it_said"),
            NO_AGENTS,
            ARGUMENTS,
            Test("a_wait_for_an_agent_ends_in_time_and_says_that_it_works"),
            WAIT_STOPPED,
            Test("what_many_agents_said_is_bounded_and_what_is_left_out_is_told"),
            NO_PATH,
            ALONE,
        ],
    ),
    (
        "send_agent",
        [
            Test("an_agent_works_and_its_parent_reads_what_it_said"),
            NO_AGENTS,
            ARGUMENTS,
            AT_ONCE,
            AT_ONCE,
            HUGE,
            NO_PATH,
            ALONE,
        ],
    ),
    (
        "close_agent",
        [
            Test("an_agent_works_and_its_parent_reads_what_it_said"),
            NO_AGENTS,
            ARGUMENTS,
            AT_ONCE,
            AT_ONCE,
            HUGE,
            NO_PATH,
            ALONE,
        ],
    ),
    (
        "list_agents",
        [
            Test("who_works_is_told_apart_from_who_ended"),
            NO_AGENTS,
            ARGUMENTS,
            AT_ONCE,
            AT_ONCE,
            Test("what_many_agents_said_is_bounded_and_what_is_left_out_is_told"),
            NO_PATH,
            ALONE,
        ],
    ),
    (
        "web_search",
        [
            Test("the_command_line_lists_the_tools"),
            NOT_OURS,
            NOT_OURS,
            NOT_OURS,
            NOT_OURS,
            NOT_OURS,
            NOT_OURS,
            NOT_OURS,
        ],
    ),
    // A tool of an MCP server, whichever; those of clients are questions, as `dynamic_tools` shows.
    (
        "mcp",
        [
            Test("a_tool_of_a_server_is_called_in_a_turn"),
            Test("a_tool_that_may_write_needs_leave"),
            Never("Its server says what is wrong with them"),
            Test("a_call_that_is_not_answered_ends_in_its_time"),
            Test("servers_die_with_the_daemon"),
            Test("a_flood_neither_fills_the_daemon_nor_stops_it"),
            Test("a_server_with_a_sandbox_is_confined_to_it_and_one_without_is_not"),
            Test("two_calls_of_one_answer_are_both_carried_out"),
        ],
    ),
];

/// The names of all functions below a folder that are tests.
fn tests_below(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            tests_below(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let mut is_test = false;
            for line in text.lines().map(str::trim) {
                if let Some((_, rest)) = line.split_once("fn ").filter(|_| is_test) {
                    found.extend(rest.split(['(', '<']).next().map(str::to_owned));
                }
                // What stands between may be a comment or another attribute.
                is_test = line.starts_with("#[test]")
                    || line.starts_with("#[tokio::test")
                    || is_test && (line.starts_with('#') || line.starts_with("//"));
            }
        }
    }
}

#[test]
fn each_tool_has_a_row_and_each_cell_a_test_or_a_reason() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut tests = BTreeSet::new();
    for folder in ["daemon", "tests/e2e"] {
        tests_below(&root.join(folder), &mut tests);
    }
    let holes: Vec<_> = ROWS
        .iter()
        .flat_map(|(tool, cells)| cells.iter().zip(CASES).map(move |(cell, case)| (tool, cell, case)))
        .filter_map(|(tool, cell, case)| match cell {
            Test(name) if !tests.contains(*name) => Some(format!("{tool}, when {case}: no test `{name}`")),
            Never("") => Some(format!("{tool}, when {case}: no reason")),
            Test(_) | Never(_) => None,
        })
        .collect();
    assert!(holes.is_empty(), "{holes:#?}");

    let (_model, env) = scene([Reply::text("Unused.")]);
    env.append_settings("[mcp_servers.docs]\ncommand = \"docs\"\nenabled = false\n").unwrap();
    let session = good_turn(&env, &["go"]).session().to_owned();
    let mut known = BTreeSet::new();
    for arguments in [&["tools", "--json"][..], &["tools", "--json", "--session", &session]] {
        let listed = env.run(arguments.iter().copied()).unwrap();
        let tools: Vec<Value> = serde_json::from_str(&listed.stdout).unwrap();
        let names = tools.iter().filter(|tool| tool["state"] != "suggested");
        known.extend(names.map(|tool| tool["name"].as_str().unwrap().to_owned()));
    }
    known.extend(SOMETIMES.map(str::to_owned));
    known.remove("docs");
    let rows: BTreeSet<String> = ROWS.iter().map(|(tool, _)| (*tool).to_owned()).collect();
    assert_eq!(rows.len(), ROWS.len(), "a tool has one row");
    let missing: Vec<_> = known.difference(&rows).collect();
    assert!(missing.is_empty(), "no row for {missing:?}");
    let gone: Vec<_> = rows.difference(&known).filter(|name| *name != "mcp").collect();
    assert!(gone.is_empty(), "no tool for {gone:?}");
}
