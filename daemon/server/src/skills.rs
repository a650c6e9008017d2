//! Which skills a session has: a person's own, wherever they keep them, and those of the folder that they trust; what
//! models are told of them, and what goes along where somebody calls for one.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use config::Settings;
use extensions::declared::{self, Content};
use extensions::project::Project;
use extensions::skills::{self, Skill, SkillProblem};
use extensions::trust::{State, Trust};
use futures_util::future::BoxFuture;
use protocol::error::ConfigurationProblem;
use protocol::session::{Environment, InstructionFile, InstructionKind};
use protocol::skill::{self as wire, SkillListResult, SkillReadResult, SkillSource, SkillState};
use protocol::turn::InputPart;
use tools::tool_suggest::{Enabler, Suggestion, Suggestions};

/// Skills that one input may call for; more stay text.
const MAX_CALLED: usize = 8;
/// Bytes of one that go along; the rest is in its file.
const MAX_CALLED_BYTES: usize = 48 * 1024;
/// What is wrong with skills that a new session is told of, one by one.
const MAX_PROBLEMS: usize = 3;
/// What a token is estimated at.
const BYTES_PER_TOKEN: usize = 4;

/// Where a person keeps skills.
pub(crate) struct Folders(Vec<(SkillSource, PathBuf)>);

/// The skills of a session.
pub(crate) struct Found {
    known: Vec<Known>,
    problems: Vec<SkillProblem>,
}

/// The skills of a folder as clients see them, those that can't be used included.
pub(crate) struct Listing(Found);

struct Known {
    skill: Skill,
    source: SkillSource,
    state: SkillState,
}

impl Folders {
    /// Those of somebody with this environment: Skein's own, and what other agents have, so that nobody needs two.
    pub(crate) fn of(config: &Path, environment: &Environment) -> Self {
        let named = |name: &str| {
            let value = environment.get(name).filter(|value| !value.is_empty());
            value.map(PathBuf::from).filter(|path| path.is_absolute())
        };
        let home = named("HOME").or_else(|| named("USERPROFILE"));
        let of = |variable: Option<&str>, folder: &str| {
            let folder = variable.and_then(named).or_else(|| Some(home.as_ref()?.join(folder)));
            folder.map(|folder| folder.join("skills"))
        };
        let others = [
            (SkillSource::Agents, of(None, ".agents")),
            (SkillSource::Codex, of(Some("CODEX_HOME"), ".codex")),
            (SkillSource::Claude, of(Some("CLAUDE_CONFIG_DIR"), ".claude")),
        ];
        let others = others.into_iter().filter_map(|(source, folder)| Some((source, folder?)));
        Self(std::iter::once((SkillSource::User, config.join("skills"))).chain(others).collect())
    }
}

impl Found {
    /// Those of a session whose folder has these. Reads files; blocks.
    pub(crate) fn of(folders: &Folders, settings: &Settings, of_folder: &[Skill]) -> Self {
        Self::settle(folders, settings, of_folder.iter().map(|skill| (skill.clone(), None)))
    }

    /// The first one of a name holds, a person's own before the folder's: what a repository says is never taken for
    /// what a person wrote.
    fn settle(
        folders: &Folders,
        settings: &Settings,
        of_folder: impl Iterator<Item = (Skill, Option<SkillState>)>,
    ) -> Self {
        let (mut known, mut problems) = (Vec::new(), Vec::new());
        for (source, folder) in &folders.0 {
            let (found, wrong) = skills::read(folder);
            known.extend(found.into_iter().map(|skill| (skill, source.clone(), None)));
            problems.extend(wrong);
        }
        known.extend(of_folder.map(|(skill, state)| (skill, SkillSource::Folder, state)));
        let (mut files, mut names) = (BTreeSet::new(), BTreeSet::new());
        // Folders of agents are often links to one another.
        known.retain(|(skill, ..)| files.insert(skill.file.clone()));
        let settled = known.into_iter().map(|(skill, source, state)| {
            let state = state.unwrap_or_else(|| {
                if settings.disabled_skills.contains(&skill.name) {
                    SkillState::Disabled
                } else if !names.insert(skill.name.clone()) {
                    SkillState::Shadowed
                } else if skill.is_by_name_only {
                    SkillState::ByName
                } else {
                    SkillState::On
                }
            });
            Known { skill, source, state }
        });
        let mut known: Vec<Known> = settled.collect();
        // Stable: of one name the one that holds comes first.
        known.sort_by(|one, other| {
            let rank = |known: &Known| (known.skill.name.clone(), !known.state.is_usable());
            rank(one).cmp(&rank(other))
        });
        Self { known, problems }
    }

    /// What models of a session in this folder are told of them; the same skills give the same bytes.
    pub(crate) fn told(&self, cwd: &Path) -> Option<InstructionFile> {
        let on = self.known.iter().filter(|known| known.state == SkillState::On);
        let text = skills::list(&on.map(|known| &known.skill).collect::<Vec<_>>())?;
        let kind = InstructionKind::Skills;
        Some(InstructionFile { path: cwd.to_owned(), text, is_truncated: false, kind })
    }

    /// The skills that these words call for, to go along with an input.
    pub(crate) fn called(&self, words: &[String]) -> Vec<InputPart> {
        let named = |word: &String| {
            self.known.iter().find(|known| known.state.is_usable() && known.skill.name == *word)
        };
        let part = |known: &Known| {
            let Skill { name, file, .. } = &known.skill;
            InputPart::Skill { name: name.clone(), path: file.clone(), text: said(&known.skill) }
        };
        words.iter().filter_map(named).take(MAX_CALLED).map(part).collect()
    }

    /// What a person could enable for a session: skills that are switched off, beside what there is else.
    pub(crate) fn suggestions(
        self,
        enabled: &BTreeSet<String>,
        others: Option<Suggestions>,
    ) -> Option<Suggestions> {
        let off = self.known.into_iter().filter(|known| known.state == SkillState::Disabled);
        let skills: Vec<Skill> =
            off.map(|known| known.skill).filter(|skill| !enabled.contains(&called(skill))).collect();
        if skills.is_empty() {
            return others;
        }
        let about = |skill: &Skill| Suggestion {
            name: called(skill),
            about: format!("the skill `{}`, which is switched off in the settings", skill.name),
        };
        let mut list: Vec<_> = skills.iter().map(about).collect();
        let others = others.map(|others| {
            list.extend(others.list);
            others.enabler
        });
        Some(Suggestions { list, enabler: Arc::new(SwitchedOff { skills, others }) })
    }

    /// What a person is told at the beginning of a session.
    pub(crate) fn warnings(&self) -> Vec<ConfigurationProblem> {
        let mut warnings: Vec<_> = self.problems.iter().take(MAX_PROBLEMS).map(problem).collect();
        let more = self.problems.len() - warnings.len();
        if more > 0 {
            let message = format!("{more} more skills can't be used; `skein skills list` says why");
            warnings.push(ConfigurationProblem { message, ..nowhere("skills".to_owned()) });
        }
        warnings
    }
}

impl Listing {
    /// All that are found for a folder, trusted or not. Reads files; blocks.
    pub(crate) fn of(folders: &Folders, settings: &Settings, trust: &Trust, cwd: &Path) -> Self {
        let Ok(project) = Project::of(cwd) else {
            return Self(Found::of(folders, settings, &[]));
        };
        let declared = declared::read(&project.root);
        let trusted = trust.of(&project).unwrap_or_default();
        let of_folder = declared.declarations.iter().filter_map(|one| match &one.content {
            Content::Skill(found) => {
                let state = match trusted.state(one, &declared) {
                    State::Trusted => None,
                    State::New => Some(SkillState::Untrusted),
                    State::Changed => Some(SkillState::Changed),
                };
                Some((found.skill.clone(), state))
            }
            Content::Hook(_) | Content::Rules(_) | Content::McpServer(_) | Content::LanguageServers => None,
        });
        let mut found = Found::settle(folders, settings, of_folder);
        let of_folder = declared.skill_problems.iter().cloned();
        found.problems.extend(of_folder);
        Self(found)
    }

    /// As the wire has it.
    pub(crate) fn into_result(self) -> SkillListResult {
        let Found { known, problems } = self.0;
        SkillListResult {
            skills: known.iter().map(shown).collect(),
            problems: problems.iter().map(problem).collect(),
        }
    }

    /// The one of this name; of several the one that holds.
    pub(crate) fn into_one(self, name: &str) -> Option<SkillReadResult> {
        let known = self.0.known.into_iter().find(|known| known.skill.name == name)?;
        Some(SkillReadResult { skill: shown(&known), text: known.skill.text })
    }
}

/// The words of an input that may call for skills.
pub(crate) fn words(input: &[InputPart]) -> Vec<String> {
    let texts = input.iter().filter_map(|part| match part {
        InputPart::Text { text } => Some(text.as_str()),
        InputPart::Image { .. }
        | InputPart::StoredImage { .. }
        | InputPart::Skill { .. }
        | InputPart::Resource { .. }
        | InputPart::Unknown(_) => None,
    });
    let mut words: Vec<String> = Vec::new();
    for word in texts.flat_map(skills::mentioned) {
        if !words.iter().any(|known| known == word) {
            words.push(word.to_owned());
        }
    }
    words
}

/// What it says, or the beginning of it.
fn said(skill: &Skill) -> String {
    let Skill { file, text, .. } = skill;
    let mut said = text[..text.floor_char_boundary(MAX_CALLED_BYTES)].to_owned();
    if said.len() < text.len() {
        said.push_str(&format!("\n(It is longer; the rest is in `{}`.)", file.display()));
    }
    said
}

/// As people call for it, so that it is told from a server of the same name.
fn called(skill: &Skill) -> String {
    format!("${}", skill.name)
}

/// Skills that are switched off, and what enables everything else.
struct SwitchedOff {
    skills: Vec<Skill>,
    others: Option<Arc<dyn Enabler>>,
}

impl Enabler for SwitchedOff {
    fn enable<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<String, String>> {
        match (self.skills.iter().find(|skill| called(skill) == name), &self.others) {
            (Some(skill), _) => {
                let text = format!("It is in `{}` and says:\n{}", skill.file.display(), said(skill));
                Box::pin(std::future::ready(Ok(text)))
            }
            (None, Some(others)) => others.enable(name),
            (None, None) => Box::pin(std::future::ready(Err(format!("There is no `{name}`")))),
        }
    }
}

fn shown(known: &Known) -> wire::Skill {
    let tokens = |bytes: usize| u64::try_from(bytes.div_ceil(BYTES_PER_TOKEN)).unwrap_or(u64::MAX);
    let Skill { name, description, file, text, .. } = &known.skill;
    let mention = match known.state {
        SkillState::On => name.len() + description.len() + file.as_os_str().len(),
        SkillState::ByName
        | SkillState::Disabled
        | SkillState::Untrusted
        | SkillState::Changed
        | SkillState::Shadowed
        | SkillState::Unknown(_) => 0,
    };
    wire::Skill {
        name: name.clone(),
        description: description.clone(),
        path: file.clone(),
        source: known.source.clone(),
        tokens: tokens(mention),
        body_tokens: tokens(text.len()),
        state: known.state.clone(),
    }
}

fn problem(problem: &SkillProblem) -> ConfigurationProblem {
    let origin = nowhere(problem.path.display().to_string());
    ConfigurationProblem { line: problem.line, message: problem.message.clone(), ..origin }
}

fn nowhere(origin: String) -> ConfigurationProblem {
    ConfigurationProblem {
        origin,
        line: None,
        column: None,
        key: None,
        message: String::new(),
        suggestion: None,
        excerpt: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    struct Site {
        scratch: tempfile::TempDir,
        settings: Settings,
    }

    impl Site {
        fn new(skills: &[&str]) -> Self {
            let scratch = tempfile::tempdir().expect("scratch");
            for folder in skills {
                let name = folder.rsplit('/').next().expect("a name");
                let text = format!("---\nname: {name}\ndescription: From {folder}.\n---\nText of {folder}\n");
                let path = scratch.path().join(folder);
                fs::create_dir_all(&path).expect("folder");
                fs::write(path.join("SKILL.md"), text).expect("write");
            }
            fs::create_dir_all(scratch.path().join("repo")).expect("folder");
            Self { scratch, settings: Settings::default() }
        }

        fn folders(&self) -> Folders {
            let home = self.scratch.path().join("home").display().to_string();
            Folders::of(&self.scratch.path().join("config"), &[("HOME".to_owned(), home)].into())
        }

        /// Names, sources and states.
        fn list(&self, trust: &Trust) -> Vec<(String, SkillSource, SkillState)> {
            let repo = self.scratch.path().join("repo");
            let listed = Listing::of(&self.folders(), &self.settings, trust, &repo).into_result();
            listed.skills.into_iter().map(|skill| (skill.name, skill.source, skill.state)).collect()
        }
    }

    fn text(text: &str) -> Vec<InputPart> {
        vec![InputPart::Text { text: text.to_owned() }]
    }

    #[test]
    fn a_persons_own_go_before_those_of_the_folder() {
        let mut site = Site::new(&[
            "config/skills/a",
            "home/.claude/skills/a",
            "home/.codex/skills/b",
            "home/.agents/skills/off",
            "repo/.skein/skills/c",
        ]);
        site.settings.disabled_skills = vec!["off".to_owned()];
        let trust = Trust::new(site.scratch.path());
        let row = |name: &str, source, state| (name.to_owned(), source, state);
        let mut expected = vec![
            row("a", SkillSource::User, SkillState::On),
            row("a", SkillSource::Claude, SkillState::Shadowed),
            row("b", SkillSource::Codex, SkillState::On),
            row("c", SkillSource::Folder, SkillState::Untrusted),
            row("off", SkillSource::Agents, SkillState::Disabled),
        ];
        assert_eq!(site.list(&trust), expected);
        let project = Project::of(&site.scratch.path().join("repo")).expect("project");
        let declared = declared::read(&project.root);
        let hashes = [declared.declarations[0].hash.clone()];
        trust.set(&project, &declared, &hashes).expect("trusted");
        expected[3].2 = SkillState::On;
        assert_eq!(site.list(&trust), expected);
        let file = project.root.join(".skein/skills/c/SKILL.md");
        fs::write(&file, "---\nname: c\ndescription: Else.\n---\nElse").expect("write");
        expected[3].2 = SkillState::Changed;
        assert_eq!(site.list(&trust), expected);
    }

    #[cfg(unix)]
    #[test]
    fn one_file_is_one_skill() {
        let site = Site::new(&["home/.claude/skills/a"]);
        let home = site.scratch.path().join("home");
        fs::create_dir_all(home.join(".codex")).expect("folder");
        rustix::fs::symlink(home.join(".claude/skills"), home.join(".codex/skills")).expect("link");
        assert_eq!(site.list(&Trust::new(site.scratch.path())).len(), 1);
    }

    #[test]
    fn what_is_called_for_goes_along_and_other_words_stay_words() {
        let mut site = Site::new(&["config/skills/notes", "config/skills/off"]);
        site.settings.disabled_skills = vec!["off".to_owned()];
        let found = Found::of(&site.folders(), &site.settings, &[]);
        let called = |said: &str| {
            let parts = found.called(&words(&text(said)));
            let name = |part: &InputPart| match part {
                InputPart::Skill { name, text, .. } => format!("{name}: {text}"),
                other => panic!("no skill: {other:?}"),
            };
            parts.iter().map(name).collect::<Vec<_>>()
        };
        assert_eq!(called("use $notes, $notes and $PATH, not $off"), ["notes: Text of config/skills/notes"]);
        assert_eq!(called("nothing"), [""; 0]);
        let told = found.told(Path::new("/repo")).expect("told").text;
        assert!(told.contains("- notes: From config/skills/notes."), "{told}");
        assert!(!told.contains("off"), "{told}");
    }

    #[test]
    fn what_is_malformed_is_told_once_and_in_bounds() {
        let site = Site::new(&["config/skills/a"]);
        for name in ["v", "w", "x", "y", "z"] {
            let folder = site.scratch.path().join("config/skills").join(name);
            fs::create_dir_all(&folder).expect("folder");
            fs::write(folder.join("SKILL.md"), "no").expect("write");
        }
        let found = Found::of(&site.folders(), &site.settings, &[]);
        assert_eq!(found.known.len(), 1);
        let warnings = found.warnings();
        assert_eq!((warnings.len(), warnings[0].line), (4, Some(1)));
        assert!(warnings[3].message.starts_with("2 more skills"), "{}", warnings[3].message);
    }
}
