//! Watches: what etcd says of a failed one comes as a message like any other, after which the
//! stream stays open and silent.

use std::{fmt, sync::Arc};

use etcd_client::{
    Client, Error as ClientError, WatchClient, WatchOptions, WatchResponse,
    WatchStream as EtcdStream,
};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream};

use super::{
    classify::{self, Effect},
    connection::{Connection, Line},
    convert,
    health::Hopeless,
};
use crate::store::{Error, ErrorKind, Result, WatchBatch, WatchRequest, WatchStream};

/// Opens a watch on `line`. When this returns, etcd has accepted it.
pub(super) async fn open(line: &Arc<Line>, request: WatchRequest) -> Result<WatchStream> {
    let doing = format!("watch {:?} from revision {}", request.range, request.from);
    let (key, options) = convert::watch_request(&request.range, request.from)?;
    let limit = line.max_response_bytes();
    let ask = |client: &Client| {
        let watches = client.watch_client().max_decoding_message_size(limit);
        begin(watches, key.clone(), options.clone())
    };
    let attempt = |connection: Connection| async move {
        let client = &connection.client;
        let (stream, first) = ask(client).await?;
        if !first.as_ref().is_some_and(is_denied) {
            return Ok(((connection, stream), first));
        }
        // An old token is refused as a user without permission is. Requests renew theirs, but a
        // watch can be the first use of its connection for hours.
        client.refresh_token().await?;
        let (stream, first) = ask(client).await?;
        Ok(((connection, stream), first))
    };
    let ((connection, stream), first) = line
        .call(Effect::Nothing, || doing.clone(), attempt)
        .await?;
    let watch = Watch {
        stream,
        stalled: line.stalled(&connection).boxed(),
        line: Arc::clone(line),
        connection,
        doing,
    };
    match first {
        None => Err(watch.ended()),
        Some(created) if created.canceled() => Err(watch.cancelled(&created)),
        Some(_) => Ok(watch.into_stream()),
    }
}

/// Asks for a watch, and waits for the first that etcd says of it.
async fn begin(
    mut watches: WatchClient,
    key: Vec<u8>,
    options: WatchOptions,
) -> Result<(EtcdStream, Option<WatchResponse>), ClientError> {
    let mut stream = watches.watch(key, Some(options)).await?;
    let first = stream.message().await?;
    Ok((stream, first))
}

/// Why etcd cancelled the watch.
fn kind(cancelled: &WatchResponse) -> ErrorKind {
    classify::cancelled_watch(cancelled.compact_revision(), cancelled.cancel_reason())
}

fn is_denied(response: &WatchResponse) -> bool {
    response.canceled() && kind(response) == ErrorKind::Denied
}

struct Watch {
    stream: EtcdStream,
    /// Ends when its member is found to stand still: sooner than the stream says so.
    stalled: BoxFuture<'static, ()>,
    line: Arc<Line>,
    connection: Connection,
    doing: String,
}

impl Watch {
    /// Ends after the first error. Dropping it closes the request, by which etcd ends the watch.
    fn into_stream(self) -> WatchStream {
        stream::unfold(Some(self), |watch| async {
            let mut watch = watch?;
            match watch.next().await {
                Ok(batch) => Some((Ok(batch), Some(watch))),
                Err(error) => Some((Err(error), None)),
            }
        })
        .boxed()
    }

    async fn next(&mut self) -> Result<WatchBatch> {
        loop {
            let message = tokio::select! {
                biased;
                message = self.stream.message() => message,
                () = &mut self.stalled => {
                    return Err(self.gone(Hopeless::StandsStill));
                }
            };
            let response = message
                .map_err(|error| self.broken(error))?
                .ok_or_else(|| self.ended())?;
            if response.canceled() {
                return Err(self.cancelled(&response));
            }
            // A response without events tells only that the watch is alive.
            if !response.events().is_empty() {
                return self.batch(response);
            }
        }
    }

    fn batch(&self, response: WatchResponse) -> Result<WatchBatch> {
        let malformed = |_| classify::malformed(Effect::Nothing, &self.doing);
        let events = response.0.events.into_iter().map(convert::event);
        Ok(WatchBatch {
            header: convert::header(response.0.header).map_err(malformed)?,
            events: events.collect::<Result<_, _>>().map_err(malformed)?,
        })
    }

    /// What breaks one stream of a connection seldom spares the next.
    fn broken(&self, error: ClientError) -> Error {
        if classify::is_trouble_of_the_connection(&error) {
            self.line.leave(self.connection.generation);
        }
        classify::to_error(error, Effect::Nothing, &self.doing)
    }

    fn ended(&self) -> Error {
        self.gone("etcd ended the stream")
    }

    fn gone(&self, why: impl fmt::Display) -> Error {
        self.line.leave(self.connection.generation);
        Error::new(ErrorKind::Unavailable, format!("{}: {why}", self.doing))
    }

    fn cancelled(&self, response: &WatchResponse) -> Error {
        let (compacted, reason) = (response.compact_revision(), response.cancel_reason());
        let kind = kind(response);
        let message = if kind == ErrorKind::Compacted {
            format!("{}: compacted up to revision {compacted}", self.doing)
        } else {
            format!("{}: cancelled by etcd: {reason}", self.doing)
        };
        Error::new(kind, message)
    }
}
