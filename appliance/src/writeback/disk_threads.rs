//! Threads of write-back's own for what blocks on the staging disk: reads of staged data and syncs.
//!
//! A part is one `pread` of megabytes, so two threads keep up with a fast network, and a ring would save nothing that can be
//! measured (docs/decisions/013); syncs have threads of their own, since one may take long.

use std::io;
use std::sync::Arc;
use std::thread;

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use staging::{DiskFile, EventSeq, StageError, StagedFile, Staging, Upload};
use tokio::sync::{mpsc, oneshot};

const READ_THREADS: usize = 2;
const SYNC_THREADS: usize = 2;
/// Jobs that wait for a thread; more wait in their tasks.
const QUEUE_MAX: usize = 64;

enum Job {
    Read { file: Arc<dyn DiskFile>, offset: u64, len: usize, reply: oneshot::Sender<io::Result<BytesMut>> },
    Fill { file: Arc<StagedFile>, offset: u64, bytes: Bytes, reply: oneshot::Sender<Result<(), StageError>> },
    Detach { file: Arc<StagedFile>, reply: oneshot::Sender<Result<(), StageError>> },
    Begin { seq: EventSeq, reply: oneshot::Sender<Result<Upload, StageError>> },
}

/// The threads; they end when this is dropped.
pub(super) struct DiskThreads {
    reads: mpsc::Sender<Job>,
    syncs: mpsc::Sender<Job>,
}

impl DiskThreads {
    pub(super) fn start(staging: &Staging) -> io::Result<Self> {
        let reads = start("wb-read", READ_THREADS, staging)?;
        Ok(Self { reads, syncs: start("wb-sync", SYNC_THREADS, staging)? })
    }

    /// Reads a range of a backing file; holes are zeroes.
    pub(super) async fn read(
        &self,
        file: Arc<dyn DiskFile>,
        offset: u64,
        len: usize,
    ) -> io::Result<BytesMut> {
        let (reply, answer) = oneshot::channel();
        ask(&self.reads, Job::Read { file, offset, len, reply }).await?;
        answer.await.unwrap_or_else(|_| Err(ended()))
    }

    /// Writes bytes of the base into the gaps of a staged file.
    pub(super) async fn fill(
        &self,
        file: Arc<StagedFile>,
        offset: u64,
        bytes: Bytes,
    ) -> Result<(), StageError> {
        let (reply, answer) = oneshot::channel();
        let failed = |source| StageError::Io { action: "fill", source };
        ask(&self.reads, Job::Fill { file, offset, bytes, reply }).await.map_err(failed)?;
        answer.await.unwrap_or_else(|_| Err(failed(ended())))
    }

    /// [`StagedFile::detach`], which syncs.
    pub(super) async fn detach(&self, file: Arc<StagedFile>) -> Result<(), StageError> {
        let (reply, answer) = oneshot::channel();
        let failed = |source| StageError::Io { action: "detach a file", source };
        ask(&self.syncs, Job::Detach { file, reply }).await.map_err(failed)?;
        answer.await.unwrap_or_else(|_| Err(failed(ended())))
    }

    /// [`Staging::begin_upload`], which syncs.
    pub(super) async fn begin_upload(&self, seq: EventSeq) -> Result<Upload, StageError> {
        let (reply, answer) = oneshot::channel();
        let ended = |source| StageError::Io { action: "begin an upload", source };
        ask(&self.syncs, Job::Begin { seq, reply }).await.map_err(ended)?;
        answer.await.unwrap_or_else(|_| Err(ended(self::ended())))
    }
}

async fn ask(threads: &mpsc::Sender<Job>, job: Job) -> io::Result<()> {
    threads.send(job).await.map_err(|_| ended())
}

fn ended() -> io::Error {
    io::Error::other("the threads of write-back have ended")
}

fn start(name: &str, threads: usize, staging: &Staging) -> io::Result<mpsc::Sender<Job>> {
    let (sender, receiver) = mpsc::channel(QUEUE_MAX);
    let receiver = Arc::new(Mutex::new(receiver));
    for _ in 0..threads {
        let (receiver, staging) = (Arc::clone(&receiver), staging.clone());
        thread::Builder::new().name(name.to_owned()).spawn(move || work(&receiver, &staging))?;
    }
    Ok(sender)
}

fn work(jobs: &Mutex<mpsc::Receiver<Job>>, staging: &Staging) {
    loop {
        let job = jobs.lock().blocking_recv();
        // Whoever asked may have gone.
        let unheard = match job {
            Some(Job::Read { file, offset, len, reply }) => {
                let mut buffer = BytesMut::zeroed(len);
                reply.send(file.read_exact_at(&mut buffer, offset).map(|()| buffer)).is_err()
            }
            Some(Job::Fill { file, offset, bytes, reply }) => reply.send(file.fill(offset, &bytes)).is_err(),
            Some(Job::Detach { file, reply }) => reply.send(file.detach()).is_err(),
            Some(Job::Begin { seq, reply }) => reply.send(staging.begin_upload(seq)).is_err(),
            None => return,
        };
        if unheard {
            tracing::debug!("a job of write-back was cancelled");
        }
    }
}
