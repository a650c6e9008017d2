//! Collects what an analysis finds, command by command: each is kept, and what it carries is looked into.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::analysis::carriers::{Inner, inside};
use crate::analysis::result::{Analysis, Feature, Gap, Output, Place, Simple, Start};
use crate::analysis::word::{Word, pieces};
use crate::analysis::{plain, script};

/// So many commands are looked at.
const MOST_COMMANDS: usize = 2_000;
/// So many words, in all of them.
const MOST_WORDS: usize = 40_000;
/// So deep: a command in a script and a construct in another count one each.
const DEEPEST: u32 = 150;
/// So many bytes of texts are read as if they were scripts.
const MOST_TEXT: usize = 64 * 1024;
/// So long all scripts of a command are parsed: the parser needs time that grows with the square of what makes no sense
/// to it.
const LONGEST_PARSING: Duration = Duration::from_millis(150);

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
    builder.read_texts();
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
    outputs: Vec<Output>,
    /// What may be a script, if any text is one.
    texts: Vec<String>,
    words: usize,
    depth: u32,
    parsing: Duration,
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

    /// The same of output.
    pub(crate) fn output(&mut self, target: Word) {
        let here = self.commands.len();
        self.outputs.push(Output { target: target.clone(), commands: here..here });
        self.redirect(target);
    }

    /// Takes a step in which output is redirected that may be of every command in it.
    pub(crate) fn together(&mut self, step: impl FnOnce(&mut Self)) {
        let (commands, outputs) = (self.commands.len(), self.outputs.len());
        step(self);
        let end = self.commands.len();
        for output in self.outputs.iter_mut().skip(outputs) {
            output.commands = commands..end;
        }
    }

    /// Whether there is already too much, so that nothing more is looked at.
    pub(crate) fn is_full(&self) -> bool {
        self.gaps.contains(&Gap::TooLarge)
    }

    /// When parsing a script ends that begins now, if there is time left for one.
    pub(crate) fn deadline(&self, now: Instant) -> Option<Instant> {
        let left = LONGEST_PARSING.checked_sub(self.parsing)?;
        now.checked_add(left)
    }

    /// Notes how long a script took.
    pub(crate) fn parsed_for(&mut self, time: Duration) {
        self.parsing = self.parsing.saturating_add(time);
    }

    /// Keeps a text that may be what a shell runs: a quoted word, a document, what is printed.
    pub(crate) fn text(&mut self, text: String) {
        self.texts.push(text);
    }

    /// Looks into the texts where something runs that is not known: it may be one of them.
    fn read_texts(&mut self) {
        let mut left = MOST_TEXT;
        let mut seen = BTreeSet::new();
        let is_needed = |gap: &Gap| matches!(gap, Gap::UnknownScript | Gap::Unparsed);
        while self.gaps.iter().any(is_needed)
            && !self.is_full()
            && !self.gaps.contains(&Gap::TooSlow)
            && let Some(text) = self.texts.pop()
        {
            if text.len() > left || seen.contains(&text) {
                continue;
            }
            left -= text.len();
            script::read(self, &text, Place::Nested);
            seen.insert(text);
        }
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
        let texts = argv.iter().map(|word| word.shown().trim_matches('"'));
        if matches!(argv.first().and_then(Word::base_name), Some("echo" | "printf")) {
            self.texts.push(texts.clone().skip(1).collect::<Vec<_>>().join(" "));
        }
        // What is read anyway: the script that it carries, and a substitution.
        let is_read = |text: &str| {
            let is_carried = |inner: &Inner| matches!(inner, Inner::Script(script) if script == text);
            text.starts_with(['$', '`', '<', '>']) || inner.iter().any(is_carried)
        };
        let unread = texts.filter(|text| text.contains(char::is_whitespace) && !is_read(text));
        self.texts.extend(unread.map(str::to_owned));
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
        let Self { commands, gaps, features, redirects, outputs, .. } = self;
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
        let start = Start::default();
        Analysis { start, commands, gaps, features, redirects, outputs, mentions, is_plain }
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
