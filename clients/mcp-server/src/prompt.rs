//! Prompts for common tasks, which a client offers to its person.

use rmcp::model::{Prompt, PromptArgument};

/// A prompt.
struct Task {
    name: &'static str,
    description: &'static str,
    argument: &'static str,
    about: &'static str,
    text: &'static str,
}

const TASKS: [Task; 3] = [
    Task {
        name: "delegate",
        description: "Hand a task to a Skein session and report what came of it",
        argument: "task",
        about: "What is to be done",
        text: "Use Skein's `start_session` for the task below, in this project's folder. When it has ended, look at \
               its result and at the resource with its diff, and tell me in a few sentences what was done, what was \
               not, and what I should look at.",
    },
    Task {
        name: "mend_tests",
        description: "Have failing tests mended in the background",
        argument: "command",
        about: "The command that runs the tests",
        text: "Use Skein's `start_session` with `wait: false` and a deadline of 30 minutes. Have it run the tests by \
               the command below, find out why they fail, mend the cause and not the test, and run them again. Tell \
               me the session's id, and look at it with `wait_for_session` when I ask.",
    },
    Task {
        name: "second_opinion",
        description: "Have the changes of this project reviewed by another agent",
        argument: "focus",
        about: "What to look at in particular",
        text: "Use Skein's `review` on this project's folder, with the focus below if there is one. Check each of its \
               findings against the code yourself, and tell me only those that hold.",
    },
];

/// All of them.
pub(crate) fn all() -> Vec<Prompt> {
    let prompt = |task: &Task| {
        let argument = PromptArgument::new(task.argument).with_description(task.about).with_required(false);
        Prompt::new(task.name, Some(task.description), Some(vec![argument]))
    };
    TASKS.iter().map(prompt).collect()
}

/// The text of one, with what its argument is.
pub(crate) fn text(name: &str, argument: impl Fn(&str) -> Option<String>) -> Option<String> {
    let task = TASKS.iter().find(|task| task.name == name)?;
    let given =
        argument(task.argument).map(|given| format!("\n\n{}: {given}", task.about)).unwrap_or_default();
    Some(format!("{}{given}", task.text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_takes_its_argument() {
        let text = |name: &str| text(name, |argument| (argument == "task").then(|| "Count.".to_owned()));
        assert!(text("delegate").unwrap().ends_with("What is to be done: Count."));
        assert!(!text("mend_tests").unwrap().contains("Count."));
        assert_eq!(text("nonsense"), None);
        assert_eq!(all().len(), 3);
    }
}
