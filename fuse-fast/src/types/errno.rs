//! [`Errno`]: the error that an answer carries.

use std::fmt;
use std::io;

/// A Linux error number, always positive.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Errno(i32);

macro_rules! errnos {
    ($($name:ident)*) => {
        impl Errno {
            $(
                #[doc = concat!("`", stringify!($name), "` of errno(3).")]
                pub const $name: Errno = Errno(libc::$name);
            )*
        }

        fn name_of(value: i32) -> Option<&'static str> {
            match value {
                $(libc::$name => Some(stringify!($name)),)*
                _ => None,
            }
        }
    };
}

errnos! {
    EPERM ENOENT EINTR EIO ENXIO E2BIG EBADF EAGAIN ENOMEM EACCES EBUSY EEXIST EXDEV ENODEV ENOTDIR EISDIR EINVAL
    ENFILE EMFILE ETXTBSY EFBIG ENOSPC ESPIPE EROFS EMLINK ERANGE EDEADLK ENAMETOOLONG ENOLCK ENOSYS ENOTEMPTY ELOOP
    ENODATA EOVERFLOW EOPNOTSUPP ETIMEDOUT ESTALE EDQUOT ECANCELED ENOTCONN ECONNABORTED EPROTO
}

impl Errno {
    /// The error number `value`; anything but 1..=4095, which the kernel would not take, becomes `EIO`.
    pub const fn new(value: i32) -> Errno {
        if value > 0 && value < 4096 { Errno(value) } else { Errno::EIO }
    }

    /// The positive number.
    pub const fn get(self) -> i32 {
        self.0
    }
}

impl From<&io::Error> for Errno {
    /// The error number of a system call; `EIO` for errors that did not come from one.
    fn from(error: &io::Error) -> Errno {
        error.raw_os_error().map_or(Errno::EIO, Errno::new)
    }
}

impl From<io::Error> for Errno {
    fn from(error: io::Error) -> Errno {
        Errno::from(&error)
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match name_of(self.0) {
            Some(name) => f.write_str(name),
            None => write!(f, "errno {}", self.0),
        }
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
