//! References, and the end of a session.

mod support;

use std::fs;
use std::sync::atomic::Ordering;
use std::time::Duration;

use fuse_fast::NodeId;
use fuse_fast::mount::{MountError, unmount};
use support::{LONG, Mounted, memory, mounted, on_every_transport};

/// What the kernel took by lookups and listings it gives back when its caches are dropped.
#[test]
fn references_are_given_back() {
    on_every_transport(|transport| {
        let fs = memory(LONG);
        for index in 0..500 {
            let directory = fs.add_directory(NodeId::ROOT, &format!("{index}"));
            fs.add_file(directory, "file", Vec::new());
        }
        let mounted = mounted(transport, fs);
        for index in 0..500 {
            fs::metadata(mounted.path(&format!("{index}/file"))).expect("there");
        }
        let listed = std::process::Command::new("ls")
            .arg("-lR")
            .arg(mounted.directory.path())
            .output()
            .expect("ls runs");
        assert!(listed.status.success());
        assert!(mounted.fs.references() >= 1000);
        fs::write("/proc/sys/vm/drop_caches", "2").expect("root can");
        assert_eq!(mounted.fs.wait_for_no_references(), 0);
        assert!(mounted.session.stats().requests_of("BatchForget") > 0);
    });
}

#[test]
fn an_unmount_from_outside_ends_the_session() {
    on_every_transport(|transport| {
        let Mounted { session, fs, directory } = mounted(transport, memory(LONG));
        unmount(directory.path(), false).expect("nothing is open");
        session.wait().expect("a clean end");
        assert_eq!(fs.destroyed.load(Ordering::Relaxed), 1);
        assert!(matches!(unmount(directory.path(), false), Err(MountError::NotMounted { .. })));
        directory.close().expect("nothing is mounted there");
    });
}

#[test]
fn open_files_keep_an_unmount_away_unless_it_is_lazy() {
    on_every_transport(|transport| {
        let fs = memory(LONG);
        fs.add_file(NodeId::ROOT, "file", &b"still here"[..]);
        let mounted = mounted(transport, fs);
        let mut file = fs::File::open(mounted.path("file")).expect("opens");
        let stopper = mounted.session.stopper();
        assert!(matches!(stopper.unmount(false), Err(MountError::InUse { .. })));
        stopper.unmount(true).expect("detaches");
        let mut text = String::new();
        std::io::Read::read_to_string(&mut file, &mut text).expect("the connection lives on");
        assert_eq!(text, "still here");
        drop(file);
        mounted.session.wait().expect("the last file is closed");
    });
}

#[test]
fn a_dropped_session_unmounts() {
    on_every_transport(|transport| {
        let Mounted { session, fs, directory } = mounted(transport, memory(LONG));
        let notifier = session.notifier();
        drop(session);
        assert_eq!(fs.destroyed.load(Ordering::Relaxed), 1);
        assert!(notifier.inval_attributes(NodeId::ROOT).is_err());
        directory.close().expect("nothing is mounted there");
    });
}

#[test]
fn an_abort_ends_the_session_and_leaves_no_dead_mount() {
    on_every_transport(|transport| {
        let Mounted { session, fs: _fs, directory } = mounted(transport, memory(LONG));
        session.stopper().abort().expect("the mount is ours");
        session.wait().expect("an abort is an end like others");
        assert!(fs::read_dir(directory.path()).expect("the plain directory").next().is_none());
        directory.close().expect("nothing is mounted there");
    });
}

#[test]
fn a_session_can_be_stopped_twice() {
    on_every_transport(|transport| {
        let mounted = mounted(transport, memory(LONG));
        let stopper = mounted.session.stopper();
        stopper.stop(Duration::from_secs(10)).expect("stops");
        stopper.stop(Duration::from_secs(10)).expect("is stopped");
        mounted.session.wait().expect("a clean end");
        stopper.abort().expect("nothing is left to abort");
    });
}
