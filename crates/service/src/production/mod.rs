//! The world of the real service: the clock of the machine, its disk, Elasticsearch over HTTP.

mod elastic;
mod scratch;
mod state;
mod system;

pub use elastic::{HostError, connection, elastic_host, ledger};
pub use scratch::ScratchFolders;
pub(crate) use scratch::blocking;
pub use system::{SystemClock, hostname};
