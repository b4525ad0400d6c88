//! The ports that an etcd gets to itself.

use std::{io, net::Ipv4Addr};

use tokio::net::TcpSocket;

/// The ports of loopback that one etcd listens on. They are its own also while it is away.
#[derive(Debug)]
pub(super) struct Ports {
    pub(super) client: u16,
    pub(super) peer: u16,
    /// Where it tells without TLS how it is, if its clients' port speaks TLS alone.
    pub(super) health: u16,
    /// What keeps each of them.
    _kept: [TcpSocket; 3],
}

impl Ports {
    /// Ports that are nobody else's, until these are dropped.
    pub(super) fn free() -> io::Result<Self> {
        let port = |kept: &TcpSocket| kept.local_addr().map(|address| address.port());
        let (client, peer, health) = (keep()?, keep()?, keep()?);
        Ok(Self {
            client: port(&client)?,
            peer: port(&peer)?,
            health: port(&health)?,
            _kept: [client, peer, health],
        })
    }
}

/// Keeps a port that the system chooses. Else the system could choose it once more while etcd is away: for
/// who listens on any port, or connects from any.
fn keep() -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
    // Beside a socket that does not listen etcd can, if both allow that, as Go's listeners do by themselves.
    socket.set_reuseaddr(true)?;
    Ok(socket)
}
