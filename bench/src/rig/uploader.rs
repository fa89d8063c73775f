//! A plain parallel multipart upload of local files with the S3 client of `ufs`: the parts and the number at a time that
//! write-back has, without a journal, an order, or a mount.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use bytes::Bytes;
use tokio::runtime::Runtime;
use ufs::s3::Credentials;
use ufs::{Attributes, Key, Location, PartNumber, PutCondition, Settings, Ufs, UploadId, UploadedPart};

use super::fileset::BUCKET;

/// The defaults of `part_size` and `uploads_max`.
const PART_BYTES: u64 = 16 << 20;
const PARTS_AT_A_TIME: usize = 8;
/// As many as the daemon has for the network on two CPUs.
const THREADS: usize = 2;

/// A client of the server's bucket.
pub(crate) struct Uploader {
    runtime: Runtime,
    store: Arc<dyn Ufs>,
}

/// An object on its way.
struct Upload {
    path: PathBuf,
    key: Key,
    id: UploadId,
    size_bytes: u64,
}

/// Place in the list of uploads, and the part's number.
type Place = (usize, PartNumber);

impl Uploader {
    /// `credentials` decide whether parts are signed, and so whether client and server hash them.
    pub(crate) fn new(endpoint: &str, credentials: Credentials) -> anyhow::Result<Self> {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build()?;
        let mut settings = Settings::default();
        settings.s3.endpoint = Some(endpoint.to_owned());
        settings.s3.credentials = credentials;
        let location = Location::S3 { bucket: BUCKET.to_owned(), prefix: String::new() };
        let store = runtime.block_on(ufs::connect(&location, &settings))?;
        Ok(Self { runtime, store })
    }

    /// Uploads files under these keys; how long it took.
    pub(crate) fn upload(&self, files: &[(PathBuf, String)]) -> anyhow::Result<Duration> {
        let started = Instant::now();
        self.runtime.block_on(async {
            let mut uploads = Vec::with_capacity(files.len());
            for (path, key) in files {
                uploads.push(begin(self.store.as_ref(), path, key).await?);
            }
            let uploads: Arc<[Upload]> = uploads.into();
            let mut sent = self.send_parts(&uploads).await?;
            sent.sort_by_key(|(index, part)| (*index, part.number));
            for (index, upload) in uploads.iter().enumerate() {
                let parts = sent.iter().filter(|(of, _)| *of == index).map(|(_, part)| part.clone());
                let parts: Vec<UploadedPart> = parts.collect();
                let complete =
                    self.store.multipart_complete(&upload.key, &upload.id, &parts, &PutCondition::Always);
                let size_bytes = complete.await?.size_bytes;
                ensure!(size_bytes == upload.size_bytes, "the store has {size_bytes} bytes");
            }
            anyhow::Ok(())
        })?;
        Ok(started.elapsed())
    }

    async fn send_parts(&self, uploads: &Arc<[Upload]>) -> anyhow::Result<Vec<(usize, UploadedPart)>> {
        let places: Arc<[Place]> = places(uploads)?.into();
        let next = Arc::new(AtomicUsize::new(0));
        let worker = |_| {
            let (store, uploads) = (Arc::clone(&self.store), Arc::clone(uploads));
            let (places, next) = (Arc::clone(&places), Arc::clone(&next));
            tokio::spawn(async move {
                let mut sent = Vec::new();
                while let Some((index, number)) = places.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let upload = &uploads[*index];
                    let data = read_part(upload, *number).await?;
                    let part = store.multipart_put(&upload.key, &upload.id, *number, data).await?;
                    sent.push((*index, part));
                }
                anyhow::Ok(sent)
            })
        };
        let mut sent = Vec::new();
        for ended in (0..PARTS_AT_A_TIME).map(worker).collect::<Vec<_>>() {
            sent.extend(ended.await??);
        }
        Ok(sent)
    }
}

async fn begin(store: &dyn Ufs, path: &Path, key: &str) -> anyhow::Result<Upload> {
    let size_bytes = path.metadata().with_context(|| format!("stat {}", path.display()))?.len();
    let key = Key::new(key)?;
    let id = store.multipart_create(&key, &Attributes::default()).await?;
    Ok(Upload { path: path.to_owned(), key, id, size_bytes })
}

/// All parts of all uploads, file by file.
fn places(uploads: &[Upload]) -> anyhow::Result<Vec<Place>> {
    let mut places = Vec::new();
    for (index, upload) in uploads.iter().enumerate() {
        let parts = u16::try_from(upload.size_bytes.div_ceil(PART_BYTES)).context("too many parts")?;
        places.extend((1..=parts).map(|number| (index, PartNumber(number))));
    }
    Ok(places)
}

async fn read_part(upload: &Upload, number: PartNumber) -> anyhow::Result<Bytes> {
    let start = u64::from(number.0 - 1) * PART_BYTES;
    let len = PART_BYTES.min(upload.size_bytes - start) as usize;
    let path = upload.path.clone();
    let read = tokio::task::spawn_blocking(move || {
        let mut data = vec![0; len];
        File::open(&path)?.read_exact_at(&mut data, start)?;
        std::io::Result::Ok(Bytes::from(data))
    });
    read.await?.with_context(|| format!("read {}", upload.path.display()))
}
