//! A memcached with one thread: the store of the lookups.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::thread;

use anyhow::{ensure, Result};

use crate::common::port::Port;
use crate::machine::{cpu_time, move_to, pinned, Process, CLIENT_CORE};

/// A running memcached.
pub struct Memcached {
    process: Process,
    port: Port,
}

impl Memcached {
    /// Starts one on the client's core.
    pub fn start() -> Result<Self> {
        let port = Port::reserve();
        let mut command = pinned(CLIENT_CORE, "memcached");
        if rustix::process::geteuid().is_root() {
            command.args(["-u", "root"]);
        }
        command.args(["-t", "1", "-m", "256", "-c", "8192", "-U", "0", "-l", "127.0.0.1"]);
        command.args(["-p", &port.number().to_string()]);
        let mut process = Process::start(&mut command)?;
        process.wait_until("memcached", || TcpStream::connect(port.address()).is_ok())?;
        Ok(Self { process, port })
    }

    /// Its address, as nginx writes it.
    pub fn address(&self) -> String {
        self.port.address()
    }

    /// CPU time since its start, in nanoseconds.
    pub fn cpu_time(&self) -> Result<u64> {
        cpu_time(self.process.id())
    }

    /// Moves it to a core.
    pub fn move_to(&self, core: usize) -> Result<()> {
        move_to(core, self.process.id())
    }

    /// Stores values by key.
    pub fn fill<'a>(&self, pairs: impl IntoIterator<Item = (String, &'a str)>) -> Result<()> {
        let mut stream = TcpStream::connect(self.address())?;
        let replies = BufReader::new(stream.try_clone()?);
        let mut requests = String::new();
        let mut count = 0;
        for (key, value) in pairs {
            requests += &format!("set {key} 0 0 {}\r\n{value}\r\n", value.len());
            count += 1;
        }
        let writer = thread::spawn(move || stream.write_all(requests.as_bytes()));
        for reply in replies.lines().take(count) {
            let reply = reply?;
            ensure!(reply == "STORED", "memcached stores nothing: {reply}");
        }
        writer.join().expect("writing does not panic")?;
        Ok(())
    }
}
