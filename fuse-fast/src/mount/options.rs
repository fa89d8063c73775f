//! [`MountOptions`].

use nix::unistd::{Gid, Uid};

use super::MountError;

/// Who carries out the mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MountMethod {
    /// mount(2) for root, `fusermount3` for others.
    #[default]
    Auto,
    /// mount(2): needs CAP_SYS_ADMIN.
    Direct,
    /// The setuid program `fusermount3` of the package fuse3.
    Fusermount,
}

impl MountMethod {
    pub(super) fn choose(self) -> MountMethod {
        match self {
            MountMethod::Auto if Uid::effective().is_root() => MountMethod::Direct,
            MountMethod::Auto => MountMethod::Fusermount,
            MountMethod::Direct | MountMethod::Fusermount => self,
        }
    }
}

/// How to mount. Always `nosuid` and `nodev`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountOptions {
    /// First column of `mount`: where the data comes from.
    pub source: String,
    /// The type is shown as `fuse.<subtype>`. Letters, digits, `-`, `_` and `.`.
    pub subtype: String,
    /// The kernel refuses every change with `EROFS`.
    pub read_only: bool,
    /// Other users than the one that mounts may use it. For others than root this needs `user_allow_other` in
    /// /etc/fuse.conf.
    pub allow_other: bool,
    /// The kernel checks permissions by mode, owner and group; otherwise whoever may use the mount may do all that the file
    /// system lets happen.
    pub default_permissions: bool,
    /// Largest `read` that the kernel sends; `None` leaves it to the session.
    pub max_read_bytes: Option<u32>,
    /// Who carries out the mount.
    pub method: MountMethod,
}

impl Default for MountOptions {
    fn default() -> MountOptions {
        MountOptions {
            source: "forebay".to_owned(),
            subtype: "forebay".to_owned(),
            read_only: true,
            allow_other: false,
            default_permissions: true,
            max_read_bytes: None,
            method: MountMethod::Auto,
        }
    }
}

impl MountOptions {
    pub(super) fn check(&self) -> Result<(), MountError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if self.subtype.is_empty() || !self.subtype.bytes().all(plain) {
            return Err(MountError::BadOption { option: "subtype", value: self.subtype.clone() });
        }
        if self.source.is_empty() || self.source.bytes().any(|byte| byte < b' ') {
            return Err(MountError::BadOption { option: "source", value: self.source.clone() });
        }
        Ok(())
    }

    /// The type as the kernel and mountinfo spell it.
    pub(super) fn file_system_type(&self) -> String {
        format!("fuse.{}", self.subtype)
    }

    /// Options that mount(2) and fusermount3 take in the same words.
    fn common(&self) -> Vec<String> {
        let mut words = Vec::new();
        if self.allow_other {
            words.push("allow_other".to_owned());
        }
        if self.default_permissions {
            words.push("default_permissions".to_owned());
        }
        if let Some(bytes) = self.max_read_bytes {
            words.push(format!("max_read={bytes}"));
        }
        words
    }

    /// Data of mount(2): the connection, the mode of the root, and whose mount it is.
    pub(super) fn kernel_data(&self, fd: i32) -> String {
        let (user, group) = (Uid::current(), Gid::current());
        let mut words = vec![format!("fd={fd},rootmode=40000,user_id={user},group_id={group}")];
        words.extend(self.common());
        words.join(",")
    }

    /// The `-o` argument of fusermount3, where a comma or backslash in a value is escaped.
    pub(super) fn fusermount_argument(&self) -> String {
        let source = self.source.replace('\\', "\\\\").replace(',', "\\,");
        let mut words = vec![format!("fsname={source},subtype={},nosuid,nodev", self.subtype)];
        words.push(if self.read_only { "ro" } else { "rw" }.to_owned());
        words.extend(self.common());
        words.join(",")
    }
}
