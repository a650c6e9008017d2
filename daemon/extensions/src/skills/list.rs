//! What models are told of skills before they need one: names, descriptions and places, in bounded room.

use super::file::Skill;

/// Bytes of all of it; about 2,000 tokens.
const MAX_BYTES: usize = 8_000;
/// How long descriptions may be: all of them, or, if that is too much, all of them shorter.
const LENGTHS: [usize; 4] = [1024, 400, 160, 60];

const HEAD: &str = "Each is a file that says how a particular task is done. When the task at hand is what one is for, \
read its file first, the whole of it, and go by it; what it names lies beside it. Where a person writes `$name`, its \
text came along.\n";

/// The list, and which of them are in it, by the places that they had; `None` if there are none. The same skills give
/// the same bytes.
#[must_use]
pub fn list(skills: &[&Skill]) -> Option<String> {
    if skills.is_empty() {
        return None;
    }
    let lines = |most: usize| skills.iter().map(|skill| line(skill, most)).collect::<Vec<_>>();
    let size = |lines: &[String]| lines.iter().map(String::len).sum::<usize>();
    let fitting = LENGTHS.iter().map(|most| lines(*most)).find(|lines| size(lines) <= MAX_BYTES);
    let mut room = MAX_BYTES;
    let mut text = HEAD.to_owned();
    let mut left_out = 0;
    for line in fitting.unwrap_or_else(|| lines(LENGTHS[LENGTHS.len() - 1])) {
        if line.len() <= room {
            room -= line.len();
            text.push_str(&line);
        } else {
            left_out += 1;
        }
    }
    if left_out > 0 {
        text.push_str(&format!(
            "({left_out} more are left out here; a person knows them by `skein skills list`.)\n"
        ));
    }
    Some(text)
}

fn line(skill: &Skill, most: usize) -> String {
    let cut = match skill.description.char_indices().nth(most) {
        Some((at, _)) => format!("{}…", &skill.description[..at]),
        None => skill.description.clone(),
    };
    format!("- {}: {cut} (`{}`)\n", skill.name, skill.file.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn skill(name: usize, length: usize) -> Skill {
        Skill {
            name: format!("skill-{name}"),
            description: "x".repeat(length),
            file: format!("/skills/skill-{name}/SKILL.md").into(),
            text: String::new(),
            is_by_name_only: false,
        }
    }

    fn check(count: usize, length: usize) -> String {
        let skills: Vec<_> = (0..count).map(|name| skill(name, length)).collect();
        list(&skills.iter().collect::<Vec<_>>()).expect("a list")
    }

    #[test]
    fn a_few_are_told_in_full() {
        assert_eq!(list(&[]), None);
        let text = check(3, 300);
        assert!(
            text.contains(&format!("- skill-1: {} (`/skills/skill-1/SKILL.md`)", "x".repeat(300))),
            "{text}"
        );
        assert!(!text.contains("left out"));
    }

    #[test]
    fn many_are_told_shorter_and_what_is_left_out_is_said() {
        let text = check(30, 1000);
        assert_eq!(text.matches("- skill-").count(), 30);
        assert!(text.contains('…'));
        let text = check(200, 1000);
        assert!(text.len() <= MAX_BYTES + HEAD.len() + 100, "{}", text.len());
        let told = text.matches("- skill-").count();
        assert!(text.contains(&format!("({} more are left out here", 200 - told)), "{text}");
    }
}
