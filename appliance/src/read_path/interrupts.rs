//! Readers that wait for a store and may be interrupted by a signal.

use std::collections::HashMap;
use std::future::Future;

use fuse_fast::Unique;
use parking_lot::Mutex;
use tokio::sync::oneshot;

/// One entry for each read that waits; the kernel's limit on outstanding requests bounds it.
#[derive(Default)]
pub(super) struct Interrupts {
    waiting: Mutex<HashMap<Unique, oneshot::Sender<()>>>,
}

impl Interrupts {
    /// Resolves when the request is interrupted; never otherwise. Call [`done`](Self::done) when it is answered.
    pub(super) fn expect(&self, unique: Unique) -> impl Future<Output = ()> + Send + use<> {
        let (raise, raised) = oneshot::channel();
        self.waiting.lock().insert(unique, raise);
        async move {
            if raised.await.is_err() {
                std::future::pending().await
            }
        }
    }

    pub(super) fn raise(&self, unique: Unique) {
        let raise = self.waiting.lock().remove(&unique);
        if raise.is_some_and(|raise| raise.send(()).is_err()) {
            tracing::trace!("interrupted in the moment of its answer");
        }
    }

    pub(super) fn done(&self, unique: Unique) {
        self.waiting.lock().remove(&unique);
    }
}
