//! Servers and the connections to them.
//!
//! One connection to a server, opened when it is first wanted and kept. A question leaves at once
//! when nothing is on its way there, so that a lone request does not wait; else with all others of its
//! turn of the event loop, so that a crowd costs one write. More connections were measured to gain
//! nothing at any number of requests. A server that cannot be reached is left
//! alone for a moment that doubles, so that a flood of requests is not a flood of connections.

use nginx_sys::NGX_LOG_ERR;
use slotmap::{new_key_type, Key, SlotMap};

use super::desk::Failure;
use super::server::Server;
use super::{Traffic, Turn};
use crate::core::flight::FlightId;
use crate::core::pipeline::{Asker, Broken, Pipeline};
use crate::core::NoMemory;
use crate::nginx::event::Event;
use crate::nginx::log::{Log, Shown};
use crate::nginx::peer::Chosen;
use crate::nginx::socket::{ConnectionLog, Socket};
use crate::nginx::{exiting, now};
use crate::shm::lookups::Event as Occasion;

/// Questions that a server may owe answers to. A store that falls so far behind answers too late for
/// everybody: what comes now is refused at once.
const PENDING_MAX: usize = 16 * 1024;

/// Bytes read at once: some hundred answers.
const BUFFER: usize = 16 * 1024;

new_key_type! {
    /// A connection, open or on its way.
    pub struct ConnectionId;
}

/// Why a connection has ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// It could not be made.
    Refused,
    /// It was not made in time.
    ConnectTimeout,
    /// The server, or the kernel, has closed it.
    Closed,
    /// The answer to the oldest question is none.
    Protocol,
    /// The server has said more than it was asked.
    OutOfStep,
    /// The server has been silent for longer than a request could wait.
    Hung,
    /// The worker exits and nothing is pending.
    WorkerExits,
}

impl Loss {
    /// What is counted of it; an end counts if an answer was owed.
    fn occasion(self, owed: bool) -> Option<Occasion> {
        match self {
            Self::ConnectTimeout => Some(Occasion::Timeout),
            Self::Refused | Self::Protocol | Self::OutOfStep => Some(Occasion::Failure),
            Self::Closed => owed.then_some(Occasion::Failure),
            // Who waited in vain has been counted.
            Self::Hung | Self::WorkerExits => None,
        }
    }

    /// What it means to a flight that was on the connection.
    pub fn failure(self) -> Failure {
        match self {
            Self::ConnectTimeout | Self::Hung => Failure::Timeout,
            _ => Failure::Error,
        }
    }
}

struct Connection {
    socket: Socket,
    server: usize,
    pipeline: Pipeline,
    is_connecting: bool,
    /// Whether the server has ever answered on it.
    has_spoken: bool,
    is_unflushed: bool,
    /// Whether it is open and how many answers are owed, as last told.
    told: [u64; 2],
}

/// What is left of a connection that has ended.
pub struct Remains {
    pub server: usize,
    /// The questions without an answer.
    pub pipeline: Pipeline,
    /// Whether they may be sent again to the same server: it was the connection's fault, not theirs.
    pub forgiven: bool,
}

/// All servers and connections of this worker.
pub struct Network {
    log: ConnectionLog,
    servers: Vec<Server>,
    connections: SlotMap<ConnectionId, Connection>,
    unflushed: Vec<ConnectionId>,
    /// Runs at the end of a turn of the event loop.
    turn: Event,
    buffer: Box<[u8]>,
}

impl Network {
    pub fn new() -> Self {
        let log = ConnectionLog::new();
        let turn = Event::new::<Turn>(log.log());
        Self {
            log,
            turn,
            servers: Vec::new(),
            connections: SlotMap::with_key(),
            unflushed: Vec::new(),
            buffer: vec![0; BUFFER].into_boxed_slice(),
        }
    }

    pub fn log(&self) -> Log {
        self.log.log()
    }

    /// Makes room for one more server and connection.
    ///
    /// # Errors
    /// There is no memory.
    pub fn reserve(&mut self) -> Result<(), NoMemory> {
        let connections = self.connections.len() + 1;
        self.servers.try_reserve(1).map_err(|_| NoMemory)?;
        self.connections.try_reserve(1).map_err(|_| NoMemory)?;
        self.unflushed.try_reserve(connections).map_err(|_| NoMemory)
    }

    /// The number of a server by its address. `None`: there is no memory for a new one.
    pub fn server(&mut self, chosen: &Chosen) -> Option<usize> {
        let known = self.servers.iter().position(|server| server.address.is(chosen));
        known.or_else(|| {
            self.servers.push(Server::new(chosen)?);
            Some(self.servers.len() - 1)
        })
    }

    /// The text of a server's address.
    pub fn name(&self, server: usize) -> &'static [u8] {
        self.servers[server].address.name()
    }

    /// The connection to a server, a new one if need be. `None`: none can be made now.
    pub fn connection_to(&mut self, server: usize, timeout: u64) -> Option<ConnectionId> {
        let id = self.servers[server].connection.or_else(|| self.open(server, timeout))?;
        let pipeline = &mut self.connections.get_mut(id)?.pipeline;
        if pipeline.pending() >= PENDING_MAX {
            return None;
        }
        pipeline.reserve().ok()?;
        Some(id)
    }

    fn open(&mut self, number: usize, timeout: u64) -> Option<ConnectionId> {
        let server = &mut self.servers[number];
        if server.is_down() {
            return None;
        }
        let mut connection = None;
        let id = self.connections.try_insert_with_key(|id| {
            let token = id.data().as_ffi();
            let (socket, is_connected) =
                Socket::connect::<Traffic>(&server.address, &self.log, token).ok_or(())?;
            connection = Some(is_connected);
            Ok::<_, ()>(Connection {
                socket,
                server: number,
                pipeline: Pipeline::default(),
                is_connecting: !is_connected,
                has_spoken: false,
                is_unflushed: false,
                told: [0, 0],
            })
        });
        let Ok(id) = id else {
            server.leave_alone();
            server.count(Occasion::Failure);
            return None;
        };
        server.connection = Some(id);
        let socket = &self.connections[id].socket;
        match connection {
            Some(true) => {
                socket.established();
                server.reached();
            }
            _ => socket.limit_connecting(timeout),
        }
        Some(id)
    }

    /// Asks a question: at once if the connection is idle, else at the end of this turn.
    pub fn ask(
        &mut self,
        id: ConnectionId,
        flight: FlightId,
        class: usize,
        key: &[u8],
    ) -> Result<(), Loss> {
        let Some(connection) = self.connections.get_mut(id) else {
            return Ok(());
        };
        let was_idle = connection.pipeline.is_idle();
        connection.pipeline.ask(flight, class, key, now());
        connection.socket.set_idle(false);
        let server = &self.servers[connection.server];
        server.count(Occasion::Question);
        connection.tell(server);
        if was_idle {
            return self.flush(id);
        }
        if !std::mem::replace(&mut connection.is_unflushed, true) {
            self.unflushed.push(id);
            self.turn.post();
        }
        Ok(())
    }

    /// A connection with something to write.
    pub fn next_unflushed(&mut self) -> Option<ConnectionId> {
        self.unflushed.pop()
    }

    /// Writes what the kernel takes.
    pub fn flush(&mut self, id: ConnectionId) -> Result<(), Loss> {
        let Some(connection) = self.connections.get_mut(id) else {
            return Ok(());
        };
        connection.is_unflushed = false;
        if connection.is_connecting {
            return Ok(());
        }
        while !connection.pipeline.unsent().is_empty() && connection.socket.is_writable() {
            let sent = connection.socket.send(connection.pipeline.unsent());
            connection.pipeline.wrote(sent.map_err(|()| Loss::Closed)?);
        }
        connection.socket.watch().map_err(|()| Loss::Closed)
    }

    /// A connection has been made or has failed, or can be written to.
    pub fn writable(&mut self, id: ConnectionId) -> Result<(), Loss> {
        self.establish(id)?;
        self.flush(id)
    }

    fn establish(&mut self, id: ConnectionId) -> Result<(), Loss> {
        let Some(connection) = self.connections.get_mut(id) else {
            return Ok(());
        };
        if !connection.is_connecting {
            return Ok(());
        }
        let server = &mut self.servers[connection.server];
        let name = server.address.name();
        if connection.socket.timed_out() {
            let message = format_args!("memcached timed out, connecting to {}", Shown(name));
            self.log.log().write(NGX_LOG_ERR, message);
            return Err(Loss::ConnectTimeout);
        }
        if let Err(errno) = connection.socket.connected() {
            let message = format_args!("connect() to {} failed", Shown(name));
            self.log.log().write_errno(NGX_LOG_ERR, errno, message);
            return Err(Loss::Refused);
        }
        connection.is_connecting = false;
        connection.socket.connecting_is_over();
        connection.socket.established();
        server.reached();
        connection.tell(server);
        Ok(())
    }

    /// Reads what has come and hands on the answers.
    pub fn receive(&mut self, id: ConnectionId, asker: &mut impl Asker) -> Result<(), Loss> {
        self.establish(id)?;
        let Some(connection) = self.connections.get_mut(id) else {
            return Ok(());
        };
        if connection.socket.close_wanted() {
            return Err(Loss::WorkerExits);
        }
        while connection.socket.is_readable() {
            let received = connection.socket.receive(&mut self.buffer);
            let length = match received.map_err(|()| Loss::Closed)? {
                None => break,
                Some(0) => return Err(Loss::Closed),
                Some(length) => length,
            };
            connection.has_spoken = true;
            let bytes = self.buffer.get(..length).unwrap_or_default();
            let heard = connection.pipeline.hear(bytes, now(), asker);
            if let Err(broken) = heard {
                let name = self.servers[connection.server].address.name();
                let message = format_args!("memcached sent {broken}, upstream: {}", Shown(name));
                self.log.log().write(NGX_LOG_ERR, message);
                return Err(match broken {
                    Broken::Protocol(_) | Broken::WrongKey | Broken::Endless => Loss::Protocol,
                    Broken::Unsolicited => Loss::OutOfStep,
                    Broken::NoMemory => Loss::Closed,
                });
            }
        }
        let server = &mut self.servers[connection.server];
        server.recovered();
        connection.tell(server);
        let is_idle = connection.pipeline.is_idle();
        connection.socket.set_idle(is_idle);
        if is_idle && exiting() {
            return Err(Loss::WorkerExits);
        }
        connection.socket.watch().map_err(|()| Loss::Closed)
    }

    /// Counts what has happened with the server of a connection.
    pub fn count(&self, id: ConnectionId, occasion: Occasion) {
        if let Some(connection) = self.connections.get(id) {
            self.servers[connection.server].count(occasion);
        }
    }

    /// Whether a connection has owed an answer for as long as a lookup may take, and said nothing.
    pub fn is_hung(&self, id: ConnectionId, timeout: u64) -> bool {
        let connection = self.connections.get(id);
        connection.is_some_and(|connection| connection.pipeline.silence(now()) >= timeout)
    }

    /// Closes a connection. `None`: it has ended before.
    pub fn remove(&mut self, id: ConnectionId, loss: Loss) -> Option<Remains> {
        let connection = self.connections.remove(id)?;
        connection.socket.close();
        let server = &mut self.servers[connection.server];
        server.connection = None;
        server.has(connection.told, [0, 0]);
        if let Some(occasion) = loss.occasion(!connection.pipeline.is_idle()) {
            server.count(occasion);
        }
        let never_spoke = !connection.has_spoken;
        if loss == Loss::Closed && !connection.pipeline.is_idle() {
            let name = server.address.name();
            let message =
                format_args!("memcached prematurely closed connection, upstream: {}", Shown(name));
            self.log.log().write(NGX_LOG_ERR, message);
        }
        match loss {
            Loss::Refused | Loss::ConnectTimeout => server.leave_alone(),
            Loss::Closed if never_spoke => server.leave_alone(),
            _ => {}
        }
        let forgiven = match loss {
            Loss::Refused | Loss::ConnectTimeout => false,
            Loss::Closed => !never_spoke,
            Loss::Protocol | Loss::OutOfStep | Loss::Hung | Loss::WorkerExits => true,
        };
        Some(Remains { server: connection.server, pipeline: connection.pipeline, forgiven })
    }

    /// Closes all.
    pub fn close(self) {
        for (_, connection) in self.connections {
            connection.socket.close();
        }
    }
}

impl Connection {
    /// Tells how it stands, where that is counted.
    fn tell(&mut self, server: &Server) {
        let now = [u64::from(!self.is_connecting), self.pipeline.pending() as u64];
        server.has(self.told, now);
        self.told = now;
    }
}
