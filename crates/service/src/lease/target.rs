//! An index that is written to within a lease only.

use super::Lease;
use async_trait::async_trait;
use std::sync::Arc;
use tributary_engine::{
    Answer, Operation, Scan, Scanned, Stored, Target, TargetError, Token, Version,
};
use tributary_sdk::DocId;

/// Passes every call on within the lease: see [`Lease::within`]. While the lease has run out and may
/// still be renewed, calls wait.
pub(crate) struct LeasedTarget {
    inner: Arc<dyn Target>,
    lease: Arc<Lease>,
}

impl LeasedTarget {
    pub(crate) fn new(inner: Arc<dyn Target>, lease: Arc<Lease>) -> Self {
        Self { inner, lease }
    }
}

#[async_trait]
impl Target for LeasedTarget {
    async fn prepare(&self, protected: bool) -> Result<(), TargetError> {
        self.lease.within(self.inner.prepare(protected)).await
    }

    fn findings(&self) -> Vec<String> {
        self.inner.findings()
    }

    async fn bulk(&self, operations: &[Operation]) -> Result<Vec<Answer>, TargetError> {
        self.lease.within(self.inner.bulk(operations)).await
    }

    async fn scan(&self) -> Result<Box<dyn Scan>, TargetError> {
        let inner = self.lease.within(self.inner.scan()).await?;
        Ok(Box::new(LeasedScan {
            inner,
            lease: Arc::clone(&self.lease),
        }))
    }

    async fn stored(&self, ids: &[DocId]) -> Result<Vec<Option<Stored>>, TargetError> {
        self.lease.within(self.inner.stored(ids)).await
    }

    async fn versions(&self, ids: &[DocId]) -> Result<Vec<Option<Version>>, TargetError> {
        self.lease.within(self.inner.versions(ids)).await
    }

    async fn token(&self) -> Result<Option<Token>, TargetError> {
        self.lease.within(self.inner.token()).await
    }

    async fn count(&self) -> Result<u64, TargetError> {
        self.lease.within(self.inner.count()).await
    }
}

struct LeasedScan {
    inner: Box<dyn Scan>,
    lease: Arc<Lease>,
}

#[async_trait]
impl Scan for LeasedScan {
    async fn next(&mut self) -> Result<Option<Vec<Scanned>>, TargetError> {
        self.lease.within(self.inner.next()).await
    }
}
