//! What commands can reach besides files.

use std::net::{Ipv4Addr, TcpListener};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

use protocol::profile::{Access::Write, NetworkAccess, SandboxRung};
use sandbox::{CommandRequest, Exit};

use crate::site::{NAMESPACES, RUNGS, Site, helper};

/// A request to try a thing; see the helper.
fn attempt(site: &Site, network: NetworkAccess, thing: &[&str]) -> CommandRequest {
    let mut request = site.request(&[("work", Write)], "");
    request.argv = vec![helper().into(), "try".into()];
    request.argv.extend(thing.iter().map(Into::into));
    request.profile.network = network;
    request
}

async fn works(site: &Site, network: NetworkAccess, thing: &[&str]) -> bool {
    site.run_request(attempt(site, network, thing)).await.exit == Exit::Code(0)
}

#[tokio::test]
async fn the_network_is_closed_unless_it_was_opened() {
    for site in Site::on(&RUNGS).await {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("listener");
        listener.set_nonblocking(true).expect("nonblocking");
        let port = listener.local_addr().expect("address").port().to_string();
        assert!(!works(&site, NetworkAccess::Off, &["connect", &port]).await, "{:?}", site.rung);
        assert!(listener.accept().is_err(), "{:?}", site.rung);
        assert!(works(&site, NetworkAccess::Full, &["connect", &port]).await, "{:?}", site.rung);
        assert!(listener.accept().is_ok(), "{:?}", site.rung);
    }
}

#[tokio::test]
async fn loopback_inside_works() {
    for site in Site::on(&NAMESPACES).await {
        assert!(works(&site, NetworkAccess::Off, &["loopback"]).await);
        assert!(works(&site, NetworkAccess::Full, &["loopback"]).await);
    }
}

#[tokio::test]
async fn local_sockets_are_out_of_reach() {
    for site in Site::on(&RUNGS).await {
        for path in ["socket", "work/socket"] {
            let path = site.path(path);
            let _listener = UnixListener::bind(&path).expect("listener");
            let path = path.to_str().expect("text");
            for network in [NetworkAccess::Off, NetworkAccess::Full] {
                assert!(!works(&site, network, &["socket", path]).await, "{:?} {path}", site.rung);
            }
        }
        let name = site.path("abstract");
        let name = name.to_str().expect("text");
        let address = SocketAddr::from_abstract_name(name.as_bytes()).expect("address");
        let _listener = UnixListener::bind_addr(&address).expect("listener");
        assert!(!works(&site, NetworkAccess::Full, &["abstract", name]).await, "{:?}", site.rung);
    }
}

#[tokio::test]
async fn socket_pairs_work_unless_they_could_send_elsewhere() {
    for site in Site::on(&RUNGS).await {
        assert!(works(&site, NetworkAccess::Off, &["stream-pair"]).await, "{:?}", site.rung);
        assert!(!works(&site, NetworkAccess::Off, &["datagram-pair"]).await, "{:?}", site.rung);
    }
}

#[tokio::test]
async fn there_are_no_capabilities_and_no_ways_to_get_some() {
    for site in Site::on(&RUNGS).await {
        let script =
            "grep -E 'Cap(Prm|Eff|Bnd|Amb)|NoNewPrivs' /proc/self/status; unshare -U true && echo escaped";
        let ran = site.run(&[("work", Write)], script).await;
        let statuses: Vec<_> = ran.output.lines().filter(|line| line.contains(":\t")).collect();
        assert!(statuses.contains(&"NoNewPrivs:\t1"), "{ran:?}");
        for set in ["CapPrm", "CapEff", "CapAmb"] {
            assert!(statuses.contains(&&*format!("{set}:\t0000000000000000")), "{set} {ran:?}");
        }
        if site.rung == SandboxRung::Namespaces || rustix::process::geteuid().is_root() {
            assert!(statuses.contains(&"CapBnd:\t0000000000000000"), "{ran:?}");
        }
        assert!(!ran.output.contains("escaped"), "{ran:?}");
    }
}

#[tokio::test]
async fn other_processes_can_t_be_signalled_or_seen_into() {
    for site in Site::on(&RUNGS).await {
        let pid = std::process::id();
        let script = format!("kill -0 {pid} && echo signalled; cat /proc/{pid}/environ && echo seen; true");
        let ran = site.run(&[("work", Write)], &script).await;
        assert!(!ran.output.contains("signalled") && !ran.output.contains("seen"), "{:?} {ran:?}", site.rung);
    }
}

#[tokio::test]
async fn only_processes_of_the_sandbox_are_listed() {
    for site in Site::on(&NAMESPACES).await {
        let ran = site.run(&[("work", Write)], "cd /proc; echo [0-9]*").await;
        assert_eq!(ran.output, "1 2\n");
    }
}
