//! The text of an answer in the making.

use std::io;

use crate::core::NoMemory;
use crate::nginx::request::Request;

/// What is written grows as long as there is memory; then writing fails.
#[derive(Default)]
pub struct Body(Vec<u8>);

impl Body {
    /// What `write` writes, kept as long as the request.
    ///
    /// # Errors
    /// There is no more memory.
    pub fn of(
        r: Request,
        write: impl FnOnce(&mut Self) -> io::Result<()>,
    ) -> Result<&'static [u8], NoMemory> {
        let mut body = Self::default();
        // Nothing else can be wrong with writing to memory.
        write(&mut body).map_err(|_| NoMemory)?;
        r.keep(body.0).ok_or(NoMemory)
    }
}

impl io::Write for Body {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_reserve(bytes.len()).map_err(|_| io::ErrorKind::OutOfMemory)?;
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
