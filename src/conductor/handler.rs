//! What does the jobs.

use std::{future::Future, sync::Arc};

use futures::future::BoxFuture;
use serde::de::DeserializeOwned;

use super::{Context, Outcome};

/// Any error of a handler: `?` makes one of whatever went wrong.
pub type HandlerError = Box<dyn std::error::Error + Send + Sync>;

/// Does jobs, for a [`Conductor`](super::Conductor).
///
/// # What becomes of the job
/// An [`Outcome`] decides. An error, or a panic, gives the job back with the
/// [backoff](crate::Retry::backoff) of the job or of the board, with the error's text as the reason:
/// everybody who may read the board can see it, so keep secrets out of it.
///
/// # When to stop
/// [`Context::cancellation`] fires when the work is to stop. A handler that does not end within the
/// [grace](super::ConductorBuilder::grace) is dropped where it awaits something.
///
/// # Examples
/// An async closure that takes the context and the details of the job, as a type that serde can read,
/// is all that most need: see [`Conductor`](super::Conductor). One that needs no details, or a state of
/// its own:
/// ```
/// use jobboard::{Context, Handler, HandlerError, Outcome};
///
/// struct Thumbnails {
///     size: u32,
/// }
///
/// impl Handler for Thumbnails {
///     async fn handle(&self, context: Context) -> Result<Outcome, HandlerError> {
///         let file = context.job().details()["file"].to_string();
///         println!("{file} at {}", self.size);
///         Ok(Outcome::Consume)
///     }
/// }
/// ```
pub trait Handler: Send + Sync + 'static {
    /// Does the job of `context`, and says what came of it.
    fn handle(
        &self,
        context: Context,
    ) -> impl Future<Output = Result<Outcome, HandlerError>> + Send;
}

/// A handler that its owner keeps a handle to.
impl<H: Handler> Handler for Arc<H> {
    async fn handle(&self, context: Context) -> Result<Outcome, HandlerError> {
        H::handle(self, context).await
    }
}

/// Any handler.
pub(super) trait AnyHandler: Send + Sync {
    fn run(self: Arc<Self>, context: Context) -> BoxFuture<'static, Result<Outcome, HandlerError>>;
}

impl<H: Handler> AnyHandler for H {
    fn run(self: Arc<Self>, context: Context) -> BoxFuture<'static, Result<Outcome, HandlerError>> {
        Box::pin(async move { self.handle(context).await })
    }
}

/// A closure that takes the details of a job as a type.
pub(super) struct Typed<F, D> {
    pub(super) run: F,
    pub(super) details: std::marker::PhantomData<fn() -> D>,
}

impl<F, D, R> Handler for Typed<F, D>
where
    F: Fn(Context, D) -> R + Send + Sync + 'static,
    D: DeserializeOwned + Send + 'static,
    R: Future<Output = Result<Outcome, HandlerError>> + Send,
{
    async fn handle(&self, context: Context) -> Result<Outcome, HandlerError> {
        let details = match context.job().details_as::<D>() {
            Ok(details) => details,
            // It would not be read the next time either.
            Err(error) => return Ok(Outcome::Trash(format!("bad input: {error}"))),
        };
        (self.run)(context, details).await
    }
}
