//! Finding files by a few letters of their paths, while the screen goes on. A thread walks the folder once, leaving out
//! what git ignores, and answers the last question that it was asked, with what it has found so far; one that comes
//! meanwhile takes the place of the one before. Knows nothing of what a path is wanted for.

use std::path::PathBuf;
use std::sync::mpsc as blocking;
use std::time::{Duration, Instant};

use ignore::WalkBuilder;
use nucleo_matcher::pattern::{CaseMatching, Normalization, Pattern};
use nucleo_matcher::{Config, Matcher, Utf32Str};
use tokio::sync::mpsc;

/// Paths that are found for one question, and paths of a folder in all.
const FOUND: usize = 50;
const MOST_PATHS: usize = 1_000_000;
/// Bytes of all paths together.
const MOST_BYTES: usize = 64 * 1024 * 1024;
/// Entries that are walked, or paths that are compared, before it looks for another question.
const AT_ONCE: usize = 4096;
/// Between two answers to one question, while the walk goes on.
const PAUSE: Duration = Duration::from_millis(150);
/// A walk that is older is done anew with the next question.
const FRESH: Duration = Duration::from_secs(20);
/// Questions and answers that may wait.
const WAITING: usize = 16;

/// What was found for a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// Which question.
    pub(crate) number: u64,
    /// Paths as seen from the folder, the best first.
    pub(crate) paths: Vec<String>,
    /// Whether all files were looked at.
    pub(crate) is_complete: bool,
}

struct Question {
    number: u64,
    text: String,
}

/// Finds files. Its thread ends when this is dropped.
pub(crate) struct Finder {
    questions: blocking::SyncSender<Question>,
    /// What was found; empty as long as nothing was asked.
    pub(crate) found: mpsc::Receiver<Found>,
}

impl Finder {
    /// For a folder; nothing is done before the first question.
    pub(crate) fn of(folder: PathBuf) -> Self {
        let (questions, asked) = blocking::sync_channel(WAITING);
        let (tell, found) = mpsc::channel(WAITING);
        // It ends with the channel that this holds; where no thread can be had, nothing is found.
        let _thread = std::thread::Builder::new()
            .name("files".to_owned())
            .spawn(move || Search { folder, asked, tell, paths: Paths::default(), walked: None }.run());
        Self { questions, found }
    }

    /// Asks; the answers come through `found`. A question that finds no room is dropped: the next letter asks again.
    pub(crate) fn ask(&self, number: u64, text: &str) {
        let _dropped = self.questions.try_send(Question { number, text: text.to_owned() });
    }
}

/// Many paths in one piece of memory.
#[derive(Default)]
struct Paths {
    text: String,
    ends: Vec<usize>,
}

impl Paths {
    fn push(&mut self, path: &str) {
        self.text.push_str(path);
        self.ends.push(self.text.len());
    }

    fn get(&self, at: usize) -> &str {
        let from = at.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or_default();
        self.ends.get(at).and_then(|end| self.text.get(from..*end)).unwrap_or_default()
    }

    fn is_full(&self) -> bool {
        self.ends.len() >= MOST_PATHS || self.text.len() >= MOST_BYTES
    }
}

struct Search {
    folder: PathBuf,
    asked: blocking::Receiver<Question>,
    tell: mpsc::Sender<Found>,
    paths: Paths,
    /// When the walk ended that `paths` come from.
    walked: Option<Instant>,
}

/// Nobody asks any more.
struct Over;

impl Search {
    fn run(mut self) {
        while let Ok(question) = self.asked.recv() {
            if self.answer(question).is_err() {
                return;
            }
        }
    }

    /// Answers a question, and those that come meanwhile.
    fn answer(&mut self, question: Question) -> Result<(), Over> {
        let mut question = self.newest(question)?;
        if self.walked.is_none_or(|at| at.elapsed() > FRESH) {
            question = self.walk(question)?;
        }
        let found = self.find(&question, true)?;
        self.tell.blocking_send(found).map_err(|_| Over)
    }

    /// The last question that was asked.
    fn newest(&self, mut question: Question) -> Result<Question, Over> {
        loop {
            match self.asked.try_recv() {
                Ok(newer) => question = newer,
                Err(blocking::TryRecvError::Empty) => return Ok(question),
                Err(blocking::TryRecvError::Disconnected) => return Err(Over),
            }
        }
    }

    /// Walks the folder, and answers with what there is so far.
    fn walk(&mut self, mut question: Question) -> Result<Question, Over> {
        self.paths = Paths::default();
        let mut told: Option<(u64, Instant)> = None;
        let is_ours = |entry: &ignore::DirEntry| entry.file_name() != ".git";
        let walk =
            WalkBuilder::new(&self.folder).hidden(false).require_git(false).filter_entry(is_ours).build();
        for (number, entry) in walk.enumerate() {
            if number % AT_ONCE == 0 {
                question = self.newest(question)?;
                if told.is_none_or(|(of, at)| of != question.number || at.elapsed() > PAUSE) {
                    let found = self.find(&question, false)?;
                    let of = found.number;
                    if !found.paths.is_empty() {
                        self.tell.blocking_send(found).map_err(|_| Over)?;
                    }
                    told = Some((of, Instant::now()));
                }
            }
            if self.paths.is_full() {
                break;
            }
            let Ok(entry) = entry else { continue };
            if entry.file_type().is_some_and(|kind| kind.is_file())
                && let Ok(path) = entry.path().strip_prefix(&self.folder)
                && let Some(path) = path.to_str()
                && !path.contains(char::is_control)
            {
                self.paths.push(path);
            }
        }
        self.walked = Some(Instant::now());
        self.newest(question)
    }

    /// The best paths, for the last question.
    fn find(&self, question: &Question, is_complete: bool) -> Result<Found, Over> {
        let pattern = Pattern::parse(&question.text, CaseMatching::Smart, Normalization::Smart);
        let mut matcher = Matcher::new(Config::DEFAULT.match_paths());
        let mut letters = Vec::new();
        let mut best: Vec<(u32, usize)> = Vec::new();
        for at in 0..self.paths.ends.len() {
            if at % AT_ONCE == AT_ONCE - 1 {
                match self.asked.try_recv() {
                    Ok(newer) => return self.find(&self.newest(newer)?, is_complete),
                    Err(blocking::TryRecvError::Empty) => {}
                    Err(blocking::TryRecvError::Disconnected) => return Err(Over),
                }
            }
            let path = self.paths.get(at);
            if let Some(score) = pattern.score(Utf32Str::new(path, &mut letters), &mut matcher) {
                best.push((score, at));
                if best.len() >= 8 * FOUND {
                    self.keep_best(&mut best);
                }
            }
        }
        self.keep_best(&mut best);
        let paths = best.into_iter().map(|(_, at)| self.paths.get(at).to_owned()).collect();
        Ok(Found { number: question.number, paths, is_complete })
    }

    /// Of paths that fit as well the shortest comes first.
    fn keep_best(&self, best: &mut Vec<(u32, usize)>) {
        best.sort_by_key(|(score, at)| (std::cmp::Reverse(*score), self.paths.get(*at).len(), *at));
        best.truncate(FOUND);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    async fn complete(finder: &mut Finder, number: u64) -> Vec<String> {
        loop {
            let found = finder.found.recv().await.unwrap();
            if found.is_complete && found.number == number {
                return found.paths;
            }
        }
    }

    #[tokio::test]
    async fn files_are_found_by_a_few_letters_and_what_git_ignores_is_not() {
        let folder = tempfile::tempdir().unwrap();
        for path in ["src/main.rs", "src/lib.rs", "target/main.rs", ".git/main", ".github/main.yml"] {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        fs::write(folder.path().join(".gitignore"), "target\n").unwrap();
        fs::write(folder.path().join("evil\u{1b}main"), "").unwrap();
        let mut finder = Finder::of(folder.path().to_owned());
        finder.ask(1, "smain");
        assert_eq!(complete(&mut finder, 1).await, ["src/main.rs"]);
        finder.ask(2, "main");
        let mut found = complete(&mut finder, 2).await;
        found.sort();
        assert_eq!(found, [".github/main.yml", "src/main.rs"]);
        finder.ask(3, "");
        assert_eq!(complete(&mut finder, 3).await.len(), 4);
    }

    #[tokio::test]
    async fn the_last_question_is_answered() {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..300 {
            fs::write(folder.path().join(format!("file-{number}")), "").unwrap();
        }
        let mut finder = Finder::of(folder.path().to_owned());
        for number in 1..=10 {
            finder.ask(number, &format!("file-{number}"));
        }
        assert_eq!(complete(&mut finder, 10).await.first().map(String::as_str), Some("file-10"));
    }

    #[tokio::test]
    async fn a_folder_that_is_not_there_has_no_files() {
        let mut finder = Finder::of(PathBuf::from("/no/such/folder"));
        finder.ask(1, "x");
        assert!(complete(&mut finder, 1).await.is_empty());
    }
}
