//! A staged tree, its write-back and an S3 server.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use forebay::config::{Consistency, TreePath};
use forebay::memory::Budget;
use forebay::namespace::{Clock, Database, Ino, KernelCache, Namespace, NamespaceOptions, Node};
use forebay::store::{Store, StoreIndex};
use forebay::writeback::{Below, FlushProgress, Options, Settings, Writeback};
use s3_server::Server;
use staging::{
    Attributes, Base, Lookup, Moment, NewKind, NewNode, NodeNumber, RenameMode, StagedFile, Staging,
};
use tempfile::TempDir;

pub(crate) const BUCKET: &str = "written";
pub(crate) const ROOT: NodeNumber = NodeNumber::ROOT;
pub(crate) const MIB: usize = 1 << 20;
/// Nothing is sent by itself within a test; `flush` hastens it.
const LATER: Duration = Duration::from_secs(3600);
const FLUSH_TIME_MAX: Duration = Duration::from_secs(60);

struct NoKernel;

impl KernelCache for NoKernel {
    fn entry_changed(&self, _: Ino, _: &str) {}
    fn inode_changed(&self, _: Ino) {}
}

pub(crate) struct Rig {
    pub(crate) server: Arc<Server>,
    directory: Arc<TempDir>,
    pub(crate) settings: Settings,
    pub(crate) staging: Staging,
    pub(crate) writeback: Writeback,
    pub(crate) namespace: Namespace,
}

pub(crate) fn settings() -> Settings {
    Settings { delay_large: LATER, delay_small: LATER, part_bytes: 5 << 20, ..Settings::default() }
}

pub(crate) fn bytes(seed: u64, len: usize) -> Bytes {
    s3_server::synthetic_bytes(seed, 0..len as u64)
}

impl Rig {
    pub(crate) async fn new() -> Self {
        Self::with(settings()).await
    }

    pub(crate) async fn with(settings: Settings) -> Self {
        let server = Server::start(s3_server::Options::default()).await.expect("a free port");
        server.create_bucket(BUCKET);
        server.take_changes();
        Self::on(Arc::new(server), settings).await
    }

    /// Another host with the same store.
    pub(crate) async fn on(server: Arc<Server>, settings: Settings) -> Self {
        let directory = Arc::new(TempDir::new().expect("a directory"));
        Self::open(server, directory, settings).await
    }

    async fn open(server: Arc<Server>, directory: Arc<TempDir>, settings: Settings) -> Self {
        let store = store(&server).await;
        let namespace = namespace(&store).await;
        let shared = Arc::new(settings.clone());
        let delays = Writeback::delays(&shared);
        let mut options = staging::Options::new(directory.path().to_owned(), "test mount".to_owned());
        options.delay = delays.rule.clone();
        let (staging, _) = Staging::open(options).expect("opened");
        let writeback = Writeback::start(Options {
            staging: staging.clone(),
            directory: directory.path().to_owned(),
            below: Below::new(vec![store], namespace.clone()),
            budget: Budget::new(256 << 20),
            demand: Arc::default(),
            settings: shared,
            delays,
        });
        let writeback = writeback.expect("started");
        Self { server, directory, settings, staging, writeback, namespace }
    }

    /// The daemon is killed and starts again: the staged tree is what its files say, nothing was told to the store.
    pub(crate) async fn restart(self) -> Self {
        let Self { server, directory, settings, staging, writeback, namespace } = self;
        writeback.stop().await;
        drop((writeback, staging, namespace));
        Self::open(server, directory, settings).await
    }

    pub(crate) fn uploads_directory(&self) -> std::path::PathBuf {
        self.directory.path().join("uploads")
    }

    pub(crate) fn make(&self, path: &str, kind: NewKind, below: Option<Base>) -> NodeNumber {
        let (parent, name) = self.place(path);
        let moment = Moment { secs: 1_700_000_000, nanos: 5 };
        let attributes =
            Attributes { mode: 0o640, uid: 7, gid: 8, atime: moment, mtime: moment, ctime: moment };
        self.staging.create(parent, name, NewNode { kind, attributes }, below).expect("created").number
    }

    pub(crate) fn mkdir(&self, path: &str) {
        self.make(path, NewKind::Directory, None);
    }

    /// As `open(O_CREAT|O_TRUNC)`, `write`, `close`.
    pub(crate) fn write(&self, path: &str, data: &[u8]) {
        let (parent, name) = self.place(path);
        let number = match self.staging.lookup(parent, name) {
            Lookup::Node(node) => node.number,
            _ => self.make(path, NewKind::File, None),
        };
        let file = self.staging.open_file(number, true).expect("opened");
        file.truncate(0).expect("emptied");
        file.write_at(0, data).expect("written");
        file.close().expect("closed");
    }

    pub(crate) fn open_file(&self, path: &str) -> StagedFile {
        self.staging.open_file(self.number(path), true).expect("opened")
    }

    pub(crate) fn fsync(&self, path: &str) {
        self.open_file(path).sync().expect("synced");
    }

    pub(crate) fn rename(&self, from: &str, to: &str) {
        let (from, to) = (self.place(from), self.place(to));
        self.staging.rename(from, to, RenameMode::Replace, None).expect("renamed");
    }

    pub(crate) fn unlink(&self, path: &str) {
        let (parent, name) = self.place(path);
        self.staging.unlink(parent, name, None).expect("removed");
    }

    pub(crate) fn number(&self, path: &str) -> NodeNumber {
        let names = Path::new(path).iter().map(|name| name.to_str().expect("UTF-8"));
        names.fold(ROOT, |parent, name| match self.staging.lookup(parent, name) {
            Lookup::Node(node) => node.number,
            other => panic!("{path}: {other:?}"),
        })
    }

    fn place<'p>(&self, path: &'p str) -> (NodeNumber, &'p str) {
        match path.rsplit_once('/') {
            Some((parent, name)) => (self.number(parent), name),
            None => (ROOT, path),
        }
    }

    /// Sends everything at and below a path, and waits for it.
    pub(crate) async fn flush(&self, path: &str) {
        let end = self.flush_until(path, FlushProgress::is_done).await;
        assert!(end.is_done(), "{end:?}");
    }

    /// Flushes until a condition holds.
    pub(crate) async fn flush_until(
        &self,
        path: &str,
        ends: impl Fn(&FlushProgress) -> bool,
    ) -> FlushProgress {
        let started = Instant::now();
        let mut until = None;
        loop {
            let progress = self.writeback.flush(path, until).await.expect("not poisoned");
            if ends(&progress) {
                return progress;
            }
            until = Some(progress.until);
            assert!(started.elapsed() < FLUSH_TIME_MAX, "{progress:?}, {:?}", self.writeback.status());
        }
    }

    /// Waits for a condition, with a bound.
    pub(crate) async fn wait_for(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let started = Instant::now();
        while !holds(self) {
            assert!(started.elapsed() < FLUSH_TIME_MAX, "{what}: {:?}", self.writeback.status());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// What became visible at the store since the last call: `key`, or `-key` for what was removed.
    pub(crate) fn changes(&self) -> Vec<String> {
        let shown = |change: s3_server::Change| match change.size_bytes {
            Some(_) => change.key,
            None => format!("-{}", change.key),
        };
        self.server.take_changes().into_iter().map(shown).collect()
    }

    pub(crate) fn stored(&self, key: &str) -> Option<Bytes> {
        self.server.get(BUCKET, key)
    }

    /// Whether the namespace below knows a file, and its size, without asking the store.
    pub(crate) async fn known(&self, path: &str) -> Option<u64> {
        let before = self.server.stats().requests();
        let resolved = self.namespace.resolve(&TreePath::new(path).expect("a path")).await.expect("resolved");
        assert_eq!(self.server.stats().requests(), before, "the store was asked for {path}");
        resolved.map(|node| match node {
            Node::File(file) => file.size_bytes,
            Node::Directory(_) => 0,
        })
    }
}

async fn store(server: &Server) -> Arc<Store> {
    let options = s3_server::Options::default();
    let mut settings = ufs::Settings::default();
    settings.s3.endpoint = Some(server.endpoint());
    settings.s3.credentials = ufs::s3::Credentials::Static {
        access_key: options.access_key,
        secret_key: options.secret_key,
        session_token: None,
    };
    settings.calls.attempts_max = 2;
    settings.calls.backoff_min = Duration::from_millis(1);
    let location = ufs::Location::S3 { bucket: BUCKET.into(), prefix: String::new() };
    let connected = ufs::connect(&location, &settings).await.expect("the server answers");
    Arc::new(Store::new(connected, "test".to_owned()))
}

async fn namespace(store: &Arc<Store>) -> Namespace {
    let opened = Namespace::open(NamespaceOptions {
        identity: "test mount".to_owned(),
        tree: vec![(TreePath::new("").expect("the root"), StoreIndex(0))],
        stores: vec![Arc::clone(store)],
        consistency: Consistency::Immutable,
        database: Database::in_memory(16 << 20).expect("in memory"),
        events: Arc::new(NoKernel),
        clock: Clock::default(),
    });
    opened.await.expect("opened")
}
