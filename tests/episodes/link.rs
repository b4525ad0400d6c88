//! A network namespace whose link can go down: made for one episode, and removed after it.

use std::{
    net::{IpAddr, Ipv4Addr},
    process,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

use tokio::process::Command;

/// A network of its own, and the one link that leads there. Dropping it removes both.
#[derive(Debug)]
pub(crate) struct Link {
    namespace: String,
    /// Our end.
    end: String,
    address: Ipv4Addr,
}

/// How many there were.
static LINKS: AtomicU32 = AtomicU32::new(0);

impl Link {
    /// A link that is up; or why there is none.
    pub(crate) async fn lay() -> Result<Self, String> {
        let (process, number) = (process::id(), LINKS.fetch_add(1, Relaxed));
        let [.., high, low] = (process % 0xFFFF).to_be_bytes();
        let net = u8::try_from(number % 64).unwrap() * 4;
        let ours = Ipv4Addr::new(10, high, low, net + 1);
        let theirs = Ipv4Addr::new(10, high, low, net + 2);
        let (namespace, end) = (
            format!("jb{process}n{number}"),
            format!("jb{process}o{number}"),
        );
        let far = format!("jb{process}i{number}");
        ip(&["netns", "add", &namespace]).await?;
        let address = ours;
        let link = Self {
            namespace,
            end,
            address,
        };
        let (end, namespace) = (link.end.as_str(), link.namespace.as_str());
        ip(&["link", "add", end, "type", "veth", "peer", "name", &far]).await?;
        ip(&["link", "set", &far, "netns", namespace]).await?;
        ip(&["address", "add", &format!("{ours}/30"), "dev", end]).await?;
        ip(&["link", "set", end, "up"]).await?;
        let theirs = format!("{theirs}/30");
        ip(&["-n", namespace, "address", "add", &theirs, "dev", &far]).await?;
        ip(&["-n", namespace, "link", "set", &far, "up"]).await?;
        Ok(link)
    }

    /// Where we are, as seen from there.
    pub(crate) const fn address(&self) -> IpAddr {
        IpAddr::V4(self.address)
    }

    /// What runs a program there.
    pub(crate) fn program(&self) -> Vec<String> {
        let words = ["ip", "netns", "exec", &self.namespace];
        words.map(str::to_owned).to_vec()
    }

    pub(crate) async fn down(&self) {
        ip(&["link", "set", &self.end, "down"]).await.unwrap();
    }

    pub(crate) async fn up(&self) {
        ip(&["link", "set", &self.end, "up"]).await.unwrap();
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // Our end ends with theirs, which outlives the namespace as long as a process is in it.
        for words in [
            ["link", "delete", &self.end],
            ["netns", "delete", &self.namespace],
        ] {
            _ = process::Command::new("ip").args(words).output();
        }
    }
}

async fn ip(words: &[&str]) -> Result<(), String> {
    let ran = Command::new("ip").args(words).output().await;
    let ran = ran.map_err(|error| format!("ip: {error}"))?;
    if ran.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&ran.stderr);
    Err(format!("ip {}: {}", words.join(" "), said.trim()))
}
