//! Opening a staging directory: replay, what a kill or a power cut left of the files, and a journal that begins anew.
//!
//! Nothing is removed before the new journal is flushed: until then a power cut brings the old one back.

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

use crate::content::Content;
use crate::disk::Disk;
use crate::error::OpenError;
use crate::extents::Extents;
use crate::journal::{JOURNAL_NAME, Journal, RecordSeq, Replayed, journal_path, replay};
use crate::options::Options;
use crate::poison::Poison;
use crate::record::FileData;
use crate::shared::{DATA_DIRECTORY, Shared, backing_path};
use crate::snapshot::snapshot;
use crate::space::Space;
use crate::staging::Staging;
use crate::tree::{Body, Tree};
use crate::types::NodeNumber;

const IDENTITY_NAME: &str = "identity";
const LOCK_NAME: &str = "lock";

/// What was found when a directory was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// The machine stopped since: what was not flushed is lost.
    pub was_power_cut: bool,
    /// Files, directories and symlinks.
    pub nodes: u64,
    /// Files that the store lacks something of.
    pub dirty_files: u64,
    /// Bytes that it lacks.
    pub dirty_bytes: u64,
    /// Publish events that go on.
    pub events: u64,
    /// Bytes of records that were being written when it stopped.
    pub torn_bytes: u64,
    /// Backing files that nothing needed any more.
    pub removed_files: u64,
    /// Files whose data is not where it should be.
    pub missing: Vec<MissingData>,
}

/// A file whose data is lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingData {
    /// In the mount.
    pub path: String,
    /// Bytes that were here and nowhere else.
    pub dirty_bytes: u64,
}

impl Staging {
    /// Opens a directory, or makes it. Blocks, for a time in proportion to the files in it. The directory is for this
    /// process alone from then on.
    pub fn open(options: Options) -> Result<(Self, Recovery), OpenError> {
        let directory = options.directory.clone();
        let disk = options.disk();
        let failed = |action, source| OpenError::Io { action, path: directory.clone(), source };
        let lock = if options.disk.is_none() { Some(lock(&directory)?) } else { None };
        disk.make_directory(Path::new(DATA_DIRECTORY)).map_err(|source| failed("make", source))?;
        check_identity(disk.as_ref(), &directory, &options.identity)?;
        let boot_id = match options.boot_id {
            Some(boot_id) => boot_id,
            None => boot_id().map_err(|source| failed("read the boot id for", source))?,
        };
        let space = Arc::new(Space::new(options.dirty_limit_bytes));
        let mut loaded = load(disk.as_ref(), &options, space.clone(), &boot_id)?;
        let poison = Arc::new(Poison::default());
        let uuid = match &loaded.replayed {
            Some(replayed) => replayed.uuid(),
            None => random_uuid().map_err(|source| failed("make a name for", source))?,
        };
        let journal = Journal::create(
            disk.clone(),
            poison.clone(),
            (uuid, boot_id),
            loaded.replayed.as_ref(),
            snapshot(&loaded.tree),
        )
        .map_err(|source| failed("write the journal of", source))?;
        loaded.recovery.removed_files = remove_useless(disk.as_ref(), &loaded.useless);
        let shared = Shared {
            disk,
            poison,
            journal,
            uuid,
            tree: Mutex::new(loaded.tree),
            graveyard: Mutex::new(Vec::new()),
            unsynced_replacements: Mutex::new(Vec::new()),
            syncing_replacements: Mutex::new(()),
            on_change: RwLock::new(None),
            _lock: lock,
            space,
            options,
        };
        let staging = Self { shared: Arc::new(shared) };
        staging.publish_unfinished();
        let stats = staging.stats();
        loaded.recovery.nodes = stats.nodes - 1;
        loaded.recovery.dirty_files = stats.dirty_files;
        loaded.recovery.dirty_bytes = stats.dirty_bytes;
        loaded.recovery.events = stats.events_waiting;
        Ok((staging, loaded.recovery))
    }

    /// Files that were open when the daemon stopped have no writer any more that could close them.
    fn publish_unfinished(&self) {
        let mut tree = self.shared.tree.lock();
        let unfinished = tree.nodes.iter().filter(|(_, node)| match &node.body {
            Body::File(file) => node.event.is_none() && file.content.lock().is_dirty,
            _ => false,
        });
        let unfinished: Vec<_> = unfinished.map(|(number, _)| *number).collect();
        for number in unfinished {
            if let Err(error) = self.shared.make_put(&mut tree, number) {
                tracing::warn!(node = number.0, %error, "no publish event for a file that was being written");
            }
        }
    }
}

/// A tree as the disk has it.
pub(crate) struct Loaded {
    pub(crate) tree: Tree,
    pub(crate) replayed: Option<Replayed>,
    pub(crate) recovery: Recovery,
    /// Backing files without a node.
    useless: Vec<String>,
}

/// Replays the journal, and settles what became of the files. Changes no name on the disk.
fn load(
    disk: &dyn Disk,
    options: &Options,
    space: Arc<Space>,
    boot_id: &[u8; 36],
) -> Result<Loaded, OpenError> {
    let mut tree = Tree::new(options.tree_depth, options.delay.clone(), space, options.root);
    let replayed = replay_into(disk, options, &mut tree)?;
    let was_power_cut = replayed.as_ref().is_some_and(|replayed| replayed.is_of_another_boot(boot_id));
    let mut recovery = Recovery { was_power_cut, ..Recovery::default() };
    recovery.torn_bytes = replayed.as_ref().map_or(0, |replayed| replayed.torn_bytes);
    drop_nameless(&mut tree);
    tree.drop_orphans();
    let failed =
        |source| OpenError::Io { action: "list", path: options.directory.join(DATA_DIRECTORY), source };
    let names: BTreeSet<String> = disk.list(Path::new(DATA_DIRECTORY)).map_err(failed)?.into_iter().collect();
    if replayed.is_none() && !names.is_empty() {
        let detail = "the file is missing, and there are backing files".to_owned();
        return Err(OpenError::Damaged { path: journal_path(&options.directory), offset: 0, detail });
    }
    let mut useless = names.clone();
    for number in tree.nodes.keys().copied().collect::<Vec<_>>() {
        let Ok(file) = tree.file(number) else { continue };
        let name = backing_name(number);
        useless.remove(&name);
        let settled =
            file.update(|content| settle(disk, number, content, names.contains(&name), was_power_cut));
        settled.map_err(|source| OpenError::Io {
            action: "recover",
            path: options.directory.join(backing_path(number)),
            source,
        })?;
        if file.content.lock().is_missing {
            let dirty_bytes = file.content.lock().now.changed.total_bytes();
            recovery.missing.push(MissingData { path: tree.path(number).unwrap_or_default(), dirty_bytes });
        }
    }
    tree.is_replaying = false;
    Ok(Loaded { tree, replayed, recovery, useless: useless.into_iter().collect() })
}

/// Replays the journal if there is one.
pub(crate) fn replay_into(
    disk: &dyn Disk,
    options: &Options,
    tree: &mut Tree,
) -> Result<Option<Replayed>, OpenError> {
    let path = journal_path(&options.directory);
    let journal = match disk.open(Path::new(JOURNAL_NAME), false) {
        Ok(journal) => journal,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(OpenError::Io { action: "open", path, source }),
    };
    let now = (options.clock.monotonic)();
    let apply =
        |changes: Vec<_>| changes.into_iter().try_for_each(|change| tree.apply(change, now, RecordSeq(0)));
    replay(journal, &path, apply).map(Some)
}

/// Nodes that were unlinked while open have no holder any more.
fn drop_nameless(tree: &mut Tree) {
    let nameless =
        tree.nodes.iter().filter(|(number, node)| **number != NodeNumber::ROOT && node.parent.is_none());
    for number in nameless.map(|(number, _)| *number).collect::<Vec<_>>() {
        tree.remove_node(number);
    }
}

/// What became of one file's data.
fn settle(
    disk: &dyn Disk,
    number: NodeNumber,
    content: &mut Content,
    has_backing: bool,
    was_power_cut: bool,
) -> io::Result<()> {
    content.has_backing = has_backing;
    if was_power_cut {
        content.fall_back_to_synced();
    }
    if !has_backing {
        content.is_missing = !content.now.changed.is_empty();
        content.now.local = content.now.changed.clone();
    } else {
        let backing = disk.open(&backing_path(number), false)?;
        if content.now.base.is_none() && !was_power_cut {
            let mut local = Extents::default();
            backing.data_ranges()?.into_iter().for_each(|range| local.insert(range));
            let size_bytes = backing.size()?;
            local.clip(size_bytes);
            let changed = local.clone();
            content.set_recovered(FileData { size_bytes, local, changed, ..FileData::default() });
        } else {
            backing.set_size(content.now.size_bytes)?;
        }
    }
    if was_power_cut {
        content.synced_generation = content.generation;
    }
    Ok(())
}

fn remove_useless(disk: &dyn Disk, names: &[String]) -> u64 {
    let mut removed = 0;
    for name in names {
        match disk.remove(&Path::new(DATA_DIRECTORY).join(name)) {
            Ok(()) => removed += 1,
            Err(error) => tracing::warn!(name, %error, "a backing file that nothing needs cannot be removed"),
        }
    }
    removed
}

fn backing_name(number: NodeNumber) -> String {
    format!("{:016x}", number.0)
}

fn lock(directory: &Path) -> Result<File, OpenError> {
    let failed = |action, source| OpenError::Io { action, path: directory.to_owned(), source };
    fs::create_dir_all(directory).map_err(|source| failed("make", source))?;
    let path = directory.join(LOCK_NAME);
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .map_err(|source| failed("lock", source))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { path: directory.to_owned() }),
        Err(TryLockError::Error(source)) => Err(failed("lock", source)),
    }
}

/// The directory is this mount's, or nobody's yet.
fn check_identity(disk: &dyn Disk, directory: &Path, expected: &str) -> Result<(), OpenError> {
    let failed = |action, source| OpenError::Io { action, path: directory.join(IDENTITY_NAME), source };
    match read_identity(disk).map_err(|source| failed("read", source))? {
        Some(found) if found == expected => Ok(()),
        Some(found) if !found.is_empty() => {
            Err(OpenError::Foreign { path: directory.to_owned(), found, expected: expected.to_owned() })
        }
        _ => write_identity(disk, expected).map_err(|source| failed("write", source)),
    }
}

/// Whose directory it is; `None` or empty when it was never finished.
pub(crate) fn read_identity(disk: &dyn Disk) -> io::Result<Option<String>> {
    let file = match disk.open(Path::new(IDENTITY_NAME), false) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    let mut bytes = vec![0; file.size()?.min(64 * 1024) as usize];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

fn write_identity(disk: &dyn Disk, identity: &str) -> io::Result<()> {
    let file = disk.open(Path::new(IDENTITY_NAME), true)?;
    file.write_all_at(identity.as_bytes(), 0)?;
    file.sync_data()?;
    disk.sync_directory(Path::new(""))
}

fn boot_id() -> io::Result<[u8; 36]> {
    let mut boot_id = [0; 36];
    File::open("/proc/sys/kernel/random/boot_id")?.read_exact(&mut boot_id)?;
    Ok(boot_id)
}

fn random_uuid() -> io::Result<[u8; 16]> {
    let mut uuid = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut uuid)?;
    Ok(uuid)
}
