//! `forebay-bench`: the demo, and the scenarios whose figures stand in docs/PERFORMANCE.md.
//!
//! Every scenario runs the real `forebay` program as a child process against an S3 server of generated objects, and
//! compares it in interleaved runs with what bounds it: a plain HTTP client, or the local file system. `rig` has the
//! processes, mounts and measuring; `scenarios` what is measured.

mod cli;
mod rig;
mod scenarios;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match cli::Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("forebay-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}
