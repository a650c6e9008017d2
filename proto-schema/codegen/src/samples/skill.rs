//! Samples of `skill/*`.

use protocol::error::ConfigurationProblem;
use protocol::skill::{
    Skill, SkillListParams, SkillListResult, SkillReadParams, SkillReadResult, SkillSource, SkillState,
};

use super::{Sample, sample};

pub(super) fn samples() -> Vec<Sample> {
    let skill = Skill {
        name: "release-notes".to_owned(),
        description: "Writes release notes from commits. Use when a release is prepared.".to_owned(),
        path: "/repo/.skein/skills/release-notes/SKILL.md".into(),
        source: SkillSource::Folder,
        tokens: 40,
        body_tokens: 900,
        state: SkillState::Untrusted,
    };
    let problem = ConfigurationProblem {
        origin: "/home/me/.claude/skills/broken/SKILL.md".to_owned(),
        line: Some(1),
        column: None,
        key: None,
        message: "It has no `description`".to_owned(),
        suggestion: None,
        excerpt: None,
    };
    let listed = SkillListResult { skills: vec![skill.clone()], problems: vec![problem] };
    let read = SkillReadResult { skill, text: "# Release notes\n\nRead the log first.\n".to_owned() };
    let read_params = SkillReadParams { cwd: "/repo".into(), name: "release-notes".to_owned() };
    vec![
        sample("skill.list.params", &SkillListParams { cwd: "/repo".into() }),
        sample("skill.list.result", &listed),
        sample("skill.read.params", &read_params),
        sample("skill.read.result", &read),
    ]
}
