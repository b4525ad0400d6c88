//! The thread that starts every etcd, and that ends with the process alone.
//!
//! The signal that `setpriv --pdeathsig` asks for comes when the thread that started the process
//! ends. A test's thread ends with its test and a runtime's worker with its runtime, either of which
//! can be before the end of an etcd that was handed on.

use std::{
    io,
    process::{Child, Command},
    sync::{
        Mutex, PoisonError,
        mpsc::{self, Receiver, SyncSender},
    },
    thread,
};

use tokio::sync::oneshot;

use super::{LocalEtcdError, Result, system};

struct Order {
    command: Command,
    answer: oneshot::Sender<io::Result<Child>>,
}

/// The way to the thread, once there is one.
static ORDERS: Mutex<Option<SyncSender<Order>>> = Mutex::new(None);

/// Starts `command` from the thread that lives as long as this process.
pub(super) async fn spawn(command: Command) -> Result<Child> {
    let (answer, child) = oneshot::channel();
    orders()?
        .send(Order { command, answer })
        .map_err(|_| gone())?;
    match child.await.map_err(|_| gone())? {
        Ok(child) => Ok(child),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(LocalEtcdError::Missing(
            "setpriv is not on the PATH: install util-linux".into(),
        )),
        Err(error) => Err(system("start etcd")(error)),
    }
}

fn orders() -> Result<SyncSender<Order>> {
    let mut orders = ORDERS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(orders) = &*orders {
        return Ok(orders.clone());
    }
    // Starting takes a millisecond, so that who finds the queue full waits no longer than that.
    let (sender, receiver) = mpsc::sync_channel(16);
    thread::Builder::new()
        .name("jobboard-local-etcd".to_owned())
        .spawn(move || work(&receiver))
        .map_err(system("start the thread that starts etcd"))?;
    Ok(orders.insert(sender).clone())
}

fn work(orders: &Receiver<Order>) {
    for mut order in orders {
        if let Err(Ok(mut orphan)) = order.answer.send(order.command.spawn()) {
            // Whoever ordered it is gone. An error means that it had ended before.
            let _ = orphan.kill();
            let _ = orphan.wait();
        }
    }
}

fn gone() -> LocalEtcdError {
    system("start etcd")(io::Error::other("the thread that starts it is gone"))
}
