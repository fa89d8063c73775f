//! Sending a large file in parts, and going on with an upload that was broken off.
//!
//! Parts show nothing in the store, so they go out as soon as the file's delay is over, several at a time. Which parts the
//! store has is known from this run, or after a restart from the store's list: there each part is checked by the MD5 of
//! the local bytes, and sent again when its ETag is none.

use std::collections::BTreeMap;

use futures::{StreamExt, TryStreamExt};
use md5::{Digest, Md5};
use staging::StagedFile;
use ufs::{ByteRange, CopySource, PartNumber, UploadId, UploadedPart};

use super::content;
use super::engine::Engine;
use super::failures::Failure;
use super::parts::{self, Part};
use super::put::Put;
use super::upload_log::UploadRecord;
use crate::memory::Class;

/// What is known to be in the store of an upload.
#[derive(Clone, Debug)]
pub(super) struct Progress {
    /// Names the content, within one run of the daemon.
    token: String,
    upload: UploadId,
    sent: BTreeMap<PartNumber, UploadedPart>,
}

/// An upload whose parts are all in the store.
pub(super) struct Sent {
    pub(super) upload: UploadId,
    pub(super) parts: Vec<UploadedPart>,
}

/// Sends the parts that the store does not have. What was sent before an error is remembered for the next try.
pub(super) async fn send(engine: &Engine, put: &Put, file: &StagedFile) -> Result<Sent, Failure> {
    let part_bytes = parts::part_bytes(put.size_bytes, engine.settings.part_bytes);
    let unchanged_end = put.copy_source.as_ref().map_or(0, |(_, end)| *end);
    let plan = parts::plan(put.size_bytes, part_bytes, &put.changed, unchanged_end);
    let progress = begin(engine, put, file, &plan, part_bytes).await?;
    let upload = progress.upload.clone();
    engine.progress.lock().insert(put.seq, progress);
    let missing: Vec<Part> = {
        let progress = engine.progress.lock();
        let sent = &progress[&put.seq].sent;
        plan.into_iter().filter(|part| !sent.contains_key(&part.number)).collect()
    };
    let sending = missing.into_iter().map(|part| send_part(engine, put, file, &upload, part));
    futures::stream::iter(sending)
        .buffer_unordered(engine.settings.uploads_max)
        .try_for_each(|()| async { Ok(()) })
        .await?;
    let sent = engine.progress.lock().get(&put.seq).map(|progress| progress.sent.clone()).unwrap_or_default();
    Ok(Sent { upload, parts: sent.into_values().collect() })
}

/// Finds the upload to go on with, or begins one.
async fn begin(
    engine: &Engine,
    put: &Put,
    file: &StagedFile,
    plan: &[Part],
    part_bytes: u64,
) -> Result<Progress, Failure> {
    let known = engine.progress.lock().get(&put.seq).cloned();
    if let Some(progress) = known
        && progress.token == put.token
    {
        return Ok(progress);
    }
    let record = UploadRecord {
        store: put.target.index,
        key: put.target.key.as_str().to_owned(),
        upload_id: String::new(),
        part_bytes,
        attributes: format!("{:?}", put.attributes),
    };
    if let Some(old) = engine.uploads.read(put.seq) {
        let is_same = UploadRecord { upload_id: old.upload_id.clone(), ..record.clone() } == old;
        match resume(engine, put, file, plan, UploadId(old.upload_id)).await {
            Ok(progress) if is_same => return Ok(progress),
            Err(Failure::Store(ufs::Error::NotFound { .. })) => {}
            Err(failure) => return Err(failure),
            Ok(_) => abort(engine, put.seq).await?,
        }
    }
    let upload = put.target.store.ufs.multipart_create(&put.target.key, &put.attributes).await?;
    engine.uploads.write(put.seq, &UploadRecord { upload_id: upload.0.clone(), ..record })?;
    Ok(Progress { token: put.token.clone(), upload, sent: BTreeMap::new() })
}

/// Which of an upload's parts are what would be sent.
async fn resume(
    engine: &Engine,
    put: &Put,
    file: &StagedFile,
    plan: &[Part],
    upload: UploadId,
) -> Result<Progress, Failure> {
    let listed = put.target.store.ufs.multipart_list(&put.target.key, &upload).await?;
    let mut sent = BTreeMap::new();
    for part in listed {
        let planned = plan.iter().find(|planned| planned.number == part.number && !planned.is_copy);
        if let Some(planned) = planned
            && part.size_bytes == planned.range.end - planned.range.start
            && let Some(etag) = md5_of_etag(&part.etag)
        {
            let _memory = engine.budget.reserve(part.size_bytes, Class::Background).await;
            let bytes = content::read(engine, file, planned.range.clone()).await?;
            if Md5::digest(&bytes)[..] == etag {
                sent.insert(part.number, part);
            }
        }
    }
    tracing::info!(path = %put.path, parts = sent.len(), of = plan.len(), "an upload goes on");
    Ok(Progress { token: put.token.clone(), upload, sent })
}

async fn send_part(
    engine: &Engine,
    put: &Put,
    file: &StagedFile,
    upload: &UploadId,
    part: Part,
) -> Result<(), Failure> {
    let (key, ufs) = (&put.target.key, &put.target.store.ufs);
    let len = part.range.end - part.range.start;
    let sent = if let (true, Some((source, _))) = (part.is_copy, &put.copy_source) {
        let _place = engine.transfers.place(put.target.index).await;
        let range = ByteRange::new(part.range.clone());
        let copied = ufs.multipart_copy(key, upload, part.number, source, range).await?;
        engine.transfers.copied_bytes.fetch_add(len, std::sync::atomic::Ordering::Relaxed);
        copied
    } else {
        let _place = engine.transfers.place(put.target.index).await;
        let _memory = engine.budget.reserve(len, Class::Background).await;
        engine.pacer.wait(len).await;
        let bytes = content::read(engine, file, part.range.clone()).await?;
        let sent = ufs.multipart_put(key, upload, part.number, bytes).await?;
        engine.transfers.sent_bytes.fetch_add(len, std::sync::atomic::Ordering::Relaxed);
        engine.sent.add(&put.path, len);
        sent
    };
    if let Some(progress) = engine.progress.lock().get_mut(&put.seq) {
        progress.sent.insert(part.number, sent);
    }
    Ok(())
}

/// Drops an event's unfinished upload, if it has one. The record stays until the store has confirmed.
pub(super) async fn abort(engine: &Engine, seq: staging::EventSeq) -> Result<(), Failure> {
    engine.progress.lock().remove(&seq);
    let Some(record) = engine.uploads.read(seq) else { return Ok(()) };
    let base = staging::Base { store: record.store, key: record.key.into(), version: None, size_bytes: 0 };
    let target = engine.below.target_of(&base).ok_or(Failure::NoTarget)?;
    target.store.ufs.multipart_abort(&target.key, &UploadId(record.upload_id)).await?;
    engine.uploads.remove(seq);
    Ok(())
}

/// The upload is an object now.
pub(super) fn completed(engine: &Engine, seq: staging::EventSeq) {
    engine.progress.lock().remove(&seq);
    engine.uploads.remove(seq);
}

/// What a part can be copied from: a base in the same store whose version is known.
pub(super) fn copy_source(base: &staging::Base) -> Option<CopySource> {
    let version = ufs::Version::new(base.version.clone()?);
    Some(CopySource { key: ufs::Key::new(&*base.key).ok()?, version })
}

/// The MD5 that a plain ETag is; `None` for those of other kinds.
pub(super) fn md5_of_etag(etag: &str) -> Option<[u8; 16]> {
    let hex = etag.trim_matches('"');
    if hex.len() != 32 || !hex.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let mut digest = [0; 16];
    for (byte, at) in digest.iter_mut().zip((0..32).step_by(2)) {
        *byte = u8::from_str_radix(&hex[at..at + 2], 16).ok()?;
    }
    Some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_etags_are_md5s() {
        // RFC 1321, appendix A.5: the MD5 of "abc".
        let etag = "\"900150983cd24fb0d6963f7d28e17f72\"";
        assert_eq!(md5_of_etag(etag), Some(Md5::digest(b"abc").into()));
        for other in
            ["900150983cd24fb0d6963f7d28e17f72-2", "1f-2-3.4-5.6", "", "+00150983cd24fb0d6963f7d28e17f72"]
        {
            assert_eq!(md5_of_etag(other), None, "{other}");
        }
    }
}
