//! Network devices: netdevice(7).

use std::os::fd::{AsFd, AsRawFd};

use nix::errno::Errno;

/// Sets IFF_UP of the loopback device, in the network namespace of the socket.
pub(crate) fn loopback_up(socket: impl AsFd) -> nix::Result<()> {
    let socket = socket.as_fd().as_raw_fd();
    // SAFETY: an ifreq has only integers, addresses and an unused pointer, for which zero is a value.
    let mut device: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in device.ifr_name.iter_mut().zip(b"lo") {
        *to = *from as libc::c_char;
    }
    // SAFETY: the kernel reads the name and writes the flags of an ifreq.
    Errno::result(unsafe { libc::syscall(libc::SYS_ioctl, socket, libc::SIOCGIFFLAGS, &raw mut device) })?;
    // SAFETY: the call before has written this member of the union; any value of it is a number.
    let flags = unsafe { device.ifr_ifru.ifru_flags };
    device.ifr_ifru.ifru_flags = flags | libc::IFF_UP as libc::c_short;
    // SAFETY: the kernel reads an ifreq.
    Errno::result(unsafe { libc::syscall(libc::SYS_ioctl, socket, libc::SIOCSIFFLAGS, &raw mut device) })
        .map(drop)
}
