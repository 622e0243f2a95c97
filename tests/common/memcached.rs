//! A real memcached on a port, or a socket, of its own.

use std::net::TcpStream;
use std::ops::Range;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::port::Port;
use super::process::{self, Signal};
use super::{site, wait_until};

enum Place {
    Port(Port),
    Socket(PathBuf),
}

/// A running memcached.
pub struct Memcached {
    place: Place,
    child: Option<Child>,
}

impl Memcached {
    /// Starts one on a free port.
    pub fn start() -> Self {
        Self::start_at(Place::Port(Port::reserve()))
    }

    /// Starts one on a unix socket.
    pub fn start_on_socket(path: &Path) -> Self {
        Self::start_at(Place::Socket(path.to_owned()))
    }

    /// Starts one that knows the paths of `ids`, under the IDs themselves.
    pub fn with_paths(ids: Range<u64>) -> Self {
        let memcached = Self::start();
        memcached.set_paths(ids);
        memcached
    }

    fn start_at(place: Place) -> Self {
        let mut memcached = Self { place, child: None };
        memcached.restart();
        memcached
    }

    /// Its address, as nginx writes it.
    pub fn address(&self) -> String {
        match &self.place {
            Place::Port(port) => port.address(),
            Place::Socket(path) => format!("unix:{}", path.display()),
        }
    }

    /// Starts it again in the same place, empty.
    pub fn restart(&mut self) {
        self.kill();
        let mut command = Command::new("memcached");
        match &self.place {
            Place::Port(port) => {
                command.args(["-l", "127.0.0.1", "-U", "0", "-p"]).arg(port.number().to_string())
            }
            Place::Socket(path) => command.args(["-a", "0777", "-s"]).arg(path),
        };
        if rustix::process::geteuid().is_root() {
            command.args(["-u", "root"]);
        }
        command.args(["-m", "64", "-t", "1", "-c", "4096"]).stderr(Stdio::null());
        self.child = Some(command.spawn().expect("memcached starts"));
        wait_until("memcached accepts", || match &self.place {
            Place::Port(port) => TcpStream::connect(port.address()).is_ok(),
            Place::Socket(path) => UnixStream::connect(path).is_ok(),
        });
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("memcached ends");
            child.wait().expect("memcached has ended");
        }
    }

    /// Stops it: it still has its port, and the kernel accepts for it, but nothing answers.
    pub fn stop(&self) {
        process::stop(self.id());
    }

    /// Lets it go on.
    pub fn go_on(&self) {
        assert!(process::signal(self.id(), Signal::CONT), "memcached runs");
    }

    fn id(&self) -> process::Id {
        let child = self.child.as_ref().expect("memcached runs");
        child.id().try_into().expect("the id of a process")
    }

    /// Its own account of itself, e.g. `get_hits` or `total_connections`.
    pub fn statistic(&self, name: &str) -> u64 {
        let statistics = self.client().stats().expect("statistics");
        statistics[0].1[name].parse().expect("a number")
    }

    /// Stores a value.
    pub fn set(&self, key: &str, value: impl AsRef<[u8]>) {
        self.client().set(key, value.as_ref(), 0).expect("to store a value");
    }

    /// Stores the paths of `ids`, under the IDs themselves.
    pub fn set_paths(&self, ids: Range<u64>) {
        let client = self.client();
        for id in ids {
            client.set(&id.to_string(), site::path_of(id), 0).expect("to store a path");
        }
    }

    /// Deletes a value.
    pub fn delete(&self, key: &str) {
        self.client().delete(key).expect("to delete a value");
    }

    fn client(&self) -> memcache::Client {
        let url = match &self.place {
            Place::Port(port) => {
                format!("memcache://{}?timeout=10&tcp_nodelay=true", port.address())
            }
            Place::Socket(path) => format!("memcache://{}", path.display()),
        };
        memcache::connect(url).expect("memcached answers")
    }
}

impl Drop for Memcached {
    fn drop(&mut self) {
        self.kill();
    }
}
