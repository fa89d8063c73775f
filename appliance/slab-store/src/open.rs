//! Opening: device, superblock, memory, index.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use crate::budget::Budget;
use crate::device::direct::{DirectFile, Kind};
use crate::device::{Device, IoQueue, WRITE_QUEUE, WriteOp, read_exact_at, write_all};
use crate::error::OpenError;
use crate::format::superblock::{Found, SUPERBLOCK_BYTES, SUPERBLOCK_OFFSETS, Superblock, VERSION};
use crate::geometry::Geometry;
use crate::ghost::Ghost;
use crate::health::Health;
use crate::index::Index;
use crate::log_state::LogState;
use crate::options::{DeviceSpec, Options};
use crate::page_tables::PageTables;
use crate::recovery::{Recovery, recover};
use crate::shared::Shared;
use crate::slabs::Slabs;
use crate::stats::{Counter, Counters};
use crate::sys::AlignedBuf;
use crate::waiters::Waiters;

/// A device that is being opened.
struct Opening {
    device: Arc<dyn Device>,
    path: PathBuf,
    capacity_bytes: u64,
    slab_bytes: Option<u64>,
}

/// Opens or formats the cache and rebuilds the index.
pub(crate) fn open(options: Options) -> Result<(Shared, Recovery), OpenError> {
    // Settings are checked before anything is created.
    let fresh = Geometry::new(options.capacity_bytes, options.slab_bytes)?;
    Budget::new(options.memory_bytes, fresh)?;
    let (device, path) = open_device(options.device)?;
    let opening =
        Opening { device, path, capacity_bytes: options.capacity_bytes, slab_bytes: options.slab_bytes };
    let superblock = opening.superblock()?;
    let geometry = superblock.geometry;
    let budget = Budget::new(options.memory_bytes, geometry)?;
    let state = LogState::new(&budget, geometry);
    let shared = Shared {
        device: opening.device,
        geometry,
        uuid: superblock.uuid,
        budget,
        memory_bytes_max: options.memory_bytes,
        index: Index::new(budget.index_bytes),
        ghost: Ghost::new(budget.ghost_bytes),
        tables: PageTables::new(geometry, budget.page_tables_bytes),
        slabs: Slabs::new(geometry),
        state: Mutex::new(state),
        work: Condvar::new(),
        space: Waiters::default(),
        health: Health::default(),
        counters: Counters::default(),
        used_bytes: Counter::default(),
        #[cfg(feature = "sim")]
        planted: options.planted,
    };
    let recovery = recover(&shared);
    Ok((shared, recovery))
}

fn open_device(spec: DeviceSpec) -> Result<(Arc<dyn Device>, PathBuf), OpenError> {
    Ok(match spec {
        DeviceSpec::File { path } => (Arc::new(DirectFile::open(&path, Kind::RegularFile)?), path),
        DeviceSpec::BlockDevice { path } => (Arc::new(DirectFile::open(&path, Kind::BlockDevice)?), path),
        DeviceSpec::Custom(device) => (Arc::from(device), PathBuf::from("(custom device)")),
    })
}

impl Opening {
    fn io(&self, action: &'static str) -> impl FnOnce(io::Error) -> OpenError {
        move |source| OpenError::Io { action, path: self.path.clone(), source }
    }

    /// The superblock in force: the one found, fitted to the capacity, or a new one on a blank device.
    fn superblock(&self) -> Result<Superblock, OpenError> {
        match self.find()? {
            Some(found) => self.fit(found),
            None => self.format(),
        }
    }

    fn find(&self) -> Result<Option<Superblock>, OpenError> {
        // A file that was just created, or whose creation was cut short before anything was written.
        if self.device.size_bytes() == 0 {
            return Ok(None);
        }
        let copies = [self.read_copy(SUPERBLOCK_OFFSETS[0])?, self.read_copy(SUPERBLOCK_OFFSETS[1])?];
        match copies {
            [Found::Valid(found), _] => Ok(Some(found)),
            [Found::OtherVersion(found), _] => {
                Err(OpenError::Version { path: self.path.clone(), found, expected: VERSION })
            }
            [Found::Foreign, Found::Foreign | Found::Blank | Found::Damaged | Found::OtherVersion(_)] => {
                Err(OpenError::Foreign { path: self.path.clone() })
            }
            [_, Found::Valid(found)] => {
                tracing::warn!(path = %self.path.display(), "the first superblock is damaged; using the second");
                Ok(Some(found))
            }
            [Found::Blank, Found::Blank] if self.may_be_formatted() => Ok(None),
            [Found::Damaged, _] => Err(OpenError::Damaged { path: self.path.clone() }),
            [Found::Blank, _] => Err(OpenError::Foreign { path: self.path.clone() }),
        }
    }

    /// A device whose superblocks are blank may be taken; a file that is not empty is somebody's.
    fn may_be_formatted(&self) -> bool {
        !self.path.is_file()
    }

    fn read_copy(&self, offset: u64) -> Result<Found, OpenError> {
        if offset + SUPERBLOCK_BYTES as u64 > self.device.size_bytes() {
            // A short file: what there is of the first copy decides.
            return if offset == 0 { Ok(Found::Foreign) } else { Ok(Found::Blank) };
        }
        let mut buf = AlignedBuf::new(SUPERBLOCK_BYTES);
        read_exact_at(&*self.device, &mut buf, SUPERBLOCK_BYTES, offset)
            .map_err(self.io("read the superblock of"))?;
        Ok(Superblock::decode(&buf))
    }

    /// Grows or shrinks an existing cache to the capacity; its slab size stays.
    fn fit(&self, found: Superblock) -> Result<Superblock, OpenError> {
        let Some(geometry) = Geometry::of_slabs(self.capacity_bytes, found.geometry.slab_bytes) else {
            tracing::warn!(
                "the cache is cut to fewer slabs than work; it is formatted again, with smaller ones"
            );
            return self.format();
        };
        if geometry == found.geometry {
            self.allocate(geometry)?;
            return Ok(found);
        }
        let wanted = Superblock { geometry, ..found };
        if geometry.slab_count > found.geometry.slab_count {
            self.allocate(geometry)?;
            self.write(&wanted)?;
        } else {
            self.write(&wanted)?;
            self.allocate(geometry)?;
        }
        Ok(wanted)
    }

    /// The superblock goes first: a file whose formatting was cut short is ours, and is completed next time.
    fn format(&self) -> Result<Superblock, OpenError> {
        let geometry = Geometry::new(self.capacity_bytes, self.slab_bytes)?;
        let superblock =
            Superblock { uuid: random_uuid().map_err(self.io("make an identity for"))?, geometry };
        self.check_size(geometry)?;
        let created = self.device.size_bytes() == 0;
        self.write(&superblock).and_then(|()| self.allocate(geometry)).inspect_err(|_| {
            if created {
                remove_file(&self.path);
            }
        })?;
        Ok(superblock)
    }

    fn check_size(&self, geometry: Geometry) -> Result<(), OpenError> {
        let device_bytes = self.device.size_bytes();
        if self.may_be_formatted() && device_bytes < geometry.total_bytes() {
            let (path, capacity_bytes) = (self.path.clone(), self.capacity_bytes);
            return Err(OpenError::DeviceTooSmall { path, device_bytes, capacity_bytes });
        }
        Ok(())
    }

    fn allocate(&self, geometry: Geometry) -> Result<(), OpenError> {
        self.check_size(geometry)?;
        let path = || self.path.clone();
        self.device.allocate(geometry.total_bytes()).map_err(|source| match source.raw_os_error() {
            Some(libc::ENOSPC | libc::EFBIG | libc::EDQUOT) => {
                OpenError::DiskFull { path: path(), capacity_bytes: self.capacity_bytes }
            }
            _ => OpenError::Io { action: "allocate space for", path: path(), source },
        })
    }

    /// Writes both copies, the second after the first was flushed.
    fn write(&self, superblock: &Superblock) -> Result<(), OpenError> {
        let mut buf = AlignedBuf::new(SUPERBLOCK_BYTES);
        superblock.encode(&mut buf);
        let data = Arc::new(buf);
        let written = self.device.queue(WRITE_QUEUE).and_then(|mut queue| {
            SUPERBLOCK_OFFSETS.iter().try_for_each(|offset| {
                let data = Arc::clone(&data);
                let op = WriteOp { data, start: 0, len: SUPERBLOCK_BYTES, device_offset: *offset };
                self.write_flushed(&mut *queue, op)
            })
        });
        written.map_err(|source| match source.raw_os_error() {
            Some(libc::ENOSPC | libc::EDQUOT) => {
                OpenError::DiskFull { path: self.path.clone(), capacity_bytes: self.capacity_bytes }
            }
            _ => OpenError::Io { action: "write the superblock of", path: self.path.clone(), source },
        })
    }

    fn write_flushed(&self, queue: &mut dyn IoQueue, op: WriteOp) -> io::Result<()> {
        let unit = self.device.alignment().offset_bytes as usize;
        write_all(queue, unit, vec![op])?.into_iter().collect::<io::Result<()>>()?;
        crate::device::flush(queue)
    }
}

fn remove_file(path: &Path) {
    if let Err(error) = std::fs::remove_file(path) {
        tracing::warn!(path = %path.display(), %error, "a cache file that could not be made is left behind");
    }
}

fn random_uuid() -> io::Result<[u8; 16]> {
    let mut uuid = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut uuid)?;
    Ok(uuid)
}
