//! `forebay status`: every daemon's figures, for people or as JSON.

use std::fmt::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use serde::Serialize;

use super::args::StatusArgs;
use super::error::CliError;
use super::{ask, output};
use crate::config::runtime_dir;
use crate::config::units::{DurationText, SizeText};
use crate::control::{Client, find};
use crate::status::{
    CacheStatus, LargeFilesStatus, LeftOverStatus, MountStatus, PassthroughStatus, Status, StoreStatus,
    WarmStatus, WritebackStatus,
};

/// Shows one daemon or all. Daemons that are there and do not answer are told on stderr, and make the command fail.
pub(super) async fn run(args: StatusArgs) -> Result<ExitCode, CliError> {
    let (daemons, failed) = collect(&args).await?;
    for error in &failed {
        output::note(&error.to_string());
    }
    if args.json {
        output::print_json(&Report { daemons: &daemons })?;
    } else {
        let texts: Vec<String> = daemons.iter().map(|status| Human(status).to_string()).collect();
        output::print(&texts.join("\n"))?;
    }
    Ok(if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[derive(Serialize)]
struct Report<'s> {
    daemons: &'s [Status],
}

async fn collect(args: &StatusArgs) -> Result<(Vec<Status>, Vec<CliError>), CliError> {
    if let Some(path) = &args.path {
        let asked = ask::daemon_of(path, &args.control).await?;
        return Ok((vec![asked.client.status().await?], Vec::new()));
    }
    if let Some(socket) = &args.control.control_socket {
        return Ok((vec![Client::new(super::mount::absolute(socket)?).status().await?], Vec::new()));
    }
    let directory = runtime_dir();
    let daemons = find::daemons(&directory).await;
    if daemons.found.is_empty() && daemons.failed.is_empty() {
        return Err(CliError::NoDaemon { directory });
    }
    let statuses = daemons.found.into_iter().map(|found| found.status).collect();
    Ok((statuses, daemons.failed.into_iter().map(CliError::from).collect()))
}

/// One daemon, for people.
pub(super) struct Human<'s>(pub(super) &'s Status);

impl fmt::Display for Human<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Status { version, pid, uptime_s, mounts, cache, memory, stores, warm_jobs, left_over } = self.0;
        let uptime = DurationText(Duration::from_secs(*uptime_s));
        writeln!(f, "forebay {version}, pid {pid}, up {uptime}")?;
        writeln!(
            f,
            "memory   {} resident of {}; fetches {} of {}",
            SizeText(memory.resident_bytes),
            SizeText(memory.limit_bytes),
            SizeText(memory.fetch_bytes),
            SizeText(memory.fetch_limit_bytes),
        )?;
        match cache {
            Some(cache) => write_cache(f, cache)?,
            None => writeln!(f, "cache    none: every read goes to its store")?,
        }
        mounts.iter().try_for_each(|mount| write_mount(f, mount))?;
        stores.iter().try_for_each(|store| write_store(f, store))?;
        warm_jobs.iter().try_for_each(|job| write_warm(f, job))?;
        left_over.iter().try_for_each(|left| write_left_over(f, left))
    }
}

fn write_cache(f: &mut fmt::Formatter<'_>, cache: &CacheStatus) -> fmt::Result {
    let share = percent(cache.used_bytes, cache.capacity_bytes);
    let (used, capacity) = (SizeText(cache.used_bytes), SizeText(cache.capacity_bytes));
    writeln!(f, "cache    {}: {used} of {capacity} ({share}) in {} blocks", cache.location, cache.blocks)?;
    let (inserted, evicted) = (SizeText(cache.inserted_bytes), SizeText(cache.evicted_bytes));
    writeln!(f, "         inserted {inserted}, evicted {evicted}, index {}", SizeText(cache.memory_bytes))?;
    if cache.checksum_mismatches + cache.device_errors > 0 {
        let (mismatches, errors) = (cache.checksum_mismatches, cache.device_errors);
        writeln!(f, "         {mismatches} checksum mismatches, {errors} device errors")?;
    }
    if cache.failed {
        writeln!(f, "         FAILED: the device was taken out, reads go to the stores")?;
    }
    match &cache.large_files {
        Some(large) => write_large(f, large),
        None => writeln!(f, "         passthrough {}", cache.passthrough),
    }
}

fn write_large(f: &mut fmt::Formatter<'_>, large: &LargeFilesStatus) -> fmt::Result {
    let (used, capacity) = (SizeText(large.used_bytes), SizeText(large.capacity_bytes));
    let share = percent(large.used_bytes, large.capacity_bytes);
    write!(f, "         large files: {used} of {capacity} ({share}), ")?;
    writeln!(f, "{} of {} complete, passed through", large.complete_files, large.files)?;
    let (scrubbed, files) = (SizeText(large.scrubbed_bytes), large.complete_files);
    write!(
        f,
        "         scrubbed {scrubbed}, {} rounds, {} of {files} files",
        large.scrub_rounds, large.scrub_files_done
    )?;
    writeln!(f, "; {} promoted, {} demoted", large.promoted, large.demoted)?;
    if large.checksum_mismatches + large.device_errors > 0 {
        let (mismatches, errors) = (large.checksum_mismatches, large.device_errors);
        writeln!(f, "         {mismatches} checksum mismatches, {errors} device errors in large files")?;
    }
    if large.failed {
        writeln!(f, "         FAILED: large files are not cached any more, reads go to the stores")?;
    }
    Ok(())
}

fn write_mount(f: &mut fmt::Formatter<'_>, mount: &MountStatus) -> fmt::Result {
    writeln!(f, "mount    {} ({})", mount.mountpoint.display(), mount.consistency)?;
    for branch in &mount.branches {
        writeln!(f, "         /{} = {}", branch.at, branch.url)?;
    }
    let reads = &mount.reads;
    writeln!(
        f,
        "         reads {}, {}: {} cache, {} memory, {} stores; {} errors",
        reads.requests,
        SizeText(reads.bytes),
        percent(reads.cache_hits, reads.requests),
        percent(reads.memory_hits, reads.requests),
        percent(reads.misses, reads.requests),
        reads.errors,
    )?;
    let inodes = SizeText(mount.inode_memory_bytes);
    write!(f, "         names {} known ({inodes}), {} hidden", mount.known_inodes, mount.hidden_names)?;
    writeln!(f, "; requests {}, {} dropped", mount.requests, mount.dropped_replies)?;
    let transport = &mount.transport;
    match transport.used.as_str() {
        "uring" => writeln!(f, "         transport uring, at most {}", SizeText(transport.ring_bytes_max))?,
        used => writeln!(f, "         transport {used}: {}", transport.reason)?,
    }
    if let Some(writeback) = &mount.writeback {
        write_writeback(f, writeback)?;
    }
    let passed = &mount.passthrough;
    if passed.opens + passed.cached_opens + passed.failures > 0 {
        let PassthroughStatus { opens, cached_opens, failures, .. } = passed;
        writeln!(
            f,
            "         large files opened: {opens} passed through, {cached_opens} not, {failures} failed"
        )?;
    }
    let taken: Vec<&str> = mount.fuse.iter().filter(|one| one.taken).map(|one| one.name.as_str()).collect();
    if !taken.is_empty() {
        writeln!(f, "         fuse {}", taken.join(" "))?;
    }
    Ok(())
}

fn write_writeback(f: &mut fmt::Formatter<'_>, now: &WritebackStatus) -> fmt::Result {
    let state = if now.is_red() { "RED" } else { "ok" };
    let (dirty, limit) = (SizeText(now.dirty_bytes), SizeText(now.dirty_limit_bytes));
    let age = DurationText(Duration::from_secs(now.oldest_age_s));
    write!(f, "         writes {state}: {dirty} of {limit} in {} files not in the store", now.dirty_files)?;
    writeln!(f, "; {} changes wait, the oldest for {age}", now.events_waiting)?;
    let eta =
        now.eta_s.map_or_else(|| "-".to_owned(), |eta| DurationText(Duration::from_secs(eta)).to_string());
    write!(f, "         sent {}, copied {}", SizeText(now.sent_bytes), SizeText(now.copied_bytes))?;
    writeln!(f, "; {}/s, {} in flight, done in {eta}", SizeText(now.rate_bytes), now.in_flight)?;
    if let Some(cause) = &now.poisoned {
        writeln!(f, "         REFUSES WRITES: {cause}")?;
    }
    for one in &now.failing {
        let since = DurationText(Duration::from_secs(one.since_s));
        writeln!(f, "         fails for {since}, {} tries: {}: {}", one.tries, one.path, one.reason)?;
    }
    let more = now.failing_count.saturating_sub(now.failing.len() as u64);
    if more > 0 {
        writeln!(f, "         and {more} more fail")?;
    }
    now.conflicts.iter().try_for_each(|one| writeln!(f, "         conflict: {one}"))
}

fn write_left_over(f: &mut fmt::Formatter<'_>, left: &LeftOverStatus) -> fmt::Result {
    let (bytes, directory) = (SizeText(left.dirty_bytes), left.directory.display());
    write!(f, "left     {bytes} in {} files of {} wait in {directory}", left.dirty_files, left.identity)?;
    match &left.problem {
        Some(problem) => writeln!(f, ": {problem}"),
        None => writeln!(f, ": configure that mount again to send them"),
    }
}

fn write_store(f: &mut fmt::Formatter<'_>, store: &StoreStatus) -> fmt::Result {
    let bytes = SizeText(store.read_bytes);
    writeln!(f, "store    {}: {} reads, {bytes}, {} errors", store.url, store.reads, store.errors)?;
    if !store.last_error.is_empty() {
        writeln!(f, "         last error: {}", store.last_error)?;
    }
    Ok(())
}

fn write_warm(f: &mut fmt::Formatter<'_>, job: &WarmStatus) -> fmt::Result {
    let now = &job.progress;
    let (done, total) = (SizeText(now.bytes_done), SizeText(now.bytes_total));
    let mut state = format!("{} of {} objects, {done} of {total}", now.objects_done, now.objects_total);
    if !now.listing_done {
        state.push_str(", still listing");
    }
    if now.failed_count > 0 {
        write!(state, ", {} failed", now.failed_count)?;
    }
    let end = if now.finished { ", finished" } else { "" };
    writeln!(f, "warm     {}: {state}{end}", job.id)
}

fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "-".to_owned();
    }
    format!("{:.1}%", part as f64 * 100.0 / whole as f64)
}
