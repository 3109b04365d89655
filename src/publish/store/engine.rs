//! Where the asynchronous client runs: one thread with a runtime of its own. Outside of it everything
//! waits in the plain way.

use crate::error::{Error, ErrorKind, Result};
use std::future::Future;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

/// How often somebody who waits asks whether to go on.
const TURN: Duration = Duration::from_millis(100);

pub(super) struct Engine {
    handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// An answer that is on its way. Who drops it does not want it any more: the request is broken off.
pub struct Waiting<T> {
    answer: Receiver<T>,
    task: AbortHandle,
}

impl<T> Drop for Waiting<T> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Engine {
    pub(super) fn start() -> Result<Self> {
        let io = |e| Error::io("can't start the client of object stores", e);
        let runtime = Builder::new_current_thread().enable_all().build().map_err(io)?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("store".into())
            .spawn(move || drop(runtime.block_on(stopped)))
            .map_err(io)?;
        Ok(Engine { handle, stop: Some(stop), thread: Some(thread) })
    }

    /// Starts it; the answer is waited for elsewhere.
    pub(super) fn begin<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Waiting<T> {
        let (tx, rx) = sync_channel(1);
        let task = self.handle.spawn(async move {
            // Who does not wait any more is no error.
            let _ = tx.send(work.await);
        });
        Waiting { answer: rx, task: task.abort_handle() }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl<T> Waiting<T> {
    /// Waits to the end.
    ///
    /// # Errors
    /// `Io` where the client's thread is gone.
    pub fn end(self) -> Result<T> {
        self.end_while(&|| true)
    }

    /// Waits as long as `go_on` says so; the request is broken off then.
    ///
    /// # Errors
    /// `Interrupted`; `Io` where the client's thread is gone.
    pub fn end_while(self, go_on: &dyn Fn() -> bool) -> Result<T> {
        loop {
            match self.answer.recv_timeout(TURN) {
                Ok(v) => return Ok(v),
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Error::new(ErrorKind::Io, "the store's client has stopped"));
                }
                Err(RecvTimeoutError::Timeout) if go_on() => {}
                Err(RecvTimeoutError::Timeout) => {
                    return Err(Error::new(ErrorKind::Interrupted, "interrupted"));
                }
            }
        }
    }
}
