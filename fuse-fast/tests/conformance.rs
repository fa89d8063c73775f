//! What every server of a file system must do alike: this crate on each of its transports, and the library `fuser` as a
//! second opinion about what is right.

mod support;

use std::collections::HashSet;
use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::process::Command;

use fuse_fast::NodeId;
use support::memory_fs::Content;
use support::{LONG, memory, on_every_server, pattern};

const ENTRIES: usize = 12_000;

#[test]
fn bytes_and_attributes_arrive() {
    on_every_server(|serve| {
        let fs = memory(LONG);
        let data = pattern(3_000_001);
        let directory = fs.add_directory(NodeId::ROOT, "images");
        fs.add_file(directory, "one.jpg", data.clone());
        fs.add_file(directory, "empty", Vec::new());
        fs.add(NodeId::ROOT, "link", Content::Symlink("images/one.jpg".into()));
        let place = serve(fs);

        assert!(fs::read(place.join("images/one.jpg")).expect("readable") == data);
        assert!(fs::read(place.join("link")).expect("the link leads there") == data);
        assert!(fs::read(place.join("images/empty")).expect("readable").is_empty());
        assert_eq!(fs::read_link(place.join("link")).expect("a link").to_str(), Some("images/one.jpg"));
        let metadata = fs::metadata(place.join("images/one.jpg")).expect("there");
        assert_eq!((metadata.len(), metadata.uid(), metadata.gid()), (3_000_001, 1234, 4321));
        assert_eq!((metadata.mode(), metadata.nlink(), metadata.blocks()), (0o100_644, 1, 5860));
        assert_eq!((metadata.mtime(), metadata.mtime_nsec()), (1_700_000_000, 123_456_789));
        let missing = fs::metadata(place.join("missing")).expect_err("no such name");
        assert_eq!(missing.kind(), std::io::ErrorKind::NotFound);
    });
}

#[test]
fn a_tree_lists_like_any_other() {
    on_every_server(|serve| {
        let fs = memory(LONG);
        for index in 0..20 {
            let directory = fs.add_directory(NodeId::ROOT, &format!("class-{index:02}"));
            for file in 0..10 {
                fs.add_file(directory, &format!("{file}.bin"), pattern(file * 100));
            }
        }
        let place = serve(fs);
        let output = Command::new("ls").arg("-lRn").arg(place.path()).output().expect("ls runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).expect("ASCII names");
        assert_eq!(text.lines().filter(|line| line.starts_with("-rw-r--r--")).count(), 200);
        assert_eq!(text.lines().filter(|line| line.starts_with("drwxr-xr-x")).count(), 20);
        assert_eq!(text.lines().filter(|line| line.contains(" 900 ") && line.ends_with("9.bin")).count(), 20);
        let find = Command::new("find").arg(place.path()).output().expect("find runs");
        assert_eq!(find.stdout.iter().filter(|&&byte| byte == b'\n').count(), 1 + 20 + 200);
    });
}

#[test]
fn many_readers_see_the_same_bytes() {
    on_every_server(|serve| {
        let fs = memory(LONG);
        let data = pattern(5_000_000);
        fs.add_file(NodeId::ROOT, "data", data.clone());
        let place = serve(fs);
        std::thread::scope(|scope| {
            for reader in 0..8_usize {
                let (place, data) = (place.path(), &data);
                scope.spawn(move || {
                    let file = File::open(place.join("data")).expect("opens");
                    for step in 0..50_usize {
                        let start = (reader * 611_953 + step * 98_317) % data.len();
                        let mut buffer = vec![0; 70_001];
                        let count = file.read_at(&mut buffer, start as u64).expect("readable");
                        assert!(buffer[..count] == data[start..start + count]);
                        assert_eq!(count, (data.len() - start).min(70_001));
                    }
                });
            }
        });
    });
}

#[test]
fn sizes_and_extended_attributes_arrive() {
    on_every_server(|serve| {
        let fs = memory(LONG);
        fs.add_file(NodeId::ROOT, "file", &b"x"[..]);
        let place = serve(fs);
        let sizes = nix::sys::statvfs::statvfs(place.path()).expect("statvfs");
        assert_eq!((sizes.blocks(), sizes.blocks_free(), sizes.blocks_available()), (1000, 400, 300));
        assert_eq!((sizes.files(), sizes.files_free(), sizes.name_max()), (77, 7, 255));
        let output = Command::new("python3")
            .arg("-c")
            .arg("import os,sys\np=sys.argv[1]\nprint(os.listxattr(p), os.getxattr(p,'user.node'))")
            .arg(place.join("file"))
            .output();
        match output {
            Ok(output) => assert_eq!(String::from_utf8_lossy(&output.stdout), "['user.node'] b'2'\n"),
            Err(_) => println!("SKIP: no python3 to read extended attributes with"),
        }
    });
}

#[test]
fn every_entry_is_listed_once() {
    on_every_server(|serve| {
        let fs = memory(LONG);
        for index in 0..ENTRIES {
            fs.add_file(NodeId::ROOT, &format!("image-{index:06}.jpg"), vec![0; index % 7]);
        }
        let place = serve(fs);
        let listed: Vec<_> = fs::read_dir(place.path())
            .expect("opens")
            .map(|entry| entry.expect("readable").file_name().into_string().expect("ASCII"))
            .collect();
        let distinct: HashSet<&String> = listed.iter().collect();
        assert_eq!((listed.len(), distinct.len()), (ENTRIES, ENTRIES));
        assert!(
            distinct.contains(&"image-000000.jpg".to_owned())
                && distinct.contains(&"image-011999.jpg".to_owned())
        );
    });
}
