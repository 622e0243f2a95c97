//! A terminal: a real pseudo-terminal, and what a person would see on it.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex};
use std::thread;

use rustix::pty::{ioctl_tiocgptpeer, openpt, unlockpt, OpenptFlags};
use rustix::termios::{tcgetattr, tcsetwinsize, Winsize};

use super::process::{self, Signal};
use super::{patience, wait_until};

/// A program on a terminal of its own.
pub struct Terminal {
    master: std::fs::File,
    /// The program's side: while it is open here, what the program has left there can be read.
    slave: OwnedFd,
    modes_before: String,
    child: Child,
    seen: Arc<Mutex<Seen>>,
}

/// What has come out.
struct Seen {
    bytes: Vec<u8>,
    screen: vt100::Parser,
}

impl Terminal {
    /// Starts a program on a terminal with so many rows and columns.
    pub fn start(command: &Command, rows: u16, columns: u16) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags).expect("a terminal");
        unlockpt(&master).expect("a terminal");
        let slave = ioctl_tiocgptpeer(&master, flags).expect("the other side of a terminal");
        tcsetwinsize(&master, size(rows, columns)).expect("a size");
        let end = || slave.try_clone().expect("a descriptor");
        // In a session whose terminal this is: it hears of a new size, and has no other /dev/tty.
        let mut session = Command::new("setsid");
        session.arg("--ctty").arg(command.get_program()).args(command.get_args());
        session.env("TERM", "xterm-256color").env_remove("NO_COLOR");
        for (name, value) in command.get_envs() {
            session.env(name, value.expect("a value"));
        }
        let modes_before = modes(&slave);
        let child = session.stdin(end()).stdout(end()).stderr(end()).spawn();
        let screen = vt100::Parser::new(number(rows), number(columns), 0);
        let seen = Arc::new(Mutex::new(Seen { bytes: Vec::new(), screen }));
        let mut output = std::fs::File::from(master.try_clone().expect("a descriptor"));
        let reader = Arc::clone(&seen);
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = output.read(&mut buffer) {
                let mut seen = reader.lock().expect("no panic");
                seen.bytes.extend_from_slice(&buffer[..length]);
                seen.screen.process(&buffer[..length]);
            }
        });
        let child = child.expect("setsid, and the program");
        Self { master: master.into(), slave, modes_before, child, seen }
    }

    /// What is on the screen.
    pub fn screen(&self) -> String {
        self.seen.lock().expect("no panic").screen.screen().contents()
    }

    /// All that has come out, byte for byte.
    pub fn bytes(&self) -> Vec<u8> {
        self.seen.lock().expect("no panic").bytes.clone()
    }

    /// Waits until all of these texts are on the screen.
    #[track_caller]
    pub fn wait_for(&self, texts: &[&str]) {
        let found = || texts.iter().all(|text| self.screen().contains(text));
        if !super::holds_within(patience(), found) {
            panic!("{texts:?} are not all on the screen:\n{}", self.screen());
        }
    }

    /// Waits until what is on the screen is so.
    #[track_caller]
    pub fn wait_until(&self, what: &str, condition: impl Fn(&str) -> bool) {
        wait_until(what, || condition(&self.screen()));
    }

    /// Types.
    pub fn press(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).expect("the terminal takes keys");
    }

    /// Makes the window another size.
    pub fn resize(&self, rows: u16, columns: u16) {
        let mut seen = self.seen.lock().expect("no panic");
        seen.screen.set_size(number(rows), number(columns));
        tcsetwinsize(&self.master, size(rows, columns)).expect("a size");
    }

    /// Sends a signal to the program.
    pub fn signal(&self, signal: Signal) {
        process::signal(self.child.id().try_into().expect("the id of a process"), signal);
    }

    /// Waits for the program's end, after which the terminal must be as it was found.
    #[track_caller]
    pub fn wait_for_end(mut self) -> ExitStatus {
        let mut status = None;
        wait_until("the end of the program", || {
            status = self.child.try_wait().expect("a child");
            status.is_some()
        });
        wait_until("the terminal to be as it was", || {
            let seen = self.seen.lock().expect("no panic");
            let screen = seen.screen.screen();
            !screen.alternate_screen() && !screen.hide_cursor()
        });
        assert_eq!(modes(&self.slave), self.modes_before, "the modes of the terminal");
        status.expect("just seen")
    }

    /// The status with which the program ended, or the number of the signal that ended it.
    #[track_caller]
    pub fn end(self) -> Result<i32, i32> {
        let status = self.wait_for_end();
        status.code().ok_or_else(|| status.signal().expect("a signal"))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn modes(terminal: &OwnedFd) -> String {
    let modes = tcgetattr(terminal).expect("a terminal");
    format!("{:?} {:?} {:?}", modes.input_modes, modes.output_modes, modes.local_modes)
}

fn number(number: u16) -> std::num::NonZeroU16 {
    number.try_into().expect("not zero")
}

fn size(rows: u16, columns: u16) -> Winsize {
    Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}
