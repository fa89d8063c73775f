//! `forebay warm`: hands paths, patterns and manifests to the daemons that have them, and follows the jobs.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use super::args::{ControlArgs, WarmArgs};
use super::error::CliError;
use super::progress::{self, Display};
use super::{ask, mount, output};
use crate::config::runtime_dir;
use crate::control::{Client, find};
use crate::warm::{JobId, Progress, Request};

/// Paths of one request: some 4 MiB of JSON with paths of 400 bytes, and few enough to resolve in a few seconds.
const PATHS_PER_REQUEST_MAX: usize = 10_000;
/// The longest manifest.
const MANIFEST_BYTES_MAX: u64 = 1 << 30;
/// Pause between two looks at a job.
const POLL_PERIOD: Duration = Duration::from_millis(200);

/// Starts the warm-ups; with `--wait`, follows them to the end.
pub(super) async fn run(args: WarmArgs) -> Result<ExitCode, CliError> {
    let mut paths = args.paths.iter().map(|path| mount::absolute(path)).collect::<Result<Vec<_>, _>>()?;
    if let Some(manifest) = &args.manifest {
        paths.extend(read_manifest(manifest)?);
    }
    let batches = batches(assign(paths, &args.control).await?);
    let clients =
        batches.iter().map(|(client, _)| client.socket()).collect::<std::collections::BTreeSet<_>>();
    if !args.wait {
        if batches.len() > clients.len() {
            let paths = batches.iter().map(|(_, paths)| paths.len()).sum();
            return Err(CliError::ManifestNeedsWait { paths, limit: PATHS_PER_REQUEST_MAX });
        }
        return start_all(batches).await;
    }
    let end = follow_all(batches).await?;
    output::print(&progress::summary(&end))?;
    Ok(if end.failed_count == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn start_all(batches: Vec<(Client, Vec<PathBuf>)>) -> Result<ExitCode, CliError> {
    for (client, paths) in batches {
        let job = client.warm(&Request { paths }).await?;
        output::print(&format!("warm-up {} started; forebay status shows how far it is\n", job.0))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// One batch after the other, so that a long manifest never fills a daemon's memory.
async fn follow_all(batches: Vec<(Client, Vec<PathBuf>)>) -> Result<Progress, CliError> {
    let mut display = Display::new();
    let mut ended: Vec<Progress> = Vec::with_capacity(batches.len());
    for (client, paths) in batches {
        let job = client.warm(&Request { paths }).await?;
        let so_far = progress::sum(&ended);
        ended.push(follow(&client, job, &so_far, &mut display).await?);
    }
    display.finish();
    Ok(progress::sum(&ended))
}

async fn follow(
    client: &Client,
    job: JobId,
    so_far: &Progress,
    display: &mut Display,
) -> Result<Progress, CliError> {
    loop {
        let now = client.warm_progress(job).await?;
        display.update(&progress::sum(&[so_far.clone(), now.clone()]));
        if now.finished {
            return Ok(now);
        }
        tokio::time::sleep(POLL_PERIOD).await;
    }
}

/// Splits the paths among the daemons that hold them.
async fn assign(
    paths: Vec<PathBuf>,
    control: &ControlArgs,
) -> Result<BTreeMap<PathBuf, Vec<PathBuf>>, CliError> {
    if let Some(socket) = &control.control_socket {
        return Ok(BTreeMap::from([(mount::absolute(socket)?, paths)]));
    }
    let daemons = find::daemons(&runtime_dir()).await;
    let mut assigned: BTreeMap<PathBuf, Vec<PathBuf>> = BTreeMap::new();
    for path in paths {
        let (socket, path) = match daemons.holding(fixed_prefix(&path)) {
            Some((found, _)) => (found.client.socket().to_owned(), path),
            None => {
                let prefix = fixed_prefix(&path);
                let asked = ask::daemon_of(prefix, control).await?;
                // Without the components() a path that is all prefix would get a slash at its end.
                let pattern = path.strip_prefix(prefix).unwrap_or(Path::new(""));
                (asked.client.socket().to_owned(), asked.path.join(pattern).components().collect())
            }
        };
        assigned.entry(socket).or_default().push(path);
    }
    Ok(assigned)
}

fn batches(assigned: BTreeMap<PathBuf, Vec<PathBuf>>) -> Vec<(Client, Vec<PathBuf>)> {
    let split = |(socket, paths): (PathBuf, Vec<PathBuf>)| {
        let chunks: Vec<Vec<PathBuf>> =
            paths.chunks(PATHS_PER_REQUEST_MAX).map(<[PathBuf]>::to_vec).collect();
        chunks.into_iter().map(move |chunk| (Client::new(&socket), chunk))
    };
    assigned.into_iter().flat_map(split).collect()
}

/// The path down to the first name with a wildcard: what must lie in a mount for the pattern to match anything.
fn fixed_prefix(path: &Path) -> &Path {
    let is_pattern = |part: &Component<'_>| part.as_os_str().to_string_lossy().contains(['*', '?', '[', '{']);
    let mut prefix = path;
    while prefix.components().any(|part| is_pattern(&part)) {
        match prefix.parent() {
            Some(parent) => prefix = parent,
            None => break,
        }
    }
    prefix
}

fn read_manifest(path: &Path) -> Result<Vec<PathBuf>, CliError> {
    let unreadable = |source| CliError::Manifest { path: path.to_owned(), source };
    let mut text = String::new();
    let read = if path == Path::new("-") {
        io::stdin().lock().take(MANIFEST_BYTES_MAX).read_to_string(&mut text)
    } else {
        File::open(path).and_then(|file| file.take(MANIFEST_BYTES_MAX).read_to_string(&mut text))
    };
    if read.map_err(unreadable)? as u64 == MANIFEST_BYTES_MAX {
        return Err(unreadable(io::ErrorKind::FileTooLarge.into()));
    }
    let lines = text.lines().map(str::trim_end).filter(|line| !line.is_empty());
    let paths = lines.map(|line| mount::absolute(Path::new(line))).collect::<Result<Vec<_>, _>>()?;
    if paths.is_empty() {
        return Err(CliError::ManifestEmpty { path: path.to_owned() });
    }
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn patterns_are_assigned_by_what_stands_before_them() {
        let cases = [
            ("/mnt/data/train/*.jpg", "/mnt/data/train"),
            ("/mnt/data/{a,b}/c", "/mnt/data"),
            ("/mnt/data/**/x/[0-9]", "/mnt/data"),
            ("/mnt/data/plain", "/mnt/data/plain"),
            ("/*", "/"),
        ];
        for (path, prefix) in cases {
            assert_eq!(fixed_prefix(Path::new(path)), Path::new(prefix));
        }
    }

    #[test]
    fn manifests_are_read_line_by_line() {
        let mut file = tempfile::NamedTempFile::new().expect("temp file");
        file.write_all(b"/mnt/data/a\n\n/mnt/data/b c\r\n").expect("write");
        let paths = read_manifest(file.path()).expect("two paths");
        assert_eq!(paths, [PathBuf::from("/mnt/data/a"), PathBuf::from("/mnt/data/b c")]);
        let empty = tempfile::NamedTempFile::new().expect("temp file");
        assert!(matches!(read_manifest(empty.path()), Err(CliError::ManifestEmpty { .. })));
        assert!(matches!(read_manifest(Path::new("/nonexistent")), Err(CliError::Manifest { .. })));
    }

    #[test]
    fn long_lists_are_sent_in_parts() {
        let paths = vec![PathBuf::from("/m/x"); PATHS_PER_REQUEST_MAX + 1];
        let parts = batches(BTreeMap::from([(PathBuf::from("/s"), paths)]));
        let lengths: Vec<usize> = parts.iter().map(|(_, paths)| paths.len()).collect();
        assert_eq!(lengths, [PATHS_PER_REQUEST_MAX, 1]);
    }
}
