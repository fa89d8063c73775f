//! Opening a directory: what is whole comes back, the rest is removed. Headers are read of all, checksums of what is not
//! complete, data of none.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime};

use slab_store::BLOCK_BYTES;

use crate::entry::{Entry, Presence, Stage};
use crate::error::OpenError;
use crate::files::{Paths, SUMS_ENDING};
use crate::format::{self, HEADER_BYTES, Header};
use crate::options::Options;
use crate::shared::Shared;

const LOCK_FILE: &str = "lock";
/// Tries to lock the directory, and the pause between two: the kernel tears a killed process down in the background.
const LOCK_ATTEMPTS_MAX: u32 = 21;
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// What was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Complete files.
    pub sealed_files: u64,
    /// Files of which a part is there.
    pub partial_files: u64,
    /// Bytes of both on disk.
    pub bytes: u64,
    /// Files that were damaged, half made, or did not fit the budget any more, and were removed.
    pub removed_files: u64,
}

pub(crate) fn open(options: Options) -> Result<(Shared, Recovery), OpenError> {
    let directory = options.directory.clone();
    let failed = |action| move |path: &Path, source| OpenError::Io { action, path: path.to_owned(), source };
    fs::create_dir_all(&directory).map_err(|error| failed("make")(&directory, error))?;
    let lock = lock(&directory)?;
    check_direct_io(&directory)?;
    let shared = Shared::new(options, lock);
    let mut found = find(&directory).map_err(|error| failed("list")(&directory, error))?;
    found.sort_by_key(|found| found.used);
    let mut recovery = Recovery::default();
    let mut kept = HashSet::new();
    // The warmest first, as long as they fit; the coldest is the first to be entered.
    let fitting: Vec<Arc<Entry>> =
        found.into_iter().rev().filter_map(|found| found.enter(&shared, &mut recovery)).collect();
    for entry in fitting.iter().rev() {
        kept.insert(entry.paths.sums.clone());
        kept.insert(entry.paths.data.clone());
        shared.index.insert(entry);
    }
    kept.insert(directory.join(LOCK_FILE));
    recovery.removed_files = remove_others(&directory, &kept).map_err(|e| failed("clean")(&directory, e))?;
    recovery.bytes = shared.space.used_bytes();
    Ok((shared, recovery))
}

fn lock(directory: &Path) -> Result<File, OpenError> {
    let path = directory.join(LOCK_FILE);
    let failed = |source| OpenError::Io { action: "lock", path: path.clone(), source };
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
    let file = file.map_err(failed)?;
    for _ in 0..LOCK_ATTEMPTS_MAX {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => thread::sleep(LOCK_PAUSE),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
    }
    Err(OpenError::Locked { path: directory.to_owned() })
}

fn check_direct_io(directory: &Path) -> Result<(), OpenError> {
    let path = directory.join(LOCK_FILE);
    match OpenOptions::new().read(true).custom_flags(libc::O_DIRECT).open(&path) {
        Ok(_) => Ok(()),
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
            Err(OpenError::NoDirectIo { path: directory.to_owned() })
        }
        Err(source) => Err(OpenError::Io { action: "open", path, source }),
    }
}

/// An object whose files look whole.
struct Found {
    header: Header,
    paths: Paths,
    presence: Presence,
    used: SystemTime,
}

fn find(directory: &Path) -> io::Result<Vec<Found>> {
    let mut found = Vec::new();
    for name in fs::read_dir(directory)? {
        let path = name?.path();
        if path.extension().is_some_and(|ending| ending == SUMS_ENDING) {
            match examine(directory, &path) {
                Ok(Some(object)) => found.push(object),
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "a cached file cannot be read and is dropped");
                }
            }
        }
    }
    Ok(found)
}

/// The object behind a checksum file; `None` when it is not whole.
fn examine(directory: &Path, sums: &Path) -> io::Result<Option<Found>> {
    let mut file = File::open(sums)?;
    let mut bytes = vec![0; HEADER_BYTES];
    if file.read_exact(&mut bytes).is_err() {
        return Ok(None);
    }
    let Some(header) = Header::decode(&bytes) else { return Ok(None) };
    let paths = Paths::new(directory, header.key.hash());
    let data_bytes = fs::metadata(&paths.data)?.len();
    if paths.sums != *sums || (header.sealed && data_bytes != header.size_bytes) {
        return Ok(None);
    }
    let used = file.metadata()?.modified()?;
    let mut presence = Presence::empty(format::block_count(header.size_bytes));
    if !header.sealed {
        let mut table = Vec::new();
        file.read_to_end(&mut table)?;
        let blocks = (0..format::block_count(header.size_bytes)).zip(format::sums(&table));
        for (block, _) in blocks.filter(|(_, sum)| *sum != 0) {
            presence.add(block);
        }
    }
    Ok(Some(Found { header, paths, presence, used }))
}

impl Found {
    /// An entry for it, if its bytes fit the budget and anything of it is there.
    fn enter(self, shared: &Shared, recovery: &mut Recovery) -> Option<Arc<Entry>> {
        let Header { key, size_bytes, sealed } = self.header;
        let blocks = format::block_count(size_bytes);
        let present = if sealed { blocks } else { blocks - self.presence.missing() };
        // All blocks are there but nobody has made sure that they are durable: not worth a state of its own.
        if present == 0 || (!sealed && present == blocks) {
            return None;
        }
        let data_bytes = (u64::from(present) * u64::from(BLOCK_BYTES)).min(size_bytes.next_multiple_of(4096));
        let charge = shared.space.charge(format::sums_file_bytes(size_bytes) + data_bytes)?;
        let stage = if sealed { Stage::Sealed } else { Stage::Filling(self.presence) };
        recovery.sealed_files += u64::from(sealed);
        recovery.partial_files += u64::from(!sealed);
        Some(Arc::new(Entry::new(key, size_bytes, self.paths, charge, stage)))
    }
}

fn remove_others(directory: &Path, kept: &HashSet<std::path::PathBuf>) -> io::Result<u64> {
    let mut removed = 0;
    for name in fs::read_dir(directory)? {
        let path = name?.path();
        if !kept.contains(&path) {
            fs::remove_file(&path)?;
            removed += u64::from(path.extension().is_some_and(|ending| ending == SUMS_ENDING));
        }
    }
    Ok(removed)
}
