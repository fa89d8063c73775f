//! Receiving the body of PutObject and UploadPart, and checking the digests that the client sent with it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use s3s::checksum::ChecksumHasher;
use s3s::crypto::{Checksum as _, Md5};
use s3s::dto::{Checksum, StreamingBlob};
use s3s::{S3Result, TrailingHeaders, s3_error};

use crate::store::version::EntityTag;

/// S3's limit of one PUT or part.
const BODY_BYTES_MAX: usize = 5 << 30;
/// Memory reserved on the word of a Content-Length header.
const RESERVE_BYTES_MAX: usize = 64 << 20;

/// What the client said about the body.
pub(super) struct Expected {
    pub(super) len: Option<i64>,
    /// Base64, as in the header.
    pub(super) content_md5: Option<String>,
    pub(super) checksum: Checksum,
    /// Checksums that follow an `aws-chunked` body.
    pub(super) trailers: Option<TrailingHeaders>,
}

/// The whole body and its MD5. A body that breaks off, or differs from what was announced, is not accepted.
pub(super) async fn receive(body: Option<StreamingBlob>, expected: Expected) -> S3Result<(Bytes, EntityTag)> {
    let len = expected.len.and_then(|len| usize::try_from(len).ok());
    let mut bytes = BytesMut::with_capacity(len.unwrap_or(0).min(RESERVE_BYTES_MAX));
    let mut md5 = Md5::new();
    if let Some(mut body) = body {
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(|error| s3_error!(IncompleteBody, "{error}"))?;
            if bytes.len() + chunk.len() > BODY_BYTES_MAX {
                return Err(s3_error!(EntityTooLarge, "over {BODY_BYTES_MAX} bytes"));
            }
            md5.update(&chunk);
            bytes.extend_from_slice(&chunk);
        }
    }
    if len.is_some_and(|len| len != bytes.len()) {
        return Err(s3_error!(IncompleteBody, "{} bytes of {:?}", bytes.len(), len));
    }
    let digest = md5.finalize();
    if expected.content_md5.is_some_and(|sent| sent != STANDARD.encode(digest)) {
        return Err(s3_error!(BadDigest, "Content-MD5 is not that of the body"));
    }
    check_checksum(expected.checksum, expected.trailers.as_ref(), &bytes)?;
    Ok((bytes.freeze(), EntityTag::of_md5(digest)))
}

fn check_checksum(mut sent: Checksum, trailers: Option<&TrailingHeaders>, bytes: &[u8]) -> S3Result<()> {
    if let Some(trailers) = trailers {
        let trailer = |name: &str| {
            trailers.read(|all| all.get(name).and_then(|it| it.to_str().ok()).map(str::to_owned)).flatten()
        };
        sent.checksum_crc32 = sent.checksum_crc32.or_else(|| trailer("x-amz-checksum-crc32"));
        sent.checksum_crc32c = sent.checksum_crc32c.or_else(|| trailer("x-amz-checksum-crc32c"));
        sent.checksum_crc64nvme = sent.checksum_crc64nvme.or_else(|| trailer("x-amz-checksum-crc64nvme"));
        sent.checksum_sha1 = sent.checksum_sha1.or_else(|| trailer("x-amz-checksum-sha1"));
        sent.checksum_sha256 = sent.checksum_sha256.or_else(|| trailer("x-amz-checksum-sha256"));
    }
    let mut hasher = ChecksumHasher {
        crc32: sent.checksum_crc32.is_some().then(Default::default),
        crc32c: sent.checksum_crc32c.is_some().then(Default::default),
        sha1: sent.checksum_sha1.is_some().then(Default::default),
        sha256: sent.checksum_sha256.is_some().then(Default::default),
        crc64nvme: sent.checksum_crc64nvme.is_some().then(Default::default),
    };
    hasher.update(bytes);
    let found = hasher.finalize();
    let agrees = found.checksum_crc32 == sent.checksum_crc32
        && found.checksum_crc32c == sent.checksum_crc32c
        && found.checksum_crc64nvme == sent.checksum_crc64nvme
        && found.checksum_sha1 == sent.checksum_sha1
        && found.checksum_sha256 == sent.checksum_sha256;
    if agrees { Ok(()) } else { Err(s3_error!(BadDigest, "an x-amz-checksum is not that of the body")) }
}
