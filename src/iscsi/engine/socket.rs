//! Receiving and sending without copies: straight into the spare capacity of a vector, and from many slices at once.
#![allow(unsafe_code)]

use nix::sys::socket::{MsgFlags, sendmsg};
use std::io::{self, IoSlice};
use std::net::TcpStream;
use std::os::fd::AsRawFd;

/// Slices of one send (`IOV_MAX`).
pub const SLICES_MAX: usize = 1024;

/// Receives up to `missing` bytes onto the end of `vector`, and what comes behind them into `scratch`. Gives the bytes
/// received in all; 0 is the end of the stream. `vector` has grown by at most `missing`, the rest is in `scratch`.
pub fn receive_into(stream: &TcpStream, vector: &mut Vec<u8>, missing: usize, scratch: &mut [u8]) -> io::Result<usize> {
    vector.reserve(missing);
    let spare = &mut vector.spare_capacity_mut()[..missing];
    let parts = [
        libc::iovec {
            iov_base: spare.as_mut_ptr().cast(),
            iov_len: spare.len(),
        },
        libc::iovec {
            iov_base: scratch.as_mut_ptr().cast(),
            iov_len: scratch.len(),
        },
    ];
    let fd = stream.as_raw_fd();
    // SAFETY: both parts point to writable memory of the given lengths that outlives the call.
    let count = unsafe {
        match missing {
            // One part alone takes less of the kernel's time.
            0 => libc::recv(fd, parts[1].iov_base, parts[1].iov_len, 0),
            _ => libc::readv(fd, parts.as_ptr(), 2),
        }
    };
    let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
    let grown = vector.len() + count.min(missing);
    // SAFETY: readv has initialised the first `count` bytes over both parts, and `grown` is within the capacity.
    unsafe { vector.set_len(grown) };
    Ok(count)
}

/// Sends slices; gives the bytes taken.
pub fn send(stream: &TcpStream, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    Ok(sendmsg::<()>(
        stream.as_raw_fd(),
        slices,
        &[],
        MsgFlags::MSG_NOSIGNAL,
        None,
    )?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::net::TcpListener;

    #[test]
    fn what_follows_the_wanted_bytes_goes_to_the_scratch() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut sender = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (receiver, _) = listener.accept().unwrap();
        sender.write_all(b"wantedrest").unwrap();
        let (mut vector, mut scratch) = (b"have".to_vec(), [0; 16]);
        let mut count = 0;
        while count < 10 {
            let missing = 6usize.saturating_sub(count);
            let at = count.saturating_sub(6);
            count += receive_into(&receiver, &mut vector, missing, &mut scratch[at..]).unwrap();
        }
        assert_eq!((vector.as_slice(), &scratch[..4]), (&b"havewanted"[..], &b"rest"[..]));
        drop(sender);
        assert_eq!(receive_into(&receiver, &mut vector, 1, &mut scratch).unwrap(), 0);
    }

    #[test]
    fn sending_to_a_closed_peer_is_an_error_and_no_signal() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let sender = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        drop(listener.accept().unwrap());
        let failed = (0..1000).any(|_| send(&sender, &[IoSlice::new(&[0; 4096])]).is_err());
        assert!(failed);
    }
}
