//! `skein daemon install`: the files with which systemd or launchd starts the daemon by itself. Writes them, removes
//! them, and touches nothing that it did not write; turning them on is left to a person.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use client::{ClientError, Folders, installed_executable};

use crate::error::CliError;
use crate::output::Output;

/// Stands at the top of each file, and makes it ours.
const MARK: &str = "Written by `skein daemon install`";
/// The exit code of a daemon whose home another one has.
const ALREADY_RUNNING: u8 = client::ALREADY_RUNNING;

/// What to do with the files.
#[derive(Args, Debug)]
#[command(after_help = "\
Every command starts the daemon when it is needed, so nothing has to be installed. With these files the
system starts it, keeps it apart from your terminals, and shows it among your other services.")]
pub(crate) struct InstallArgs {
    /// Print the files, and write nothing
    #[arg(long, conflicts_with = "uninstall")]
    print: bool,
    /// Remove the files again
    #[arg(long)]
    uninstall: bool,
}

/// What a file is made of.
struct Facts {
    executable: PathBuf,
    socket: PathBuf,
    /// `SKEIN_HOME`, if it is set: the daemon that is started by the system needs it too.
    skein_home: Option<PathBuf>,
    /// `XDG_RUNTIME_DIR`, which units name in a way of their own.
    runtime_dir: Option<PathBuf>,
}

/// The files of one system, and how they are turned on and off.
struct Plan {
    files: Vec<(PathBuf, String)>,
    enable: &'static str,
    disable: &'static str,
}

/// Writes, prints or removes the files.
pub(crate) fn install(args: &InstallArgs, output: Output) -> Result<(), CliError> {
    let plan = plan()?;
    let line = |text: String| output.line(text).map_err(CliError::Output);
    if args.print {
        for (path, text) in &plan.files {
            line(format!("# {}\n{text}", path.display()))?;
        }
        return Ok(());
    }
    if args.uninstall {
        let removed = remove(&plan.files)?;
        if removed.is_empty() {
            return line("nothing was installed".to_owned());
        }
        for path in removed {
            line(format!("removed {}", path.display()))?;
        }
        output.note(format_args!("To stop what runs already:\n{}", plan.disable));
        return Ok(());
    }
    write(&plan.files)?;
    for (path, _) in &plan.files {
        line(format!("wrote {}", path.display()))?;
    }
    output.note(format_args!(
        "To turn it on:\n{}\nTo take it back:\n{}\n  skein daemon install --uninstall",
        plan.enable, plan.disable
    ));
    Ok(())
}

fn plan() -> Result<Plan, CliError> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folders = Folders::resolve().map_err(ClientError::from)?;
    let executable = installed_executable()
        .map_err(|source| CliError::System { what: "Can't tell where this executable is", source })?;
    let facts = Facts {
        executable,
        socket: folders.socket(),
        skein_home: variable("SKEIN_HOME"),
        runtime_dir: variable("XDG_RUNTIME_DIR"),
    };
    let home =
        std::env::home_dir().ok_or_else(|| CliError::usage("No home folder is known", "Set `HOME`"))?;
    if cfg!(target_os = "macos") {
        Ok(launchd(&facts, &home))
    } else if cfg!(target_os = "linux") {
        let config = variable("XDG_CONFIG_HOME").unwrap_or_else(|| home.join(".config"));
        Ok(systemd(&facts, &config))
    } else {
        Err(CliError::usage(
            "There is nothing to install on this system",
            "Every command starts the daemon when it is needed",
        ))
    }
}

fn systemd(facts: &Facts, config: &Path) -> Plan {
    let folder = config.join("systemd").join("user");
    let home = facts.skein_home.as_deref().map(|home| format!("Environment={}\n", word(&setting(home))));
    let service = format!(
        "# {MARK}; `skein daemon install --uninstall` removes it.\n\
         [Unit]\n\
         Description=Skein, which keeps coding sessions\n\
         Requires=skein.socket\n\
         After=skein.socket\n\
         \n\
         [Service]\n\
         Type=exec\n\
         ExecStart={} daemon run\n\
         {}\
         # A daemon that somebody started by hand has the home: that is no failure.\n\
         SuccessExitStatus={ALREADY_RUNNING}\n\
         Restart=on-failure\n\
         # The daemon brings its turns to a durable point, and ends their commands itself.\n\
         KillMode=mixed\n\
         TimeoutStopSec=20\n\
         \n\
         [Install]\n\
         Also=skein.socket\n",
        word(&facts.executable.to_string_lossy().replace('$', "$$")),
        home.unwrap_or_default(),
    );
    let runtime = facts.runtime_dir.as_deref().and_then(|dir| facts.socket.strip_prefix(dir).ok());
    let socket = match runtime {
        Some(within) => format!("%t/{}", specifiers(&within.to_string_lossy())),
        None => specifiers(&facts.socket.to_string_lossy()),
    };
    let socket = format!(
        "# {MARK}; `skein daemon install --uninstall` removes it.\n\
         [Unit]\n\
         Description=The socket of Skein\n\
         \n\
         [Socket]\n\
         ListenStream={socket}\n\
         SocketMode=0600\n\
         DirectoryMode=0700\n\
         \n\
         [Install]\n\
         WantedBy=sockets.target\n"
    );
    Plan {
        files: vec![(folder.join("skein.service"), service), (folder.join("skein.socket"), socket)],
        enable: "  skein daemon stop\n  systemctl --user daemon-reload\n  systemctl --user enable --now skein.socket\n\
                 and, if turns are to go on when you have logged out:\n  loginctl enable-linger",
        disable: "  systemctl --user disable --now skein.socket skein.service",
    }
}

fn launchd(facts: &Facts, home: &Path) -> Plan {
    let mut environment = String::new();
    if let Some(home) = &facts.skein_home {
        environment = format!(
            "  <key>EnvironmentVariables</key>\n  <dict>\n    <key>SKEIN_HOME</key>\n    <string>{}</string>\n  </dict>\n",
            xml(&home.to_string_lossy())
        );
    }
    let agent = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <!-- {MARK}; `skein daemon install` with the flag `uninstall` removes it. -->\n\
         <!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \
         \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n\
         <plist version=\"1.0\">\n\
         <dict>\n\
         \u{20} <key>Label</key>\n\
         \u{20} <string>dev.skein.daemon</string>\n\
         \u{20} <key>ProgramArguments</key>\n\
         \u{20} <array>\n\
         \u{20}   <string>{}</string>\n\
         \u{20}   <string>daemon</string>\n\
         \u{20}   <string>run</string>\n\
         \u{20} </array>\n\
         {environment}\
         \u{20} <key>RunAtLoad</key>\n\
         \u{20} <true/>\n\
         \u{20} <key>KeepAlive</key>\n\
         \u{20} <dict>\n\
         \u{20}   <key>Crashed</key>\n\
         \u{20}   <true/>\n\
         \u{20} </dict>\n\
         \u{20} <key>ExitTimeOut</key>\n\
         \u{20} <integer>20</integer>\n\
         </dict>\n\
         </plist>\n",
        xml(&facts.executable.to_string_lossy()),
    );
    Plan {
        files: vec![(home.join("Library/LaunchAgents/dev.skein.daemon.plist"), agent)],
        enable: "  skein daemon stop\n  launchctl bootstrap gui/$(id -u) ~/Library/LaunchAgents/dev.skein.daemon.plist",
        disable: "  launchctl bootout gui/$(id -u)/dev.skein.daemon",
    }
}

fn setting(home: &Path) -> String {
    format!("SKEIN_HOME={}", home.to_string_lossy())
}

/// One word of a unit, whatever is in it.
fn word(text: &str) -> String {
    let text = specifiers(text).replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("\"{text}\"")
}

/// Text of a unit in which `%` means nothing.
fn specifiers(text: &str) -> String {
    text.replace('%', "%%")
}

fn xml(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Writes all files, or none if one that stands there is not ours.
fn write(files: &[(PathBuf, String)]) -> Result<(), CliError> {
    for (path, _) in files {
        is_there_and_ours(path)?;
    }
    for (path, text) in files {
        let wrap = |source| CliError::File { action: "write", path: path.clone(), source };
        path.parent().map_or(Ok(()), fs::create_dir_all).map_err(wrap)?;
        fs::write(path, text).map_err(wrap)?;
    }
    Ok(())
}

/// Removes all files that are there, or none if one is not ours, and tells which.
fn remove(files: &[(PathBuf, String)]) -> Result<Vec<PathBuf>, CliError> {
    let mut found = Vec::new();
    for (path, _) in files {
        if is_there_and_ours(path)? {
            found.push(path.clone());
        }
    }
    for path in &found {
        let wrap = |source| CliError::File { action: "remove", path: path.clone(), source };
        fs::remove_file(path).map_err(wrap)?;
    }
    Ok(found)
}

/// Whether a file is there. One that is not ours is an error.
fn is_there_and_ours(path: &Path) -> Result<bool, CliError> {
    let is_link = fs::symlink_metadata(path).is_ok_and(|meta| !meta.is_file());
    match fs::read_to_string(path) {
        Ok(text) if !is_link && text.lines().take(2).any(|line| line.contains(MARK)) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound && !is_link => Ok(false),
        Ok(_) | Err(_) => Err(CliError::Failed {
            message: format!("`{}` is there and was not written by this command", path.display()),
            hint: Some("Look at it, and move it away if it is not needed".to_owned()),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        Facts {
            executable: PathBuf::from("/opt/my tools/100%/skein"),
            socket: PathBuf::from("/run/user/1000/skein/daemon.sock"),
            skein_home: None,
            runtime_dir: Some(PathBuf::from("/run/user/1000")),
        }
    }

    fn text<'a>(plan: &'a Plan, name: &str) -> &'a str {
        let found = plan.files.iter().find(|(path, _)| path.ends_with(name));
        &found.unwrap_or_else(|| panic!("no {name}")).1
    }

    #[test]
    fn units_start_this_executable_when_somebody_connects() {
        let plan = systemd(&facts(), Path::new("/home/ada/.config"));
        assert_eq!(plan.files[0].0, Path::new("/home/ada/.config/systemd/user/skein.service"));
        let service = text(&plan, "skein.service");
        assert!(service.contains("\nExecStart=\"/opt/my tools/100%%/skein\" daemon run\n"), "{service}");
        assert!(!service.contains("Environment"), "{service}");
        let socket = text(&plan, "skein.socket");
        assert!(socket.contains("\nListenStream=%t/skein/daemon.sock\nSocketMode=0600\n"), "{socket}");
    }

    #[test]
    fn a_home_of_its_own_is_told_to_the_service() {
        let facts = Facts {
            socket: PathBuf::from("/data/50%/run/daemon.sock"),
            skein_home: Some(PathBuf::from("/data/50% \"x\"")),
            ..facts()
        };
        let plan = systemd(&facts, Path::new("/c"));
        let service = text(&plan, "skein.service");
        assert!(service.contains("\nEnvironment=\"SKEIN_HOME=/data/50%% \\\"x\\\"\"\n"), "{service}");
        assert!(text(&plan, "skein.socket").contains("\nListenStream=/data/50%%/run/daemon.sock\n"));
    }

    #[test]
    fn an_agent_starts_this_executable_at_login() {
        let facts = Facts { executable: PathBuf::from("/opt/a&b/skein"), ..facts() };
        let facts = Facts { skein_home: Some(PathBuf::from("/data/<x>")), ..facts };
        let plan = launchd(&facts, Path::new("/Users/ada"));
        let agent = text(&plan, "Library/LaunchAgents/dev.skein.daemon.plist");
        let program = "    <string>/opt/a&amp;b/skein</string>\n    <string>daemon</string>\n    <string>run</string>\n";
        assert!(agent.contains(program), "{agent}");
        assert!(agent.contains("<key>SKEIN_HOME</key>\n    <string>/data/&lt;x&gt;</string>"), "{agent}");
        // No `--` may stand within a comment.
        let comment = agent.split("<!--").nth(1).unwrap().split("-->").next().unwrap();
        assert!(!comment.contains("--"), "{comment}");
    }

    #[test]
    fn what_was_written_is_written_again_and_removed() {
        let scratch = tempfile::tempdir().unwrap();
        let plan = systemd(&facts(), scratch.path());
        write(&plan.files).unwrap();
        write(&plan.files).unwrap();
        let agent = launchd(&facts(), scratch.path());
        write(&agent.files).unwrap();
        assert_eq!(remove(&agent.files).unwrap().len(), 1);
        assert_eq!(remove(&plan.files).unwrap().len(), 2);
        assert!(plan.files.iter().all(|(path, _)| !path.exists()));
        assert!(remove(&plan.files).unwrap().is_empty());
    }

    #[test]
    fn what_is_not_ours_is_left_alone() {
        let scratch = tempfile::tempdir().unwrap();
        let plan = systemd(&facts(), scratch.path());
        let (service, socket) = (&plan.files[0].0, &plan.files[1].0);
        fs::create_dir_all(socket.parent().unwrap()).unwrap();
        fs::write(socket, "[Socket]\nListenStream=80\n").unwrap();
        assert!(write(&plan.files).is_err());
        assert!(!service.exists(), "nothing is written by half");
        assert!(remove(&plan.files).is_err());
        assert_eq!(fs::read_to_string(socket).unwrap(), "[Socket]\nListenStream=80\n");
    }

    #[cfg(unix)]
    #[test]
    fn nothing_is_written_through_a_link() {
        let scratch = tempfile::tempdir().unwrap();
        let plan = systemd(&facts(), scratch.path());
        let service = &plan.files[0].0;
        fs::create_dir_all(service.parent().unwrap()).unwrap();
        let target = scratch.path().join("mine");
        fs::write(&target, format!("# {MARK}\n")).unwrap();
        let made = std::process::Command::new("ln").arg("-s").arg(&target).arg(service).status().unwrap();
        assert!(made.success());
        assert!(write(&plan.files).is_err());
        assert_eq!(fs::read_to_string(&target).unwrap(), format!("# {MARK}\n"));
    }
}
