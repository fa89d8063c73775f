//! Counters of what arrived at the server and what left it.

use std::sync::atomic::{AtomicU64, Ordering};

use http::{Method, header::HeaderName, request::Parts};

/// The S3 operation that a request asks for, as far as method, path and query say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// GetObject
    Get,
    /// HeadObject
    Head,
    /// ListObjectsV2 or ListObjects
    List,
    /// PutObject
    Put,
    /// DeleteObject
    Delete,
    /// DeleteObjects
    DeleteObjects,
    /// CopyObject
    Copy,
    /// CreateMultipartUpload
    CreateMultipart,
    /// UploadPart
    UploadPart,
    /// UploadPartCopy
    UploadPartCopy,
    /// CompleteMultipartUpload
    CompleteMultipart,
    /// AbortMultipartUpload
    AbortMultipart,
    /// ListParts
    ListParts,
    /// HeadBucket
    HeadBucket,
    /// CreateBucket, DeleteBucket, ListBuckets and all that is not served
    Other,
}

const OPERATIONS: usize = Operation::Other as usize + 1;
const COPY_SOURCE: HeaderName = HeaderName::from_static("x-amz-copy-source");

impl Operation {
    /// The operation of a path-style request.
    pub(crate) fn of(request: &Parts) -> Self {
        let path = request.uri.path().trim_start_matches('/');
        let has_key = path.split_once('/').is_some_and(|(_, key)| !key.is_empty());
        let query = request.uri.query().unwrap_or("");
        let asks = |name: &str| query.split('&').any(|pair| pair.split('=').next() == Some(name));
        let copies = request.headers.contains_key(COPY_SOURCE);
        match (&request.method, has_key) {
            (&Method::GET, true) if asks("uploadId") => Self::ListParts,
            (&Method::GET, true) => Self::Get,
            (&Method::HEAD, true) => Self::Head,
            (&Method::PUT, true) if asks("uploadId") && copies => Self::UploadPartCopy,
            (&Method::PUT, true) if asks("uploadId") => Self::UploadPart,
            (&Method::PUT, true) if copies => Self::Copy,
            (&Method::PUT, true) => Self::Put,
            (&Method::DELETE, true) if asks("uploadId") => Self::AbortMultipart,
            (&Method::DELETE, true) => Self::Delete,
            (&Method::POST, true) if asks("uploads") => Self::CreateMultipart,
            (&Method::POST, true) if asks("uploadId") => Self::CompleteMultipart,
            (&Method::POST, false) if asks("delete") => Self::DeleteObjects,
            (&Method::HEAD, false) if !path.is_empty() => Self::HeadBucket,
            (&Method::GET, false) if !path.is_empty() && !asks("uploads") && !asks("location") => Self::List,
            _ => Self::Other,
        }
    }
}

/// A snapshot of the counters. Requests are counted when they arrive, also those that a fault then spoils.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// GetObject requests
    pub get: u64,
    /// HeadObject requests
    pub head: u64,
    /// ListObjectsV2 requests, that is pages
    pub list: u64,
    /// PutObject requests
    pub put: u64,
    /// DeleteObject requests
    pub delete: u64,
    /// DeleteObjects requests
    pub delete_objects: u64,
    /// CopyObject requests
    pub copy: u64,
    /// CreateMultipartUpload requests
    pub create_multipart: u64,
    /// UploadPart requests
    pub upload_part: u64,
    /// UploadPartCopy requests
    pub upload_part_copy: u64,
    /// CompleteMultipartUpload requests
    pub complete_multipart: u64,
    /// AbortMultipartUpload requests
    pub abort_multipart: u64,
    /// ListParts requests
    pub list_parts: u64,
    /// HeadBucket requests
    pub head_bucket: u64,
    /// All other requests
    pub other: u64,
    /// Bytes of request bodies, as the requests announced them
    pub bytes_received: u64,
    /// Bytes of response bodies handed to connections
    pub bytes_sent: u64,
    /// Requests and bodies that a fault spoiled (delays and rates are not counted)
    pub faults: u64,
    /// Connections accepted
    pub connections: u64,
}

impl Stats {
    /// All requests that arrived.
    pub fn requests(&self) -> u64 {
        let objects = self.get + self.head + self.put + self.delete + self.delete_objects + self.copy;
        let multipart = self.create_multipart + self.upload_part + self.upload_part_copy + self.list_parts;
        let ends = self.complete_multipart + self.abort_multipart;
        objects + multipart + ends + self.list + self.head_bucket + self.other
    }
}

/// The live counters.
#[derive(Default)]
pub(crate) struct Counters {
    operations: [AtomicU64; OPERATIONS],
    bytes_received: AtomicU64,
    pub(crate) bytes_sent: AtomicU64,
    pub(crate) faults: AtomicU64,
    pub(crate) connections: AtomicU64,
}

impl Counters {
    pub(crate) fn count(&self, operation: Operation) {
        self.operations[operation as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn received(&self, bytes: u64) {
        self.bytes_received.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn snapshot(&self) -> Stats {
        let of = |operation: Operation| self.operations[operation as usize].load(Ordering::Relaxed);
        Stats {
            get: of(Operation::Get),
            head: of(Operation::Head),
            list: of(Operation::List),
            put: of(Operation::Put),
            delete: of(Operation::Delete),
            delete_objects: of(Operation::DeleteObjects),
            copy: of(Operation::Copy),
            create_multipart: of(Operation::CreateMultipart),
            upload_part: of(Operation::UploadPart),
            upload_part_copy: of(Operation::UploadPartCopy),
            complete_multipart: of(Operation::CompleteMultipart),
            abort_multipart: of(Operation::AbortMultipart),
            list_parts: of(Operation::ListParts),
            head_bucket: of(Operation::HeadBucket),
            other: of(Operation::Other),
            bytes_received: self.bytes_received.load(Ordering::Relaxed),
            bytes_sent: self.bytes_sent.load(Ordering::Relaxed),
            faults: self.faults.load(Ordering::Relaxed),
            connections: self.connections.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn reset(&self) {
        let others = [&self.bytes_received, &self.bytes_sent, &self.faults, &self.connections];
        for counter in self.operations.iter().chain(others) {
            counter.store(0, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_told_apart() {
        let of = |method: &str, uri: &str| {
            let request = http::Request::builder().method(method).uri(uri).body(()).unwrap();
            Operation::of(&request.into_parts().0)
        };
        assert_eq!(of("GET", "/b/k"), Operation::Get);
        assert_eq!(of("GET", "/b/k?x-id=GetObject"), Operation::Get);
        assert_eq!(of("GET", "/b?list-type=2&prefix=a"), Operation::List);
        assert_eq!(of("GET", "/b/?list-type=2"), Operation::List);
        assert_eq!(of("GET", "/"), Operation::Other);
        assert_eq!(of("HEAD", "/b"), Operation::HeadBucket);
        assert_eq!(of("HEAD", "/b/k/l"), Operation::Head);
        assert_eq!(of("POST", "/b?delete"), Operation::DeleteObjects);
        assert_eq!(of("POST", "/b/k?uploads"), Operation::CreateMultipart);
        assert_eq!(of("POST", "/b/k?uploadId=1"), Operation::CompleteMultipart);
        assert_eq!(of("PUT", "/b/k?partNumber=1&uploadId=1"), Operation::UploadPart);
        assert_eq!(of("PUT", "/b"), Operation::Other);
    }
}
