//! What the log of a session tells of changed files and rewinds. Folds events; looks at no file.

use std::collections::BTreeMap;
use std::path::PathBuf;

use protocol::event::{Event, EventRecord};
use protocol::ids::{BlobId, Seq, TurnId};
use protocol::rewind::{ChangedFile, FileVersion, RewindScope, SessionRewound};

/// The turns, and what became of them.
#[derive(Debug, Default)]
pub(crate) struct Story {
    /// The last event.
    pub(crate) seq: Seq,
    pub(crate) turns: Vec<ToldTurn>,
    /// Lists of changed files, oldest first.
    pub(crate) changes: Vec<ToldChanges>,
    rewinds: Vec<ToldRewind>,
}

/// A turn.
#[derive(Debug)]
pub(crate) struct ToldTurn {
    pub(crate) id: TurnId,
    pub(crate) seq: Seq,
    is_code_rewound: bool,
    is_chat_rewound: bool,
}

/// A list of changed files.
#[derive(Debug)]
pub(crate) struct ToldChanges {
    pub(crate) seq: Seq,
    /// The turn that changed them; of a rewind none.
    pub(crate) turn: Option<TurnId>,
    pub(crate) list: BlobId,
    /// Whether it may have been a person who changed them.
    pub(crate) is_meanwhile: bool,
}

#[derive(Debug)]
struct ToldRewind {
    seq: Seq,
    event: SessionRewound,
    is_undone: bool,
}

/// What a rewind goes back to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Goal {
    /// Changes from here on are taken back.
    pub(crate) since: Seq,
    pub(crate) scope: RewindScope,
    /// The turns that go, or that come back.
    pub(crate) turns: Vec<TurnId>,
    /// The rewind that is undone.
    pub(crate) undoes: Option<Seq>,
}

impl ToldTurn {
    /// Whether there is nothing left of it to take back.
    fn is_taken_back(&self, scope: &RewindScope) -> bool {
        (self.is_code_rewound || !scope.has_code()) && (self.is_chat_rewound || !scope.has_chat())
    }
}

impl Story {
    pub(crate) fn of(records: &[EventRecord]) -> Self {
        let mut story = Self::default();
        for record in records {
            story.seq = record.seq;
            if let Event::TurnStarted(started) = &record.event {
                let (id, seq) = (started.turn_id, record.seq);
                story.turns.push(ToldTurn { id, seq, is_code_rewound: false, is_chat_rewound: false });
            } else if let Event::FilesChanged(changed) = &record.event {
                let (turn, list) = (Some(changed.turn_id), changed.changes.clone());
                let (seq, is_meanwhile) = (record.seq, changed.is_meanwhile);
                story.changes.push(ToldChanges { seq, turn, list, is_meanwhile });
            } else if let Event::SessionRewound(rewound) = &record.event {
                story.rewind(record.seq, rewound);
            }
        }
        story
    }

    fn rewind(&mut self, seq: Seq, event: &SessionRewound) {
        let changes =
            event.changes.clone().map(|list| ToldChanges { seq, turn: None, list, is_meanwhile: false });
        self.changes.extend(changes);
        let is_rewound = event.undoes.is_none();
        for turn in self.turns.iter_mut().filter(|turn| event.turns.contains(&turn.id)) {
            if event.scope.has_code() {
                turn.is_code_rewound = is_rewound;
            }
            if event.scope.has_chat() {
                turn.is_chat_rewound = is_rewound;
            }
        }
        match event.undoes {
            None => self.rewinds.push(ToldRewind { seq, event: event.clone(), is_undone: false }),
            Some(undone) => {
                for rewind in self.rewinds.iter_mut().filter(|rewind| rewind.seq == undone) {
                    rewind.is_undone = true;
                }
            }
        }
    }

    /// Back to before the last turn of which anything is left; `None` if there is none.
    pub(crate) fn last_turn(&self, scope: RewindScope) -> Option<Goal> {
        let last = self.turns.iter().rev().find(|turn| !turn.is_taken_back(&scope))?;
        Some(self.back_to(last.seq, scope))
    }

    /// Back to before a turn; `None` if there is no such turn.
    pub(crate) fn turn(&self, id: TurnId, scope: RewindScope) -> Option<Goal> {
        let turn = self.turns.iter().find(|turn| turn.id == id)?;
        Some(self.back_to(turn.seq, scope))
    }

    /// Back to before the last rewind that was not undone; `None` if there is none.
    pub(crate) fn undo(&self) -> Option<Goal> {
        let rewind = self.rewinds.iter().rev().find(|rewind| !rewind.is_undone)?;
        Some(Goal {
            since: rewind.seq,
            scope: rewind.event.scope.clone(),
            turns: rewind.event.turns.clone(),
            undoes: Some(rewind.seq),
        })
    }

    /// Whether a turn began after a place, and something of it is left.
    pub(crate) fn goes_on_after(&self, seq: Seq, scope: &RewindScope) -> bool {
        self.turns.iter().any(|turn| turn.seq > seq && !turn.is_taken_back(scope))
    }

    fn back_to(&self, since: Seq, scope: RewindScope) -> Goal {
        let gone = |turn: &&ToldTurn| turn.seq >= since && !turn.is_taken_back(&scope);
        let turns = self.turns.iter().filter(gone).map(|turn| turn.id).collect();
        Goal { since, scope, turns, undoes: None }
    }
}

/// What stood under each path before all of these changes, and what stands there after them; without those that came
/// to nothing.
pub(crate) fn together(
    lists: impl IntoIterator<Item = Vec<ChangedFile>>,
) -> BTreeMap<PathBuf, (Option<FileVersion>, Option<FileVersion>)> {
    let mut paths = BTreeMap::new();
    for ChangedFile { path, before, after } in lists.into_iter().flatten() {
        paths.entry(path).or_insert((before, None)).1 = after;
    }
    // Of what is not kept nobody knows whether it is the same again.
    let is_known = |version: &FileVersion| {
        version.content.is_some() || version.kind == protocol::rewind::FileKind::Folder
    };
    paths.retain(|_, (before, after)| {
        before != after || before.as_ref().is_some_and(|before| !is_known(before))
    });
    paths
}
