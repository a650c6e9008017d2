//! The way to the daemon, and the one line that a person reads when it changed on the way.

use client::{ConnectOptions, Connection, DaemonChange, Upgrade};

use crate::error::CliError;
use crate::output::Output;

/// Connects under this name, and tells if the daemon was upgraded for it or is of another build.
pub(crate) async fn connect(name: &str, output: Output) -> Result<Connection, CliError> {
    let connection = Connection::open(ConnectOptions::new(name)).await?;
    if let Some(upgrade) = connection.upgrade() {
        output.note(output.err.dim(upgraded(upgrade)));
    } else if connection.is_other_build() {
        let build = &connection.welcome().daemon_build;
        output.note(format_args!(
            "note: the daemon runs another `skein` (build {build}); `skein daemon restart` starts this one"
        ));
    }
    Ok(connection)
}

/// What became of the daemon while the connection was lost.
pub(crate) fn back(change: &DaemonChange) -> String {
    match change {
        DaemonChange::Same => "connected again".to_owned(),
        DaemonChange::Restarted => "the daemon came back".to_owned(),
        DaemonChange::Upgraded { build } => {
            format!("the daemon was upgraded to {build}; running turns go on")
        }
    }
}

fn upgraded(upgrade: &Upgrade) -> String {
    let to = &upgrade.to;
    match upgrade.running_turns {
        0 => format!("the daemon was upgraded to {to}"),
        _ => format!("the daemon was upgraded to {to}; running turns go on"),
    }
}
