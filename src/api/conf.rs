//! What the directive says.

use std::cell::Cell;

use super::zone::Zone;

/// What the `http` block keeps.
#[derive(Default)]
pub struct MainConf {
    /// What all processes keep together. `None`: no location has the interface.
    pub zone: Option<Zone>,
    /// When the configuration was taken into use, in seconds since 1970.
    pub configured: Cell<u64>,
}

/// What a location keeps.
#[derive(Default)]
pub struct LocationConf {
    /// What it lets people do. `None`: it does not have the interface.
    pub access: Option<Access>,
}

/// What a location lets people do.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Look.
    Read,
    /// Look, and remove.
    Write,
}
