//! A FUSE connection that is mounted nowhere: fsopen(2), fsconfig(2), Linux 5.2.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

use nix::errno::Errno;

use super::device;

const FSOPEN_CLOEXEC: libc::c_uint = 1;
const FSCONFIG_SET_STRING: libc::c_uint = 1;
const FSCONFIG_CMD_CREATE: libc::c_uint = 6;

/// The two ends of the connection; it ends with them.
pub(crate) struct Unattached {
    /// Requests come from here, INIT first.
    pub(crate) device: OwnedFd,
    /// The file system that nobody sees.
    _context: OwnedFd,
}

/// Makes a connection.
pub(crate) fn connect() -> nix::Result<Unattached> {
    let device =
        device::open().map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)))?;
    // SAFETY: fsopen(2) takes a NUL-terminated name, which the literal is, and flags.
    let fd = unsafe { libc::syscall(libc::SYS_fsopen, c"fuse".as_ptr(), FSOPEN_CLOEXEC) };
    let fd = Errno::result(fd)? as RawFd;
    // SAFETY: the call above gave this descriptor to us alone.
    let context = unsafe { OwnedFd::from_raw_fd(fd) };
    let number = std::ffi::CString::new(device.as_raw_fd().to_string()).map_err(|_| Errno::EINVAL)?;
    for (key, value) in
        [(c"fd", number.as_c_str()), (c"rootmode", c"40000"), (c"user_id", c"0"), (c"group_id", c"0")]
    {
        configure(&context, FSCONFIG_SET_STRING, Some((key, value)))?;
    }
    configure(&context, FSCONFIG_CMD_CREATE, None)?;
    Ok(Unattached { device, _context: context })
}

fn configure(context: &OwnedFd, command: libc::c_uint, setting: Option<(&CStr, &CStr)>) -> nix::Result<()> {
    let (key, value) =
        setting.map_or((ptr::null(), ptr::null()), |(key, value)| (key.as_ptr(), value.as_ptr()));
    // SAFETY: fsconfig(2) takes an open context and, for a string, two NUL-terminated strings that live over the call;
    // for the command both are null.
    let result = unsafe { libc::syscall(libc::SYS_fsconfig, context.as_raw_fd(), command, key, value, 0) };
    Errno::result(result).map(drop)
}
