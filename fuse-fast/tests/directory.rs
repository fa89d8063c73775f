//! Large directories through a real mount: entries with attributes, and positions that are gone back to.

mod support;

use std::fs::File;
use std::os::fd::AsRawFd;
use std::process::Command;

use fuse_fast::NodeId;
use support::{LONG, memory, mounted, on_every_transport};

const ENTRIES: usize = 12_000;

/// A listing that looks at attributes gets them along: far fewer lookups than entries.
#[test]
fn attributes_come_with_the_listing() {
    on_every_transport(|transport| {
        let fs = memory(LONG);
        for index in 0..ENTRIES {
            fs.add_file(NodeId::ROOT, &format!("{index}"), vec![0; index % 7]);
        }
        let mounted = mounted(transport, fs);
        let output = Command::new("ls").arg("-lU").arg(mounted.directory.path()).output().expect("ls runs");
        let text = String::from_utf8(output.stdout).expect("ASCII");
        assert_eq!(text.lines().filter(|line| line.starts_with("-rw-r--r--")).count(), ENTRIES);
        let stats = mounted.session.stats();
        assert!(stats.requests_of("ReadDirPlus") > 0);
        let (lookups, attributes) = (stats.requests_of("Lookup"), stats.requests_of("GetAttr"));
        assert!(lookups + attributes < ENTRIES as u64 / 10, "{lookups} lookups and {attributes} getattrs");
        assert!(mounted.fs.references() >= ENTRIES as u64);
    });
}

/// seekdir to a position that telldir gave leads to the entry that came after it.
#[test]
fn positions_can_be_gone_back_to() {
    on_every_transport(|transport| {
        let fs = memory(LONG);
        for index in 0..ENTRIES {
            fs.add_file(NodeId::ROOT, &format!("{index}"), Vec::new());
        }
        let mounted = mounted(transport, fs);
        let directory = File::open(mounted.directory.path()).expect("opens");
        let entries: Vec<Dirent> =
            std::iter::from_fn(|| Some(getdents(&directory)).filter(|some| !some.is_empty()))
                .flatten()
                .collect();
        assert_eq!(entries.len(), ENTRIES + 2);
        for position in [0, 1, 2, 100, 5_000, ENTRIES - 1, ENTRIES] {
            seek(&directory, entries[position].offset);
            let found = getdents(&directory).into_iter().next();
            assert_eq!(found.as_ref(), Some(&entries[position + 1]), "after entry {position}");
        }
        seek(&directory, entries[ENTRIES + 1].offset);
        assert_eq!(getdents(&directory), []);
        seek(&directory, 0);
        assert_eq!(getdents(&directory)[0], entries[0]);
    });
}

/// What seekdir(3) does.
fn seek(directory: &File, offset: i64) {
    nix::unistd::lseek(directory, offset, nix::unistd::Whence::SeekSet).expect("seeks");
}

#[derive(Debug, PartialEq, Eq)]
struct Dirent {
    /// What telldir(3) gives after this entry.
    offset: i64,
    name: String,
}

/// One getdents64(2), the call below readdir(3).
fn getdents(directory: &File) -> Vec<Dirent> {
    let mut buffer = [0_u8; 4096];
    // SAFETY: getdents64 writes at most the given length into the buffer, which lives over the call.
    let count = unsafe {
        libc::syscall(libc::SYS_getdents64, directory.as_raw_fd(), buffer.as_mut_ptr(), buffer.len())
    };
    assert!(count >= 0, "getdents64 fails with {}", std::io::Error::last_os_error());
    let mut rest = &buffer[..count as usize];
    let mut entries = Vec::new();
    while !rest.is_empty() {
        // struct linux_dirent64 of getdents(2): u64 ino, i64 off, u16 reclen, u8 type, then the name.
        let offset = i64::from_ne_bytes(rest[8..16].try_into().expect("eight bytes"));
        let length = u16::from_ne_bytes(rest[16..18].try_into().expect("two bytes"));
        let (record, tail) = rest.split_at(length.into());
        let name = record[19..].split(|&byte| byte == 0).next().expect("split gives one at least");
        entries.push(Dirent { offset, name: String::from_utf8(name.to_vec()).expect("ASCII") });
        rest = tail;
    }
    entries
}
