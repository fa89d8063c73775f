//! [`Mount`]: a namespace over stores, with what the kernel was told and a clock that only tests move.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use forebay::config::{Consistency, TreePath};
use forebay::namespace::{
    Cached, Clock, Database, FilesBelow, Found, Ino, KernelCache, Namespace, NamespaceError,
    NamespaceOptions, Node, RefreshReport,
};
use forebay::store::{Store, StoreIndex};
use parking_lot::Mutex;
use ufs::Ufs;

/// What the kernel was told: names as `parent:name`, directories as `parent`.
#[derive(Default)]
pub(crate) struct Kernel(Mutex<Vec<String>>);

impl KernelCache for Kernel {
    fn entry_changed(&self, parent: Ino, name: &str) {
        self.0.lock().push(format!("{}:{name}", parent.get()));
    }

    fn inode_changed(&self, ino: Ino) {
        self.0.lock().push(ino.get().to_string());
    }
}

/// Milliseconds of wall time.
#[derive(Clone)]
pub(crate) struct TestClock(Arc<AtomicU64>);

impl TestClock {
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicU64::new(1_700_000_000_000)))
    }

    pub(crate) fn advance(&self, time: Duration) {
        self.0.fetch_add(time.as_millis() as u64, Ordering::SeqCst);
    }

    fn clock(&self) -> Clock {
        let ms = self.0.clone();
        Clock::new(move || SystemTime::UNIX_EPOCH + Duration::from_millis(ms.load(Ordering::SeqCst)))
    }
}

pub(crate) struct Mount {
    pub(crate) names: Namespace,
    pub(crate) kernel: Arc<Kernel>,
    pub(crate) clock: TestClock,
}

pub(crate) fn path(text: &str) -> TreePath {
    TreePath::new(text).expect("a valid path")
}

impl Mount {
    /// One store at the root.
    pub(crate) async fn new(store: Arc<dyn Ufs>, consistency: Consistency) -> Self {
        let database = Database::in_memory(1 << 30).expect("memory");
        Self::open(database, TestClock::new(), &[("", store)], consistency).await
    }

    pub(crate) async fn open(
        database: Arc<Database>,
        clock: TestClock,
        branches: &[(&str, Arc<dyn Ufs>)],
        consistency: Consistency,
    ) -> Self {
        let kernel = Arc::new(Kernel::default());
        let stores =
            branches.iter().zip(0..).map(|((_, ufs), i)| Arc::new(Store::new(ufs.clone(), format!("s{i}"))));
        let options = NamespaceOptions {
            identity: "/mnt".into(),
            tree: branches.iter().zip(0..).map(|((at, _), i)| (path(at), StoreIndex(i))).collect(),
            stores: stores.collect(),
            consistency,
            database,
            events: kernel.clone(),
            clock: clock.clock(),
        };
        let names = Namespace::open(options).await.expect("a valid tree");
        Self { names, kernel, clock }
    }

    /// Walks to a path by lookups, as the kernel does; references stay.
    pub(crate) async fn walk(&self, text: &str) -> Result<Option<Found>, NamespaceError> {
        let (mut at, mut found) = (Ino::ROOT, None);
        for name in path(text).names() {
            let Some(next) = self.names.lookup(at, name).await? else { return Ok(None) };
            at = next.node.ino();
            found = Some(next);
        }
        Ok(found)
    }

    /// The inode number at a path that exists.
    pub(crate) async fn ino(&self, text: &str) -> Ino {
        self.walk(text).await.expect("the store answers").expect(text).node.ino()
    }

    /// Names of a directory; those of directories end in `/`.
    pub(crate) async fn list(&self, text: &str) -> Vec<String> {
        let ino = if text.is_empty() { Ino::ROOT } else { self.ino(text).await };
        let snapshot = self.names.open_dir(ino).await.expect("the store answers");
        let mut names = Vec::new();
        let listed = snapshot.next(0, &mut |entry| {
            let slash = if matches!(entry.node, Node::Directory(_)) { "/" } else { "" };
            names.push(format!("{}{slash}", entry.name));
            false
        });
        listed.expect("a sound database");
        names
    }

    pub(crate) async fn refresh(&self, text: &str, recursive: bool) -> RefreshReport {
        self.names.refresh(&path(text), recursive).await.expect("the store answers")
    }

    /// Paths of all files below one.
    pub(crate) async fn files(&self, text: &str) -> Vec<String> {
        collect(self.names.files_below(&path(text))).await.expect("the store answers")
    }

    /// What the kernel was told since the last call, sorted.
    pub(crate) fn told(&self) -> Vec<String> {
        let mut told = std::mem::take(&mut *self.kernel.0.lock());
        told.sort();
        told
    }

    pub(crate) fn is_known(&self, parent: Ino, name: &str) -> bool {
        matches!(self.names.lookup_cached(parent, name), Cached::Known(_))
    }
}

pub(crate) async fn collect(mut files: FilesBelow) -> Result<Vec<String>, NamespaceError> {
    let mut paths = Vec::new();
    while let Some((path, object)) = files.next().await? {
        assert!(object.key.as_str().ends_with(path.name().expect("a file has a name")));
        paths.push(path.to_string());
    }
    Ok(paths)
}

/// Waits until a condition holds, in turns with the tasks and threads that make it hold.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(std::time::Instant::now() < deadline, "{what} did not happen within 30 s");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
