//! Blocking reads and writes that continue short transfers.

use std::io;
use std::sync::Arc;

use super::{Device, IoQueue, QueueShape, WriteOp};
use crate::sys::AlignedBuf;

/// Reads exactly `len` bytes at `offset` into the start of `buf`.
pub(crate) fn read_exact_at(
    device: &dyn Device,
    buf: &mut AlignedBuf,
    len: usize,
    offset: u64,
) -> io::Result<()> {
    let unit = device.alignment().offset_bytes as usize;
    let mut done = 0;
    while done < len {
        let count = device.read_at(buf, done, len - done, offset + done as u64)?;
        let whole = if done + count == len { count } else { count - count % unit };
        if whole == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        done += whole;
    }
    Ok(())
}

/// Writes all of `writes` and waits for them, continuing short ones; `results[i]` is the outcome of `writes[i]`.
pub(crate) fn write_all(
    queue: &mut dyn IoQueue,
    unit: usize,
    mut writes: Vec<WriteOp>,
) -> io::Result<Vec<io::Result<()>>> {
    let mut results: Vec<io::Result<()>> = writes.iter().map(|_| Ok(())).collect();
    let mut pending: Vec<usize> = (0..writes.len()).collect();
    while !pending.is_empty() {
        for i in &pending {
            let op = &writes[*i];
            let data = Arc::clone(&op.data);
            let op = WriteOp { data, start: op.start, len: op.len, device_offset: op.device_offset };
            queue.write(op, *i as u64)?;
        }
        queue.submit(pending.len())?;
        let expected = std::mem::take(&mut pending).len();
        for _ in 0..expected {
            let done = queue.pop().ok_or(io::ErrorKind::BrokenPipe)?;
            let i = done.tag as usize;
            match advance(&mut writes[i], unit, done.result) {
                Ok(true) => {}
                Ok(false) => pending.push(i),
                Err(error) => results[i] = Err(error),
            }
        }
    }
    Ok(results)
}

/// Moves a write past what was written; true when nothing is left. Fails on an error and on no progress.
fn advance(op: &mut WriteOp, unit: usize, result: io::Result<usize>) -> io::Result<bool> {
    let count = result?;
    let whole = if count >= op.len { op.len } else { count - count % unit };
    if whole == 0 {
        return Err(io::ErrorKind::WriteZero.into());
    }
    op.start += whole;
    op.len -= whole;
    op.device_offset += whole as u64;
    Ok(op.len == 0)
}

/// Flushes what was written and waits for it.
pub(crate) fn flush(queue: &mut dyn IoQueue) -> io::Result<()> {
    queue.sync(0)?;
    queue.submit(1)?;
    queue.pop().ok_or(io::ErrorKind::BrokenPipe)?.result.map(|_| ())
}

/// The shape of a queue that only writes.
pub(crate) const WRITE_QUEUE: QueueShape = QueueShape { slots: 0, slot_bytes: 0, depth: 64 };
