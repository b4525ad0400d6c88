//! What can be set of a connection to etcd.

use std::{fmt, time::Duration};

/// How to talk with etcd. The defaults suit a cluster in the same data centre.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// How long [`connect`](super::Etcd::connect) may take, one attempt to reach an endpoint later
    /// on, and a member that leaves a call waiting to say how it is. Defaults to 2 s.
    pub connect_timeout: Duration,
    /// How long a call may take, all its attempts together; after that it fails, as
    /// [`Ambiguous`](crate::store::ErrorKind::Ambiguous) if it may have been sent and could change
    /// something. Defaults to 5 s.
    pub request_timeout: Duration,
    /// How long nothing may come on a connection in use before etcd is asked (an HTTP/2 ping)
    /// whether it is still there. etcd closes connections that ask more often than each 5 s.
    /// Defaults to 6 s.
    pub keep_alive_interval: Duration,
    /// How long etcd may take to say that it is; after that the connection is given up. Defaults to
    /// 1.5 s.
    pub keep_alive_timeout: Duration,
    /// How often the kernel looks after a connection that is silent. Defaults to 10 s.
    pub tcp_keep_alive: Duration,
    /// The largest answer that is taken, in bytes. One revision of a watch is one answer, however
    /// many keys ended in it, so that this is no place to save. Defaults to 256 MiB.
    pub max_response_bytes: usize,
    /// Whom to be. Defaults to nobody; to an etcd that asks for certificates, nobody is whom the
    /// common name of the client's certificate names.
    pub user: Option<User>,
    /// How to prove who is who. Defaults to not at all: `http` endpoints.
    #[cfg(feature = "tls")]
    pub tls: Option<Tls>,
}

/// A user of etcd.
#[derive(Clone)]
#[non_exhaustive]
pub struct User {
    /// The name of the user.
    pub name: String,
    /// The password. Never shown.
    pub password: String,
}

/// The certificates of a connection by TLS, in PEM.
#[cfg(feature = "tls")]
#[derive(Clone)]
#[non_exhaustive]
pub struct Tls {
    /// The certificate authority, or several, of which one has signed etcd's certificate.
    pub authority: Vec<u8>,
    /// The client's own certificate and its key, for an etcd that asks for one. The key is never
    /// shown. Defaults to none.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
    /// The name that must stand in etcd's certificate. Defaults to the host of the endpoint.
    pub domain: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(2),
            request_timeout: Duration::from_secs(5),
            keep_alive_interval: Duration::from_secs(6),
            keep_alive_timeout: Duration::from_millis(1_500),
            tcp_keep_alive: Duration::from_secs(10),
            max_response_bytes: 256 * 1024 * 1024,
            user: None,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }
}

impl Settings {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets [`connect_timeout`](Self::connect_timeout). Defaults to 2 s.
    #[must_use]
    pub const fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sets [`request_timeout`](Self::request_timeout). Defaults to 5 s.
    #[must_use]
    pub const fn request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout;
        self
    }

    /// Sets [`max_response_bytes`](Self::max_response_bytes). Defaults to 256 MiB.
    #[must_use]
    pub const fn max_response_bytes(mut self, bytes: usize) -> Self {
        self.max_response_bytes = bytes;
        self
    }

    /// Sets [`user`](Self::user). Defaults to nobody.
    #[must_use]
    pub fn user(mut self, name: impl Into<String>, password: impl Into<String>) -> Self {
        self.user = Some(User {
            name: name.into(),
            password: password.into(),
        });
        self
    }

    /// Sets [`tls`](Self::tls). Defaults to none.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }
}

#[cfg(feature = "tls")]
impl Tls {
    /// Trusts an etcd whose certificate `authority` has signed, given in PEM.
    pub fn new(authority: impl Into<Vec<u8>>) -> Self {
        Self {
            authority: authority.into(),
            identity: None,
            domain: None,
        }
    }

    /// Shows etcd this certificate, and proves with `key` that it is one's own; both in PEM.
    #[must_use]
    pub fn identity(mut self, certificate: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        self.identity = Some((certificate.into(), key.into()));
        self
    }

    /// Asks for this name in etcd's certificate, instead of the host of the endpoint.
    #[must_use]
    pub fn domain(mut self, domain: impl Into<String>) -> Self {
        self.domain = Some(domain.into());
        self
    }
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

#[cfg(feature = "tls")]
impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("domain", &self.domain)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn password_is_not_shown() {
        let settings = Settings::new().user("root", "secret");
        assert!(!format!("{settings:?}").contains("secret"));
    }

    #[cfg(feature = "tls")]
    #[test]
    fn key_is_not_shown() {
        let settings = Settings::new().tls(Tls::new("ca").identity("certificate", "secret"));
        assert!(!format!("{settings:?}").contains("secret"));
    }
}
