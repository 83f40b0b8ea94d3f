//! What a process needs from its machine, passed in so that the same code runs under simulation.
//!
//! - [`aligned`]: buffers for reading and writing around the page cache.
//! - [`clock`]: wall and monotonic time, sleeping.
//! - [`entropy`]: random bytes.
//! - [`disk`]: files and directories; [`disk_real`] is the operating system's.
//! - [`net`]: listening and connecting; [`net_real`] is TCP.
//! - [`tasks`]: the supervisor under which every background task runs.
//! - [`blocking`]: where calls that wait for the disk run.
//! - [`budget`]: byte budgets, the bounds on everything that a client can make us hold.
//! - [`metrics`]: the registry that is handed around.
//!
//! Invariant: the broker and what it rests on read no clock, draw no random bytes, open no files or sockets but these.

pub mod aligned;
pub mod blocking;
pub mod budget;
pub mod clock;
pub mod disk;
pub mod disk_real;
pub mod entropy;
pub mod metrics;
pub mod net;
pub mod net_real;
pub mod tasks;

pub use aligned::AlignedBuf;
pub use blocking::{Running, Stopped};
pub use budget::{Budget, BudgetPermit};
pub use clock::{Clock, RealClock, SharedClock, VirtualClock};
pub use disk::{Disk, DiskFile, OpenMode, SharedDisk, create_dir_durably};
pub use disk_real::RealDisk;
pub use entropy::{Entropy, RealEntropy, SeededEntropy, SharedEntropy};
pub use metrics::Metrics;
pub use net::{Listener, Net, SharedNet, Stream};
pub use net_real::RealNet;
pub use tasks::Supervisor;
