//! What commands may use up, patterns, and a `/tmp` of their own.

use protocol::profile::{
    Access::{Hidden, Read, Write},
    GlobRule, ResourceLimits, SandboxRung,
};
use sandbox::{CommandRequest, Exit, SandboxError};

use crate::site::{RUNGS, Site};

fn limited(site: &Site, limits: ResourceLimits, script: &str) -> CommandRequest {
    let mut request = site.request(&[("work", Write)], script);
    request.profile.limits = limits;
    request
}

#[tokio::test]
async fn files_and_memory_are_bounded() {
    for site in Site::on(&RUNGS).await {
        let files = ResourceLimits { max_file_bytes: Some(4096), ..ResourceLimits::default() };
        let script = "head -c 4096 /dev/zero > src/fits; head -c 9000 /dev/zero > src/long; true";
        site.run_request(limited(&site, files, script)).await;
        assert_eq!(site.read("work/src/fits").len(), 4096, "{:?}", site.rung);
        assert_eq!(site.read("work/src/long").len(), 4096, "{:?}", site.rung);

        let memory = ResourceLimits { max_memory_bytes: Some(64 << 20), ..ResourceLimits::default() };
        // Keeps all of it, because there is no end of a line.
        let script = "head -c 200000000 /dev/zero | tail -n 1 | wc -c";
        let ran = site.run_request(limited(&site, memory, script)).await;
        assert!(!ran.output.contains("200000000"), "{:?} {ran:?}", site.rung);
        let ran = site.run_request(limited(&site, ResourceLimits::default(), script)).await;
        assert!(ran.output.contains("200000000"), "{:?} {ran:?}", site.rung);
    }
}

#[tokio::test]
async fn processes_are_bounded_also_for_the_administrator() {
    // On the other rungs the kernel does not count the administrator's.
    for site in Site::on(&[SandboxRung::Namespaces]).await {
        let processes = ResourceLimits { max_processes: Some(40), ..ResourceLimits::default() };
        let script = "i=0; while [ $i -lt 330 ]; do sleep 100 & i=$((i + 1)); done; echo all";
        let ran = site.run_request(limited(&site, processes, script)).await;
        assert!(!ran.output.contains("all") && ran.output.contains("fork"), "{:?} {ran:?}", site.rung);
        let ran = site.run_request(limited(&site, ResourceLimits::default(), script)).await;
        assert_eq!(ran.output, "all\n", "{:?}", site.rung);
    }
}

#[tokio::test]
async fn what_a_pattern_names_is_hidden_or_read_only() {
    for site in Site::on(&RUNGS).await {
        for name in ["work/.env", "work/src/deep/.env", "work/src/lock"] {
            site.write(name, "secret");
        }
        let mut request = site.request(
            &[("work", Write)],
            "cat .env src/deep/.env; mv src/deep/.env x; cat x; echo new > src/lock; cat src/kept; rm -rf src/deep",
        );
        let glob = |pattern: &str, access| GlobRule {
            pattern: site.path(pattern).to_str().expect("text").to_owned(),
            access,
        };
        request.profile.globs = vec![glob("work/**/.env", Hidden), glob("work/src/l*", Read)];
        let ran = site.run_request(request.clone()).await;
        assert!(ran.output.contains("kept") && !ran.output.contains("secret"), "{:?} {ran:?}", site.rung);
        for name in ["work/.env", "work/src/deep/.env", "work/src/lock"] {
            assert_eq!(site.read(name), "secret", "{:?} {name}", site.rung);
        }
        request.profile.globs = vec![glob("work/[", Hidden)];
        let refusal = site.refusal(request).await;
        assert!(matches!(refusal, SandboxError::Refused { .. }), "{refusal:?}");
    }
}

#[tokio::test]
async fn an_own_tmp_is_empty_and_leaves_nothing() {
    for site in Site::on(&RUNGS).await {
        let canary = format!("skein-canary-{}", std::process::id());
        std::fs::write(std::path::Path::new("/tmp").join(&canary), "x").expect("write");
        let script =
            format!("ls -A /tmp; echo in > /tmp/made-{canary} && cat /tmp/made-{canary}; echo x > src/new");
        let mut request = site.request(&[("work", Write), ("work/.git", Read)], &script);
        request.profile.has_own_tmp = true;
        if site.rung == SandboxRung::Landlock {
            let refusal = site.refusal(request).await;
            assert!(matches!(refusal, SandboxError::Refused { .. }), "{refusal:?}");
        } else {
            let ran = site.run_request(request).await;
            assert_eq!(ran.exit, Exit::Code(0), "{:?} {ran:?}", site.rung);
            assert!(
                ran.output.ends_with("in\n") && !ran.output.contains("canary"),
                "{:?} {ran:?}",
                site.rung
            );
            assert!(site.path("work/src/new").exists(), "the workspace is still there");
            assert_eq!(site.names("work"), ["src"], "{:?}", site.rung);
        }
        std::fs::remove_file(std::path::Path::new("/tmp").join(&canary)).expect("remove");
        assert!(!std::path::Path::new(&format!("/tmp/made-{canary}")).exists(), "{:?}", site.rung);
    }
}
