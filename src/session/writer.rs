//! The one way to write: verbs in, definite answers out.
//!
//! The verbs are handed to a task of the session ([`Sender`]), which sends them and keeps at it until
//! each answer is definite. When a call ends, by its deadline or because its future was dropped, what
//! was sent is followed to its end; what was not is not sent any more.

use std::{future::Future, sync::Arc};

use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout_at},
};

use super::{
    Parts,
    keeper::Life,
    line::Order,
    member::{Ticket, WriteError, member},
    sender::Sender,
};
use crate::{
    protocol::{envelope::Guard, verb::Verb},
    store::Revision,
};

/// How many verbs wait on their way into the writer.
const ON_THE_WAY: usize = 256;

/// The end of the writer at which verbs are handed in.
#[derive(Clone, Debug)]
pub(crate) struct Writer {
    orders: mpsc::Sender<Order>,
}

impl Writer {
    /// A writer of the session whose guard was put at `known`, and the task that it works in.
    pub(super) fn new(
        parts: &Parts,
        guard: Guard,
        known: Revision,
        life: Arc<Life>,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (orders, incoming) = mpsc::channel(ON_THE_WAY);
        let sending = Sender::new(parts, guard, known).run(incoming, life);
        (Self { orders }, sending)
    }

    /// Writes `verb`, and waits for its outcome until `deadline`.
    pub(crate) async fn write<V: Verb>(
        &self,
        verb: V,
        deadline: Instant,
    ) -> Result<V::Outcome, WriteError> {
        self.write_then(verb, deadline, |outcome| outcome).await
    }

    /// Writes `verb`, and waits until `deadline` for what `then` makes of its outcome.
    ///
    /// `then` is called in the writer's task, even if the outcome comes after the deadline or when
    /// the caller has gone. It must be quick, and must not panic. When this ends, the verb has its
    /// outcome, or is not sent (again); what was sent can still happen.
    pub(super) async fn write_then<V, T, F>(
        &self,
        verb: V,
        deadline: Instant,
        then: F,
    ) -> Result<T, WriteError>
    where
        V: Verb,
        T: Send + 'static,
        F: FnOnce(Result<V::Outcome, WriteError>) -> Result<T, WriteError> + Send + 'static,
    {
        let call = Call(Ticket::default());
        let (tell, mut told) = oneshot::channel();
        // Who does not listen any more does not mind.
        let then = move |outcome| _ = tell.send(then(outcome));
        let order = Order::new(member(verb, call.0.clone(), then));
        match timeout_at(deadline, self.orders.reserve()).await {
            Ok(Ok(place)) => place.send(order),
            Ok(Err(_over)) => order.fail(WriteError::NotSent),
            Err(_late) => {
                let why = "too much is waiting".to_owned();
                order.fail(WriteError::Unreached(why));
            }
        }
        if let Ok(outcome) = timeout_at(deadline, &mut told).await {
            let ended = |_| Err(WriteError::Unknown("the writer has ended".to_owned()));
            return outcome.unwrap_or_else(ended);
        }
        let why = "the deadline of the call is over".to_owned();
        if call.0.give_up() {
            return Err(WriteError::Unreached(why));
        }
        told.try_recv().unwrap_or(Err(WriteError::Unknown(why)))
    }
}

/// A call that waits for a verb. When it ends, however it does, the verb is not sent any more.
struct Call(Ticket);

impl Drop for Call {
    fn drop(&mut self) {
        self.0.give_up();
    }
}
