//! Which parts of a key can be file names.

use crate::config::TreePath;

/// Whether a part of a key between slashes can be shown as the name of a file or directory. What cannot: the empty
/// name (of `a//b`), `.` and `..`, more than 255 bytes, or a NUL byte.
pub(super) fn can_be_shown(name: &str) -> bool {
    let fits = (1..=TreePath::NAME_BYTES_MAX).contains(&name.len());
    fits && name != "." && name != ".." && !name.contains(['/', '\0'])
}

/// Finds objects that are hidden by a directory of the same name while names pass by in the order of a listing.
///
/// `a` comes before `a/`, but names such as `a-b` may lie between. All of these begin with `a`, so the files that may
/// still meet their directory are prefixes of each other: at most 255 of them.
#[derive(Default)]
pub(super) struct Collisions {
    /// The longest of those files; the others are its prefixes.
    longest: String,
    /// Their lengths, ascending.
    lens: Vec<usize>,
}

impl Collisions {
    /// A file passes.
    pub(super) fn file(&mut self, name: &str) {
        self.keep_prefixes_of(name);
        self.longest.push_str(&name[self.longest.len()..]);
        self.lens.push(name.len());
    }

    /// A directory passes: whether it hides a file.
    pub(super) fn directory(&mut self, name: &str) -> bool {
        self.keep_prefixes_of(name);
        !self.lens.is_empty() && self.longest == name
    }

    fn keep_prefixes_of(&mut self, name: &str) {
        let shared = self.longest.bytes().zip(name.bytes()).take_while(|(a, b)| a == b).count();
        while self.lens.last().is_some_and(|len| *len > shared) {
            self.lens.pop();
        }
        self.longest.truncate(self.lens.last().copied().unwrap_or(0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_parts_cannot_be_shown() {
        let long = "x".repeat(256);
        for name in ["", ".", "..", "a\0", &long] {
            assert!(!can_be_shown(name), "{name:?}");
        }
        for name in ["...", ".a", " ", "\n", "ü", "a\\b", &long[1..]] {
            assert!(can_be_shown(name), "{name:?}");
        }
    }

    #[test]
    fn a_file_is_hidden_by_its_directory_over_names_between() {
        let mut seen = Collisions::default();
        for name in ["a", "a-", "a-b"] {
            seen.file(name);
        }
        assert!(!seen.directory("a-b-c"));
        assert!(seen.directory("a"));
        seen.file("a0");
        assert!(!seen.directory("b"));
    }
}
