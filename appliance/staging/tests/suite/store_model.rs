//! Random changes and publishing against a store that keeps versions: what a mount shows is always what was written, each
//! request is conditional on what the store really has, no object is gone that is still needed, and in the end the store
//! has exactly what the mount shows.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use staging::{
    Action, Base, EventSeq, EventView, Kind, Lookup, NewKind, NodeNumber, RenameMode, Segment, StageError,
    Turn, UploadKind,
};

use crate::support::{QUIET, ROOT, Rig, attributes, base};

const NAMES: [&str; 3] = ["a", "b", "c"];
const DIRECTORIES: [&str; 3] = ["", "d", "e"];

#[derive(Clone, Debug)]
enum Op {
    Create(usize, usize),
    Write(usize, usize, usize, usize),
    Truncate(usize, usize, usize),
    Unlink(usize, usize),
    Rename((usize, usize), (usize, usize), bool),
    MakeDirectory(usize),
    RemoveDirectory(usize),
    RenameDirectory(usize, usize),
    Touch(usize, usize),
    Begin,
    Finish(bool),
    Publish,
    Evict,
    Kill(bool),
}

fn op() -> impl Strategy<Value = Op> {
    let place = || (0..DIRECTORIES.len(), 0..NAMES.len());
    let directory = || 1..DIRECTORIES.len();
    prop_oneof![
        3 => place().prop_map(|(at, name)| Op::Create(at, name)),
        4 => (place(), 0..30_usize, 1..20_usize).prop_map(|((at, name), offset, len)| Op::Write(at, name, offset, len)),
        1 => (place(), 0..40_usize).prop_map(|((at, name), size)| Op::Truncate(at, name, size)),
        2 => place().prop_map(|(at, name)| Op::Unlink(at, name)),
        5 => (place(), place(), prop::bool::weighted(0.3)).prop_map(|(from, to, swaps)| Op::Rename(from, to, swaps)),
        1 => directory().prop_map(Op::MakeDirectory),
        1 => directory().prop_map(Op::RemoveDirectory),
        2 => (directory(), directory()).prop_map(|(from, to)| Op::RenameDirectory(from, to)),
        1 => place().prop_map(|(at, name)| Op::Touch(at, name)),
        2 => Just(Op::Begin),
        2 => prop::bool::weighted(0.8).prop_map(Op::Finish),
        4 => Just(Op::Publish),
        1 => Just(Op::Evict),
        1 => any::<bool>().prop_map(Op::Kill),
    ]
}

#[derive(Clone, Debug)]
struct Object {
    version: u64,
    bytes: Vec<u8>,
}

#[derive(Default)]
struct Store {
    objects: BTreeMap<String, Object>,
    next_version: u64,
    /// Keys of which a request may have gone through without an answer.
    unsure: BTreeSet<String>,
}

impl Store {
    fn put(&mut self, key: &str, bytes: Vec<u8>) -> Base {
        self.next_version += 1;
        let size_bytes = bytes.len() as u64;
        self.objects.insert(key.to_owned(), Object { version: self.next_version, bytes });
        base(key, &self.next_version.to_string(), size_bytes)
    }

    fn read(&self, base: &Base) -> Result<&[u8], String> {
        let object = self.objects.get(base.key.as_ref()).ok_or(format!("{} is gone", base.key))?;
        let is_same = base.version.as_deref() == Some(object.version.to_string().as_str());
        // A put that got no answer replaced it: what it put has the same bytes where the file has none of its own.
        if is_same || self.unsure.contains(base.key.as_ref()) {
            Ok(&object.bytes)
        } else {
            Err(format!("{} has been replaced", base.key))
        }
    }

    fn version(&self, key: &str) -> Option<String> {
        self.objects.get(key).map(|object| object.version.to_string())
    }
}

/// A mount over a store, and what it should show.
struct World {
    rig: Rig,
    store: Store,
    files: BTreeMap<(usize, usize), Vec<u8>>,
    directories: BTreeSet<usize>,
    begun: Option<(EventView, Option<Vec<u8>>)>,
    next_adopted: u64,
    value: u8,
}

type Outcome<T = ()> = Result<T, String>;

fn said<T>(result: Result<T, StageError>) -> Outcome<T> {
    result.map_err(|error| error.to_string())
}

fn path(at: usize, name: usize) -> String {
    if at == 0 { NAMES[name].to_owned() } else { format!("{}/{}", DIRECTORIES[at], NAMES[name]) }
}

impl World {
    fn new() -> Self {
        let mut store = Store::default();
        let files =
            BTreeMap::from([((0, 0), vec![200; 25]), ((1, 0), vec![201; 25]), ((1, 1), vec![202; 10])]);
        for ((at, name), bytes) in &files {
            store.put(&path(*at, *name), bytes.clone());
        }
        let directories = BTreeSet::from([1]);
        Self { rig: Rig::new(), store, files, directories, begun: None, next_adopted: 100, value: 0 }
    }

    fn adopted(&mut self) -> NodeNumber {
        self.next_adopted += 1;
        NodeNumber(self.next_adopted)
    }

    /// A directory as the overlay would find it: adopted when the store alone has it.
    fn directory(&mut self, at: usize) -> Outcome<Option<NodeNumber>> {
        if at == 0 {
            return Ok(Some(ROOT));
        }
        let prefix = format!("{}/", DIRECTORIES[at]);
        match self.rig.staging.lookup(ROOT, DIRECTORIES[at]) {
            Lookup::Node(node) => Ok(Some(node.number)),
            Lookup::Unknown if self.store.objects.keys().any(|key| key.starts_with(&prefix)) => {
                let number = self.adopted();
                let node = self.rig.staging.adopt_directory(
                    ROOT,
                    DIRECTORIES[at],
                    number,
                    base(&prefix, "", 0),
                    attributes(),
                );
                Ok(Some(said(node)?.number))
            }
            _ => Ok(None),
        }
    }

    fn file(&mut self, at: usize, name: usize) -> Outcome<Option<NodeNumber>> {
        let Some(directory) = self.directory(at)? else { return Ok(None) };
        match self.rig.staging.lookup(directory, NAMES[name]) {
            Lookup::Node(node) => Ok(Some(node.number)),
            Lookup::Unknown => {
                let key = path(at, name);
                let Some(object) = self.store.objects.get(&key) else { return Ok(None) };
                let below = base(&key, &object.version.to_string(), object.bytes.len() as u64);
                let number = self.adopted();
                Ok(Some(
                    said(self.rig.staging.adopt_file(directory, NAMES[name], number, below, attributes()))?
                        .number,
                ))
            }
            _ => Ok(None),
        }
    }

    fn read(&self, number: NodeNumber) -> Outcome<Vec<u8>> {
        let file = said(self.rig.staging.open_file(number, false))?;
        let mut bytes = Vec::new();
        for segment in file.segments(0..u64::MAX) {
            let range = segment.range().clone();
            let mut part = vec![0; (range.end - range.start) as usize];
            match segment {
                Segment::Local(_) => {
                    let backing = file.backing().ok_or("local bytes without a backing file")?;
                    backing.read_exact_at(&mut part, range.start).map_err(|error| error.to_string())?;
                }
                Segment::Base(_) => {
                    let base = file.base().ok_or("a base segment without a base")?;
                    part.copy_from_slice(&self.store.read(&base)?[range.start as usize..range.end as usize]);
                }
                Segment::Hole(_) => {}
            }
            bytes.extend(part);
        }
        Ok(bytes)
    }

    fn step(&mut self, op: &Op) -> Outcome {
        self.value = self.value % 190 + 1;
        match *op {
            Op::Create(at, name) => self.create(at, name),
            Op::Write(at, name, offset, len) => self.write(at, name, offset, len),
            Op::Truncate(at, name, size) => {
                let Some(number) = self.file(at, name)? else { return Ok(()) };
                self.files.entry((at, name)).or_default().resize(size, 0);
                said(self.rig.staging.truncate(number, size as u64))
            }
            Op::Unlink(at, name) => {
                if self.file(at, name)?.is_none() {
                    return Ok(());
                }
                self.files.remove(&(at, name));
                let directory = self.directory(at)?.ok_or("the directory is there")?;
                said(self.rig.staging.unlink(directory, NAMES[name], None))
            }
            Op::Rename(from, to, swaps) => self.rename(from, to, swaps),
            Op::MakeDirectory(at) => {
                if self.directory(at)?.is_none() {
                    self.rig.make(ROOT, DIRECTORIES[at], NewKind::Directory);
                    self.directories.insert(at);
                }
                Ok(())
            }
            Op::RemoveDirectory(at) => {
                let is_empty = !self.files.keys().any(|(place, _)| *place == at);
                if self.directory(at)?.is_none() || !is_empty {
                    return Ok(());
                }
                self.directories.remove(&at);
                said(self.rig.staging.remove_directory(ROOT, DIRECTORIES[at], None))
            }
            Op::RenameDirectory(from, to) => self.rename_directory(from, to),
            Op::Touch(at, name) => {
                let Some(number) = self.file(at, name)? else { return Ok(()) };
                let mode = Some(0o600 + u16::from(self.value % 8));
                let change = staging::AttributeChange { mode, ..Default::default() };
                said(self.rig.staging.set_attributes(number, change)).map(|_| ())
            }
            Op::Begin => self.begin(),
            Op::Finish(is_answered) => self.finish(is_answered),
            Op::Publish => {
                self.begin()?;
                self.finish(true)
            }
            Op::Evict => said(self.rig.staging.evict_kept(u64::MAX)).map(|_| ()),
            Op::Kill(goes_through) => self.kill(goes_through),
        }
    }

    fn create(&mut self, at: usize, name: usize) -> Outcome {
        let Some(directory) = self.directory(at)? else { return Ok(()) };
        if self.file(at, name)?.is_none() {
            self.rig.file(directory, NAMES[name], &[self.value; 5]);
            self.files.insert((at, name), vec![self.value; 5]);
        }
        Ok(())
    }

    fn write(&mut self, at: usize, name: usize, offset: usize, len: usize) -> Outcome {
        let Some(number) = self.file(at, name)? else { return Ok(()) };
        let bytes = self.files.entry((at, name)).or_default();
        if bytes.len() < offset + len {
            bytes.resize(offset + len, 0);
        }
        bytes[offset..offset + len].fill(self.value);
        self.rig.write(number, offset as u64, &vec![self.value; len]);
        Ok(())
    }

    fn rename(&mut self, from: (usize, usize), to: (usize, usize), swaps: bool) -> Outcome {
        let source = self.file(from.0, from.1)?;
        let target = self.file(to.0, to.1)?;
        let (Some(old), Some(new)) = (self.directory(from.0)?, self.directory(to.0)?) else { return Ok(()) };
        if source.is_none() || from == to || (swaps && target.is_none()) {
            return Ok(());
        }
        let mode = if swaps { RenameMode::Exchange } else { RenameMode::Replace };
        said(self.rig.staging.rename((old, NAMES[from.1]), (new, NAMES[to.1]), mode, None))?;
        let moved = self.files.remove(&from).ok_or("the model has it")?;
        if let Some(other) = self.files.insert(to, moved).filter(|_| swaps) {
            self.files.insert(from, other);
        }
        Ok(())
    }

    fn rename_directory(&mut self, from: usize, to: usize) -> Outcome {
        let is_free = !self.files.keys().any(|(at, _)| *at == to);
        if from == to || !is_free || self.directory(from)?.is_none() {
            return Ok(());
        }
        self.directory(to)?;
        for name in 0..NAMES.len() {
            self.file(from, name)?; // All of it is adopted.
        }
        said(self.rig.staging.rename(
            (ROOT, DIRECTORIES[from]),
            (ROOT, DIRECTORIES[to]),
            RenameMode::Replace,
            None,
        ))?;
        self.directories.remove(&from);
        self.directories.insert(to);
        let files = std::mem::take(&mut self.files);
        let place = |at| if at == from { to } else { at };
        self.files = files.into_iter().map(|((at, name), bytes)| ((place(at), name), bytes)).collect();
        Ok(())
    }

    /// Takes an event, and uploads its data.
    fn begin(&mut self) -> Outcome {
        if self.begun.is_some() {
            return Ok(());
        }
        self.rig.wait(QUIET);
        let Some(event) = self.rig.staging.ready(self.rig.staging.now()).into_iter().next() else {
            return Ok(());
        };
        said(self.rig.staging.take(event.seq))?;
        let bytes = match event.action {
            Action::Put { .. } => Some(self.upload(event.seq)?),
            Action::Remove { .. } => None,
        };
        self.begun = Some((event, bytes));
        Ok(())
    }

    fn upload(&mut self, seq: EventSeq) -> Outcome<Vec<u8>> {
        let upload = said(self.rig.staging.begin_upload(seq))?;
        match upload.kind {
            UploadKind::File { size_bytes, .. } => {
                let bytes = self.read(upload.node)?;
                if bytes.len() as u64 == size_bytes { Ok(bytes) } else { Err("the size changed".to_owned()) }
            }
            UploadKind::Frozen { bytes } => Ok(bytes.into_vec()),
            _ => Ok(Vec::new()),
        }
    }

    /// Publishes what was begun. Not `is_answered`: the request goes through, its answer is lost.
    fn finish(&mut self, is_answered: bool) -> Outcome {
        let Some((event, bytes)) = self.begun.take() else { return Ok(()) };
        let (seq, mut key) = (event.seq, event.path.to_string());
        let is_directory = bytes
            .as_ref()
            .is_some_and(|_| matches!(event.action, Action::Put { node } if self.is_directory(node)));
        if is_directory {
            key.push('/');
        }
        let target = match &event.action {
            Action::Put { .. } => base(&key, "", 0),
            Action::Remove { below } => below.clone(),
        };
        let turn = match self.rig.staging.begin_publish(seq, &target) {
            Err(StageError::NoEvent { .. }) => return Ok(()), // The name is gone.
            turn => said(turn)?,
        };
        match turn {
            Turn::Now { replaces } => self.send(seq, &target, replaces, bytes, is_answered),
            Turn::FillFirst(nodes) => {
                nodes.into_iter().try_for_each(|node| self.fill(node))?;
                self.begun = Some((event, bytes));
                self.finish(is_answered)
            }
            Turn::Wait | Turn::Changed => {
                self.rig.staging.give_back(seq, QUIET);
                Ok(())
            }
        }
    }

    fn is_directory(&self, node: NodeNumber) -> bool {
        self.rig.staging.node(node).is_some_and(|node| matches!(node.kind, Kind::Directory { .. }))
    }

    fn send(
        &mut self,
        seq: EventSeq,
        target: &Base,
        replaces: Option<Base>,
        bytes: Option<Vec<u8>>,
        is_answered: bool,
    ) -> Outcome {
        let key = target.key.to_string();
        let expected =
            replaces.and_then(|base| base.version).map(String::from).filter(|_| !key.ends_with('/'));
        let found = self.store.version(&key).filter(|_| !key.ends_with('/'));
        if expected != found && !self.store.unsure.contains(&key) {
            return Err(format!("{key} is expected to be {expected:?}, is {found:?}"));
        }
        match bytes {
            Some(bytes) => {
                let now = self.store.put(&key, bytes);
                if is_answered {
                    self.store.unsure.remove(&key);
                    said(self.rig.staging.published(seq, now)).map(|_| ())
                } else {
                    self.store.unsure.insert(key);
                    self.rig.staging.give_back(seq, QUIET);
                    Ok(())
                }
            }
            None => {
                self.store.objects.remove(&key);
                self.store.unsure.remove(&key);
                said(self.rig.staging.removed(seq))
            }
        }
    }

    fn fill(&mut self, number: NodeNumber) -> Outcome {
        let file = said(self.rig.staging.open_file(number, true))?;
        let base = file.base().ok_or("it has a base")?;
        for gap in file.gaps() {
            let bytes = self.store.read(&base)?[gap.start as usize..gap.end as usize].to_vec();
            said(file.fill(gap.start, &bytes))?;
        }
        said(file.detach())
    }

    fn kill(&mut self, goes_through: bool) -> Outcome {
        if goes_through {
            self.finish(false)?;
        }
        self.begun = None;
        let disk = self.rig.disk.after_kill();
        self.rig = Rig::on(disk, b'a').map_err(|error| error.to_string())?;
        if self.rig.recovery.missing.is_empty() {
            Ok(())
        } else {
            Err(format!("{:?}", self.rig.recovery.missing))
        }
    }

    /// The mount shows what was written, and nothing else.
    fn check_view(&mut self) -> Outcome {
        for at in 0..DIRECTORIES.len() {
            for name in 0..NAMES.len() {
                let found = self.file(at, name)?.map(|number| self.read(number)).transpose();
                let found = found.map_err(|problem| format!("{}: {problem}", path(at, name)))?;
                if found.as_ref() != self.files.get(&(at, name)) {
                    return Err(format!(
                        "{} is {found:?}, not {:?}",
                        path(at, name),
                        self.files.get(&(at, name))
                    ));
                }
            }
        }
        Ok(())
    }

    /// Publishes all there is; the store then has what the mount shows.
    fn drain(&mut self) -> Outcome {
        for _ in 0..1000 {
            self.finish(true)?;
            self.begin()?;
            if self.begun.is_none() && self.rig.staging.stats().events_waiting == 0 {
                break;
            }
        }
        let stats = self.rig.staging.stats();
        if (stats.events_waiting, stats.dirty_bytes, stats.dirty_files) != (0, 0, 0) {
            return Err(format!("left over: {stats:?}, {:?}", self.rig.staging.events_below("")));
        }
        let files = self.store.objects.iter().filter(|(key, _)| !key.ends_with('/'));
        let found: BTreeMap<String, &[u8]> =
            files.map(|(key, object)| (key.clone(), object.bytes.as_slice())).collect();
        let shown: BTreeMap<String, &[u8]> =
            self.files.iter().map(|((at, name), bytes)| (path(*at, *name), bytes.as_slice())).collect();
        if found == shown { Ok(()) } else { Err(format!("the store has {found:?}, not {shown:?}")) }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, max_shrink_iters: 2000, ..ProptestConfig::default() })]

    #[test]
    fn the_store_gets_what_the_mount_shows(ops in prop::collection::vec(op(), 1..40)) {
        let mut world = World::new();
        for op in &ops {
            let result = world.step(op).and_then(|()| world.check_view());
            prop_assert!(result.is_ok(), "{op:?}: {}", result.unwrap_err());
        }
        let drained = world.drain().and_then(|()| world.check_view());
        prop_assert!(drained.is_ok(), "{}", drained.unwrap_err());
    }
}
