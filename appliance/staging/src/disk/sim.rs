//! A disk that loses power.
//!
//! Every file and every directory has what is durable and, apart from it, what was done since. A power cut keeps the
//! durable part and, as the seed decides, none, all or some of the rest, torn at pages. Each call that changes or flushes
//! something is a *step*; the power can be cut at any of them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::{Disk, DiskFile};

/// Writes are torn at multiples of this.
const TEAR_BYTES: usize = 512;

/// Bugs that tests plant to see that they would find them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Planted {
    /// Flushes of files whose name contains this do nothing.
    pub flush_lost: Option<&'static str>,
}

/// The simulated disk. Clones are the same disk.
#[derive(Clone, Default)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    names: BTreeMap<PathBuf, u64>,
    durable_names: BTreeMap<PathBuf, u64>,
    files: BTreeMap<u64, Data>,
    next_file: u64,
    steps: u64,
    cut_at: Option<u64>,
    fail_sync_at: Option<u64>,
    planted: Planted,
    room_bytes: Option<u64>,
}

#[derive(Clone, Default)]
struct Data {
    now: Vec<u8>,
    durable: Vec<u8>,
    /// What was done since the last flush.
    pending: Vec<Op>,
}

#[derive(Clone)]
enum Op {
    Write(u64, Vec<u8>),
    Size(u64),
}

impl SimDisk {
    /// An empty disk.
    pub fn new() -> Self {
        Self::default()
    }

    /// The power goes at this step: it and all later ones fail.
    pub fn cut_at(&self, step: Option<u64>) {
        self.state.lock().cut_at = step;
    }

    /// The flush at or after this step fails once.
    pub fn fail_sync_at(&self, step: u64) {
        self.state.lock().fail_sync_at = Some(step);
    }

    /// Steps until now.
    pub fn steps(&self) -> u64 {
        self.state.lock().steps
    }

    /// Plants a bug.
    pub fn plant(&self, planted: Planted) {
        self.state.lock().planted = planted;
    }

    /// Bytes that all files together may have.
    pub fn set_room(&self, room_bytes: Option<u64>) {
        self.state.lock().room_bytes = room_bytes;
    }

    /// Changes one durable byte of a file, as a failing disk does.
    pub fn damage(&self, path: &Path, offset: usize) {
        let mut state = self.state.lock();
        let id = state.names[path];
        let file = state.files.get_mut(&id).expect("the name has a file");
        file.now[offset] ^= 0x40;
        file.durable = file.now.clone();
    }

    /// What a reader sees of a file now.
    pub fn contents(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.state.lock();
        state.names.get(path).map(|id| state.files[id].now.clone())
    }

    /// The disk after the process was killed: nothing is lost.
    pub fn after_kill(&self) -> Self {
        self.copy(|file| file.now.clone(), |state| state.names.clone(), |file| file.pending.clone())
    }

    /// The disk after a power cut. `keep` is asked for each thing that was not flushed.
    pub fn after_power_cut(&self, mut keep: impl FnMut() -> bool) -> Self {
        let state = self.state.lock();
        let mut names = state.durable_names.clone();
        for (path, id) in &state.names {
            if names.get(path) != Some(id) && keep() {
                names.insert(path.clone(), *id);
            }
        }
        for path in state.durable_names.keys() {
            if !state.names.contains_key(path) && keep() {
                names.remove(path);
            }
        }
        let mut files = BTreeMap::new();
        for (id, file) in &state.files {
            let mut durable = file.durable.clone();
            file.pending.iter().for_each(|op| op.survive(&mut durable, &mut keep));
            files.insert(*id, Data { now: durable.clone(), durable, pending: Vec::new() });
        }
        Self::from_state(State {
            durable_names: names.clone(),
            names,
            files,
            next_file: state.next_file,
            ..State::default()
        })
    }

    fn copy(
        &self,
        now: impl Fn(&Data) -> Vec<u8>,
        names: impl Fn(&State) -> BTreeMap<PathBuf, u64>,
        pending: impl Fn(&Data) -> Vec<Op>,
    ) -> Self {
        let state = self.state.lock();
        let files = state.files.iter().map(|(id, file)| {
            (*id, Data { now: now(file), durable: file.durable.clone(), pending: pending(file) })
        });
        let (names, durable_names) = (names(&state), state.durable_names.clone());
        Self::from_state(State {
            names,
            durable_names,
            files: files.collect(),
            next_file: state.next_file,
            ..State::default()
        })
    }

    fn from_state(state: State) -> Self {
        Self { state: Arc::new(Mutex::new(state)) }
    }
}

impl State {
    fn step(&mut self) -> io::Result<()> {
        self.steps += 1;
        match self.cut_at {
            Some(cut) if self.steps > cut => Err(io::Error::other("the power is off")),
            _ => Ok(()),
        }
    }

    fn sync_step(&mut self) -> io::Result<()> {
        self.step()?;
        if self.fail_sync_at.is_some_and(|at| self.steps >= at) {
            self.fail_sync_at = None;
            return Err(io::Error::from_raw_os_error(5));
        }
        Ok(())
    }

    fn do_op(&mut self, id: u64, op: Op) -> io::Result<()> {
        self.step()?;
        let used: u64 = self.files.values().map(|file| file.now.len() as u64).sum();
        let file = self.files.get_mut(&id).expect("an open file is there");
        let grows = op.end().saturating_sub(file.now.len() as u64);
        if grows > 0 && self.room_bytes.is_some_and(|room| used + grows > room) {
            return Err(io::Error::from_raw_os_error(28));
        }
        op.apply(&mut file.now);
        file.pending.push(op);
        Ok(())
    }
}

impl Op {
    fn end(&self) -> u64 {
        match self {
            Self::Write(offset, bytes) => offset + bytes.len() as u64,
            Self::Size(size) => *size,
        }
    }

    fn apply(&self, data: &mut Vec<u8>) {
        match self {
            Self::Write(offset, bytes) => {
                let end = *offset as usize + bytes.len();
                if data.len() < end {
                    data.resize(end, 0);
                }
                data[*offset as usize..end].copy_from_slice(bytes);
            }
            Self::Size(size) => data.resize(*size as usize, 0),
        }
    }

    /// What a power cut leaves of it.
    fn survive(&self, data: &mut Vec<u8>, keep: &mut impl FnMut() -> bool) {
        match self {
            Self::Write(offset, bytes) => {
                for (at, part) in bytes.chunks(TEAR_BYTES).enumerate() {
                    if keep() {
                        Self::Write(offset + (at * TEAR_BYTES) as u64, part.to_vec()).apply(data);
                    }
                }
            }
            Self::Size(_) => {
                if keep() {
                    self.apply(data);
                }
            }
        }
    }
}

impl Disk for SimDisk {
    fn open(&self, path: &Path, create: bool) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state.lock();
        let id = match state.names.get(path) {
            Some(id) => *id,
            None if create => {
                state.step()?;
                state.next_file += 1;
                let id = state.next_file;
                state.names.insert(path.to_owned(), id);
                state.files.insert(id, Data::default());
                id
            }
            None => return Err(io::ErrorKind::NotFound.into()),
        };
        Ok(Arc::new(SimFile { state: self.state.clone(), id, path: path.to_owned() }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        state.step()?;
        let id = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.names.insert(to.to_owned(), id);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        state.step()?;
        state.names.remove(path).map(|_| ()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        let state = self.state.lock();
        let in_it = state.names.keys().filter(|path| path.parent() == Some(directory));
        Ok(in_it.filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned())).collect())
    }

    fn make_directory(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        state.sync_step()?;
        if state.planted.flush_lost.is_some_and(|name| path.to_string_lossy().contains(name)) {
            return Ok(());
        }
        state.durable_names.retain(|name, _| name.parent() != Some(path));
        let in_it: Vec<_> = state
            .names
            .iter()
            .filter(|(name, _)| name.parent() == Some(path))
            .map(|(name, id)| (name.clone(), *id))
            .collect();
        state.durable_names.extend(in_it);
        Ok(())
    }
}

struct SimFile {
    state: Arc<Mutex<State>>,
    id: u64,
    path: PathBuf,
}

impl DiskFile for SimFile {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let state = self.state.lock();
        let data = &state.files[&self.id].now;
        let start = offset as usize;
        let found = data.get(start..start + buffer.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(found);
        Ok(())
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.state.lock().do_op(self.id, Op::Write(offset, bytes.to_vec()))
    }

    fn set_size(&self, size_bytes: u64) -> io::Result<()> {
        self.state.lock().do_op(self.id, Op::Size(size_bytes))
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.state.lock().files[&self.id].now.len() as u64)
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.state.lock();
        state.sync_step()?;
        if state.planted.flush_lost.is_some_and(|name| self.path.to_string_lossy().contains(name)) {
            return Ok(());
        }
        let file = state.files.get_mut(&self.id).expect("an open file is there");
        let pending = std::mem::take(&mut file.pending);
        pending.iter().for_each(|op| op.apply(&mut file.durable));
        Ok(())
    }

    fn allocate(&self, range: Range<u64>) -> io::Result<()> {
        let size = self.size()?;
        if range.end > size { self.set_size(range.end) } else { Ok(()) }
    }

    fn prepare(&self, range: Range<u64>) -> io::Result<()> {
        self.allocate(range)
    }

    fn punch(&self, range: Range<u64>) -> io::Result<()> {
        let end = range.end.min(self.size()?);
        self.write_all_at(&vec![0; end.saturating_sub(range.start) as usize], range.start)
    }

    fn data_ranges(&self) -> io::Result<Vec<Range<u64>>> {
        let size = self.size()?;
        Ok((size > 0).then_some(0..size).into_iter().collect())
    }

    fn file(&self) -> Option<&File> {
        None
    }
}
