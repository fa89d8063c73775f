//! [`Flights`]: equal questions that are asked at the same time share one answer.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use parking_lot::Mutex;

use super::error::NamespaceError;

type Answer<V> = Result<V, NamespaceError>;
type Flight<V> = Shared<BoxFuture<'static, Answer<V>>>;
type Table<K, V> = Arc<Mutex<HashMap<K, Flight<V>>>>;

/// Questions under way. Each runs as a task of its own and ends within the store's time limits, also when all who
/// waited are gone; so there are no more of them than callers had in that time.
pub(super) struct Flights<K: Eq + Hash, V: Clone> {
    flights: Table<K, V>,
}

impl<K, V> Flights<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    pub(super) fn new() -> Self {
        Self { flights: Arc::default() }
    }

    /// Joins the question under way for `key`, or asks it.
    pub(super) async fn join(
        &self,
        key: K,
        ask: impl FnOnce() -> BoxFuture<'static, Answer<V>>,
    ) -> Answer<V> {
        self.flight(key, ask).await
    }

    /// Asks without waiting for the answer.
    pub(super) fn start(&self, key: K, ask: impl FnOnce() -> BoxFuture<'static, Answer<V>>) {
        drop(self.flight(key, ask));
    }

    fn flight(&self, key: K, ask: impl FnOnce() -> BoxFuture<'static, Answer<V>>) -> Flight<V> {
        let mut flights = self.flights.lock();
        if let Some(flight) = flights.get(&key) {
            return flight.clone();
        }
        let landing = Landing { flights: self.flights.clone(), key: key.clone() };
        let question = ask();
        let task = tokio::spawn(async move {
            let _landing = landing;
            question.await
        });
        // The task ends early only when it panics or the runtime shuts down.
        let flight = task.map(|ended| ended.unwrap_or(Err(NamespaceError::Interrupted))).boxed().shared();
        flights.insert(key, flight.clone());
        flight
    }
}

/// Takes a question off the table when its task ends.
struct Landing<K: Eq + Hash, V: Clone> {
    flights: Table<K, V>,
    key: K,
}

impl<K: Eq + Hash, V: Clone> Drop for Landing<K, V> {
    fn drop(&mut self) {
        let landed = self.flights.lock().remove(&self.key);
        drop(landed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::sync::Barrier;

    use super::*;

    #[tokio::test]
    async fn questions_at_the_same_time_are_asked_once() {
        let (flights, asked) = (Arc::new(Flights::new()), Arc::new(AtomicU32::new(0)));
        let gate = Arc::new(Barrier::new(2));
        let ask = || {
            let (asked, gate) = (asked.clone(), gate.clone());
            async move {
                gate.wait().await;
                Ok(asked.fetch_add(1, Ordering::Relaxed))
            }
            .boxed()
        };
        let both = futures::future::join(flights.join("key", ask), flights.join("key", ask));
        let (answers, _) = futures::future::join(both, gate.wait()).await;
        assert!(matches!(answers, (Ok(0), Ok(0))));
        let (again, _) = futures::future::join(flights.join("key", ask), gate.wait()).await;
        assert!(matches!(again, Ok(1)), "an answer is not kept");
    }

    #[tokio::test]
    async fn a_panic_is_an_error_for_all_who_wait() {
        let flights = Flights::<u8, ()>::new();
        let answer = flights.join(1, || async { panic!("planted") }.boxed()).await;
        assert!(matches!(answer, Err(NamespaceError::Interrupted)));
    }
}
