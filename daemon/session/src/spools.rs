//! Keeps long outputs of a session's tools among the store's blobs.

use std::io;

use futures_util::future::BoxFuture;
use protocol::ids::{BlobId, SessionId};
use store::{BlobSpool, Store, StoreError};
use tools::output::{Spool, Spools};

/// The spools of one session.
pub(crate) struct SessionSpools {
    pub(crate) store: Store,
    pub(crate) session: SessionId,
}

impl Spools for SessionSpools {
    fn open(&self) -> BoxFuture<'_, io::Result<Box<dyn Spool>>> {
        Box::pin(async move {
            let spool = self.store.blobs().spool(self.session).await.map_err(io::Error::other)?;
            Ok(Box::new(StoredSpool(spool)) as Box<dyn Spool>)
        })
    }

    fn read<'a>(&'a self, blob: &'a BlobId) -> BoxFuture<'a, io::Result<Option<Vec<u8>>>> {
        Box::pin(async move { self.store.blob_of(self.session, blob).await.map_err(io::Error::other) })
    }
}

struct StoredSpool(BlobSpool);

impl Spool for StoredSpool {
    fn write<'a>(&'a mut self, bytes: &'a [u8]) -> BoxFuture<'a, io::Result<()>> {
        Box::pin(async move { self.0.write(bytes).await.map_err(io::Error::other) })
    }

    fn finish(self: Box<Self>) -> BoxFuture<'static, io::Result<BlobId>> {
        Box::pin(async move { self.0.finish().await.map_err(|error: StoreError| io::Error::other(error)) })
    }
}
