//! What is mounted where, from /proc/self/mountinfo (proc(5)).

use std::fs;
use std::path::Path;

use anyhow::Context;

/// The file system type of the topmost mount on `path`, if it is a mount point.
pub(crate) fn mounted_on(path: &Path) -> anyhow::Result<Option<String>> {
    let text = fs::read_to_string("/proc/self/mountinfo").context("read /proc/self/mountinfo")?;
    Ok(text
        .lines()
        .filter_map(parse)
        .filter(|(point, _)| Path::new(point) == path)
        .map(|(_, kind)| kind)
        .next_back())
}

/// (mount point, file system type) of a line.
fn parse(line: &str) -> Option<(String, String)> {
    let (fields, after) = line.split_once(" - ")?;
    Some((unescape(fields.split(' ').nth(4)?), after.split(' ').next()?.to_owned()))
}

/// Space, tab, newline and backslash are written as three octal digits.
fn unescape(text: &str) -> String {
    let escapes = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
    escapes.iter().fold(text.to_owned(), |text, (escape, character)| text.replace(escape, character))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_proc_5_is_understood() {
        let line = "36 35 98:0 /mnt1 /mnt\\0402 rw,noatime master:1 - fuse.forebay s3://b rw,errors=continue";
        assert_eq!(parse(line), Some(("/mnt 2".to_owned(), "fuse.forebay".to_owned())));
    }

    #[test]
    fn the_root_is_mounted() {
        assert!(mounted_on(Path::new("/proc")).unwrap().is_some());
        assert_eq!(mounted_on(Path::new("/proc/self/no such thing")).unwrap(), None);
    }
}
