//! One operation, and what it gives.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime};

use forebay_tests::{remove_xattr, set_xattr, xattr};
use nix::fcntl::{AT_FDCWD, FallocateFlags, RenameFlags, fallocate, renameat2};
use rand::Rng;
use rand::rngs::StdRng;

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];
const HANDLES_MAX: usize = 4;
/// Times that are set lie before this, 2017; all others are later.
pub(crate) const TOUCHED_SECONDS_MAX: u64 = 1_500_000_000;

/// Files that are open on both sides, by the same numbers.
#[derive(Default)]
pub(crate) struct Handles {
    pub(crate) plain: BTreeMap<usize, File>,
    pub(crate) mounted: BTreeMap<usize, File>,
}

#[derive(Debug)]
pub(crate) enum Operation {
    Create { path: String, mode: u32 },
    Open { handle: usize, path: String, truncate: bool },
    Close { handle: usize },
    Write { handle: usize, offset: u64, byte: u8, length: usize },
    Append { path: String, byte: u8, length: usize },
    Read { handle: usize, offset: u64, length: usize },
    Truncate { handle: usize, size: u64 },
    Punch { handle: usize, offset: u64, length: u64 },
    Sync { handle: usize },
    Unlink { path: String },
    MakeDirectory { path: String },
    RemoveDirectory { path: String },
    Rename { from: String, to: String, flags: RenameFlags },
    Symlink { path: String, target: &'static str },
    Chmod { path: String, mode: u32 },
    Touch { path: String, seconds: u64 },
    SetXattr { path: String, value: u8 },
    RemoveXattr { path: String },
    List { path: String },
    Stat { path: String },
    StatHandle { handle: usize },
}

/// A path of one to three names, the first ones most often those of directories.
fn path(random: &mut StdRng) -> String {
    let name = |random: &mut StdRng| NAMES[random.random_range(0..NAMES.len())];
    let mut path = String::new();
    for _ in 0..random.random_range(0..3) {
        path.push_str(if random.random_bool(0.8) {
            ["d", "e"][random.random_range(0..2)]
        } else {
            name(random)
        });
        path.push('/');
    }
    path + name(random)
}

impl Operation {
    /// The staged tree does not exchange directories that their store has.
    pub(crate) fn may_be_unsupported(&self) -> bool {
        matches!(self, Self::Rename { flags, .. } if *flags == RenameFlags::RENAME_EXCHANGE)
    }

    pub(crate) fn random(random: &mut StdRng) -> Self {
        let handle = random.random_range(0..HANDLES_MAX);
        let offset = random.random_range(0..400_000) >> random.random_range(0..16);
        let length = random.random_range(0..200_000) >> random.random_range(0..16);
        let byte = random.random_range(1..=255);
        let path = path(random);
        match random.random_range(0..21) {
            0 => Self::Create { path, mode: [0o600, 0o644, 0o4755, 0o444][random.random_range(0..4)] },
            1 | 2 => Self::Open { handle, path, truncate: random.random_bool(0.3) },
            3 => Self::Close { handle },
            4..=6 => Self::Write { handle, offset, byte, length },
            7 => Self::Append { path, byte, length },
            8 => Self::Read { handle, offset, length },
            9 => Self::Truncate { handle, size: offset },
            10 => Self::Punch { handle, offset, length: length.max(1) as u64 },
            11 => Self::Sync { handle },
            12 => Self::Unlink { path },
            13 => Self::MakeDirectory { path },
            14 => Self::RemoveDirectory { path },
            15 => {
                let flags =
                    [RenameFlags::empty(), RenameFlags::RENAME_NOREPLACE, RenameFlags::RENAME_EXCHANGE];
                Self::Rename { from: path, to: self::path(random), flags: flags[random.random_range(0..3)] }
            }
            16 => Self::Symlink { path, target: ["a", "d/b", "nowhere/at/all"][random.random_range(0..3)] },
            17 => Self::Chmod { path, mode: [0o600, 0o755, 0o2750, 0o1777][random.random_range(0..4)] },
            18 => Self::Touch { path, seconds: random.random_range(0..TOUCHED_SECONDS_MAX) },
            19 => match random.random_bool(0.7) {
                true => Self::SetXattr { path, value: byte },
                false => Self::RemoveXattr { path },
            },
            _ => match random.random_range(0..3) {
                0 => Self::List { path },
                1 => Self::Stat { path },
                _ => Self::StatHandle { handle },
            },
        }
    }
}

/// What an operation gave: text, or the error's number.
pub(crate) type Outcome = Result<String, i32>;

pub(crate) fn apply(operation: &Operation, root: &Path, open: &mut BTreeMap<usize, File>) -> Outcome {
    run(operation, root, open).map_err(|error| error.raw_os_error().unwrap_or(0))
}

fn run(operation: &Operation, root: &Path, open: &mut BTreeMap<usize, File>) -> io::Result<String> {
    use Operation::*;
    let done = |result: io::Result<()>| result.map(|()| String::new());
    let get = |handle: &usize| open.get(handle).ok_or(io::Error::from_raw_os_error(libc::EBADF));
    match operation {
        Create { path, mode } => {
            let file = OpenOptions::new().write(true).create_new(true).mode(*mode).open(root.join(path));
            done(file.map(drop))
        }
        Open { handle, path, truncate } => {
            let mut options = OpenOptions::new();
            let file =
                options.read(true).write(true).create(true).truncate(*truncate).open(root.join(path))?;
            open.insert(*handle, file);
            Ok(String::new())
        }
        Close { handle } => Ok(open.remove(handle).is_some().to_string()),
        Write { handle, offset, byte, length } => {
            done(get(handle)?.write_all_at(&vec![*byte; *length], *offset))
        }
        Append { path, byte, length } => {
            let file = OpenOptions::new().append(true).open(root.join(path))?;
            done(io::Write::write_all(&mut &file, &vec![*byte; *length]))
        }
        Read { handle, offset, length } => {
            let mut bytes = vec![0; *length];
            let count = get(handle)?.read_at(&mut bytes, *offset)?;
            Ok(format!("{count} {:x}", fingerprint(&bytes[..count])))
        }
        Truncate { handle, size } => done(get(handle)?.set_len(*size)),
        Punch { handle, offset, length } => {
            let flags = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
            done(fallocate(get(handle)?, flags, *offset as i64, *length as i64).map_err(Into::into))
        }
        Sync { handle } => done(get(handle)?.sync_all()),
        Unlink { path } => done(fs::remove_file(root.join(path))),
        MakeDirectory { path } => done(fs::create_dir(root.join(path))),
        RemoveDirectory { path } => done(fs::remove_dir(root.join(path))),
        Rename { from, to, flags } => {
            let renamed = renameat2(AT_FDCWD, &root.join(from), AT_FDCWD, &root.join(to), *flags);
            done(renamed.map_err(Into::into))
        }
        Symlink { path, target } => done(symlink(target, root.join(path))),
        Chmod { path, mode } => done(fs::set_permissions(root.join(path), PermissionsExt::from_mode(*mode))),
        Touch { path, seconds } => {
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(*seconds);
            done(File::open(root.join(path))?.set_modified(time))
        }
        SetXattr { path, value } => done(set_xattr(&root.join(path), "user.note", &[*value; 9], 0)),
        RemoveXattr { path } => done(remove_xattr(&root.join(path), "user.note")),
        List { path } => names(&root.join(path)),
        Stat { path } => fs::symlink_metadata(root.join(path)).map(|meta| describe(&meta)),
        StatHandle { handle } => {
            let meta = get(handle)?.metadata()?;
            Ok(format!("{} links {}", describe(&meta), meta.nlink()))
        }
    }
}

fn names(path: &Path) -> io::Result<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        names.push(format!("{:?} {:?}", entry.file_name(), entry.file_type()?));
    }
    names.sort();
    Ok(names.join(", "))
}

/// Kind, mode, owner, and of all but directories the size.
pub(crate) fn describe(meta: &fs::Metadata) -> String {
    let size = if meta.is_dir() { 0 } else { meta.size() };
    format!("{:o} {}:{} {size}", meta.mode(), meta.uid(), meta.gid())
}

/// FNV-1a.
pub(crate) fn fingerprint(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

/// The value of the attribute that operations set.
pub(crate) fn note(path: &Path) -> Option<Vec<u8>> {
    xattr(path, "user.note").ok()
}
