//! Payloads: names, caps, and when their files go.

use std::fs;

use protocol::ids::{BlobId, SessionId};

use super::fixture::Fixture;
use crate::{Blobs, Durability, Store, StoreOptions};

#[tokio::test]
async fn a_payload_is_named_by_its_content() {
    let fixture = Fixture::new();
    let store = fixture.open().await;
    let session = SessionId::generate();
    let id = store.blobs().put(session, b"hello".to_vec()).await.expect("put");
    assert_eq!(id.0, "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
    assert_eq!(store.blobs().get(&id).await.expect("get").as_deref(), Some(&b"hello"[..]));
    assert_eq!(store.blobs().put(session, b"hello".to_vec()).await.expect("again"), id);
    let path = "blobs/2c/f24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    assert_eq!(fixture.files().get(&fixture.scratch.path().join(path)), Some(&5));
    let empty = store.blobs().put(session, Vec::new()).await.expect("put");
    assert_eq!(store.blobs().get(&empty).await.expect("get"), Some(Vec::new()));
}

#[tokio::test]
async fn a_spool_is_the_same_as_its_pieces_together() {
    let fixture = Fixture::new();
    let options = StoreOptions { durability: Durability::Power, ..fixture.options() };
    let store = Store::open(options).await.expect("store");
    let session = SessionId::generate();
    let mut spool = store.blobs().spool(session).await.expect("spool");
    let mut all = Vec::new();
    for number in 0..20_000 {
        let piece = format!("line {number}\n");
        spool.write(piece.as_bytes()).await.expect("write");
        all.extend_from_slice(piece.as_bytes());
    }
    let id = spool.finish().await.expect("finish");
    assert_eq!(store.blobs().get(&id).await.expect("get").as_ref(), Some(&all));
    assert_eq!(store.blobs().put(session, all).await.expect("put"), id);
}

#[tokio::test]
async fn beyond_the_cap_bytes_are_counted_only() {
    let fixture = Fixture::new();
    let store = Store::open(StoreOptions { blob_cap_bytes: 10, ..fixture.options() }).await.expect("store");
    let session = SessionId::generate();
    let mut spool = store.blobs().spool(session).await.expect("spool");
    for piece in ["0123", "4567", "89ab", "cdef"] {
        spool.write(piece.as_bytes()).await.expect("write");
    }
    let id = spool.finish().await.expect("finish");
    let kept = store.blobs().get(&id).await.expect("get").expect("there");
    assert_eq!(String::from_utf8_lossy(&kept), "0123456789\n[6 more bytes were left out]\n");
    let whole = store.blobs().put(session, b"0123456789".to_vec()).await.expect("put");
    assert_eq!(store.blobs().get(&whole).await.expect("get").expect("there"), b"0123456789");
}

#[tokio::test]
async fn a_dropped_spool_leaves_nothing() {
    let fixture = Fixture::new();
    let store = fixture.open().await;
    let mut spool = store.blobs().spool(SessionId::generate()).await.expect("spool");
    spool.write(&[b'x'; 200_000]).await.expect("write");
    let in_blobs =
        || fixture.files().into_keys().filter(|file| file.starts_with(fixture.options().blobs)).count();
    assert_eq!(in_blobs(), 1);
    drop(spool);
    assert_eq!(in_blobs(), 0);
}

#[tokio::test]
async fn what_a_crash_left_unfinished_is_removed() {
    let fixture = Fixture::new();
    let store = fixture.open().await;
    let id = store.blobs().put(SessionId::generate(), b"kept".to_vec()).await.expect("put");
    store.close().await;
    let left = fixture.options().blobs.join("unfinished-Ab3");
    fs::write(&left, "half").expect("write");
    let store = fixture.open().await;
    assert!(!left.exists());
    assert!(store.blobs().get(&id).await.expect("get").is_some());
}

#[tokio::test]
async fn a_name_of_another_form_names_nothing() {
    let fixture = Fixture::new();
    let store = fixture.open().await;
    let id = store.blobs().put(SessionId::generate(), b"hello".to_vec()).await.expect("put");
    let upper = id.0.to_uppercase().replace("SHA256", "sha256");
    let absent = format!("sha256:{}", "0".repeat(64));
    for name in
        [&*upper, &*absent, &id.0[..70], &id.0[7..], "sha256:", "sha256:../../skein.db", "../skein.db"]
    {
        assert_eq!(store.blobs().get(&BlobId(name.to_owned())).await.expect("get"), None, "{name}");
    }
}

#[tokio::test]
async fn a_session_takes_only_its_own_payloads_with_it() {
    let fixture = Fixture::new();
    let store = fixture.open().await;
    let (session, other) = (SessionId::generate(), SessionId::generate());
    let own = store.blobs().put(session, b"own".to_vec()).await.expect("put");
    let shared = store.blobs().put(session, b"shared".to_vec()).await.expect("put");
    assert_eq!(store.blobs().put(other, b"shared".to_vec()).await.expect("put"), shared);
    let foreign = store.blobs().put(other, b"foreign".to_vec()).await.expect("put");
    let there = async |id| store.blobs().get(id).await.expect("get").is_some();
    store.delete(session).await.expect("delete");
    assert_eq!((there(&own).await, there(&shared).await, there(&foreign).await), (false, true, true));
    store.delete(other).await.expect("delete");
    assert_eq!((there(&shared).await, there(&foreign).await), (false, false));
}

#[tokio::test]
async fn a_session_reads_only_what_was_kept_for_it() {
    let fixture = Fixture::new();
    let store = fixture.open().await;
    let (session, other) = (SessionId::generate(), SessionId::generate());
    let own = store.blobs().put(session, b"own".to_vec()).await.expect("put");
    let foreign = store.blobs().put(other, b"foreign".to_vec()).await.expect("put");
    let read = async |session, id| store.blob_of(session, id).await.expect("read");
    assert_eq!(read(session, &own).await.as_deref(), Some(&b"own"[..]));
    assert_eq!(read(session, &foreign).await, None);
    assert_eq!(read(other, &foreign).await.as_deref(), Some(&b"foreign"[..]));
    assert_eq!(read(session, &BlobId("sha256:../x".to_owned())).await, None);
}

#[tokio::test]
async fn payloads_beyond_the_cap_are_kept_whole_and_none_is_unpacked_beyond_it() {
    let fixture = Fixture::new();
    let session = SessionId::generate();
    let content = b"a line of a file\n".repeat(100);
    let capped = async |blob_cap_bytes| {
        Store::open(StoreOptions { blob_cap_bytes, ..fixture.options() }).await.expect("store")
    };
    let store = capped(1_000).await;
    let ids = store.blobs().put_all(session, vec![content.clone()]).await.expect("put");
    assert_eq!(store.blobs().read(&ids[0]).expect("read").as_ref(), Some(&content));
    store.delete(session).await.expect("delete");
    store.close().await;
    let store = capped(1_700).await;
    let ids = store.blobs().put_all(session, vec![content.clone()]).await.expect("put");
    assert_eq!(store.blobs().read(&ids[0]).expect("read").as_ref(), Some(&content));
    store.close().await;
    let cut = capped(1_699).await.blobs().read(&ids[0]);
    assert!(cut.is_err(), "{cut:?}");
}

#[tokio::test]
async fn payloads_that_are_kept_together_are_packed_and_go_with_their_session() {
    let fixture = Fixture::new();
    let store = fixture.open().await;
    let (session, other) = (SessionId::generate(), SessionId::generate());
    let contents = vec![b"short".to_vec(), b"a line of a file\n".repeat(1_000), Vec::new()];
    let ids = store.blobs().put_all(session, contents.clone()).await.expect("put");
    for (id, content) in ids.iter().zip(&contents) {
        assert_eq!(store.blobs().get(id).await.expect("get").as_ref(), Some(content));
        assert_eq!(store.blobs().read(id).expect("read").as_ref(), Some(content));
        assert_eq!(Blobs::name(content), *id);
    }
    let blobs = || {
        let folder = fixture.scratch.path().join("blobs");
        let files = fixture.files().into_iter().filter(|(path, _)| path.starts_with(&folder));
        files.map(|(_, bytes)| bytes).collect::<Vec<_>>()
    };
    assert!(blobs().len() == 3 && blobs().iter().sum::<u64>() < 1_000, "{:?}", blobs());
    assert_eq!(store.blobs().put_all(other, contents[1..2].to_vec()).await.expect("put"), ids[1..2]);
    store.delete(session).await.expect("delete");
    assert_eq!(store.blobs().get(&ids[0]).await.expect("get"), None);
    assert_eq!(store.blobs().get(&ids[1]).await.expect("get").as_ref(), Some(&contents[1]));
    store.delete(other).await.expect("delete");
    assert!(blobs().is_empty(), "{:?}", blobs());
}
