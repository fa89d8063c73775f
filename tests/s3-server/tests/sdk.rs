//! The server as Amazon's own client sees it: signatures and multipart uploads.

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use s3_server::{Options, Server, SyntheticObject, synthetic_bytes};

fn client(server: &Server, access_key: &str, secret_key: &str) -> Client {
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .endpoint_url(server.endpoint())
        .force_path_style(true)
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new(access_key, secret_key, None, None, "test"));
    Client::from_conf(config.build())
}

async fn start() -> (Server, Client) {
    let server =
        Server::start(Options { part_bytes_min: 100, ..Options::default() }).await.expect("a free port");
    server.create_bucket("bucket");
    let client = client(&server, "testaccess", "testsecret");
    (server, client)
}

#[tokio::test]
async fn signatures_are_checked() {
    let (server, right) = start().await;
    right.head_bucket().bucket("bucket").send().await.unwrap();
    let code_of = async |client: Client| {
        let refused = client.list_objects_v2().bucket("bucket").send().await.unwrap_err();
        refused.code().map(str::to_owned)
    };
    assert_eq!(code_of(client(&server, "nobody", "testsecret")).await.as_deref(), Some("InvalidAccessKeyId"));
    assert_eq!(
        code_of(client(&server, "testaccess", "wrong")).await.as_deref(),
        Some("SignatureDoesNotMatch")
    );
}

#[tokio::test]
async fn objects_go_there_and_back_with_odd_names() {
    let (_server, client) = start().await;
    for key in ["plain", "a b/ü+%41/=&?#'\"", "dir/", "..", "a//b", "\u{1f600}"] {
        let body = ByteStream::from(key.as_bytes().to_vec());
        client.put_object().bucket("bucket").key(key).metadata("who", "me").body(body).send().await.unwrap();
        let got = client.get_object().bucket("bucket").key(key).send().await.unwrap();
        assert_eq!(got.metadata().and_then(|all| all.get("who")).map(String::as_str), Some("me"));
        assert_eq!(got.body.collect().await.unwrap().into_bytes(), key.as_bytes(), "{key}");
        let listed = client.list_objects_v2().bucket("bucket").prefix(key).send().await.unwrap();
        assert_eq!(listed.contents()[0].key(), Some(key));
        client.delete_object().bucket("bucket").key(key).send().await.unwrap();
    }
}

#[tokio::test]
async fn a_multipart_upload_joins_its_parts() {
    let (server, client) = start().await;
    server.put_synthetic("bucket", "source", SyntheticObject { seed: 4, size_bytes: 1 << 40 });
    let created = client.create_multipart_upload().bucket("bucket").key("k").send().await.unwrap();
    let id = created.upload_id().unwrap();
    let first = client.upload_part().bucket("bucket").key("k").upload_id(id).part_number(1);
    let first = first.body(ByteStream::from(vec![7; 1000])).send().await.unwrap();
    let second = client.upload_part_copy().bucket("bucket").key("k").upload_id(id).part_number(2);
    let second = second.copy_source("bucket/source").copy_source_range("bytes=1099511627000-1099511627775");
    let second = second.send().await.unwrap();
    let listed = client.list_parts().bucket("bucket").key("k").upload_id(id).send().await.unwrap();
    let sizes: Vec<_> = listed.parts().iter().map(|part| (part.part_number(), part.size())).collect();
    assert_eq!(sizes, [(Some(1), Some(1000)), (Some(2), Some(776))]);
    assert_eq!(server.get("bucket", "k"), None, "nothing is visible before it is complete");

    let tags = [first.e_tag().unwrap(), second.copy_part_result().unwrap().e_tag().unwrap()];
    let part = |(number, tag): (i32, &str)| CompletedPart::builder().part_number(number).e_tag(tag).build();
    let parts = (1..).zip(tags).map(part).collect();
    let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
    let complete = || {
        let call = client.complete_multipart_upload().bucket("bucket").key("k").upload_id(id);
        call.multipart_upload(parts.clone())
    };
    let done = complete().send().await.unwrap();
    assert!(done.e_tag().unwrap().ends_with("-2\""), "{:?}", done.e_tag());
    let mut expected = vec![7; 1000];
    expected.extend_from_slice(&synthetic_bytes(4, 1_099_511_627_000..1_099_511_627_776));
    assert_eq!(server.get("bucket", "k").unwrap(), expected);
    assert_eq!(complete().send().await.unwrap_err().code(), Some("NoSuchUpload"));
}

#[tokio::test]
async fn a_bad_completion_changes_nothing() {
    let (server, client) = start().await;
    let created = client.create_multipart_upload().bucket("bucket").key("k").send().await.unwrap();
    let id = created.upload_id().unwrap();
    for number in [1, 2] {
        let part = client.upload_part().bucket("bucket").key("k").upload_id(id).part_number(number);
        part.body(ByteStream::from(vec![7; 10])).send().await.unwrap();
    }
    let code_of = async |numbers: &[i32], tag: Option<&str>| {
        let part =
            |n: &i32| CompletedPart::builder().part_number(*n).set_e_tag(tag.map(String::from)).build();
        let parts = numbers.iter().map(part).collect();
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let call = client.complete_multipart_upload().bucket("bucket").key("k").upload_id(id);
        let refused = call.multipart_upload(parts).send().await.unwrap_err();
        refused.code().map(str::to_owned)
    };
    assert_eq!(code_of(&[1, 2], None).await.as_deref(), Some("EntityTooSmall"));
    assert_eq!(code_of(&[2, 1], None).await.as_deref(), Some("InvalidPartOrder"));
    assert_eq!(code_of(&[3], None).await.as_deref(), Some("InvalidPart"));
    assert_eq!(
        code_of(&[2], Some("\"d41d8cd98f00b204e9800998ecf8427e\"")).await.as_deref(),
        Some("InvalidPart")
    );
    client.abort_multipart_upload().bucket("bucket").key("k").upload_id(id).send().await.unwrap();
    assert_eq!(server.get("bucket", "k"), None);
}
