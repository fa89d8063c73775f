//! Which keys can be paths, and which names are our own.

use crate::Key;

/// Names with this beginning are ours (unfinished writes) and belong to no listing.
pub(super) const RESERVED: &str = ".forebay-";
/// Where unfinished multipart uploads lie, in the root.
pub(super) const UPLOADS: &str = ".forebay-uploads";

/// The relative path of a key: no trailing slash, `.` for the root. `None` when no file can have the key: empty, `.`
/// and `..` components, NUL, and reserved names.
pub(super) fn of_key(key: &Key) -> Option<&str> {
    let path = key.as_str().strip_suffix('/').unwrap_or(key.as_str());
    if key.as_str().is_empty() {
        return Some(".");
    }
    path.split('/').all(is_name).then_some(path)
}

/// Whether a file of a store can have this name.
pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty() && name != "." && name != ".." && !name.contains('\0') && !name.starts_with(RESERVED)
}

/// The directory that holds a path, `.` for the root, and the last name.
pub(super) fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or((".", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Option<String> {
        of_key(&Key::new(text).expect("short")).map(str::to_owned)
    }

    #[test]
    fn keys_become_paths_or_none() {
        for (key, expected) in
            [("", "."), ("a", "a"), ("a/b c/ä+%", "a/b c/ä+%"), ("a/b/", "a/b"), ("...", "...")]
        {
            assert_eq!(path(key).as_deref(), Some(expected));
        }
        for key in [
            "/",
            "/a",
            "a//b",
            "a//",
            "..",
            "a/../b",
            "./a",
            "a/.",
            "a\0b",
            ".forebay-put-1",
            "a/.forebay-x/b",
        ] {
            assert_eq!(path(key), None, "{key:?}");
        }
    }

    #[test]
    fn paths_split_into_directory_and_name() {
        assert_eq!(split("a/b/c"), ("a/b", "c"));
        assert_eq!(split("c"), (".", "c"));
    }
}
