//! [`UploadLog`]: unfinished uploads, remembered over a crash in a small file each.
//!
//! A file is written before the first part is sent, and goes after the upload was completed or aborted. So every upload
//! in a bucket is known to somebody, but for the moment between the store's answer to its beginning and the file.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use staging::EventSeq;

/// One unfinished upload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct UploadRecord {
    pub(super) store: u16,
    pub(super) key: String,
    pub(super) upload_id: String,
    pub(super) part_bytes: u64,
    /// What the object will have beside its bytes: another upload is needed for others.
    pub(super) attributes: String,
}

/// The directory of the records.
pub(super) struct UploadLog {
    directory: PathBuf,
}

impl UploadLog {
    /// Makes the directory if need be.
    pub(super) fn open(directory: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&directory)?;
        Ok(Self { directory })
    }

    /// Writes the record of an event's upload.
    pub(super) fn write(&self, seq: EventSeq, record: &UploadRecord) -> io::Result<()> {
        let text = serde_json::to_vec(record)?;
        let temporary = self.directory.join(format!(".{:016x}", seq.0));
        let mut file = File::create(&temporary)?;
        file.write_all(&text)?;
        file.sync_data()?;
        fs::rename(&temporary, self.path(seq))?;
        File::open(&self.directory)?.sync_all()
    }

    /// The record of an event's upload; `None` when there is none or it cannot be read.
    pub(super) fn read(&self, seq: EventSeq) -> Option<UploadRecord> {
        let path = self.path(seq);
        match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text)
                .inspect_err(|error| tracing::warn!(path = %path.display(), %error, "an unreadable record"))
                .ok(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "the record of an upload cannot be read");
                None
            }
        }
    }

    /// The upload is completed or aborted.
    pub(super) fn remove(&self, seq: EventSeq) {
        match fs::remove_file(self.path(seq)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(seq = seq.0, %error, "the record of an upload stays; its upload will be aborted again");
            }
            _ => {}
        }
    }

    /// The events that have a record.
    pub(super) fn events(&self) -> io::Result<Vec<EventSeq>> {
        let mut events = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let name = entry?.file_name();
            events.extend(name.to_str().and_then(|name| u64::from_str_radix(name, 16).ok()).map(EventSeq));
        }
        events.sort();
        Ok(events)
    }

    fn path(&self, seq: EventSeq) -> PathBuf {
        self.directory.join(format!("{:016x}", seq.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_outlive_the_log() {
        let directory = tempfile::tempdir().expect("a directory");
        let open = || UploadLog::open(directory.path().join("uploads")).expect("opened");
        let record = UploadRecord {
            store: 1,
            key: "a/b".into(),
            upload_id: "id".into(),
            part_bytes: 5,
            attributes: "mode 644".into(),
        };
        open().write(EventSeq(0x1f), &record).expect("written");
        assert_eq!(open().events().expect("listed"), [EventSeq(0x1f)]);
        assert_eq!(open().read(EventSeq(0x1f)), Some(record));
        open().remove(EventSeq(0x1f));
        open().remove(EventSeq(0x1f));
        assert_eq!(open().read(EventSeq(0x1f)), None);
    }
}
