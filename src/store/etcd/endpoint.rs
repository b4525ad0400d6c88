//! Where etcd is, checked before anybody is asked.

use std::fmt;

use tonic::transport::Uri;

use crate::store::{Error, Result};

/// The address of one member of etcd, as `http://host:port` or `https://host:port`.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Endpoint {
    text: String,
    secure: bool,
}

impl Endpoint {
    /// Takes `host:port`, with a scheme or without; without, it is `https` if `secure`.
    pub(super) fn parse(given: &str, secure: bool) -> Result<Self> {
        if given.contains('@') {
            // What stands before it may be a password, so that it is not repeated.
            return Err(Error::invalid(
                "an endpoint names no user: the settings of the connection do",
            ));
        }
        let malformed = |why: &str| Error::invalid(format!("endpoint {given:?}: {why}"));
        let (scheme, address) = match given.split_once("://") {
            Some((scheme @ ("http" | "https"), address)) => (scheme, address),
            Some(_) => return Err(malformed("the scheme is neither http nor https")),
            None => (if secure { "https" } else { "http" }, given),
        };
        let text = format!("{scheme}://{}", address.trim_end_matches('/'));
        let uri: Uri = text.parse().map_err(|_| malformed("this is no address"))?;
        if uri.host().is_none_or(str::is_empty) {
            return Err(malformed("it names no host"));
        }
        let has_port = uri
            .authority()
            .is_some_and(|authority| Some(authority.as_str()) != uri.host());
        if has_port && uri.port_u16().is_none() {
            return Err(malformed("the port is no number of a port"));
        }
        if uri.path() != "/" || uri.query().is_some() {
            return Err(malformed("an endpoint has no path"));
        }
        let secure = scheme == "https";
        Ok(Self { text, secure })
    }

    /// Whether it is spoken to by TLS.
    pub(super) const fn is_secure(&self) -> bool {
        self.secure
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::ErrorKind;

    #[test]
    fn scheme_is_filled_in() {
        let text = |given, secure| Endpoint::parse(given, secure).unwrap().to_string();
        assert_eq!(text("10.0.0.1:2379", false), "http://10.0.0.1:2379");
        assert_eq!(text("etcd:2379/", true), "https://etcd:2379");
        assert_eq!(text("http://[::1]:2379", true), "http://[::1]:2379");
    }

    #[test]
    fn what_is_no_endpoint_is_refused() {
        for given in [
            "",
            "http://",
            "ftp://a:1",
            "a b",
            "http://a:1/x",
            "http://a:99999",
        ] {
            let error = Endpoint::parse(given, false).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{given}");
        }
    }

    #[test]
    fn password_in_an_endpoint_is_not_repeated() {
        let error = Endpoint::parse("http://root:secret@etcd:2379", false).unwrap_err();
        assert!(!error.to_string().contains("secret"));
    }
}
