//! Power cuts and kills at every step, against a model of what POSIX allows then.
//!
//! After a power cut the names are those of some moment since the last flush, and each file has every byte that its last
//! sync promised, unless it was overwritten or cut since. After a kill nothing is lost that was answered.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use staging::sim::{Planted, SimDisk};
use staging::{Kind, Lookup, NewKind, NewNode, NodeNumber, RenameMode, StageError};

use crate::support::{ROOT, Rig, attributes};

const NAMES: [&str; 3] = ["a", "b", "c"];
const DIRECTORIES: [&str; 2] = ["d", "e"];
const FIRST_BOOT: u8 = b'a';

/// One call. Paths are a directory (0 is the root) and a name.
#[derive(Clone, Debug)]
enum Op {
    Create(usize, usize),
    MakeDirectory(usize),
    Write(usize, usize, u64, usize),
    Truncate(usize, usize, u64),
    Sync(usize, usize),
    SyncNames,
    Unlink(usize, usize),
    Rename(usize, usize, usize, usize),
    RenameDirectory,
    Compact,
}

fn op() -> impl Strategy<Value = Op> {
    let place = || (0..=DIRECTORIES.len(), 0..NAMES.len());
    prop_oneof![
        3 => place().prop_map(|(at, name)| Op::Create(at, name)),
        1 => (0..DIRECTORIES.len()).prop_map(Op::MakeDirectory),
        6 => (place(), 0..2000_u64, 1..1500_usize).prop_map(|((at, name), offset, len)| Op::Write(at, name, offset, len)),
        1 => (place(), 0..2500_u64).prop_map(|((at, name), size)| Op::Truncate(at, name, size)),
        3 => place().prop_map(|(at, name)| Op::Sync(at, name)),
        1 => Just(Op::SyncNames),
        1 => place().prop_map(|(at, name)| Op::Unlink(at, name)),
        3 => (place(), place()).prop_map(|((at, name), (to, other))| Op::Rename(at, name, to, other)),
        1 => Just(Op::RenameDirectory),
        1 => Just(Op::Compact),
    ]
}

type FileId = u64;

/// What a file may be after a power cut.
#[derive(Clone, Debug, Default)]
struct FileModel {
    now: Vec<u8>,
    /// Size by its last sync and later truncations.
    synced_size: u64,
    /// Values that a byte may have.
    allowed: Vec<BTreeSet<u8>>,
}

impl FileModel {
    fn allow(&mut self, offset: usize, value: u8) {
        if self.allowed.len() <= offset {
            self.allowed.resize(offset + 1, BTreeSet::from([0]));
        }
        self.allowed[offset].insert(value);
    }

    fn write(&mut self, offset: usize, len: usize, value: u8) {
        if self.now.len() < offset + len {
            self.now.resize(offset + len, 0);
        }
        self.now[offset..offset + len].fill(value);
        (offset..offset + len).for_each(|at| self.allow(at, value));
    }

    fn truncate(&mut self, size: usize) {
        self.now.resize(size, 0);
        self.synced_size = size as u64;
        (size..self.allowed.len()).for_each(|at| self.allow(at, 0));
    }

    /// `is_sure`: the call came back, so nothing older may come back.
    fn sync(&mut self, is_sure: bool) {
        self.synced_size = self.now.len() as u64;
        if is_sure {
            self.allowed.clear();
        }
        for at in 0..self.now.len() {
            if is_sure {
                self.allowed.push(BTreeSet::from([self.now[at]]));
            } else {
                self.allow(at, self.now[at]);
            }
        }
    }
}

/// Names at one moment: directory index and name to a file, and which directories there are.
#[derive(Clone, Debug, Default, PartialEq)]
struct Names {
    files: BTreeMap<(usize, usize), FileId>,
    directories: BTreeSet<usize>,
}

#[derive(Clone, Debug, Default)]
struct Moment {
    names: Names,
    sizes: BTreeMap<FileId, u64>,
}

/// The model: everything since the last flush.
#[derive(Clone, Debug, Default)]
struct Model {
    names: Names,
    files: BTreeMap<FileId, FileModel>,
    moments: Vec<Moment>,
    next_file: FileId,
}

impl Model {
    fn has_directory(&self, at: usize) -> bool {
        at == 0 || self.names.directories.contains(&(at - 1))
    }

    /// Makes the call's effect; false when it cannot have one.
    fn apply(&mut self, op: &Op, value: u8, is_sure: bool) -> bool {
        let done = self.apply_names(op) || self.apply_data(op, value, is_sure);
        if done {
            let sizes = self.files.iter().map(|(id, file)| (*id, file.synced_size)).collect();
            if is_sure && matches!(op, Op::Sync(..) | Op::SyncNames | Op::Compact) {
                self.moments.clear();
            }
            self.moments.push(Moment { names: self.names.clone(), sizes });
        }
        done
    }

    fn apply_names(&mut self, op: &Op) -> bool {
        match *op {
            Op::Create(at, name) => {
                if !self.has_directory(at) || self.names.files.contains_key(&(at, name)) {
                    return false;
                }
                self.next_file += 1;
                self.files.insert(self.next_file, FileModel::default());
                self.names.files.insert((at, name), self.next_file);
                true
            }
            Op::MakeDirectory(at) => self.names.directories.insert(at),
            Op::Unlink(at, name) => self.names.files.remove(&(at, name)).is_some(),
            Op::Rename(at, name, to, other) => {
                if !self.has_directory(to) || (at, name) == (to, other) {
                    return false;
                }
                let Some(file) = self.names.files.remove(&(at, name)) else { return false };
                self.names.files.insert((to, other), file);
                true
            }
            Op::RenameDirectory => {
                let is_free = !self.names.files.keys().any(|(at, _)| *at == 2);
                if !self.names.directories.contains(&0) || !is_free {
                    return false;
                }
                self.names.directories.remove(&0);
                self.names.directories.insert(1);
                let moved = std::mem::take(&mut self.names.files);
                self.names.files = moved
                    .into_iter()
                    .map(|((at, name), file)| ((if at == 1 { 2 } else { at }, name), file))
                    .collect();
                true
            }
            _ => false,
        }
    }

    fn apply_data(&mut self, op: &Op, value: u8, is_sure: bool) -> bool {
        let (at, name) = match *op {
            Op::Write(at, name, ..) | Op::Truncate(at, name, _) | Op::Sync(at, name) => (at, name),
            Op::SyncNames | Op::Compact => return true,
            _ => return false,
        };
        let Some(file) = self.names.files.get(&(at, name)).and_then(|id| self.files.get_mut(id)) else {
            return false;
        };
        match *op {
            Op::Write(_, _, offset, len) => file.write(offset as usize, len, value),
            Op::Truncate(_, _, size) => file.truncate(size as usize),
            _ => file.sync(is_sure),
        }
        true
    }
}

/// The call on the real thing.
fn run(rig: &Rig, op: &Op, value: u8) -> Result<(), StageError> {
    let staging = &rig.staging;
    let directory = |at: usize| match at {
        0 => Ok(ROOT),
        _ => found(rig, ROOT, DIRECTORIES[at - 1]),
    };
    let new = |kind| NewNode { kind, attributes: attributes() };
    let file = |at, name: usize| found(rig, directory(at)?, NAMES[name]);
    match *op {
        Op::Create(at, name) => {
            staging.create(directory(at)?, NAMES[name], new(NewKind::File), None).map(|_| ())
        }
        Op::MakeDirectory(at) => {
            staging.create(ROOT, DIRECTORIES[at], new(NewKind::Directory), None).map(|_| ())
        }
        Op::Write(at, name, offset, len) => {
            let file = staging.open_file(file(at, name)?, true)?;
            file.write_at(offset, &vec![value; len])?;
            file.close()
        }
        Op::Truncate(at, name, size) => staging.truncate(file(at, name)?, size),
        Op::Sync(at, name) => staging.open_file(file(at, name)?, true)?.sync(),
        Op::SyncNames => staging.sync_names(),
        Op::Unlink(at, name) => staging.unlink(directory(at)?, NAMES[name], None),
        Op::Rename(at, name, to, other) => {
            let (from, to) = ((directory(at)?, NAMES[name]), (directory(to)?, NAMES[other]));
            staging.rename(from, to, RenameMode::Replace, None)
        }
        Op::RenameDirectory => {
            staging.rename((ROOT, DIRECTORIES[0]), (ROOT, DIRECTORIES[1]), RenameMode::Replace, None)
        }
        Op::Compact => staging.compact(),
    }
}

fn found(rig: &Rig, parent: NodeNumber, name: &str) -> Result<NodeNumber, StageError> {
    match rig.staging.lookup(parent, name) {
        Lookup::Node(node) => Ok(node.number),
        _ => Err(StageError::NotFound),
    }
}

/// Runs the calls until the power goes.
fn run_all(disk: &SimDisk, ops: &[Op]) -> Option<Model> {
    let rig = Rig::on(disk.clone(), FIRST_BOOT).ok()?;
    let mut model = Model { moments: vec![Moment::default()], ..Model::default() };
    for (at, op) in ops.iter().enumerate() {
        let value = (at % 250 + 1) as u8;
        let mut after = model.clone();
        if !after.apply(op, value, true) {
            continue;
        }
        match run(&rig, op, value) {
            Ok(()) => model = after,
            Err(StageError::Io { .. } | StageError::Poisoned { .. }) => {
                model.apply(op, value, false);
                break;
            }
            Err(other) => panic!("{op:?}: {other}"),
        }
    }
    Some(model)
}

/// Names as they are, with the numbers of the nodes.
fn names_of(rig: &Rig) -> (Names, BTreeMap<(usize, usize), NodeNumber>) {
    let mut names = Names::default();
    let mut numbers = BTreeMap::new();
    let mut directories = vec![(0, ROOT)];
    for (at, name) in DIRECTORIES.iter().enumerate() {
        if let Lookup::Node(node) = rig.staging.lookup(ROOT, name) {
            assert!(matches!(node.kind, Kind::Directory { .. }));
            names.directories.insert(at);
            directories.push((at + 1, node.number));
        }
    }
    for (at, directory) in directories {
        for (index, name) in NAMES.iter().enumerate() {
            if let Lookup::Node(node) = rig.staging.lookup(directory, name) {
                names.files.insert((at, index), 0);
                numbers.insert((at, index), node.number);
            }
        }
    }
    (names, numbers)
}

fn is_same_names(found: &Names, model: &Names) -> bool {
    found.directories == model.directories && found.files.keys().eq(model.files.keys())
}

/// Is what is there one of the moments that a power cut may leave?
fn check_power_cut(rig: &Rig, model: &Model) -> Result<(), String> {
    let (names, numbers) = names_of(rig);
    let mut problems = Vec::new();
    for moment in &model.moments {
        if !is_same_names(&names, &moment.names) {
            problems.push(format!("names are {names:?}, not {:?}", moment.names));
            continue;
        }
        let wrong = moment.names.files.iter().find_map(|(place, id)| {
            let content = rig.read(numbers[place]);
            check_content(&content, moment.sizes[id], &model.files[id])
                .map(|problem| format!("{place:?}: {problem}"))
        });
        match wrong {
            None => return Ok(()),
            Some(problem) => problems.push(problem),
        }
    }
    Err(problems.join("; "))
}

fn check_content(content: &[u8], size: u64, file: &FileModel) -> Option<String> {
    if content.len() as u64 != size {
        return Some(format!("{} bytes, not {size}", content.len()));
    }
    let zero = BTreeSet::from([0]);
    let allowed = |at: usize| file.allowed.get(at).unwrap_or(&zero);
    let wrong = content.iter().enumerate().find(|(at, value)| !allowed(*at).contains(value));
    wrong.map(|(at, value)| format!("byte {at} is {value}, not of {:?}", allowed(at)))
}

/// Cuts the power at a step of the calls, and says what is wrong then. `None` when there is no such step.
fn cut(ops: &[Op], step: u64, planted: Planted, seed: u64) -> Option<Result<(), String>> {
    let disk = SimDisk::new();
    disk.plant(planted);
    disk.cut_at(Some(step));
    let model =
        run_all(&disk, ops).unwrap_or_else(|| Model { moments: vec![Moment::default()], ..Model::default() });
    let mut random = seed;
    let after = disk.after_power_cut(|| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        match seed % 4 {
            0 => false,
            1 => true,
            _ => random >> 63 == 1,
        }
    });
    let result = match Rig::on(after, FIRST_BOOT + 1) {
        Ok(rig) if rig.recovery.missing.is_empty() => check_power_cut(&rig, &model),
        Ok(rig) => Err(format!("missing: {:?}", rig.recovery.missing)),
        Err(error) => Err(error.to_string()),
    };
    (disk.steps() >= step).then_some(result)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn no_power_cut_loses_what_was_synced(ops in prop::collection::vec(op(), 1..24), seed: u64, stride in 2..9_u64) {
        let mut step = seed % stride;
        while let Some(result) = cut(&ops, step, Planted::default(), seed.wrapping_add(step)) {
            prop_assert!(result.is_ok(), "cut at step {step}: {}", result.unwrap_err());
            step += stride;
        }
    }

    #[test]
    fn no_kill_loses_what_was_answered(ops in prop::collection::vec(op(), 1..40), kill_after in 0..40_usize) {
        let disk = SimDisk::new();
        let model = run_all(&disk, &ops[..kill_after.min(ops.len())]).expect("the disk works");
        let rig = Rig::on(disk.after_kill(), FIRST_BOOT).expect("it opens");
        let (names, numbers) = names_of(&rig);
        prop_assert!(is_same_names(&names, &model.names), "{names:?}, not {:?}", model.names);
        for (place, id) in &model.names.files {
            prop_assert_eq!(&rig.read(numbers[place]), &model.files[id].now);
        }
        prop_assert_eq!(rig.recovery.missing.len(), 0);
    }
}

/// Tests the test: a daemon whose flushes of the journal, or of its files, do nothing is found out.
#[test]
fn a_lost_flush_is_found() {
    let ops = [Op::Create(0, 0), Op::Write(0, 0, 0, 100), Op::Sync(0, 0), Op::Create(0, 1), Op::SyncNames];
    let is_found = |flush_lost| {
        let planted = Planted { flush_lost };
        (0..).map_while(|step| cut(&ops, step, planted, 0)).any(|result| result.is_err())
    };
    assert!(!is_found(None));
    assert!(is_found(Some("journal")), "flushes of the journal left out");
    assert!(is_found(Some("data/")), "flushes of the files left out");
}
