//! Directives at each level of the configuration, and what `nginx -t` says of them.

use super::setup::Setup;

use Level::{Http, Location, Main, Server, Upstream};

/// Where a directive stands.
#[derive(Clone, Copy, Debug)]
pub enum Level {
    /// Outside of all blocks.
    Main,
    /// In `http`.
    Http,
    /// In the server.
    Server,
    /// In a location of the server.
    Location,
    /// In an `upstream`.
    Upstream,
}

/// The levels at which most directives may stand.
pub const EVERYWHERE: [Level; 3] = [Http, Server, Location];

/// The configuration `setup` with these directives at this level.
pub fn at(setup: Setup, level: Level, directives: &str) -> Setup {
    match level {
        Main => setup.main(directives),
        Http => setup.http(directives),
        Server => setup.server(directives),
        Location => setup.server(&format!("location /here/ {{\n{directives}\n}}")),
        Upstream => {
            setup.http(&format!("upstream stores {{\nserver 127.0.0.1:1;\n{directives}\n}}"))
        }
    }
}

/// `nginx -t` must fail, say `message`, and name file and line of the (last) directive.
#[track_caller]
pub fn refused(setup: Setup, level: Level, directives: &str, message: &str) {
    let check = at(setup, level, directives).check();
    assert!(!check.accepted, "accepted: {directives}");
    assert!(check.message.contains(message), "{directives}\ngave {}\nnot {message}", check.message);
    let last = directives.lines().last().expect("a directive");
    let lines: Vec<&str> = check.configuration.lines().collect();
    let line = 1 + lines.iter().rposition(|line| *line == last).expect("the directive");
    let place = format!("nginx.conf:{line}");
    assert!(check.message.contains(&place), "{directives}\ngave {}\nnot {place}", check.message);
}

/// `nginx -t` must fail and say `message`; it finds out only when it has read the whole
/// configuration, so that there is no line to name.
#[track_caller]
pub fn refused_at_the_end(setup: Setup, level: Level, directives: &str, message: &str) {
    let check = at(setup, level, directives).check();
    assert!(!check.accepted, "accepted: {directives}");
    assert!(check.message.contains(message), "{directives}\ngave {}\nnot {message}", check.message);
}

/// `nginx -t` must have nothing to say against it.
#[track_caller]
pub fn accepted(setup: Setup, level: Level, directives: &str) {
    let check = at(setup, level, directives).check();
    assert!(check.accepted, "{directives}\nrefused: {}", check.message);
    assert!(!check.message.contains("[warn]"), "{directives}\nwarned: {}", check.message);
}

/// Each of these, which has too few arguments or too many, must be refused for that.
#[track_caller]
pub fn refused_for_their_number(setup: fn() -> Setup, level: Level, directives: &[&str]) {
    for directive in directives {
        let name = name_of(directive);
        let message = format!("invalid number of arguments in \"{name}\" directive");
        refused(setup(), level, directive, &message);
    }
}

/// Each of these must be refused where it stands twice, at every level.
#[track_caller]
pub fn refused_twice(setup: fn() -> Setup, directives: &[&str]) {
    for directive in directives {
        // Indented, so that the line named in the message is surely the second one's.
        let twice = format!("  {directive}\n{directive}");
        let message = format!("\"{}\" directive is duplicate", name_of(directive));
        EVERYWHERE.into_iter().for_each(|level| refused(setup(), level, &twice, &message));
    }
}

/// Each of these must be refused at these levels.
#[track_caller]
pub fn refused_at(setup: fn() -> Setup, levels: &[Level], directives: &[&str]) {
    for directive in directives {
        for level in levels {
            refused(setup(), *level, directive, "directive is not allowed here");
        }
    }
}

fn name_of(directive: &str) -> &str {
    directive.split([' ', ';']).next().expect("a name")
}
