//! A TCP port of 127.0.0.1 that stays ours while servers on it come and go.

use std::os::fd::OwnedFd;

use rustix::net::{
    bind, getsockname, socket_with, sockopt, AddressFamily, Ipv4Addr, SocketAddrV4, SocketFlags,
    SocketType,
};

/// A reserved port. The reservation is a socket that is bound and never listens: with
/// `SO_REUSEADDR`, which nginx and memcached set too, the kernel gives the port to nobody who asks
/// for any port, and yet lets a server bind it by number.
pub struct Port {
    number: u16,
    _reservation: OwnedFd,
}

impl Port {
    /// Reserves a free port.
    pub fn reserve() -> Self {
        let socket = reusable_socket();
        bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = getsockname(&socket).expect("the address of a bound socket");
        let number = SocketAddrV4::try_from(address).expect("an IPv4 address").port();
        Self { number, _reservation: socket }
    }

    /// The port's number.
    pub fn number(&self) -> u16 {
        self.number
    }

    /// The port as `127.0.0.1:number`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.number)
    }

    /// Listens on the port, with room for about `backlog` connections that nobody has accepted.
    pub fn listen(&self, backlog: i32) -> std::net::TcpListener {
        let socket = reusable_socket();
        bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, self.number)).expect("our own port");
        rustix::net::listen(&socket, backlog).expect("to listen");
        socket.into()
    }
}

fn reusable_socket() -> OwnedFd {
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)
        .expect("a socket");
    sockopt::set_socket_reuseaddr(&socket, true).expect("SO_REUSEADDR");
    socket
}
