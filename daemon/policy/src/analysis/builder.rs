//! Collects what an analysis finds, command by command: each is kept, and what it carries is looked into.

use std::collections::BTreeSet;

use crate::analysis::carriers::{Inner, inside};
use crate::analysis::result::{Analysis, Feature, Gap, Place, Simple};
use crate::analysis::word::{Word, pieces};
use crate::analysis::{plain, script};

/// So many commands are looked at.
const MOST_COMMANDS: usize = 2_000;
/// So many words, in all of them.
const MOST_WORDS: usize = 40_000;
/// So deep: a command in a script and a construct in another count one each.
const DEEPEST: u32 = 150;

/// Says what a command would run. Runs and reads nothing.
#[must_use]
pub fn analyse(argv: &[String]) -> Analysis {
    let mut builder = Builder::default();
    let words: Vec<Word> = argv.iter().cloned().map(Word::Plain).collect();
    let script = carried_script(argv);
    match script {
        Some(script) => {
            builder.commands.push(Simple { argv: words, place: Place::Shell });
            script::read(&mut builder, script, Place::Top);
        }
        None => builder.command(words, Place::Top),
    }
    builder.finish(argv, script)
}

/// The script of a shell of the system that is called with nothing else.
pub(crate) fn carried_script(argv: &[String]) -> Option<&str> {
    let [shell, flag, script] = argv else { return None };
    let name = shell.strip_prefix("/bin/").or_else(|| shell.strip_prefix("/usr/bin/")).unwrap_or(shell);
    (["bash", "sh", "zsh"].contains(&name) && ["-c", "-lc"].contains(&flag.as_str())).then_some(script)
}

#[derive(Default)]
pub(crate) struct Builder {
    commands: Vec<Simple>,
    gaps: BTreeSet<Gap>,
    features: BTreeSet<Feature>,
    redirects: Vec<Word>,
    words: usize,
    depth: u32,
}

impl Builder {
    pub(crate) fn gap(&mut self, gap: Gap) {
        self.gaps.insert(gap);
    }

    pub(crate) fn feature(&mut self, feature: Feature) {
        self.features.insert(feature);
    }

    pub(crate) fn redirect(&mut self, target: Word) {
        self.features.insert(Feature::Redirection);
        self.redirects.push(target);
    }

    /// Whether there is already too much, so that nothing more is looked at.
    pub(crate) fn is_full(&self) -> bool {
        self.gaps.contains(&Gap::TooLarge)
    }

    /// Goes one step deeper, unless that is too deep.
    pub(crate) fn descend(&mut self, step: impl FnOnce(&mut Self)) {
        if self.depth >= DEEPEST {
            self.gap(Gap::TooLarge);
            return;
        }
        self.depth += 1;
        step(self);
        self.depth -= 1;
    }

    /// Keeps a command and looks into what it runs in turn.
    pub(crate) fn command(&mut self, argv: Vec<Word>, place: Place) {
        self.words = self.words.saturating_add(argv.len());
        if self.commands.len() >= MOST_COMMANDS || self.words > MOST_WORDS {
            self.gap(Gap::TooLarge);
            return;
        }
        let inner = inside(&argv);
        for word in &argv {
            match word {
                Word::Open { .. } => self.feature(Feature::Expansion),
                // Arithmetic and a few builtins expand what they are given once more.
                Word::Plain(text) if text.contains("$(") || text.contains('`') => self.gap(Gap::Foreign),
                Word::Plain(_) => {}
            }
        }
        self.commands.push(Simple { argv, place });
        self.descend(|builder| {
            for inner in inner {
                match inner {
                    Inner::Command(argv) => builder.command(argv, Place::Wrapped),
                    Inner::Script(text) => script::read(builder, &text, Place::Nested),
                    Inner::Gap(gap) => builder.gap(gap),
                }
            }
        });
    }

    fn finish(self, argv: &[String], script: Option<&str>) -> Analysis {
        let Self { commands, gaps, features, redirects, .. } = self;
        let mut mentions = Vec::new();
        for text in argv {
            mentions.push(text.clone());
            pieces(text, &mut mentions);
        }
        for text in commands.iter().flat_map(|command| &command.argv).filter_map(Word::text) {
            mentions.push(text.to_owned());
            pieces(text, &mut mentions);
        }
        mentions.sort_unstable();
        mentions.dedup();
        let is_plain = gaps.iter().all(|gap| *gap == Gap::Foreign)
            && features.is_empty()
            && commands.iter().all(|command| {
                command.is_exact() && matches!(command.place, Place::Top | Place::Shell | Place::Wrapped)
            })
            && script.is_none_or(|script| is_confirmed(script, &commands));
        Analysis { commands, gaps, features, redirects, mentions, is_plain }
    }
}

/// Whether the strict reader finds the same commands in the script.
fn is_confirmed(script: &str, commands: &[Simple]) -> bool {
    let found: Option<Vec<Vec<&str>>> =
        commands.iter().filter(|command| command.place == Place::Top).map(Simple::exact).collect();
    match (plain::split(script), found) {
        (Some(expected), Some(found)) => !found.is_empty() && expected == found,
        (Some(_) | None, _) => false,
    }
}
