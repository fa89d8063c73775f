//! [`SharedStore`]: the kinds of stores that a behaviour must hold on alike.

use std::path::PathBuf;
use std::process;
use std::sync::Arc;
use std::time::SystemTime;

use tempfile::TempDir;
use tokio::runtime::Runtime;
use ufs::s3::Credentials;
use ufs::{Attributes, Key, Location, PutCondition, Ufs};

use crate::{S3, Setup, Tree};

/// A store with a dataset.
pub enum SharedStore {
    /// The server in this process.
    InProcess(S3),
    /// A local directory.
    Directory(TempDir),
    /// A real S3 server; what was put is deleted again at the end.
    Remote(Remote),
}

/// A prefix of our own in a bucket of a real server.
pub struct Remote {
    endpoint: String,
    access_key: String,
    secret_key: String,
    location: Location,
    store: Arc<dyn Ufs>,
    runtime: Runtime,
    keys: Vec<Key>,
}

impl SharedStore {
    /// One empty store of each kind. The remote one is there when FOREBAY_TEST_S3_ENDPOINT, _ACCESS_KEY and
    /// _SECRET_KEY are set; its bucket is FOREBAY_TEST_S3_BUCKET, or `forebay-test`, and must exist.
    pub fn kinds() -> Vec<Self> {
        let directory = tempfile::tempdir().expect("make a temporary directory");
        let mut kinds = vec![Self::InProcess(S3::start()), Self::Directory(directory)];
        kinds.extend(Remote::from_environment().map(Self::Remote));
        kinds
    }

    /// For messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::InProcess(_) => "s3 in process",
            Self::Directory(_) => "directory",
            Self::Remote(_) => "remote s3",
        }
    }

    /// Stores every file of a tree.
    pub fn put_tree(&mut self, tree: &Tree) {
        match self {
            Self::InProcess(s3) => tree.each(|path, bytes| s3.put(path, bytes)),
            Self::Directory(dir) => tree.write_to(dir.path()),
            Self::Remote(remote) => remote.put_tree(tree),
        }
    }

    /// A daemon's setup that mounts this store.
    pub fn setup(&self, consistency: &str) -> Setup {
        match self {
            Self::InProcess(s3) => Setup::new().s3(s3).mount(&s3.url(""), consistency),
            Self::Directory(dir) => Setup::new().mount(&directory_url(dir.path().to_owned()), consistency),
            Self::Remote(remote) => Setup::new()
                .store("endpoint", &remote.endpoint)
                .credentials(&remote.access_key, &remote.secret_key)
                .mount(&remote.location.to_string(), consistency),
        }
    }
}

fn directory_url(root: PathBuf) -> String {
    Location::File { root }.to_string()
}

impl Remote {
    fn from_environment() -> Option<Self> {
        let of = |name: &str| std::env::var(format!("FOREBAY_TEST_S3_{name}")).ok();
        let (endpoint, access_key, secret_key) = (of("ENDPOINT")?, of("ACCESS_KEY")?, of("SECRET_KEY")?);
        let bucket = of("BUCKET").unwrap_or_else(|| "forebay-test".to_owned());
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("the clock is set");
        let prefix = format!("e2e-{}-{}/", process::id(), since_epoch.as_nanos());
        let location = Location::S3 { bucket, prefix };
        let mut settings = ufs::Settings::default();
        settings.s3.endpoint = Some(endpoint.clone());
        settings.s3.credentials = Credentials::Static {
            access_key: access_key.clone(),
            secret_key: secret_key.clone(),
            session_token: None,
        };
        let runtime = Runtime::new().expect("start a runtime");
        let store = runtime
            .block_on(ufs::connect(&location, &settings))
            .expect("reach the server of FOREBAY_TEST_S3_*");
        Some(Self { endpoint, access_key, secret_key, location, store, runtime, keys: Vec::new() })
    }

    fn put_tree(&mut self, tree: &Tree) {
        for file in &tree.files {
            let key = Key::new(file.path.clone()).expect("a short path");
            let attributes = Attributes::default();
            let put = self.store.put(&key, file.bytes(), &attributes, &PutCondition::Always);
            self.runtime.block_on(put).unwrap_or_else(|error| panic!("put {key}: {error}"));
            self.keys.push(key);
        }
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        for key in &self.keys {
            if let Err(error) = self.runtime.block_on(self.store.delete(key, None)) {
                eprintln!("{key} is left in {}: {error}", self.location);
            }
        }
    }
}
