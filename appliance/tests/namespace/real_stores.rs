//! The same names from a directory and from an S3 server.

use std::fs;
use std::sync::Arc;

use forebay::config::Consistency;
use ufs::Ufs;

use super::mount::Mount;

async fn check(store: Arc<dyn Ufs>, change: impl AsyncFnOnce()) {
    let mount = Mount::new(store, Consistency::Immutable).await;
    assert_eq!(mount.list("").await, ["a.txt", "dir/", "empty/"]);
    let kept = mount.ino("dir/sub/kept").await;
    assert_eq!(mount.files("").await, ["a.txt", "dir/sub/kept", "dir/sub/replaced"]);
    assert_eq!(mount.ino("dir/sub/kept").await, kept);
    assert_eq!(mount.list("empty").await, [""; 0]);
    assert_eq!(mount.walk("dir/none").await.expect("the store answers"), None);
    assert_eq!(mount.walk("a.txt/none").await.ok().flatten(), None);
    let replaced = mount.ino("dir/sub/replaced").await;
    change().await;
    let report = mount.refresh("", true).await;
    assert_eq!((report.changed, report.removed, report.added), (1, 1, 1));
    assert_eq!(mount.ino("dir/sub/kept").await, kept);
    assert_ne!(mount.ino("dir/sub/replaced").await, replaced);
    assert_eq!(mount.files("").await, ["dir/new", "dir/sub/kept", "dir/sub/replaced"]);
}

#[tokio::test]
async fn a_directory_is_shown() {
    let root = tempfile::TempDir::new().expect("a temporary directory");
    let at = |name: &str| root.path().join(name);
    fs::create_dir_all(at("dir/sub")).expect("made");
    fs::create_dir_all(at("empty")).expect("made");
    for name in ["a.txt", "dir/sub/kept", "dir/sub/replaced"] {
        fs::write(at(name), name).expect("written");
    }
    let store = ufs::file::FileStore::open(root.path()).await.expect("it is there");
    let change = async || {
        fs::write(at("dir/sub/replaced"), "longer than it was before").expect("written");
        fs::write(at("dir/new"), "new").expect("written");
        fs::remove_file(at("a.txt")).expect("removed");
    };
    check(Arc::new(store), change).await;
}

#[tokio::test]
async fn a_bucket_is_shown() {
    let options = s3_server::Options { anonymous: true, ..s3_server::Options::default() };
    let server = s3_server::Server::start(options).await.expect("a free port");
    server.create_bucket("names");
    let put = |key: &str, data: &str| drop(server.put("names", key, data.to_owned()));
    for key in ["a.txt", "dir/sub/kept", "dir/sub/replaced"] {
        put(key, key);
    }
    put("empty/", "");
    let location = "s3://names".parse().expect("a location");
    let mut settings = ufs::Settings::default();
    settings.s3.endpoint = Some(server.endpoint());
    settings.s3.credentials = ufs::s3::Credentials::Anonymous;
    let store = ufs::connect(&location, &settings).await.expect("the server answers");
    let change = async || {
        put("dir/sub/replaced", "longer than it was before");
        put("dir/new", "new");
        assert!(server.remove("names", "a.txt"));
    };
    check(store, change).await;
    server.shutdown().await;
}
