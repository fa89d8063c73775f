//! [`Storage`]: bytes of a disk that remembers which of them no flush has made durable yet.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use libc::EIO;
use rand::Rng;
use rand::rngs::SmallRng;

/// Unit in which written bytes are looked up.
const PAGE_BYTES: u64 = 4096;
/// What a disk writes as a whole or not at all.
const SECTOR_BYTES: usize = 512;

/// When the power goes by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// Right after this many further flushes.
    Flushes(u64),
    /// In this many further writes, before any flush that follows.
    Writes(u64),
}

/// What became of the writes that no flush had made durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Survivors {
    /// None of them.
    Nothing,
    /// All of them.
    Everything,
    /// Each with even odds, some of them torn between sectors.
    Some,
}

impl Survivors {
    /// The three of them.
    pub const ALL: [Self; 3] = [Self::Nothing, Self::Everything, Self::Some];
}

struct Write {
    offset: u64,
    data: Box<[u8]>,
}

/// The bytes. What was flushed is in the file; what was not is in memory, as a list of writes for the cut and by page for
/// reads.
pub(super) struct Storage {
    durable: File,
    pending: Vec<Write>,
    pages: HashMap<u64, Box<[u8]>>,
    trigger: Option<Trigger>,
    powered: bool,
    lies: bool,
    flushes: u64,
}

impl Storage {
    pub(super) fn new(durable: File) -> Self {
        Self {
            durable,
            pending: Vec::new(),
            pages: HashMap::new(),
            trigger: None,
            powered: true,
            lies: false,
            flushes: 0,
        }
    }

    pub(super) fn is_powered(&self) -> bool {
        self.powered
    }

    pub(super) fn flushes(&self) -> u64 {
        self.flushes
    }

    pub(super) fn arm(&mut self, trigger: Trigger) {
        self.trigger = Some(trigger);
    }

    /// From now on flushes are confirmed and not carried out.
    pub(super) fn lie(&mut self) {
        self.lies = true;
    }

    pub(super) fn read(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.check_power()?;
        self.durable.read_exact_at(buffer, offset)?;
        let end = offset + buffer.len() as u64;
        for page in offset / PAGE_BYTES..end.div_ceil(PAGE_BYTES) {
            let Some(bytes) = self.pages.get(&page) else { continue };
            let (from, to) = (offset.max(page * PAGE_BYTES), end.min((page + 1) * PAGE_BYTES));
            let source = &bytes[(from - page * PAGE_BYTES) as usize..(to - page * PAGE_BYTES) as usize];
            buffer[(from - offset) as usize..(to - offset) as usize].copy_from_slice(source);
        }
        Ok(())
    }

    pub(super) fn write(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.check_power()?;
        self.write_pages(offset, data)?;
        self.pending.push(Write { offset, data: data.into() });
        self.count(|trigger| match trigger {
            Trigger::Writes(left) => Trigger::Writes(left.saturating_sub(1)),
            Trigger::Flushes(_) => trigger,
        });
        Ok(())
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.check_power()?;
        self.flushes += 1;
        if !self.lies {
            for write in self.pending.drain(..) {
                self.durable.write_all_at(&write.data, write.offset)?;
            }
            self.pages.clear();
        }
        self.count(|trigger| match trigger {
            Trigger::Flushes(left) => Trigger::Flushes(left.saturating_sub(1)),
            Trigger::Writes(_) => trigger,
        });
        Ok(())
    }

    /// Nothing is taken and nothing is given any more.
    pub(super) fn power_off(&mut self) {
        self.powered = false;
    }

    /// Decides what of the pending writes had reached the medium, and gives power again.
    pub(super) fn power_on(&mut self, survivors: Survivors, random: &mut SmallRng) -> io::Result<()> {
        for write in std::mem::take(&mut self.pending) {
            self.survive(&write, survivors, random)?;
        }
        self.pages.clear();
        (self.powered, self.trigger) = (true, None);
        Ok(())
    }

    fn survive(&self, write: &Write, survivors: Survivors, random: &mut SmallRng) -> io::Result<()> {
        let whole = write.data.len();
        let (start, len) = match survivors {
            Survivors::Nothing => (0, 0),
            Survivors::Everything => (0, whole),
            Survivors::Some => match random.random_range(0..8) {
                0..4 => (0, 0),
                4..7 => (0, whole),
                _ => torn(whole, random),
            },
        };
        self.durable.write_all_at(&write.data[start..start + len], write.offset + start as u64)
    }

    fn check_power(&self) -> io::Result<()> {
        if self.powered { Ok(()) } else { Err(io::Error::from_raw_os_error(EIO)) }
    }

    fn count(&mut self, step: impl FnOnce(Trigger) -> Trigger) {
        self.trigger = self.trigger.map(step);
        if matches!(self.trigger, Some(Trigger::Flushes(0) | Trigger::Writes(0))) {
            self.power_off();
        }
    }

    fn write_pages(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        let end = offset + data.len() as u64;
        for page in offset / PAGE_BYTES..end.div_ceil(PAGE_BYTES) {
            let start = page * PAGE_BYTES;
            let (from, to) = (offset.max(start), end.min(start + PAGE_BYTES));
            let bytes = match self.pages.entry(page) {
                std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
                std::collections::hash_map::Entry::Vacant(free) => {
                    let mut bytes = vec![0; PAGE_BYTES as usize].into_boxed_slice();
                    self.durable.read_exact_at(&mut bytes, start)?;
                    free.insert(bytes)
                }
            };
            bytes[(from - start) as usize..(to - start) as usize]
                .copy_from_slice(&data[(from - offset) as usize..(to - offset) as usize]);
        }
        Ok(())
    }
}

/// The sectors of a write that reached the medium: a run at its start or at its end.
fn torn(whole: usize, random: &mut SmallRng) -> (usize, usize) {
    let sectors = whole / SECTOR_BYTES;
    let len = random.random_range(0..=sectors) * SECTOR_BYTES;
    if random.random() { (0, len) } else { (whole - len, len) }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn storage() -> Storage {
        let file = tempfile::tempfile().expect("make a temporary file");
        file.set_len(1 << 20).expect("size a temporary file");
        Storage::new(file)
    }

    fn byte(storage: &Storage, offset: u64) -> u8 {
        let mut buffer = [0];
        storage.read(offset, &mut buffer).expect("the disk has power");
        buffer[0]
    }

    #[test]
    fn writes_are_read_back_before_and_after_a_flush() {
        let mut storage = storage();
        storage.write(4000, &[7; 200]).expect("power");
        assert_eq!([3999, 4000, 4199, 4200].map(|at| byte(&storage, at)), [0, 7, 7, 0]);
        storage.flush().expect("power");
        assert_eq!([3999, 4000, 4199, 4200].map(|at| byte(&storage, at)), [0, 7, 7, 0]);
    }

    #[test]
    fn a_cut_loses_what_was_not_flushed() {
        let mut random = SmallRng::seed_from_u64(1);
        for (survivors, expected) in [(Survivors::Nothing, 1), (Survivors::Everything, 2)] {
            let mut storage = storage();
            storage.write(0, &[1; 512]).expect("power");
            storage.flush().expect("power");
            storage.write(0, &[2; 512]).expect("power");
            storage.power_off();
            assert!(storage.flush().is_err() && storage.write(0, &[3]).is_err());
            storage.power_on(survivors, &mut random).expect("a temporary file takes it");
            assert_eq!(byte(&storage, 0), expected);
        }
    }

    #[test]
    fn some_writes_survive_and_some_are_torn_between_sectors() {
        let mut random = SmallRng::seed_from_u64(3);
        let (mut whole, mut none, mut part) = (0, 0, 0);
        for _ in 0..200 {
            let mut storage = storage();
            storage.write(0, &[1; 4096]).expect("power");
            storage.power_off();
            storage.power_on(Survivors::Some, &mut random).expect("a temporary file takes it");
            let sectors: Vec<u8> = (0..8).map(|sector| byte(&storage, sector * 512 + 511)).collect();
            match sectors.iter().filter(|byte| **byte == 1).count() {
                0 => none += 1,
                8 => whole += 1,
                _ => part += 1,
            }
        }
        assert!(whole > 40 && none > 40 && part > 5, "{whole} whole, {none} lost, {part} torn");
    }

    #[test]
    fn the_power_goes_at_the_armed_point() {
        let mut storage = storage();
        storage.arm(Trigger::Flushes(2));
        storage.flush().expect("the first of two");
        storage.flush().expect("it goes after the flush, not in it");
        assert!(!storage.is_powered());
    }
}
