//! Who runs the sandbox: an ordinary user, and one who has no namespaces.

use std::os::unix::fs::{PermissionsExt, chown};
use std::process::Stdio;

use protocol::profile::{Access::Write, SandboxRung};
use sandbox::Exit;

use crate::site::{NAMESPACES, RUNGS, Site, helper, skipped};

/// `nobody`.
const ORDINARY: u32 = 65534;

#[tokio::test]
async fn an_ordinary_user_has_every_rung() {
    if !rustix::process::geteuid().is_root() {
        return skipped(
            "only the administrator can become somebody else; the other tests run as an ordinary user",
        );
    }
    for site in Site::on(&RUNGS).await {
        let rung = match site.rung {
            SandboxRung::Namespaces => "namespaces",
            SandboxRung::Bubblewrap => "bubblewrap",
            SandboxRung::Landlock | SandboxRung::Refused => "landlock",
        };
        let own = |name: &str| chown(site.path(name), Some(ORDINARY), Some(ORDINARY)).expect("chown");
        for name in ["work", "work/src", "outside", "outside/kept"] {
            own(name);
        }
        let root = site.path("work");
        let root = root.parent().expect("parent");
        std::fs::set_permissions(root, PermissionsExt::from_mode(0o755)).expect("mode");
        let script = format!(
            "cd {}; id -u; echo x > src/new; echo x > outside/new; echo x > ../outside/new; true",
            site.path("work").display()
        );
        let output = tokio::process::Command::new("setpriv")
            .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
            .arg(helper())
            .args(["launch-on", rung])
            .arg(site.path("work"))
            .args(["sh", "-c", &script])
            .env_clear()
            .stdin(Stdio::null())
            .output()
            .await
            .expect("run");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "65534\n", "{rung} {output:?}");
        assert!(site.path("work/src/new").exists(), "{rung} {output:?}");
        assert_eq!(site.names("outside"), ["kept"], "{rung} {output:?}");
    }
}

#[tokio::test]
async fn where_namespaces_are_forbidden_the_weaker_rung_is_taken() {
    for site in Site::on(&NAMESPACES).await {
        // In a sandbox there are no further namespaces.
        let mut request = site.request(&[("work", Write)], "");
        let script = "echo x > new; echo x > ../outside; echo ran";
        request.argv = vec![helper().into(), "launch".into(), site.path("work/src").into()];
        request.environment.push(("TMPDIR".into(), site.path("work/src").into()));
        request.argv.extend(["sh", "-c"].map(Into::into));
        request.argv.push(format!("cd {}; {script}", site.path("work/src").display()).into());
        let ran = site.run_request(request).await;
        assert_eq!(ran.exit, Exit::Code(0), "{:?} {ran:?}", site.rung);
        assert!(ran.output.ends_with("ran\n"), "{:?} {ran:?}", site.rung);
        assert!(site.path("work/src/new").exists(), "{:?} {ran:?}", site.rung);
        assert_eq!(site.names("work"), ["src"], "{:?} {ran:?}", site.rung);
    }
}
