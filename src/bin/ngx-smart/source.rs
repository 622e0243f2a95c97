//! Where IDs and paths come from: a directory or a CSV file.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::{bail, Context, Result};
use csv::{ByteRecord, ReaderBuilder};
use ngx_http_smart_module::core::id;
use walkdir::{DirEntry, WalkDir};

use crate::report::{Kind, Problem};

/// An ID and the path that it is to stand for.
pub struct Found {
    /// Which file or line it comes from.
    pub origin: Vec<u8>,
    pub id: Vec<u8>,
    pub path: Vec<u8>,
    /// How much of the source has been read with it, in the units of its size.
    pub position: u64,
}

/// Entries in an order that is the same every time, and what is wrong with some. An error ends it.
type Items = Box<dyn Iterator<Item = Result<Result<Found, Problem>>>>;

pub enum Source {
    Directory(PathBuf),
    /// A CSV file; `None` is standard input.
    Csv(Option<PathBuf>),
}

impl Source {
    /// How much there is to read; `None` if that cannot be known.
    pub fn size(&self) -> Option<u64> {
        match self {
            Source::Directory(directory) => Some(walk(directory).count() as u64),
            Source::Csv(file) => Some(fs::metadata(file.as_ref()?).ok()?.len()),
        }
    }

    pub fn items(&self) -> Result<Items> {
        match self {
            Source::Directory(directory) => files(directory),
            Source::Csv(None) => records(Box::new(io::stdin())),
            Source::Csv(Some(file)) => File::open(file)
                .map_err(Into::into)
                .and_then(|input| records(Box::new(input)))
                .with_context(|| file.display().to_string()),
        }
    }
}

/// Everything below `directory` but directories, sorted by the names on the way.
fn walk(directory: &Path) -> impl Iterator<Item = walkdir::Result<DirEntry>> {
    let walk = WalkDir::new(directory).follow_links(true).sort_by_file_name().min_depth(1);
    walk.into_iter().filter(|entry| !entry.as_ref().is_ok_and(|entry| entry.file_type().is_dir()))
}

fn files(directory: &Path) -> Result<Items> {
    fs::read_dir(directory).with_context(|| directory.display().to_string())?;
    let root = directory.to_owned();
    let files = walk(directory).zip(1..);
    Ok(Box::new(files.map(move |(entry, position)| Ok(file(entry, position, &root)))))
}

fn file(entry: walkdir::Result<DirEntry>, position: u64, root: &Path) -> Result<Found, Problem> {
    let below = |path: &Path| {
        let path = path.strip_prefix(root).unwrap_or(path);
        path.as_os_str().as_bytes().to_vec()
    };
    let entry = entry.map_err(|error| {
        let origin = error.path().map(below).unwrap_or_default();
        Problem::new(Kind::Unreadable, origin, error)
    })?;
    let path = below(entry.path());
    if !entry.file_type().is_file() {
        return Err(Problem::new(Kind::NotAFile, path, "no regular file"));
    }
    let name = entry.file_name().as_bytes();
    let stem = name.split(|&byte| byte == b'.').next().unwrap_or(name);
    match id::trailing(stem) {
        Some(id) => Ok(Found { origin: path.clone(), id: id.to_vec(), path, position }),
        None => Err(Problem::new(Kind::NoId, path, "no digits at the end of its name")),
    }
}

fn records(input: Box<dyn Read>) -> Result<Items> {
    let reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(input);
    let mut records = reader.into_byte_records();
    let first = records.next().transpose()?;
    let columns = first.as_ref().map(Columns::named_by).transpose()?.flatten();
    let first = first.filter(|_| columns.is_none());
    let columns = columns.unwrap_or(Columns { id: 0, path: 1 });
    let records = first.map(Ok).into_iter().chain(records);
    Ok(Box::new(records.map(move |record| Ok(columns.of(&record?)))))
}

/// Which fields of a record are read.
struct Columns {
    id: usize,
    path: usize,
}

impl Columns {
    /// As the first record names them; `None` if it is a record as any.
    fn named_by(first: &ByteRecord) -> Result<Option<Self>> {
        let column = |name: &[u8]| first.iter().position(|field| field.eq_ignore_ascii_case(name));
        match (column(b"id"), column(b"path")) {
            (Some(id), Some(path)) => Ok(Some(Columns { id, path })),
            (None, None) => Ok(None),
            (Some(_), None) => bail!("the header has no column \"path\""),
            (None, Some(_)) => bail!("the header has no column \"id\""),
        }
    }

    fn of(&self, record: &ByteRecord) -> Result<Found, Problem> {
        let (line, position) = record.position().map_or((0, 0), |at| (at.line(), at.byte()));
        let line = format!("line {line}");
        match (record.get(self.id), record.get(self.path)) {
            (Some(id), Some(path)) => Ok(Found {
                origin: [line.as_bytes(), b", ID ", id].concat(),
                id: id.to_vec(),
                path: path.to_vec(),
                position,
            }),
            _ => {
                let reason = format!("an ID and a path are wanted, fields found: {}", record.len());
                Err(Problem::new(Kind::MalformedRecord, line.into_bytes(), reason))
            }
        }
    }
}
