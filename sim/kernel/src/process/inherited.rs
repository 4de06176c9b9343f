//! What a program finds in its static variables. It begins with a copy of the world's, which may refer to sockets of the
//! world: those that the real tokio keeps for signals, where the harness has used it.

use super::{Kernel, object::Kind};

impl Kernel {
    /// In the place of each such socket the program gets one that is silent for ever.
    pub(super) fn inherit(&mut self) {
        for fd in unix_sockets() {
            let end = self.idle_pipe();
            let object = self.objects.add(Kind::Pipe(end), true);
            let descriptors = &mut self.process.descriptors;
            descriptors.refer(&mut self.objects, fd, object, true);
        }
    }
}

/// The Unix sockets of this process, other than its standard streams.
fn unix_sockets() -> Vec<i32> {
    let names = std::fs::read_dir("/proc/self/fd").into_iter().flatten();
    let numbers = names.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let mut sockets: Vec<i32> = numbers
        .filter(|fd| *fd > 2 && is_unix_socket(*fd))
        .collect();
    sockets.sort_unstable();
    sockets
}

fn is_unix_socket(fd: i32) -> bool {
    let (mut domain, mut len) = (0i32, 4u32);
    let place = (&raw mut domain).cast();
    // SAFETY: there is room for a number.
    let told =
        unsafe { libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_DOMAIN, place, &raw mut len) };
    told == 0 && domain == libc::AF_UNIX
}
