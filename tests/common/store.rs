//! A scripted store, for what a real memcached does not do: it answers wrongly, slowly, in pieces,
//! too much, or not at all, and it counts who asks.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::port::Port;
use super::{patience, site};

/// What a script does: an error, as from a peer that is gone, ends the connection.
pub type Then = io::Result<()>;

/// One `get`, which may ask for several keys.
pub struct Request<'a> {
    /// The keys asked for, in their order.
    pub keys: Vec<String>,
    stream: &'a TcpStream,
}

impl Request<'_> {
    /// Sends these bytes.
    pub fn send(&self, bytes: impl AsRef<[u8]>) -> Then {
        (&mut &*self.stream).write_all(bytes.as_ref())
    }

    /// Closes the connection.
    pub fn close(&self) -> Then {
        self.stream.shutdown(Shutdown::Both)
    }
}

/// One key of a `get`, in the hands of a script that looks at each by itself.
pub struct Exchange<'a> {
    /// The key asked for.
    pub key: String,
    request: &'a Request<'a>,
    /// What the values and misses of the request come to, until its last key.
    reply: &'a RefCell<Option<Vec<u8>>>,
    closes: &'a Cell<bool>,
}

impl Exchange<'_> {
    /// Sends these bytes, and before them the values that precede them.
    pub fn send(&self, bytes: impl AsRef<[u8]>) -> Then {
        self.request.send(self.reply.take().unwrap_or_default())?;
        self.request.send(bytes)
    }

    /// Sends each byte in a packet of its own.
    pub fn dribble(&self, bytes: impl AsRef<[u8]>) -> Then {
        for byte in bytes.as_ref() {
            self.send([*byte])?;
            thread::sleep(Duration::from_micros(300));
        }
        Ok(())
    }

    /// Answers as memcached does when it has a value.
    pub fn value(&self, value: impl AsRef<[u8]>) -> Then {
        let mut reply = self.reply.borrow_mut();
        reply.get_or_insert_default().extend(value_of(&self.key, value.as_ref()));
        Ok(())
    }

    /// Answers as memcached does when it has none.
    pub fn miss(&self) -> Then {
        self.reply.borrow_mut().get_or_insert_default();
        Ok(())
    }

    /// Answers with the path of the file whose ID is the key.
    pub fn path(&self) -> Then {
        match self.key.parse() {
            Ok(id) => self.value(site::path_of(id)),
            Err(_) => self.miss(),
        }
    }

    /// Closes the connection, in the middle of the reply if anything preceded.
    pub fn close(&self) -> Then {
        self.send("")?;
        self.request.close()
    }

    /// Closes the connection after the reply.
    pub fn close_afterwards(&self) {
        self.closes.set(true);
    }
}

/// Lets `script` answer every key of a request by itself, and ends the reply.
fn answer_each(request: &Request, script: &impl Fn(&Exchange) -> Then) -> Then {
    let (reply, closes) = (RefCell::new(None), Cell::new(false));
    for key in &request.keys {
        script(&Exchange { key: key.clone(), request, reply: &reply, closes: &closes })?;
    }
    if let Some(mut reply) = reply.take() {
        reply.extend_from_slice(b"END\r\n");
        request.send(reply)?;
    }
    if closes.get() {
        request.close()
    } else {
        Ok(())
    }
}

/// The bytes of a value in a reply.
pub fn value_of(key: &str, value: &[u8]) -> Vec<u8> {
    [format!("VALUE {key} 0 {}\r\n", value.len()).as_bytes(), value, b"\r\n"].concat()
}

/// The bytes of a good reply to a request for one key.
pub fn value_reply(key: &str, value: &[u8]) -> Vec<u8> {
    [value_of(key, value), b"END\r\n".to_vec()].concat()
}

struct State {
    ending: AtomicBool,
    connections: AtomicUsize,
    closed: AtomicUsize,
    requests: Mutex<HashMap<String, usize>>,
    streams: Mutex<Vec<Arc<TcpStream>>>,
}

/// A store whose answers a closure decides.
pub struct Store {
    port: Port,
    state: Arc<State>,
    acceptor: Option<JoinHandle<()>>,
}

impl Store {
    /// Starts a store that hands every key asked for to `script`.
    pub fn start(script: impl Fn(&Exchange) -> Then + Send + Sync + 'static) -> Self {
        Self::start_with_requests(move |request| answer_each(request, &script))
    }

    /// Starts a store whose script comes behind a gate, which is closed.
    pub fn behind_gate(
        script: impl Fn(&Exchange) -> Then + Send + Sync + 'static,
    ) -> (Arc<Gate>, Self) {
        let gate = Gate::closed();
        let store = Self::start({
            let gate = Arc::clone(&gate);
            move |exchange| {
                gate.wait();
                script(exchange)
            }
        });
        (gate, store)
    }

    /// Starts a store that hands every request to `script`.
    pub fn start_with_requests(script: impl Fn(&Request) -> Then + Send + Sync + 'static) -> Self {
        let port = Port::reserve();
        let listener = port.listen(512);
        let state = Arc::new(State {
            ending: AtomicBool::new(false),
            connections: AtomicUsize::new(0),
            closed: AtomicUsize::new(0),
            requests: Mutex::default(),
            streams: Mutex::default(),
        });
        let acceptor = Some({
            let state = Arc::clone(&state);
            thread::spawn(move || accept(&listener, &state, &Arc::new(script)))
        });
        Self { port, state, acceptor }
    }

    /// Its address.
    pub fn address(&self) -> String {
        self.port.address()
    }

    /// How many connections it has seen.
    pub fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }

    /// How many of its connections have ended, on either side's wish.
    pub fn closed(&self) -> usize {
        self.state.closed.load(Ordering::SeqCst)
    }

    /// How many keys it has been asked for.
    pub fn requests(&self) -> usize {
        self.state.requests.lock().expect("no panic").values().sum()
    }

    /// How often it has been asked for `key`.
    pub fn requests_for(&self, key: &str) -> usize {
        self.state.requests.lock().expect("no panic").get(key).copied().unwrap_or(0)
    }

    /// Sends bytes that nobody asked for on every open connection.
    pub fn intrude(&self, bytes: &[u8]) {
        for stream in self.streams().iter() {
            // A connection that is closed already needs no intrusion.
            let _ = (&mut &**stream).write_all(bytes);
        }
    }

    /// Closes every open connection.
    pub fn hang_up(&self) {
        for stream in self.streams().iter() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn streams(&self) -> MutexGuard<'_, Vec<Arc<TcpStream>>> {
        self.state.streams.lock().expect("no panic")
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.state.ending.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.port.address()); // wakes the acceptor
        self.hang_up();
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

fn accept<S>(listener: &TcpListener, state: &Arc<State>, script: &Arc<S>)
where
    S: Fn(&Request) -> Then + Send + Sync + 'static,
{
    while let Ok((stream, _)) = listener.accept() {
        if state.ending.load(Ordering::SeqCst) {
            return;
        }
        let stream = Arc::new(stream);
        stream.set_nodelay(true).expect("TCP_NODELAY");
        state.connections.fetch_add(1, Ordering::SeqCst);
        state.streams.lock().expect("no panic").push(Arc::clone(&stream));
        let (state, script) = (Arc::clone(state), Arc::clone(script));
        thread::spawn(move || {
            // An error is the end of the connection, which is counted below.
            let _ = converse(&stream, &state, &*script);
            let _ = stream.shutdown(Shutdown::Both);
            state.streams.lock().expect("no panic").retain(|other| !Arc::ptr_eq(other, &stream));
            state.closed.fetch_add(1, Ordering::SeqCst);
        });
    }
}

fn converse<S>(stream: &TcpStream, state: &State, script: &S) -> io::Result<()>
where
    S: Fn(&Request) -> Then,
{
    let mut lines = BufReader::new(stream);
    let mut bytes = Vec::new();
    while lines.read_until(b'\n', &mut bytes)? > 0 {
        let line = String::from_utf8_lossy(&bytes);
        let keys = line.strip_suffix("\r\n").and_then(|line| line.strip_prefix("get "));
        let keys = keys.unwrap_or_else(|| panic!("no request of the text protocol: {line:?}"));
        let keys: Vec<String> = keys.split(' ').map(str::to_owned).collect();
        let mut requests = state.requests.lock().expect("no panic");
        keys.iter().for_each(|key| *requests.entry(key.clone()).or_default() += 1);
        drop(requests);
        script(&Request { keys, stream })?;
        bytes.clear();
    }
    Ok(())
}

/// A port whose queue of connections is full: who connects is neither accepted nor refused.
pub struct Full {
    port: Port,
    _listener: TcpListener,
    _queue: Vec<TcpStream>,
}

impl Full {
    /// Fills the queue.
    pub fn listen() -> Self {
        let port = Port::reserve();
        let listener = port.listen(0);
        let address = listener.local_addr().expect("the address of a socket");
        let connect = || TcpStream::connect_timeout(&address, Duration::from_millis(300));
        let queue: Vec<TcpStream> = std::iter::from_fn(|| connect().ok()).take(64).collect();
        assert!(queue.len() < 64, "the queue of the kernel is never full");
        Self { port, _listener: listener, _queue: queue }
    }

    /// The port's address.
    pub fn address(&self) -> String {
        self.port.address()
    }
}

/// A gate at which scripts wait until the test opens it.
#[derive(Default)]
pub struct Gate {
    open: Mutex<bool>,
    changed: Condvar,
}

impl Gate {
    /// A gate that is closed.
    pub fn closed() -> Arc<Self> {
        Arc::default()
    }

    /// Opens it for all who wait and all who come.
    pub fn open(&self) {
        *self.open.lock().expect("no panic") = true;
        self.changed.notify_all();
    }

    /// Closes it again.
    pub fn close(&self) {
        *self.open.lock().expect("no panic") = false;
    }

    /// Waits until it is open, or until patience ends.
    pub fn wait(&self) {
        let open = self.open.lock().expect("no panic");
        drop(self.changed.wait_timeout_while(open, patience(), |open| !*open).expect("no panic"));
    }
}
