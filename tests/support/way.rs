//! A way to etcd that can be cut, that can lose answers, and that can be long.
#![allow(dead_code, reason = "not all stories do all of this to a way")]

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::sleep,
};

/// A TCP proxy before etcd.
#[derive(Debug)]
pub(crate) struct Way {
    endpoint: String,
    mode: watch::Sender<Mode>,
    work: JoinHandle<()>,
}

/// What the way does with connections.
#[derive(Clone, Copy, Debug)]
struct Mode {
    open: bool,
    /// Whether what etcd says is passed on; if not, it is read and forgotten.
    answers: bool,
    /// How much later what etcd says is passed on.
    late: Duration,
    /// How often all connections were reset.
    resets: u64,
}

impl Way {
    /// An open way to etcd.
    pub(crate) async fn to(endpoint: &str) -> Self {
        Self::long(endpoint, Duration::ZERO).await
    }

    /// An open way to etcd, from which each answer comes so much later; those that come together
    /// are late together.
    pub(crate) async fn long(endpoint: &str, late: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = endpoint.replace("http://", "");
        let (mode, modes) = watch::channel(Mode {
            open: true,
            answers: true,
            late,
            resets: 0,
        });
        Self {
            endpoint: format!("http://{}", listener.local_addr().unwrap()),
            mode,
            work: tokio::spawn(work(listener, target, modes)),
        }
    }

    /// Where the way begins.
    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Makes `call`, of whose requests every one reaches etcd and none is answered, until `effect`
    /// has come; then the connections are reset, and the way is as before.
    pub(crate) async fn without_answer<T: Send>(
        &self,
        call: impl Future<Output = T> + Send,
        effect: impl Future<Output = ()> + Send,
    ) -> T {
        self.mode.send_modify(|mode| mode.answers = false);
        let cut = async {
            effect.await;
            self.mode.send_modify(|mode| {
                mode.answers = true;
                mode.resets += 1;
            });
        };
        tokio::join!(call, cut).0
    }

    /// Resets all connections, and every other until the way is opened.
    pub(crate) fn close(&self) {
        self.mode.send_modify(|mode| {
            mode.open = false;
            mode.resets += 1;
        });
    }

    /// Lets connections through again.
    pub(crate) fn open(&self) {
        self.mode.send_modify(|mode| mode.open = true);
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        self.work.abort();
    }
}

async fn work(listener: TcpListener, target: String, mut modes: watch::Receiver<Mode>) {
    let mut connections = JoinSet::new();
    loop {
        let (client, _) = listener.accept().await.unwrap();
        let now = *modes.borrow_and_update();
        if now.open {
            connections.spawn(connection(
                client,
                target.clone(),
                now.resets,
                modes.clone(),
            ));
        } else {
            client.set_zero_linger().unwrap();
        }
    }
}

/// Carries a connection until either side ends it or it is reset.
async fn connection(
    mut client: TcpStream,
    target: String,
    resets: u64,
    mut modes: watch::Receiver<Mode>,
) {
    // Closing it sends a reset: nothing that was under way arrives.
    client.set_zero_linger().unwrap();
    let Ok(mut etcd) = TcpStream::connect(target).await else {
        return;
    };
    let now = modes.clone();
    let (mut client_says, mut client_hears) = client.split();
    let (mut etcd_says, mut etcd_hears) = etcd.split();
    let answers = async {
        let mut bytes = vec![0; 64 * 1024];
        while let Ok(count @ 1..) = etcd_says.read(&mut bytes).await {
            let late = now.borrow().late;
            if !late.is_zero() {
                sleep(late).await;
            }
            let mode = *now.borrow();
            if mode.answers
                && mode.resets == resets
                && client_hears.write_all(&bytes[..count]).await.is_err()
            {
                return;
            }
        }
    };
    tokio::select! {
        biased;
        _ = modes.wait_for(|mode| mode.resets != resets) => {}
        () = answers => {}
        _ = tokio::io::copy(&mut client_says, &mut etcd_hears) => {}
    }
}
