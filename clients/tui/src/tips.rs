//! The tips that are shown when the screen comes up, one at a time. They stand in `tooltips.md`.

const TEXT: &str = include_str!("../tooltips.md");

/// All tips, in their order.
pub(crate) fn all() -> Vec<&'static str> {
    TEXT.lines().filter_map(|line| line.strip_prefix("- ")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::COMMANDS;

    #[test]
    fn tips_are_short_and_name_commands_that_exist() {
        let tips = all();
        assert!(tips.len() > 5);
        for tip in tips {
            assert!(tip.chars().count() <= 100, "{tip}");
            for word in tip.split(|letter: char| letter.is_whitespace() || "`,;".contains(letter)) {
                if let Some(name) = word.strip_prefix('/').filter(|name| !name.is_empty()) {
                    assert!(COMMANDS.iter().any(|entry| entry.name == name), "{tip}");
                }
            }
        }
    }
}
