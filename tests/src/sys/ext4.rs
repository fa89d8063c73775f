//! The ioctl that makes an ext4 behave as if its disk had gone.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

/// EXT4_GOING_FLAGS_NOLOGFLUSH of the kernel's fs/ext4/ext4.h: nothing more reaches the disk.
const NO_LOG_FLUSH: u32 = 2;

nix::ioctl_read! {
    /// EXT4_IOC_SHUTDOWN of the kernel's fs/ext4/ext4.h, since Linux 4.11. The argument is read, in spite of the
    /// direction in its number.
    ext4_shutdown, b'X', 125, u32
}

/// Shuts the file system of an open file down: reads and writes of it are EIO until it is mounted again.
pub(crate) fn shut_down_ext4(file: &File) -> io::Result<()> {
    let mut flags = NO_LOG_FLUSH;
    // SAFETY: the descriptor is open during the call, and the kernel reads one u32, which `flags` is.
    unsafe { ext4_shutdown(file.as_raw_fd(), &raw mut flags) }?;
    Ok(())
}
