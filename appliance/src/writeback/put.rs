//! One put: from a taken event to what the store confirmed.

use bytes::Bytes;
use staging::{EventSeq, EventView, Extents, NodeNumber, StageError, StagedFile, Turn, Upload, UploadKind};
use ufs::{Attributes, CopySource, Meta, PutCondition, Version};

use super::below::Target;
use super::engine::Engine;
use super::failures::Failure;
use super::{content, multipart, reconcile};
use crate::memory::Class;
use crate::namespace::Installed;

/// A put on its way.
pub(super) struct Put {
    pub(super) seq: EventSeq,
    pub(super) path: Box<str>,
    pub(super) target: Target,
    pub(super) attributes: Attributes,
    /// Names the content, within one run of the daemon.
    pub(super) token: String,
    pub(super) size_bytes: u64,
    /// Bytes that differ from the base.
    pub(super) changed: Extents,
    /// What the store has of it, and how much of that counts.
    pub(super) copy_source: Option<(CopySource, u64)>,
    kind: PutKind,
}

enum PutKind {
    Directory,
    /// The target of a link, or a small file as it was at this place in the order.
    Bytes(Bytes),
    File(NodeNumber),
}

/// What is sent when it is the put's turn.
enum Ready<'f> {
    /// All bytes are read then.
    Whole(Option<&'f StagedFile>),
    /// The store has the bytes under another name, or with other attributes.
    Copy,
    /// The parts are there.
    Parts(multipart::Sent),
}

/// Publishes one event. The event is gone from the staged tree when this is `Ok`.
pub(super) async fn run(engine: &Engine, event: &EventView) -> Result<(), Failure> {
    let upload = engine.disk.begin_upload(event.seq).await?;
    let put = Put::new(engine, upload)?;
    let file = match put.kind {
        PutKind::File(node) => Some(engine.staging.open_file(node, false)?),
        PutKind::Directory | PutKind::Bytes(_) => None,
    };
    let ready = prepare(engine, &put, file.as_ref()).await?;
    let replaces = turn(engine, &put).await?;
    match publish(engine, &put, &ready, &replaces).await {
        Ok(meta) => confirm(engine, &put, &meta).await,
        Err(Failure::Store(ufs::Error::PreconditionFailed { .. })) => conflict(engine, &put).await,
        Err(failure) => Err(failure),
    }
}

impl Put {
    fn new(engine: &Engine, upload: Upload) -> Result<Self, Failure> {
        let target = engine.below.target(&upload.path).ok_or(Failure::NoTarget)?;
        let target = match upload.kind {
            UploadKind::Directory => target.into_directory().ok_or(Failure::NoTarget)?,
            UploadKind::File { .. } | UploadKind::Frozen { .. } | UploadKind::Symlink { .. } => target,
        };
        let mut put = Self {
            attributes: attributes(&upload, engine.write_id(&target)),
            seq: upload.seq,
            path: upload.path,
            token: upload.token,
            size_bytes: 0,
            changed: Extents::default(),
            copy_source: None,
            kind: PutKind::Directory,
            target,
        };
        match upload.kind {
            UploadKind::Directory => {}
            UploadKind::Symlink { target } => {
                put.kind = PutKind::Bytes(Bytes::from(String::from(target)));
            }
            UploadKind::Frozen { bytes } => put.kind = PutKind::Bytes(Bytes::from(bytes)),
            UploadKind::File { size_bytes, changed, base, base_bytes, .. } => {
                let base = base.filter(|base| base.store == put.target.index);
                let source = base.as_ref().and_then(multipart::copy_source);
                put.copy_source = source.map(|source| (source, base_bytes.min(size_bytes)));
                (put.size_bytes, put.changed) = (size_bytes, changed);
                put.kind = PutKind::File(upload.node);
            }
        }
        Ok(put)
    }

    /// The store has all of the content already.
    fn is_unchanged(&self) -> bool {
        self.copy_source.as_ref().is_some_and(|(_, end)| *end == self.size_bytes)
            && self.changed.iter().next().is_none()
            && self.size_bytes > 0
    }
}

fn attributes(upload: &Upload, write_id: Box<str>) -> Attributes {
    let staged = &upload.attributes;
    let mut attributes = Attributes {
        mode: Some(staged.mode.into()),
        uid: Some(staged.uid),
        gid: Some(staged.gid),
        modified: Some(system_time(staged.mtime)),
        is_symlink: matches!(upload.kind, UploadKind::Symlink { .. }),
        xattrs: upload.xattrs.clone(),
        write_id: Some(write_id),
    };
    if attributes.len_bytes() > Attributes::LEN_BYTES_MAX {
        tracing::warn!(path = %upload.path, "too many extended attributes for a store; they stay on this host");
        attributes.xattrs.clear();
    }
    attributes
}

fn system_time(moment: staging::Moment) -> std::time::SystemTime {
    use std::time::{Duration, SystemTime};
    let seconds = Duration::from_secs(moment.secs.unsigned_abs());
    let whole = match moment.secs < 0 {
        true => SystemTime::UNIX_EPOCH.checked_sub(seconds),
        false => SystemTime::UNIX_EPOCH.checked_add(seconds),
    };
    whole.unwrap_or(SystemTime::UNIX_EPOCH) + Duration::from_nanos(moment.nanos.into())
}

/// Whether a put of this size goes out before its turn.
pub(super) fn is_early(engine: &Engine, size_bytes: u64) -> bool {
    size_bytes > engine.settings.part_bytes
}

/// Does what shows nothing in the store yet.
async fn prepare<'f>(engine: &Engine, put: &Put, file: Option<&'f StagedFile>) -> Result<Ready<'f>, Failure> {
    match file {
        Some(_) if put.is_unchanged() => Ok(Ready::Copy),
        Some(file) if is_early(engine, put.size_bytes) => {
            Ok(Ready::Parts(multipart::send(engine, put, file).await?))
        }
        file => Ok(Ready::Whole(file)),
    }
}

/// Waits until every earlier related event is published. Gives what is expected to be in the store.
async fn turn(engine: &Engine, put: &Put) -> Result<Option<staging::Base>, Failure> {
    let mut ended = engine.ended.subscribe();
    loop {
        match engine.staging.begin_publish(put.seq, &put.target.base(None))? {
            Turn::Now { replaces } => return Ok(replaces),
            Turn::Changed => return Err(Failure::Changed),
            Turn::FillFirst(files) => {
                content::bring_here(engine, &files).await?;
                continue;
            }
            Turn::Wait => {}
        }
        if ended.changed().await.is_err() {
            return Err(Failure::Stage(StageError::NoEvent { seq: put.seq }));
        }
    }
}

async fn publish(
    engine: &Engine,
    put: &Put,
    ready: &Ready<'_>,
    replaces: &Option<staging::Base>,
) -> Result<Meta, Failure> {
    let condition = match (&put.kind, replaces) {
        (PutKind::Directory, _) => PutCondition::Always,
        (_, None) => PutCondition::IfAbsent,
        (_, Some(base)) => match &base.version {
            Some(version) => PutCondition::IfVersion(Version::new(version.clone())),
            None => reconcile::condition(engine, put).await?,
        },
    };
    match send(engine, put, ready, &condition).await {
        Err(Failure::Store(ufs::Error::PreconditionFailed { .. } | ufs::Error::NotFound { .. }))
            if condition != PutCondition::Always =>
        {
            // Ours, from a try whose answer was lost; or the base is gone, which is nothing to be overwritten.
            let condition = reconcile::condition(engine, put).await?;
            send(engine, put, ready, &condition).await
        }
        sent => sent,
    }
}

async fn send(
    engine: &Engine,
    put: &Put,
    ready: &Ready<'_>,
    condition: &PutCondition,
) -> Result<Meta, Failure> {
    let (ufs, key) = (&put.target.store.ufs, &put.target.key);
    let _place = engine.transfers.place(put.target.index).await;
    match (ready, &put.kind, &put.copy_source) {
        (Ready::Parts(sent), _, _) => {
            Ok(ufs.multipart_complete(key, &sent.upload, &sent.parts, condition).await?)
        }
        (Ready::Copy, _, Some((source, _))) => {
            let meta = ufs.copy(source, key, Some(&put.attributes), condition).await?;
            engine.transfers.copied_bytes.fetch_add(meta.size_bytes, std::sync::atomic::Ordering::Relaxed);
            Ok(meta)
        }
        (Ready::Whole(Some(file)), _, _) => put_whole(engine, put, file, condition).await,
        (_, PutKind::Bytes(target), _) => {
            Ok(ufs.put(key, target.clone(), &put.attributes, condition).await?)
        }
        _ => Ok(ufs.put(key, Bytes::new(), &put.attributes, condition).await?),
    }
}

async fn put_whole(
    engine: &Engine,
    put: &Put,
    file: &StagedFile,
    condition: &PutCondition,
) -> Result<Meta, Failure> {
    let _memory = engine.budget.reserve(put.size_bytes, Class::Background).await;
    engine.pacer.wait(put.size_bytes).await;
    let bytes = content::read(engine, file, 0..put.size_bytes).await?;
    let meta = put.target.store.ufs.put(&put.target.key, bytes, &put.attributes, condition).await?;
    engine.transfers.sent_bytes.fetch_add(put.size_bytes, std::sync::atomic::Ordering::Relaxed);
    engine.sent.add(&put.path, put.size_bytes);
    Ok(meta)
}

/// Names first: whoever finds the staged copy gone must find the new version below it.
async fn confirm(engine: &Engine, put: &Put, meta: &Meta) -> Result<(), Failure> {
    let now = match put.kind {
        PutKind::Directory => Installed::Directory,
        PutKind::Bytes(_) | PutKind::File(_) => Installed::File(meta),
    };
    engine.below.install(&put.path, now).await;
    let outcome = engine.staging.published(put.seq, put.target.base(Some(meta)))?;
    multipart::completed(engine, put.seq);
    tracing::debug!(path = %put.path, size = meta.size_bytes, ?outcome, "published");
    Ok(())
}

async fn conflict(engine: &Engine, put: &Put) -> Result<(), Failure> {
    multipart::abort(engine, put.seq).await?;
    Ok(engine.conflict(put.seq, &put.path).await?)
}
