//! Serves generated data over S3 until SIGINT or SIGTERM. Prints `READY <endpoint>` when it listens.

use std::io::Write;
use std::net::SocketAddr;

use anyhow::Context;
use clap::Parser;
use s3_server::{Frames, Options, Server, SyntheticObject};
use tokio::signal::unix::{SignalKind, signal};

/// An in-memory S3 server with generated data, for tests and benchmarks.
#[derive(Parser)]
struct Arguments {
    /// Address to listen on; port 0 picks a free one
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Bucket that holds the generated data
    #[arg(long, default_value = "demo")]
    bucket: String,
    /// The access key that may sign requests
    #[arg(long, default_value = "testaccess")]
    access_key: String,
    /// Its secret
    #[arg(long, default_value = "testsecret")]
    secret_key: String,
    /// Serve requests without a signature too
    #[arg(long)]
    anonymous: bool,
    /// Threads that serve
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Seed of all generated data
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Frames in all: frames/video-NNNN/frame-NNNNN.jpg, 500 a video, log-normal sizes from 5 KB to a few MB
    #[arg(long, default_value_t = 0)]
    frames: u32,
    /// Tiny objects for listings: keys/DDDD/key-NNNNNNNN, 1000 a directory, 100 bytes each
    #[arg(long, default_value_t = 0)]
    keys: u64,
    /// Size in bytes of a large object large/N.bin (N from 0); may be given several times
    #[arg(long)]
    large: Vec<u64>,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(run(arguments))
}

async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let options = Options {
        listen: arguments.listen,
        access_key: arguments.access_key.clone(),
        secret_key: arguments.secret_key.clone(),
        anonymous: arguments.anonymous,
        threads: arguments.threads.max(1),
        ..Options::default()
    };
    let server = Server::start(options).await?;
    fill(&server, &arguments);
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let mut out = std::io::stdout();
    writeln!(out, "READY {}", server.endpoint()).and_then(|()| out.flush()).context("write to stdout")?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    server.shutdown().await;
    Ok(())
}

fn fill(server: &Server, arguments: &Arguments) {
    const FRAMES_PER_VIDEO: u32 = 500;
    let (bucket, seed) = (arguments.bucket.as_str(), arguments.seed);
    server.create_bucket(bucket);
    let videos = arguments.frames.div_ceil(FRAMES_PER_VIDEO);
    let frames = Frames { seed, videos, frames_per_video: FRAMES_PER_VIDEO };
    for frame in frames.iter().take(arguments.frames as usize) {
        server.put_synthetic(bucket, &frame.key, frame.object);
    }
    for index in 0..arguments.keys {
        let key = format!("keys/{:04}/key-{index:08}", index / 1000);
        server.put_synthetic(bucket, &key, SyntheticObject { seed: seed ^ index, size_bytes: 100 });
    }
    for (index, size_bytes) in arguments.large.iter().enumerate() {
        let object = SyntheticObject { seed: seed + index as u64, size_bytes: *size_bytes };
        server.put_synthetic(bucket, &format!("large/{index}.bin"), object);
    }
}
