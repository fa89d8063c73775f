//! Answering a request from a future that most often needs not wait.

use std::future::Future;
use std::task::{Context, Poll, Waker};

use fuse_fast::Errno;
use fuse_fast::reply::{Body, Reply};
use tokio::runtime::Handle;

/// Answers at once when the work finds all it needs in memory, else from the runtime when its store has answered.
pub(super) fn answer<T: Body + Send + 'static>(
    runtime: &Handle,
    reply: Reply<T>,
    work: impl Future<Output = Result<T, Errno>> + Send + 'static,
) {
    let _runtime = runtime.enter();
    let mut work = Box::pin(work);
    match work.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => reply.result(result),
        Poll::Pending => drop(runtime.spawn(async move { reply.result(work.await) })),
    }
}
