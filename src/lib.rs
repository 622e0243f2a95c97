//! ngx-smart: an nginx module that does for a web application what its web server could do.
//!
//! [`core`] decides, [`shm`] keeps what all workers share, and the modules behind the feature
//! `nginx` join both to nginx. See `CONTRIBUTING.md` for who may know whom.

pub mod core;
pub mod shm;
