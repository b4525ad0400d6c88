//! A way to etcd that can be cut, that can lose answers, and that can be long.
#![allow(dead_code, reason = "not all stories do all of this to a way")]

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

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
    /// How many bytes were asked by it.
    asked: Arc<AtomicUsize>,
    work: JoinHandle<()>,
}

/// What the way does with connections.
#[expect(clippy::struct_excessive_bools, reason = "each is by itself")]
#[derive(Clone, Copy, Debug)]
struct Mode {
    open: bool,
    /// Whether what etcd says is passed on; if not, it is read and forgotten.
    answers: bool,
    /// How much later what etcd says is passed on.
    late: Duration,
    /// Whether what is asked waits on the way.
    holds_requests: bool,
    /// Whether what etcd says waits on the way.
    holds_answers: bool,
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
        Self::from(Ipv4Addr::LOCALHOST.into(), endpoint, late).await
    }

    /// As [`long`](Self::long), of which the beginning is at this address of the machine.
    pub(crate) async fn from(address: IpAddr, endpoint: &str, late: Duration) -> Self {
        let listener = TcpListener::bind((address, 0)).await.unwrap();
        let target = endpoint.replace("http://", "");
        let (mode, modes) = watch::channel(Mode {
            open: true,
            answers: true,
            late,
            holds_requests: false,
            holds_answers: false,
            resets: 0,
        });
        let asked = Arc::<AtomicUsize>::default();
        Self {
            endpoint: format!("http://{}", listener.local_addr().unwrap()),
            mode,
            asked: Arc::clone(&asked),
            work: tokio::spawn(work(listener, target, modes, asked)),
        }
    }

    /// Where the way begins.
    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// How many bytes were asked by this way so far.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Relaxed)
    }

    /// Makes `call`, of whose requests every one reaches etcd and none is answered, until `effect`
    /// has come; then the connections are reset, and the way is as before.
    pub(crate) async fn without_answer<T: Send>(
        &self,
        call: impl Future<Output = T> + Send,
        effect: impl Future<Output = ()> + Send,
    ) -> T {
        self.lose_answers();
        let cut = async {
            effect.await;
            self.reset();
        };
        tokio::join!(call, cut).0
    }

    /// Is a black hole for what is asked, for what etcd says, or for neither: connections stay, and what is
    /// sent arrives when it is a hole no longer, as by a network that lost packets.
    pub(crate) fn hold(&self, requests: bool, answers: bool) {
        self.mode.send_modify(|mode| {
            mode.holds_requests = requests;
            mode.holds_answers = answers;
        });
    }

    /// Loses what etcd says from now on, until the way is reset.
    pub(crate) fn lose_answers(&self) {
        self.mode.send_modify(|mode| mode.answers = false);
    }

    /// Resets all connections; others are let through.
    pub(crate) fn reset(&self) {
        self.mode.send_modify(|mode| {
            mode.answers = true;
            mode.resets += 1;
        });
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

async fn work(
    listener: TcpListener,
    target: String,
    mut modes: watch::Receiver<Mode>,
    asked: Arc<AtomicUsize>,
) {
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
                Arc::clone(&asked),
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
    asked: Arc<AtomicUsize>,
) {
    // Closing it sends a reset: nothing that was under way arrives.
    client.set_zero_linger().unwrap();
    let Ok(mut etcd) = TcpStream::connect(target).await else {
        return;
    };
    let (now, mut holds_requests, mut holds_answers) =
        (modes.clone(), modes.clone(), modes.clone());
    let (mut client_says, mut client_hears) = client.split();
    let (mut etcd_says, mut etcd_hears) = etcd.split();
    let answers = async {
        let mut bytes = vec![0; 64 * 1024];
        while let Ok(count @ 1..) = etcd_says.read(&mut bytes).await {
            let late = now.borrow().late;
            if !late.is_zero() {
                sleep(late).await;
            }
            _ = holds_answers.wait_for(|mode| !mode.holds_answers).await;
            let mode = *now.borrow();
            if mode.answers
                && mode.resets == resets
                && client_hears.write_all(&bytes[..count]).await.is_err()
            {
                return;
            }
        }
    };
    let requests = async {
        let mut bytes = vec![0; 64 * 1024];
        while let Ok(count @ 1..) = client_says.read(&mut bytes).await {
            asked.fetch_add(count, Relaxed);
            _ = holds_requests.wait_for(|mode| !mode.holds_requests).await;
            if etcd_hears.write_all(&bytes[..count]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        biased;
        _ = modes.wait_for(|mode| mode.resets != resets) => {}
        () = answers => {}
        () = requests => {}
    }
}
