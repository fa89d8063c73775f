//! [`TreePath`]: a place inside a mount.

use std::fmt;
use std::str::FromStr;

/// A path inside a mount: `""` is the root, else names joined by `/`, without a leading or trailing `/`.
///
/// Every name is 1 to 255 bytes of UTF-8, holds neither `/` nor NUL, and is not `.` or `..`; so a path can be joined to
/// a mountpoint without leaving it. The order is that of the bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TreePath(Box<str>);

/// Why a text is no path inside a mount.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTreePath {
    /// Longer than [`TreePath::LEN_BYTES_MAX`].
    #[error("a path inside a mount has at most {limit} bytes", limit = TreePath::LEN_BYTES_MAX)]
    TooLong,
    /// A name that no file can have.
    #[error(
        "{name:?} is no name inside a mount: names have 1 to 255 bytes, no NUL, and are not \".\" or \"..\""
    )]
    Name {
        /// The name.
        name: String,
    },
}

impl TreePath {
    /// The longest path (Linux' PATH_MAX).
    pub const LEN_BYTES_MAX: usize = 4096;
    /// The longest name (Linux' NAME_MAX).
    pub const NAME_BYTES_MAX: usize = 255;

    /// The root of the mount.
    pub fn root() -> Self {
        Self::default()
    }

    /// Checks and wraps a path. Slashes at both ends are dropped, so `/train/` is `train`.
    pub fn new(text: &str) -> Result<Self, InvalidTreePath> {
        let text = text.trim_matches('/');
        if text.len() > Self::LEN_BYTES_MAX {
            return Err(InvalidTreePath::TooLong);
        }
        if !text.is_empty() {
            text.split('/').try_for_each(check_name)?;
        }
        Ok(Self(text.into()))
    }

    /// The text, without a `/` at either end.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the mount's root.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The names from the root down; none for the root.
    pub fn names(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/').filter(|name| !name.is_empty())
    }

    /// The last name; `None` for the root.
    pub fn name(&self) -> Option<&str> {
        self.names().next_back()
    }

    /// The directory that holds this; `None` for the root.
    pub fn parent(&self) -> Option<Self> {
        if self.is_root() {
            return None;
        }
        Some(Self(self.0.rsplit_once('/').map_or("", |(parent, _)| parent).into()))
    }

    /// The path of `name` in this directory.
    pub fn join(&self, name: &str) -> Result<Self, InvalidTreePath> {
        check_name(name)?;
        let text = if self.is_root() { name.to_owned() } else { format!("{}/{name}", self.0) };
        if text.len() > Self::LEN_BYTES_MAX {
            return Err(InvalidTreePath::TooLong);
        }
        Ok(Self(text.into()))
    }

    /// What remains below `ancestor`; `None` when this is neither it nor below it.
    pub fn strip_prefix(&self, ancestor: &Self) -> Option<Self> {
        if ancestor.is_root() {
            return Some(self.clone());
        }
        let rest = self.0.strip_prefix(&*ancestor.0)?;
        match rest.strip_prefix('/') {
            Some(below) => Some(Self(below.into())),
            None => rest.is_empty().then(Self::root),
        }
    }

    /// Whether this is `ancestor` or lies below it.
    pub fn starts_with(&self, ancestor: &Self) -> bool {
        self.strip_prefix(ancestor).is_some()
    }
}

impl FromStr for TreePath {
    type Err = InvalidTreePath;

    fn from_str(text: &str) -> Result<Self, InvalidTreePath> {
        Self::new(text)
    }
}

impl fmt::Display for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn check_name(name: &str) -> Result<(), InvalidTreePath> {
    let fits = (1..=TreePath::NAME_BYTES_MAX).contains(&name.len());
    if !fits || name == "." || name == ".." || name.contains(['/', '\0']) {
        return Err(InvalidTreePath::Name { name: name.to_owned() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> TreePath {
        TreePath::new(text).expect(text)
    }

    #[test]
    fn slashes_at_the_ends_are_dropped() {
        assert_eq!(path("/train/a/"), path("train/a"));
        assert!(path("/").is_root());
        assert_eq!(path("train/a").names().collect::<Vec<_>>(), ["train", "a"]);
        assert_eq!(TreePath::root().names().count(), 0);
    }

    #[test]
    fn names_that_could_leave_the_mount_are_refused() {
        for text in ["..", "a/../b", "a/./b", "a//b", "a\0b"] {
            assert!(matches!(TreePath::new(text), Err(InvalidTreePath::Name { .. })), "{text:?}");
        }
        assert!(TreePath::root().join("a/b").is_err());
        assert_eq!(TreePath::new(&"x/".repeat(3000)), Err(InvalidTreePath::TooLong));
        assert!(TreePath::new(&"x".repeat(256)).is_err());
    }

    #[test]
    fn ancestors_are_compared_by_whole_names() {
        assert_eq!(path("a/b/c").strip_prefix(&path("a")), Some(path("b/c")));
        assert_eq!(path("a").strip_prefix(&path("a")), Some(TreePath::root()));
        assert_eq!(path("ab").strip_prefix(&path("a")), None);
        assert!(path("a").starts_with(&TreePath::root()));
    }

    #[test]
    fn parent_and_join_undo_each_other() {
        let child = path("a/b").join("c").expect("a plain name");
        assert_eq!((child.parent(), child.name()), (Some(path("a/b")), Some("c")));
        assert_eq!(path("a").parent(), Some(TreePath::root()));
        assert_eq!(TreePath::root().parent(), None);
    }
}
