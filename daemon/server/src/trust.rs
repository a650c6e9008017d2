//! What folders declare, as clients see it: each declaration with whether a person trusts it.

use std::path::Path;

use config::Settings;
use extensions::ExtensionError;
use extensions::declared::{self, Declared};
use extensions::project::Project;
use extensions::trust::{State, Trust};
use protocol::error::{ConfigurationProblem, ErrorCode, ProtocolError};
use protocol::trust::{Declaration, DeclarationKind, DeclarationState, FolderTrust};

use crate::check::Unused;
use crate::hooks;

/// What a folder declares, and what of that is trusted. Reads files; blocks.
///
/// # Errors
/// `InvalidRequest` when it is no folder.
pub(crate) fn read(trust: &Trust, folder: &Path) -> Result<FolderTrust, ProtocolError> {
    let (project, declared) = look(folder)?;
    Ok(told(trust, project, declared))
}

/// Trusts these declarations and no other of the folder. Reads and writes files; blocks.
///
/// # Errors
/// `InvalidRequest` when it is no folder, `Conflict` when something else is declared by now, `Internal` when it can't
/// be written.
pub(crate) fn set(trust: &Trust, folder: &Path, hashes: &[String]) -> Result<FolderTrust, ProtocolError> {
    let (project, declared) = look(folder)?;
    trust.set(&project, &declared, hashes).map_err(|error| {
        let message = error.to_string();
        match error {
            ExtensionError::NotDeclared => {
                ProtocolError::new(ErrorCode::Conflict, message).with_hint("Look at it again: it was changed")
            }
            ExtensionError::Folder { .. }
            | ExtensionError::Unreadable { .. }
            | ExtensionError::Unwritable { .. } => {
                ProtocolError::new(ErrorCode::Internal, message).with_hint("Mend the file or move it away")
            }
        }
    })?;
    Ok(told(trust, project, declared))
}

/// What a person should know of the folder of a new session: that it declares what is not used. Reads files; blocks.
pub(crate) fn warning(trust: &Trust, folder: &Path) -> Option<ConfigurationProblem> {
    let (project, declared) = look(folder).ok()?;
    let found = told(trust, project, declared);
    // That a folder is a project is nothing to be warned of.
    let is_told = |one: &&Declaration| {
        one.state != DeclarationState::Trusted && one.kind != DeclarationKind::LanguageServers
    };
    let count = found.declarations.iter().filter(is_told).count();
    if count == 0 {
        return None;
    }
    let is_changed = found.declarations.iter().any(|one| one.state == DeclarationState::Changed);
    let what = if count == 1 { "1 thing" } else { &format!("{count} things") };
    let since = if is_changed { "; some of it was changed since it was trusted" } else { "" };
    let message = format!(
        "This folder declares {what} that would be run or obeyed and that nobody trusts, so that is not used{since}. \
         `skein config trust`, or /trust in the terminal, shows it"
    );
    Some(problem(found.folder.display().to_string(), message))
}

/// The folder's files of rules that are not used, because nobody trusts them as they are. Reads files; blocks.
pub(crate) fn unused_rules(trust: &Trust, folder: &Path) -> Vec<Unused> {
    let declarations = read(trust, folder).map(|found| found.declarations).unwrap_or_default();
    let unused = declarations
        .into_iter()
        .filter(|one| one.kind == DeclarationKind::Rules && one.state != DeclarationState::Trusted);
    unused.map(|one| Unused { file: one.file, is_changed: one.state == DeclarationState::Changed }).collect()
}

/// What is wrong with the user's own hooks. Reads files; blocks.
pub(crate) fn hook_problems(config: &Path, settings: &Settings) -> Vec<ConfigurationProblem> {
    let problems = hooks::problems(config, settings).into_iter();
    problems.map(|message| problem("hooks".to_owned(), message)).collect()
}

/// One without a line.
pub(crate) fn problem(origin: String, message: String) -> ConfigurationProblem {
    ConfigurationProblem {
        origin,
        line: None,
        column: None,
        key: None,
        message,
        suggestion: None,
        excerpt: None,
    }
}

fn look(folder: &Path) -> Result<(Project, Declared), ProtocolError> {
    if !folder.is_absolute() {
        let message = format!("`{}` is not an absolute path", folder.display());
        return Err(ProtocolError::new(ErrorCode::InvalidRequest, message));
    }
    let project = Project::of(folder)
        .map_err(|error| ProtocolError::new(ErrorCode::InvalidRequest, error.to_string()))?;
    let declared = declared::read(&project.root);
    Ok((project, declared))
}

fn told(trust: &Trust, project: Project, declared: Declared) -> FolderTrust {
    let mut problems = Vec::new();
    let trusted = trust.of(&project).unwrap_or_else(|error| {
        problems.push(error.to_string());
        extensions::trust::Trusted::default()
    });
    let declarations = declared.declarations.iter().map(|one| Declaration {
        kind: one.kind(),
        file: one.file.clone(),
        name: one.name.clone(),
        text: one.text().to_owned(),
        files: one.files.clone(),
        hash: one.hash.clone(),
        state: match trusted.state(one, &declared) {
            State::Trusted => DeclarationState::Trusted,
            State::New => DeclarationState::New,
            State::Changed => DeclarationState::Changed,
        },
    });
    let declarations = declarations.collect();
    problems.extend(declared.problems);
    FolderTrust { folder: project.root, declarations, problems }
}
