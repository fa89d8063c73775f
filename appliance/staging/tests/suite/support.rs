//! A staged tree on a simulated disk, with a clock that tests turn.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot_free::Cell;
use staging::sim::SimDisk;
use staging::{
    Attributes, Base, Clock, Delay, EventView, Moment, NewKind, NewNode, NodeNumber, NodeView, OpenError,
    Options, Recovery, Segment, StagedFile, Staging,
};

/// A value that a closure and a test share.
mod parking_lot_free {
    use std::sync::Mutex;

    #[derive(Default)]
    pub(crate) struct Cell<T>(Mutex<T>);

    impl<T: Copy> Cell<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(Mutex::new(value))
        }

        pub(crate) fn get(&self) -> T {
            *self.0.lock().expect("no test panics with it")
        }

        pub(crate) fn set(&self, value: T) {
            *self.0.lock().expect("no test panics with it") = value;
        }
    }
}

pub(crate) const ROOT: NodeNumber = NodeNumber::ROOT;
pub(crate) const QUIET: Duration = Duration::from_secs(10);
const FIRST_BOOT: u8 = b'a';

pub(crate) struct Rig {
    pub(crate) disk: SimDisk,
    pub(crate) staging: Staging,
    pub(crate) recovery: Recovery,
    now: Arc<Cell<Instant>>,
    boot: u8,
}

impl Rig {
    pub(crate) fn new() -> Self {
        Self::on(SimDisk::new(), FIRST_BOOT).expect("an empty disk opens")
    }

    pub(crate) fn on(disk: SimDisk, boot: u8) -> Result<Self, OpenError> {
        Self::with(disk, boot, |_| {})
    }

    pub(crate) fn with(disk: SimDisk, boot: u8, set: impl FnOnce(&mut Options)) -> Result<Self, OpenError> {
        let now = Arc::new(Cell::new(Instant::now()));
        let shown = now.clone();
        let mut options = Options::new(PathBuf::from("/staging"), "mount of tests".to_owned());
        options.disk = Some(Arc::new(disk.clone()));
        options.boot_id = Some([boot; 36]);
        options.clock = Clock { monotonic: Arc::new(move || shown.get()), wall: Arc::new(|| MOMENT) };
        options.delay = Arc::new(|_, _| Delay { quiet: QUIET, at_most: QUIET * 6, while_open: Some(QUIET) });
        set(&mut options);
        let (staging, recovery) = Staging::open(options)?;
        Ok(Self { disk, staging, recovery, now, boot })
    }

    /// The daemon is killed and starts again.
    pub(crate) fn kill(self) -> Self {
        Self::on(self.disk.after_kill(), self.boot).expect("it opens after a kill")
    }

    /// The power fails and nothing that was not flushed is left.
    pub(crate) fn cut_power(self) -> Self {
        Self::on(self.disk.after_power_cut(|| false), self.boot + 1).expect("it opens after a power cut")
    }

    pub(crate) fn wait(&self, time: Duration) {
        self.now.set(self.now.get() + time);
    }

    pub(crate) fn make(&self, parent: NodeNumber, name: &str, kind: NewKind) -> NodeView {
        let new = NewNode { kind, attributes: attributes() };
        self.staging.create(parent, name, new, None).expect("the name is free")
    }

    pub(crate) fn directory(&self, name: &str) -> NodeNumber {
        self.make(ROOT, name, NewKind::Directory).number
    }

    /// Makes a file with these bytes and closes it.
    pub(crate) fn file(&self, parent: NodeNumber, name: &str, bytes: &[u8]) -> NodeNumber {
        let number = self.make(parent, name, NewKind::File).number;
        self.write(number, 0, bytes);
        number
    }

    pub(crate) fn open(&self, number: NodeNumber) -> StagedFile {
        self.staging.open_file(number, true).expect("it opens")
    }

    pub(crate) fn write(&self, number: NodeNumber, offset: u64, bytes: &[u8]) {
        let file = self.open(number);
        file.write_at(offset, bytes).expect("it is written");
        file.close().expect("it is closed");
    }

    pub(crate) fn sync(&self, number: NodeNumber) {
        self.open(number).sync().expect("it is synced");
    }

    /// The content of a file, `b` standing for each byte of its base.
    pub(crate) fn read(&self, number: NodeNumber) -> Vec<u8> {
        let file = self.staging.open_file(number, false).expect("it opens");
        let mut bytes = Vec::new();
        for segment in file.segments(0..u64::MAX) {
            let range = segment.range().clone();
            let mut part = vec![0; (range.end - range.start) as usize];
            match segment {
                Segment::Local(_) => {
                    let backing = file.backing().expect("local bytes have a backing file");
                    backing.read_exact_at(&mut part, range.start).expect("local bytes are there");
                }
                Segment::Base(_) => part.fill(b'b'),
                Segment::Hole(_) => {}
            }
            bytes.extend(part);
        }
        bytes
    }

    pub(crate) fn read_name(&self, parent: NodeNumber, name: &str) -> Vec<u8> {
        self.read(self.number(parent, name))
    }

    pub(crate) fn number(&self, parent: NodeNumber, name: &str) -> NodeNumber {
        match self.staging.lookup(parent, name) {
            staging::Lookup::Node(node) => node.number,
            other => panic!("{name} is {other:?}"),
        }
    }

    /// Events that are ready, as `put path` and `remove path`.
    pub(crate) fn ready(&self) -> Vec<String> {
        self.staging.ready(self.staging.now()).iter().map(describe).collect()
    }

    /// Publishes everything that is ready and may be, in the order that it comes; gives what the store was told.
    pub(crate) fn publish(&self) -> Vec<String> {
        let mut told = Vec::new();
        while let Some(event) = self
            .staging
            .ready(self.staging.now())
            .into_iter()
            .find(|event| self.staging.may_publish(event.seq))
        {
            told.push(describe(&event));
            self.publish_one(&event);
        }
        told
    }

    pub(crate) fn publish_one(&self, event: &EventView) {
        let staging = &self.staging;
        staging.take(event.seq).expect("nobody has it");
        match &event.action {
            staging::Action::Put { node } => {
                let upload = staging.begin_upload(event.seq).expect("it can be sent");
                let size_bytes = match upload.kind {
                    staging::UploadKind::File { size_bytes, .. } => size_bytes,
                    _ => 0,
                };
                let is_directory = matches!(upload.kind, staging::UploadKind::Directory);
                let base = base(
                    &format!("{}{}", event.path, if is_directory { "/" } else { "" }),
                    &format!("v{}", node.0),
                    size_bytes,
                );
                let turn = staging.begin_publish(event.seq, &base).expect("it is taken");
                assert!(matches!(turn, staging::Turn::Now { .. }), "{turn:?}");
                staging.published(event.seq, base).expect("it is taken");
            }
            staging::Action::Remove { .. } => staging.removed(event.seq).expect("it is taken"),
        }
    }
}

fn describe(event: &EventView) -> String {
    match event.action {
        staging::Action::Put { .. } => format!("put {}", event.path),
        staging::Action::Remove { .. } => format!("remove {}", event.path),
    }
}

pub(crate) const MOMENT: Moment = Moment { secs: 1_700_000_000, nanos: 5 };

pub(crate) fn attributes() -> Attributes {
    Attributes { mode: 0o644, uid: 7, gid: 8, atime: MOMENT, mtime: MOMENT, ctime: MOMENT }
}

pub(crate) fn base(key: &str, version: &str, size_bytes: u64) -> Base {
    Base { store: 0, key: key.into(), version: Some(version.into()), size_bytes }
}
