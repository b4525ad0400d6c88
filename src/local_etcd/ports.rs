//! The ports that an etcd gets to itself.

use std::{
    io,
    net::{Ipv4Addr, TcpListener},
};

/// The ports of loopback that one etcd listens on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ports {
    pub(super) client: u16,
    pub(super) peer: u16,
    /// Where it tells without TLS how it is, if its clients' port speaks TLS alone.
    pub(super) health: u16,
}

impl Ports {
    /// Ports that nobody listens on now.
    pub(super) fn free() -> io::Result<Self> {
        let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let port = |listener: &TcpListener| listener.local_addr().map(|address| address.port());
        // All listen at the same time, so that no two get the same port.
        let (client, peer, health) = (listen()?, listen()?, listen()?);
        Ok(Self {
            client: port(&client)?,
            peer: port(&peer)?,
            health: port(&health)?,
        })
    }
}
