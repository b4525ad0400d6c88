//! The least of HTTP: what etcd tells of itself without a client.

use std::{io, net::Ipv4Addr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// Longer than any answer of a server that can answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// More than any answer that is asked for here.
const LIMIT: usize = 64 * 1024;

/// The body of the page at `path` on a port of loopback; `None` if it does not come.
pub(super) async fn get(port: u16, path: &str) -> Option<String> {
    let answer = timeout(PATIENCE, ask(port, path)).await.ok()?.ok()?;
    let (head, body) = split(&answer)?;
    let status = head.split_ascii_whitespace().nth(1)?;
    (status == "200").then(|| body.to_owned())
}

async fn ask(port: u16, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    // HTTP/1.0: the body never comes in chunks.
    let request = format!("GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    // etcd answers at once and can take seconds to close the connection.
    while !is_complete(&answer) && answer.len() < LIMIT && stream.read_buf(&mut answer).await? > 0 {
    }
    String::from_utf8(answer).map_err(io::Error::other)
}

fn is_complete(answer: &[u8]) -> bool {
    std::str::from_utf8(answer)
        .ok()
        .and_then(split)
        .is_some_and(|(head, body)| length(head).is_some_and(|length| body.len() >= length))
}

fn split(answer: &str) -> Option<(&str, &str)> {
    answer.split_once("\r\n\r\n")
}

fn length(head: &str) -> Option<usize> {
    head.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, length)| length.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answer_is_complete_when_its_length_has_come() {
        let answer = b"HTTP/1.0 200 OK\r\ncontent-length: 3\r\n\r\nabc";
        assert!(is_complete(answer));
        assert!(!is_complete(&answer[..answer.len() - 1]));
        assert!(!is_complete(b"HTTP/1.0 200 OK\r\n\r\nabc"));
    }
}
