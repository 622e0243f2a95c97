//! Everything, as the model has it.

use super::directives::Module;
use crate::core::report::Status;
use crate::nginx::guard::panics;
use crate::nginx::module::running_main_conf;
use crate::nginx::{process, time_of_day, version, worker_count};
use crate::{buffers, limit, sendfile};

/// All that there is to tell, as it is now.
pub fn status() -> Status {
    let main = running_main_conf::<Module>();
    Status {
        version: env!("CARGO_PKG_VERSION"),
        nginx: version(),
        time: time_of_day(),
        process: process(),
        workers: worker_count(),
        configured: main.map_or(0, |main| main.configured.get()),
        panics: panics(),
        sendfile: sendfile::report(),
        limits: limit::report::limits(),
        rooms: limit::report::rooms(),
        buffers: buffers::report(),
    }
}
