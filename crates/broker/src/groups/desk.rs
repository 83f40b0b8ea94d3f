//! Asking the owner of a coordinator partition.

use tokio::sync::{mpsc, oneshot};
use waybill_coordinator::{Coordinator, Now, Parked, RequestId, Step};

/// Requests that may wait for one owner, beyond those it has parked.
pub const QUEUE: usize = 1024;

/// The owner is gone, or gave the partition up while the request waited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the coordinator has moved")]
pub struct Moved;

/// Sends an answer whose time has come.
pub(crate) type Release = Box<dyn FnOnce() + Send>;

type Ask = Box<dyn FnOnce(&mut Coordinator, Now) -> (Step, Release) + Send>;
type Park = Box<dyn FnOnce(&mut Coordinator, Now, RequestId) -> Step + Send>;

/// Something for the owner to do.
pub(crate) enum Command {
    /// Ask the coordinator something that it answers at once.
    Ask(Ask),
    /// Ask it something that it may park.
    Park(Park, oneshot::Sender<Parked>),
}

/// The handle of one coordinator partition. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Desk {
    commands: mpsc::Sender<Command>,
}

impl Desk {
    pub(crate) fn new() -> (Self, mpsc::Receiver<Command>) {
        let (commands, queue) = mpsc::channel(QUEUE);
        (Self { commands }, queue)
    }

    /// Whether the owner has ended.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.commands.is_closed()
    }

    /// Lets `act` decide on the coordinator's state; its answer comes once it is durable.
    ///
    /// # Errors
    /// [`Moved`] when the partition was given up meanwhile. Records may or may not have been kept then.
    pub async fn ask<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Coordinator, Now) -> (T, Step) + Send + 'static,
    ) -> Result<T, Moved> {
        let (answer, answered) = oneshot::channel();
        let command = Command::Ask(Box::new(move |coordinator, now| {
            let (told, step) = act(coordinator, now);
            let release: Release = Box::new(move || {
                // Whoever asked may be gone.
                let _ = answer.send(told);
            });
            (step, release)
        }));
        self.commands.send(command).await.map_err(|_| Moved)?;
        answered.await.map_err(|_| Moved)
    }

    /// As [`Desk::ask`], for requests that the coordinator may park for as long as it likes.
    ///
    /// # Errors
    /// [`Moved`] when the owner has ended.
    pub async fn park(
        &self,
        act: impl FnOnce(&mut Coordinator, Now, RequestId) -> Step + Send + 'static,
    ) -> Result<Parked, Moved> {
        let (answer, answered) = oneshot::channel();
        self.commands.send(Command::Park(Box::new(act), answer)).await.map_err(|_| Moved)?;
        answered.await.map_err(|_| Moved)
    }
}
