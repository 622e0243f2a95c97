//! The operator's tool: the real program, and real memcacheds.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread;

use crate::common::memcached::Memcached;
use crate::common::wait_until;
use ngx_http_smart_module::core::value::{path_of, Encoding};
use tempfile::TempDir;

fn tool(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ngx-smart"));
    command.args(arguments).stdin(Stdio::null());
    command
}

/// Runs `ngx-smart load` to its end.
fn load(arguments: &[&str]) -> Output {
    tool(&["load"]).args(arguments).output().expect("the tool runs")
}

/// Starts `ngx-smart load` with a CSV file on its standard input.
fn load_from_input(arguments: &[&str]) -> Child {
    let mut command = tool(&["load", "--csv", "-"]);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("the tool runs")
}

#[track_caller]
fn assert_said(output: &Output, status: i32, stdout: &[&str], stderr: &[&str]) {
    let said = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    assert_eq!(output.status.code(), Some(status), "{said:?}");
    for (said, wanted) in said.iter().zip([stdout, stderr]) {
        for wanted in wanted {
            assert!(said.contains(wanted), "{wanted:?} is not in {said:?}");
        }
        assert!(!wanted.is_empty() || said.is_empty(), "{said:?}");
    }
}

/// What memcached has, byte for byte.
fn stored(memcached: &Memcached, key: &str) -> Option<Vec<u8>> {
    let address = memcached.address();
    let url = match address.strip_prefix("unix:") {
        Some(path) => format!("memcache://{path}"),
        None => format!("memcache://{address}"),
    };
    memcache::connect(url).expect("memcached answers").get(key).expect("memcached answers")
}

fn flags(memcached: &Memcached, key: &str) -> u32 {
    let client =
        memcache::connect(format!("memcache://{}", memcached.address())).expect("a client");
    let (_, flags): (Vec<u8>, u32) = client.get(key).expect("an answer").expect("a value");
    flags
}

fn files(names: &[&str]) -> TempDir {
    let directory = TempDir::new().expect("a directory");
    for name in names {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(path, name).expect("a file");
    }
    directory
}

fn csv_file(directory: &TempDir, text: &str) -> String {
    let path = directory.path().join("ids.csv");
    fs::write(&path, text).expect("a file");
    text_of(&path)
}

fn text_of(path: &Path) -> String {
    path.to_str().expect("UTF-8").to_owned()
}

#[test]
fn a_directory_is_loaded() {
    let memcached = Memcached::start();
    let names =
        ["aa/297887.dat", "aa/b b/scan-12.tar.gz", "007", "写真/1.jpg", "x%2e?#/5", "9/a/10"];
    let directory = files(&names);
    let output = load(&["--from", &text_of(directory.path()), "--server", &memcached.address()]);
    assert_said(&output, 0, &["stored: 6 in "], &[]);
    for (id, path) in ["297887", "12", "007", "1", "5", "10"].iter().zip(names) {
        assert_eq!(stored(&memcached, id).as_deref(), Some(path.as_bytes()), "{id}");
    }
    assert_eq!(memcached.statistic("curr_items"), 6);
}

#[test]
fn what_is_no_entry_is_named_and_the_rest_is_stored() {
    let memcached = Memcached::start();
    let directory =
        files(&["a/1.txt", "a/readme.txt", ".hidden7", "b/1.pdf", "c\\/3", "d/4\n", "e/5", "7a"]);
    std::os::unix::fs::symlink("nowhere", directory.path().join("8")).expect("a link");
    std::os::unix::fs::symlink("e", directory.path().join("f")).expect("a link");
    rustix::fs::mkfifoat(rustix::fs::CWD, directory.path().join("9"), 0o600.into())
        .expect("a FIFO");
    let errors = directory.path().join("errors.csv");
    let (root, address) = (text_of(directory.path()), memcached.address());
    let output = load(&["--from", &root, "--server", &address, "--errors", &text_of(&errors)]);
    assert_said(
        &output,
        1,
        &[
            "stored: 2 in ",
            "skipped: 6 (no ID: 5, not a file: 1)",
            "errors: 4 (unreadable: 1, invalid path: 1, duplicate ID: 2)",
        ],
        &[
            "ngx-smart: no ID: a/readme.txt: no digits at the end of its name",
            "ngx-smart: duplicate ID: b/1.pdf: key 1 is that of a/1.txt",
            "ngx-smart: duplicate ID: f/5: key 5 is that of e/5",
            "ngx-smart: invalid path: c\\\\/3: the path has a backslash at offset 1",
            "ngx-smart: unreadable: 8: ",
            "ngx-smart: not a file: 9: ",
        ],
    );
    assert_eq!(stored(&memcached, "1").as_deref(), Some(&b"a/1.txt"[..]));
    assert_eq!(stored(&memcached, "5").as_deref(), Some(&b"e/5"[..]));
    assert_eq!(memcached.statistic("curr_items"), 2);
    let errors = fs::read_to_string(errors).expect("the file of --errors");
    assert_eq!(errors.lines().next(), Some("what,where,why"));
    assert!(errors.contains("\nduplicate ID,b/1.pdf,key 1 is that of a/1.txt\n"), "{errors}");
    assert!(errors.contains("\nno ID,\"d/4\n\",no digits"), "{errors}");
}

#[test]
fn csv_files_with_and_without_a_header() {
    let memcached = Memcached::start();
    let directory = files(&[]);
    let address = memcached.address();
    for (text, entries) in [
        ("1,aa/1\n2,\"b,\"\"b\",more\n", &[("1", "aa/1"), ("2", "b,\"b")][..]),
        ("Path,size,ID\r\naa/3,100,3\r\n", &[("3", "aa/3")]),
        ("\u{feff}id,path\naa:4,aa/4", &[("aa:4", "aa/4")]),
        ("", &[]),
    ] {
        let output = load(&["--csv", &csv_file(&directory, text), "--server", &address]);
        assert_said(&output, 0, &[&format!("stored: {} in ", entries.len())], &[]);
        for (key, path) in entries {
            assert_eq!(stored(&memcached, key).as_deref(), Some(path.as_bytes()), "{key}");
        }
    }
    for (header, missing) in [("id,file", "path"), ("path", "id")] {
        let output = load(&["--csv", &csv_file(&directory, header), "--server", &address]);
        let said = format!("the header has no column \"{missing}\"");
        assert_said(&output, 1, &[], &[&said]);
    }
}

#[test]
fn keys_and_values_that_the_module_would_refuse_are_refused() {
    let memcached = Memcached::start();
    let directory = files(&["root/aa/7"]);
    let long = "7".repeat(246);
    let text = format!(
        "id,path\n7,aa/7\n8 8,a\n,a\n{long},a\n9,../x\n10,/x\n11,\n12,aa\\b\n13\n7,aa/7\n\
         14,aa/nothing\n15,aa\n16,{}\n",
        "a".repeat(4097)
    );
    let root = text_of(&directory.path().join("root"));
    let csv = csv_file(&directory, &text);
    let address = memcached.address();
    let output =
        load(&["--csv", &csv, "--check-root", &root, "--prefix", "file:", "--server", &address]);
    assert_said(
        &output,
        1,
        &[
            "stored: 1 in ",
            "errors: 12 (malformed record: 1, invalid key: 3, invalid path: 5, missing file: 2, \
             duplicate ID: 1)",
        ],
        &[
            "invalid key: line 3, ID 8 8: byte 0x20 at offset 1",
            "invalid key: line 4, ID : it is empty",
            "invalid key: line 5, ID 777",
            "invalid path: line 6, ID 9: the path has a segment \".\" or \"..\"",
            "invalid path: line 7, ID 10: the path begins with \"/\"",
            "invalid path: line 8, ID 11: the path is empty",
            "invalid path: line 9, ID 12: the path has a backslash",
            "malformed record: line 10: an ID and a path are wanted, fields found: 1",
            "duplicate ID: line 11, ID 7: key file:7 is that of line 2, ID 7",
            "missing file: line 12, ID 14: there is no file ",
            "missing file: line 13, ID 15: there is no file ",
            "invalid path: line 14, ID 16: the path has 4097 bytes",
        ],
    );
    assert_eq!(stored(&memcached, "file:7").as_deref(), Some(&b"aa/7"[..]));
    assert_eq!(memcached.statistic("curr_items"), 1);
}

#[test]
fn marshalled_values_are_what_the_module_reads() {
    let memcached = Memcached::start();
    let directory = files(&[]);
    let path = "写/".repeat(500) + "a";
    let csv = csv_file(&directory, &format!("1,aa/aa.dat\n2,{path}\n"));
    let output = load(&["--csv", &csv, "--value", "marshal", "--server", &memcached.address()]);
    assert_said(&output, 0, &["stored: 2 in "], &[]);
    let value = stored(&memcached, "1").expect("a value");
    assert_eq!(value, b"\x04\x08I\"\x0eaa/aa.dat\x06:\x06ET");
    let value = stored(&memcached, "2").expect("a value");
    assert_eq!(path_of(&value, Encoding::Marshal), Ok(path.as_bytes()));
    assert_eq!(flags(&memcached, "1"), 1, "Dalli's flag for what it has marshalled");
    let output = load(&["--csv", &csv, "--server", &memcached.address()]);
    assert_said(&output, 0, &["stored: 2 in "], &[]);
    assert_eq!(flags(&memcached, "1"), 0);
}

#[test]
fn every_server_gets_every_entry_and_sockets_are_servers() {
    let directory = files(&["aa/1", "aa/2"]);
    let first = Memcached::start();
    let second = Memcached::start_on_socket(&directory.path().join("socket"));
    let root = text_of(&directory.path().join("aa"));
    let output =
        load(&["--from", &root, "--server", &first.address(), "--server", &second.address()]);
    assert_said(&output, 0, &["stored: 2 in "], &[]);
    for memcached in [&first, &second] {
        assert_eq!(stored(memcached, "1").as_deref(), Some(&b"1"[..]));
        assert_eq!(stored(memcached, "2").as_deref(), Some(&b"2"[..]));
    }
}

#[test]
fn entries_expire_when_they_are_told_to() {
    let memcached = Memcached::start();
    let directory = files(&[]);
    let csv = csv_file(&directory, "1,aa/1\n");
    for (expire, left) in [("0", -1..=-1), ("100", 90..=100), ("5000000", 4_999_990..=5_000_010)] {
        let output = load(&["--csv", &csv, "--expire", expire, "--server", &memcached.address()]);
        assert_said(&output, 0, &["stored: 1 in "], &[]);
        let client = memcache::exp::MetaClient::connect(memcached.address()).expect("a client");
        let meta = memcache::exp::Meta::default().ttl();
        let item = client.run(memcache::exp::Get::new("1").meta(meta)).expect("an answer").item;
        assert!(left.contains(&item.ttl.expect("a time")), "{expire}: {:?}", item.ttl);
    }
}

fn records(ids: std::ops::Range<u32>) -> String {
    ids.map(|id| format!("{id},aa/{id}.dat\n")).collect()
}

#[test]
fn an_interrupted_load_goes_on_where_it_was() {
    let memcached = Memcached::start();
    let directory = files(&[]);
    let journal = text_of(&directory.path().join("journal"));
    let address = memcached.address();
    let arguments = ["--resume", &journal, "--server", &address];

    // Two batches and a half are there to be read, the end of the source is not.
    let mut child = load_from_input(&arguments);
    let mut input = child.stdin.take().expect("a pipe");
    input.write_all(records(0..1280).as_bytes()).expect("the tool reads");
    wait_until("two batches are noted", || {
        fs::read_to_string(&journal).is_ok_and(|text| text.ends_with("\nline 1024, ID 1023\n"))
    });
    child.kill().expect("the tool is killed");
    child.wait().expect("the tool is gone");
    assert_eq!(memcached.statistic("cmd_set"), 1024);

    // Another load may not be taken for this one, nor another source.
    let output = load(&["--csv", "-", "--prefix", "x", "--resume", &journal, "--server", &address]);
    assert_said(&output, 1, &[], &["is of another load", "remove it to begin anew"]);
    let output = load_with_input(&arguments, &records(0..1000));
    assert_said(
        &output,
        1,
        &[],
        &["the source has changed: line 1024, ID 1023 is no longer there"],
    );
    assert_eq!(memcached.statistic("cmd_set"), 1024);

    let output = load_with_input(&arguments, &records(0..2000));
    assert_said(&output, 0, &["stored: 976 in ", "stored before: 1024"], &[]);
    assert_eq!(memcached.statistic("cmd_set"), 2000);
    assert_eq!(memcached.statistic("curr_items"), 2000);
    assert!(!Path::new(&journal).exists(), "a load that is complete leaves nothing behind");
}

fn load_with_input(arguments: &[&str], input: &str) -> Output {
    let mut child = load_from_input(arguments);
    let mut pipe = child.stdin.take().expect("a pipe");
    pipe.write_all(input.as_bytes()).expect("the tool reads");
    drop(pipe);
    child.wait_with_output().expect("the tool ends")
}

#[test]
fn a_server_that_goes_away_stops_the_load_and_the_same_command_goes_on() {
    let mut memcached = Memcached::start();
    let directory = files(&[]);
    let journal = text_of(&directory.path().join("journal"));
    let address = memcached.address();
    let arguments = ["--resume", &journal, "--server", &address];

    let mut child = load_from_input(&arguments);
    let mut input = child.stdin.take().expect("a pipe");
    input.write_all(records(0..512).as_bytes()).expect("the tool reads");
    wait_until("a batch is noted", || Path::new(&journal).exists());
    memcached.kill();
    input.write_all(records(512..2000).as_bytes()).expect("the tool reads");
    drop(input);
    let output = child.wait_with_output().expect("the tool ends");
    let stopped = format!("stopped; the same command goes on from here: memcached at {address}: ");
    assert_said(&output, 1, &[], &[&stopped]);

    memcached.restart();
    let output = load_with_input(&arguments, &records(0..2000));
    assert_said(&output, 0, &["stored: 1488 in ", "stored before: 512"], &[]);
    assert_eq!(stored(&memcached, "1999").as_deref(), Some(&b"aa/1999.dat"[..]));
}

#[test]
fn entries_that_memcached_throws_out_are_noticed() {
    let memcached = Memcached::start();
    let path = "a".repeat(4000);
    let text: String = (0..20_000).map(|id| format!("{id},{path}\n")).collect();
    let output = load_with_input(&["--server", &memcached.address()], &text);
    let evicted = format!(
        "ngx-smart: evicted: {}: 512 of the first 512 entries are gone",
        memcached.address()
    );
    assert_said(&output, 1, &["stored: 20000 in ", "errors: 1 (evicted: 1)"], &[&evicted]);
}

#[test]
fn only_the_first_problems_of_a_kind_are_named() {
    let memcached = Memcached::start();
    let text: String = (0..100).map(|id| format!("{id},/x\n")).collect();
    let output = load_with_input(&["--server", &memcached.address()], &text);
    assert_said(
        &output,
        1,
        &["errors: 100 (invalid path: 100)"],
        &["line 10, ID 9: ", "invalid path: more of them; --errors FILE names all"],
    );
    assert_eq!(output.stderr.iter().filter(|&&byte| byte == b'\n').count(), 11);
}

/// A proxy that speaks the classic protocol only: it refuses what begins with `m`, and forwards
/// the rest.
fn classic_proxy(server: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    thread::spawn(move || {
        for client in listener.incoming() {
            let (server, client) = (server.clone(), client.expect("a connection"));
            thread::spawn(move || proxy(client, &server));
        }
    });
    address
}

fn proxy(mut client: TcpStream, server: &str) -> std::io::Result<()> {
    let mut server = TcpStream::connect(server)?;
    server.set_nodelay(true)?;
    let (mut answers, mut back) = (server.try_clone()?, client.try_clone()?);
    thread::spawn(move || std::io::copy(&mut answers, &mut back));
    let mut request = [0; 4096];
    loop {
        match client.read(&mut request)? {
            0 => return Ok(()),
            _ if request[0] == b'm' => client.write_all(b"ERROR\r\n")?,
            length => server.write_all(&request[..length])?,
        }
    }
}

#[test]
fn a_server_that_speaks_only_the_classic_protocol_is_loaded() {
    let memcached = Memcached::start();
    let proxy = classic_proxy(memcached.address());
    let arguments = ["--server", &proxy, "--value", "marshal", "--expire", "1000"];
    let output = load_with_input(&arguments, &records(0..600));
    assert_said(&output, 0, &["stored: 600 in "], &[]);
    assert_eq!(memcached.statistic("curr_items"), 600);
    assert_eq!(flags(&memcached, "599"), 1);
    let value = stored(&memcached, "599").expect("a value");
    assert_eq!(path_of(&value, Encoding::Marshal), Ok(&b"aa/599.dat"[..]));
}

#[test]
fn what_cannot_be_done_is_a_sentence() {
    let directory = files(&["1"]);
    let root = text_of(directory.path());
    let nowhere = crate::common::port::Port::reserve();
    let (nowhere, socket) = (nowhere.address(), format!("unix:{root}/socket"));
    for (arguments, status, said) in [
        (&["--from", &root, "--server", &nowhere][..], 1, "Connection refused"),
        (&["--from", &root, "--server", &socket], 1, "No such file or directory"),
        (&["--from", &format!("{root}/no")], 1, "/no: No such file or directory"),
        (&["--csv", &format!("{root}/no")], 1, "/no: No such file or directory"),
        (&["--server", &nowhere], 2, "<--from <DIR>|--csv <FILE>>"),
        (&["--from", &root, "--csv", "-"], 2, "cannot be used with"),
        (&["--from", &root, "--check-root", &root], 2, "cannot be used with"),
        (&["--from", &root, "--expire", "soon"], 2, "--expire"),
        (&["--from", &root, "--value", "yaml"], 2, "possible values: raw, marshal"),
    ] {
        assert_said(&load(arguments), status, &[], &[said]);
    }
}

#[test]
fn quiet_says_only_what_is_wrong() {
    let memcached = Memcached::start();
    let directory = files(&["1", "b"]);
    let root = text_of(directory.path());
    let output = load(&["--from", &root, "--quiet", "--server", &memcached.address()]);
    assert_said(&output, 0, &[], &["no ID: b"]);
}
