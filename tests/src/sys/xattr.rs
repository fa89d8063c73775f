//! Extended attributes of a path, links not followed.

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Longest value that the tests read.
const VALUE_BYTES_MAX: usize = 4096;

fn text(path: &Path, name: &str) -> io::Result<(CString, CString)> {
    Ok((CString::new(path.as_os_str().as_bytes())?, CString::new(name)?))
}

/// The value of an attribute.
pub fn xattr(path: &Path, name: &str) -> io::Result<Vec<u8>> {
    let (path, name) = text(path, name)?;
    let mut value = vec![0u8; VALUE_BYTES_MAX];
    // SAFETY: both texts end in a NUL byte and live through the call, which writes at most `len` bytes into `value`.
    let length =
        unsafe { libc::lgetxattr(path.as_ptr(), name.as_ptr(), value.as_mut_ptr().cast(), value.len()) };
    value.truncate(usize::try_from(length).map_err(|_negative| io::Error::last_os_error())?);
    Ok(value)
}

/// Sets an attribute; `flags` are `XATTR_CREATE` and `XATTR_REPLACE`.
pub fn set_xattr(path: &Path, name: &str, value: &[u8], flags: i32) -> io::Result<()> {
    let (path, name) = text(path, name)?;
    // SAFETY: both texts end in a NUL byte, and all three live through the call, which reads `len` bytes of `value`.
    let done =
        unsafe { libc::lsetxattr(path.as_ptr(), name.as_ptr(), value.as_ptr().cast(), value.len(), flags) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Removes an attribute.
pub fn remove_xattr(path: &Path, name: &str) -> io::Result<()> {
    let (path, name) = text(path, name)?;
    // SAFETY: both texts end in a NUL byte and live through the call.
    let done = unsafe { libc::lremovexattr(path.as_ptr(), name.as_ptr()) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
