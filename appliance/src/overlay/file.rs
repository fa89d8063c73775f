//! Open files of a read-write mount: which bytes are local, which come from the store, which are holes.
//!
//! A file that is clean is read through the read path alone. As soon as it is adopted, by whichever of its openers, all
//! of them see the staged file: each request looks for it first.

use std::sync::{Arc, OnceLock};

use fuse_fast::Errno;
use staging::{NodeNumber, Segment, StageError, StagedFile};
use ufs::{ByteRange, Key, Version};

use super::{Overlay, OverlayError};
use crate::errno::{of_overlay, of_stage};
use crate::namespace::{Ino, ObjectRef};
use crate::object::Object;
use crate::read_path::OpenFile;
use crate::store::StoreIndex;

/// Bytes that are brought here at a time.
const FILL_BYTES: u64 = 4 << 20;

/// An open file.
pub struct OverlayFile {
    number: u64,
    /// What it read before it was adopted.
    clean: Option<Arc<OpenFile>>,
    staged: OnceLock<StagedFile>,
    /// The base that its last read needed, by version.
    base: parking_lot::Mutex<Option<Arc<OpenFile>>>,
}

/// Where the bytes of a read come from.
pub enum Source<'a> {
    /// The file is clean.
    Clean(&'a Arc<OpenFile>),
    /// The staged file, cut to its size.
    Staged(&'a StagedFile),
}

impl OverlayFile {
    /// The node's number.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The staged file, if the node is staged by now.
    pub fn staged(&self, overlay: &Overlay) -> Result<Option<&StagedFile>, OverlayError> {
        if let Some(staged) = self.staged.get() {
            return Ok(Some(staged));
        }
        if overlay.parts.staging.node(NodeNumber(self.number)).is_none() {
            return Ok(None);
        }
        let opened = overlay.parts.staging.open_file(NodeNumber(self.number), false)?;
        Ok(Some(self.staged.get_or_init(|| opened)))
    }

    /// Where a read finds its bytes.
    pub fn source(&self, overlay: &Overlay) -> Result<Source<'_>, OverlayError> {
        match (self.staged(overlay)?, &self.clean) {
            (Some(staged), _) => Ok(Source::Staged(staged)),
            (None, Some(clean)) => Ok(Source::Clean(clean)),
            (None, None) => Err(OverlayError::Stale),
        }
    }
}

impl Overlay {
    /// Opens a file. For writing it is adopted.
    pub async fn open_file(&self, number: u64, writes: bool) -> Result<OverlayFile, OverlayError> {
        if writes {
            let adopted = self.adopt(number).await?;
            return self.opened(adopted, true);
        }
        if self.parts.staging.node(NodeNumber(number)).is_some() {
            return self.opened(NodeNumber(number), false);
        }
        let ino = Ino::new(number).ok_or(OverlayError::Stale)?;
        let Some(reference) = self.parts.namespace.object(ino) else {
            // It may have been adopted since.
            return self.opened(NodeNumber(number), false);
        };
        let clean = Some(self.open_object(ino, reference)?);
        Ok(OverlayFile { number, clean, staged: OnceLock::new(), base: Default::default() })
    }

    /// Opens a staged file.
    pub fn opened(&self, number: NodeNumber, writes: bool) -> Result<OverlayFile, OverlayError> {
        let staged = self.parts.staging.open_file(number, writes).map_err(|error| match error {
            StageError::NotFound => OverlayError::Stale,
            other => other.into(),
        })?;
        Ok(OverlayFile { number: number.0, clean: None, staged: staged.into(), base: Default::default() })
    }

    fn open_object(&self, ino: Ino, reference: ObjectRef) -> Result<Arc<OpenFile>, OverlayError> {
        let store = Arc::clone(&self.parts.stores[usize::from(reference.store.0)]);
        let object = Object::new(store, reference.key, reference.version, reference.size_bytes)
            .map_err(|_too_long| OverlayError::KeyTooLong)?;
        Ok(Arc::new(OpenFile::new(ino, Arc::new(object))))
    }

    /// Brings everything that a staged file's store has of it here, so that the file's ranges become one.
    pub async fn fill(&self, file: &OverlayFile) -> Result<(), Errno> {
        let staged = file.staged(self).map_err(|error| of_overlay(&error))?.ok_or(Errno::ESTALE)?;
        let mut bytes = Vec::new();
        for gap in staged.gaps() {
            let base = self.base(file, staged).map_err(|error| of_overlay(&error))?;
            let mut start = gap.start;
            while start < gap.end {
                let end = gap.end.min(start + FILL_BYTES);
                bytes.resize((end - start) as usize, 0);
                self.parts.read_path.read_into(&base, ByteRange::new(start..end), &mut bytes).await?;
                staged.fill(start, &bytes).map_err(|error| of_stage(&error))?;
                start = end;
            }
        }
        Ok(())
    }

    /// What a staged file's store has of it.
    pub fn base(&self, file: &OverlayFile, staged: &StagedFile) -> Result<Arc<OpenFile>, OverlayError> {
        let base = staged.base().ok_or(OverlayError::Stale)?;
        let (Some(ino), Some(version)) = (Ino::new(file.number), base.version) else {
            return Err(OverlayError::Stale);
        };
        let mut known = file.base.lock();
        if let Some(open) = known.as_ref().filter(|open| open.object.version.as_str() == &*version) {
            return Ok(Arc::clone(open));
        }
        let reference = ObjectRef {
            store: StoreIndex(base.store),
            key: Key::new(base.key).map_err(|_too_long| OverlayError::KeyTooLong)?,
            version: Version::new(version),
            size_bytes: base.size_bytes,
        };
        let open = self.open_object(ino, reference)?;
        *known = Some(Arc::clone(&open));
        Ok(open)
    }

    /// Reads a range that is local in parts only. The range lies inside the file.
    pub async fn read_mixed(&self, file: &OverlayFile, range: ByteRange) -> Result<Vec<u8>, Errno> {
        let staged = file.staged(self).map_err(|error| of_overlay(&error))?.ok_or(Errno::ESTALE)?;
        let mut bytes = vec![0; range.len() as usize];
        for segment in staged.segments(range.start..range.end) {
            let (part, is_base) = match segment {
                Segment::Hole(_) => continue,
                Segment::Local(part) => (part, false),
                Segment::Base(part) => (part, true),
            };
            let out = &mut bytes[(part.start - range.start) as usize..(part.end - range.start) as usize];
            if is_base {
                let base = self.base(file, staged).map_err(|error| of_overlay(&error))?;
                self.parts.read_path.read_into(&base, ByteRange::new(part), out).await?;
            } else {
                read_local(staged, part.start, out).map_err(|error| of_overlay(&error.into()))?;
            }
        }
        Ok(bytes)
    }
}

/// Reads bytes that a staged file has here.
pub fn read_local(staged: &StagedFile, offset: u64, out: &mut [u8]) -> Result<(), StageError> {
    let backing = staged.backing().ok_or(StageError::DataMissing { number: staged.number() })?;
    let failed = |source| StageError::Io { action: "read a backing file", source };
    backing.read_exact_at(out, offset).map_err(failed)
}
