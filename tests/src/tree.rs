//! [`Tree`]: a generated dataset, and the local copy that a mount is compared with.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use s3_server::synthetic_bytes;

use crate::{Finished, run};

/// Time for `diff -r` of a test's tree, faults of the store included.
const DIFF_TIME_MAX: Duration = Duration::from_secs(90);
/// Sizes at the borders of pages and of blocks, where off-by-one errors live.
const ODD_SIZES: [u64; 12] =
    [0, 1, 511, 4095, 4096, 4097, 131_071, 131_072, 131_073, 262_145, 1_048_577, 3_333_333];

/// One file of a tree.
#[derive(Clone, Debug)]
pub struct TreeFile {
    /// Path below the root, which is also its key.
    pub path: String,
    /// Seed of its bytes.
    pub seed: u64,
    /// Its length.
    pub size_bytes: u64,
}

impl TreeFile {
    /// What the file holds.
    pub fn bytes(&self) -> Bytes {
        synthetic_bytes(self.seed, 0..self.size_bytes)
    }
}

/// The files of a dataset.
#[derive(Clone, Debug)]
pub struct Tree {
    /// In the order in which they were made.
    pub files: Vec<TreeFile>,
}

impl Tree {
    /// Odd sizes, nested directories, many small files, and names with spaces, quotes and letters of several
    /// scripts: about 14 MB.
    pub fn odd(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut files = Vec::new();
        let mut add =
            |path: String, size_bytes| files.push(TreeFile { path, seed: rng.random(), size_bytes });
        for size_bytes in ODD_SIZES {
            add(format!("sizes/{size_bytes}.bin"), size_bytes);
        }
        for index in 0..160_u64 {
            add(format!("frames/{}/{}/f{index:05}.jpg", index / 60, index % 7), 1 + index * 97 % 20_000);
        }
        for (index, name) in NAMES.iter().enumerate() {
            add(format!("names/{name}"), 100 + index as u64);
            add(format!("names/dir {name}/{name}"), 200 + index as u64);
        }
        add("deep/a/b/c/d/e/f/g/h/i/j/k/file".to_owned(), 5000);
        add("large.bin".to_owned(), 7 * 1024 * 1024 + 12_345);
        Self { files }
    }

    /// `count` files of about `size_bytes` in ten directories.
    pub fn flat(seed: u64, count: u64, size_bytes: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut file = |index| TreeFile {
            path: format!("part-{}/{index:05}.bin", index % 10),
            seed: rng.random(),
            size_bytes: size_bytes + index % 512,
        };
        Self { files: (0..count).map(&mut file).collect() }
    }

    /// Bytes of all files.
    pub fn total_bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size_bytes).sum()
    }

    /// Writes all files below a local directory.
    pub fn write_to(&self, dir: &Path) {
        for file in &self.files {
            let path = dir.join(&file.path);
            fs::create_dir_all(path.parent().expect("a file lies in a directory")).expect("make a directory");
            fs::write(path, file.bytes()).expect("write a reference file");
        }
    }

    /// Hands every file to `put`.
    pub fn each(&self, mut put: impl FnMut(&str, Bytes)) {
        for file in &self.files {
            put(&file.path, file.bytes());
        }
    }

    /// Compares a mounted tree with this one by `diff -r`: names and bytes, nothing more and nothing less.
    #[track_caller]
    pub fn assert_equals(&self, mounted: &Path) {
        let reference = tempfile::tempdir().expect("make a temporary directory");
        self.write_to(reference.path());
        diff(reference.path(), mounted).succeeded();
    }
}

fn diff(reference: &Path, mounted: &Path) -> Finished {
    run(Command::new("diff").arg("-r").arg(reference).arg(mounted), DIFF_TIME_MAX)
}

const NAMES: [&str; 9] = [
    "with space",
    "ünïcödé",
    "日本語.txt",
    "Ελληνικά",
    "emoji-\u{1f600}",
    "quote'\"$`\\",
    "per%20cent+plus",
    ".hidden",
    "~tilde!#&=?",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_byte_a_missing_and_a_further_file_are_differences() {
        let tree = Tree::flat(1, 3, 5000);
        let (reference, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        tree.write_to(reference.path());
        tree.write_to(copy.path());
        let differs = || diff(reference.path(), copy.path()).code() == 1;
        let file = copy.path().join(&tree.files[1].path);
        assert!(!differs());
        fs::write(&file, synthetic_bytes(99, 0..tree.files[1].size_bytes)).unwrap();
        assert!(differs());
        fs::remove_file(&file).unwrap();
        assert!(differs());
        tree.write_to(copy.path());
        fs::write(copy.path().join("more"), b"").unwrap();
        assert!(differs());
    }
}
