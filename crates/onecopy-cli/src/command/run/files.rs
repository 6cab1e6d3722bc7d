//! The files that a run leaves behind.
//!
//! ```text
//! open ─▶ the command runs ─▶ write: a new file takes the place of a regular one; all else is just written to
//!   └▶ never written: what was there before is unharmed
//! ```
//! Each is opened once, before the command is started: a wrong name is said then and not hours later, and a named pipe
//! keeps its reader. The descriptors are closed on exec, so that the command has none of them. Regular files are written as
//! images are ([`onecopy::file`]), new ones for their owner alone: command lines may hold secrets.
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use onecopy::file::{self, NewFile, Purpose};
use onecopy::printable_path;
use onecopy_meter::Report;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use super::record::Record;
use crate::cli::meter::Files;
use crate::output::{csv, html, json};

/// How long the start waits for somebody to open the other end of a named pipe.
const READER: Duration = Duration::from_secs(3);

/// Every process at every reading.
pub(super) struct Rows<'a>(pub(super) &'a [(f64, Report)]);

/// Everything that is to be written, opened.
#[derive(Debug, Default)]
pub(super) struct Outputs {
    json: Option<Place>,
    jsonl: Option<Place>,
    csv: Option<Place>,
    html: Option<Place>,
    svg: Option<Place>,
    /// The report for people.
    text: Option<Place>,
}

impl Outputs {
    /// Opens every file.
    ///
    /// # Errors
    /// One of them cannot be written to, or two of them are the same.
    pub(super) fn open(files: &Files, text: Option<&Path>) -> Result<Self> {
        let mut opened: Vec<(&'static str, Known)> = Vec::new();
        let mut open = |option: &'static str, path: Option<&Path>| -> Result<Option<Place>> {
            let Some(path) = path else { return Ok(None) };
            let (place, known) = Place::open(path).context(option)?;
            if let Some((other, _)) = opened.iter().find(|(_, other)| other.is_same(&known)) {
                bail!(
                    "{other} and {option} both write to {}: give each a file of its own",
                    printable_path(path)
                );
            }
            opened.push((option, known));
            Ok(Some(place))
        };
        Ok(Self {
            json: open("--json", files.json.as_deref())?,
            jsonl: open("--jsonl", files.jsonl.as_deref())?,
            csv: open("--csv", files.csv.as_deref())?,
            html: open("--html", files.html.as_deref())?,
            svg: open("--svg", files.svg.as_deref())?,
            text: open("--output", text)?,
        })
    }

    /// Writes whatever was asked for but the report for people; the first failure is reported after all
    /// were tried.
    pub(super) fn write(&mut self, record: &Record, rows: &Rows<'_>) -> Result<()> {
        let mut outcome = Ok(());
        let mut file = |place: &mut Option<Place>, fill: &dyn Fn(&mut dyn Write) -> Result<()>| {
            let done = place.as_mut().map_or(Ok(()), |place| place.write(fill));
            if outcome.is_ok() {
                outcome = done;
            }
        };
        file(&mut self.json, &|out| json::write(out, record));
        file(&mut self.jsonl, &|out| {
            let mut samples = record.samples.iter();
            samples.try_for_each(|sample| json::line(out, sample))
        });
        file(&mut self.csv, &|out| {
            csv::header_at(out)?;
            for (t, report) in rows.0 {
                for process in &report.processes {
                    csv::row_at(out, *t, process)?;
                }
            }
            Ok(())
        });
        file(&mut self.html, &|out| {
            html::write(out, html::Subject::run(record))
        });
        file(&mut self.svg, &|out| {
            Ok(out.write_all(html::drawing(html::Subject::run(record)).as_bytes())?)
        });
        outcome
    }

    /// Writes the report for people, if it is to go to a file.
    pub(super) fn write_text(&mut self, text: &[u8]) -> Result<()> {
        let fill = |out: &mut dyn Write| Ok(out.write_all(text)?);
        self.text
            .as_mut()
            .map_or(Ok(()), |place| place.write(&fill))
    }

    /// Whether the report for people goes to a file.
    pub(super) fn has_text(&self) -> bool {
        self.text.is_some()
    }
}

/// One opened file.
#[derive(Debug)]
struct Place {
    path: PathBuf,
    target: Target,
}

#[derive(Debug)]
enum Target {
    /// A file that takes its place when it is written; none after that.
    File(Option<Box<NewFile>>),
    /// A pipe, a device, or what this process has open already.
    Stream(File),
}

/// What tells a place from others.
#[derive(Debug)]
struct Known {
    /// The folder, and the name in it.
    key: Option<((u64, u64), OsString)>,
    /// Device and inode of what is there; `None` for nothing, and where several may write without harm.
    identity: Option<(u64, u64)>,
}

impl Known {
    fn is_same(&self, other: &Self) -> bool {
        (self.key.is_some() && self.key == other.key)
            || (self.identity.is_some() && self.identity == other.identity)
    }
}

/// Names for a descriptor that this process has already.
enum Stream {
    Out,
    Error,
    /// Another one, which the shell has opened for this process.
    Other,
}

impl Stream {
    fn of(path: &Path) -> Option<Self> {
        let path = path.to_str()?;
        let number = path
            .strip_prefix("/dev/fd/")
            .or_else(|| path.strip_prefix("/proc/self/fd/"));
        match (path, number) {
            ("-" | "/dev/stdout", _) | (_, Some("1")) => Some(Self::Out),
            ("/dev/stderr", _) | (_, Some("2")) => Some(Self::Error),
            (_, Some(_)) => Some(Self::Other),
            _ => None,
        }
    }
}

impl Place {
    fn open(path: &Path) -> Result<(Self, Known)> {
        let stream = match Stream::of(path) {
            // Opened by its name, a file would be written from its start, over what the command wrote.
            Some(Stream::Out) => io::stdout().as_fd().try_clone_to_owned()?.into(),
            Some(Stream::Error) => io::stderr().as_fd().try_clone_to_owned()?.into(),
            Some(Stream::Other) => waited_for(path, || open_again(path))?,
            None => return Self::open_place(path),
        };
        Self::stream(path, stream)
    }

    fn open_place(path: &Path) -> Result<(Self, Known)> {
        let place = file::Place::find(path)?;
        if place.special().is_some() {
            let stream = waited_for(path, || place.open_special())?;
            return Self::stream(path, stream);
        }
        let known = Known {
            key: Some(place.key()?),
            identity: place.identity(),
        };
        let new = NewFile::at(place, Purpose::Report)?;
        let target = Target::File(Some(Box::new(new)));
        let path = path.to_owned();
        Ok((Self { path, target }, known))
    }

    fn stream(path: &Path, file: File) -> Result<(Self, Known)> {
        let about = file.metadata()?;
        let is_null = about.file_type().is_char_device()
            && fs::metadata("/dev/null").is_ok_and(|null| null.rdev() == about.rdev());
        let known = Known {
            key: None,
            identity: (!is_null).then(|| (about.dev(), about.ino())),
        };
        let (path, target) = (path.to_owned(), Target::Stream(file));
        Ok((Self { path, target }, known))
    }

    fn write(&mut self, fill: &dyn Fn(&mut dyn Write) -> Result<()>) -> Result<()> {
        match self.try_write(fill) {
            // Whoever reads has had enough, as in any pipeline.
            Err(error) if crate::is_closed_pipe(&error) => Ok(()),
            done => done,
        }
    }

    fn try_write(&mut self, fill: &dyn Fn(&mut dyn Write) -> Result<()>) -> Result<()> {
        let at = || format!("cannot write {}", printable_path(&self.path));
        match &mut self.target {
            Target::Stream(stream) => filled(stream, fill).with_context(at),
            Target::File(new) => {
                let mut new = match new.take() {
                    Some(new) if !new.place().is_lost() => new,
                    // The command has put its folders in order; the report is wanted under this name.
                    _ => Box::new(NewFile::create(&self.path, Purpose::Report)?),
                };
                filled(new.file(), fill).with_context(at)?;
                Ok(new.commit()?)
            }
        }
    }
}

fn filled(target: &File, fill: &dyn Fn(&mut dyn Write) -> Result<()>) -> Result<()> {
    let mut out = BufWriter::new(target);
    let done = fill(&mut out).and_then(|()| Ok(out.flush()?));
    // What could not be written is not tried again.
    let _ = out.into_parts();
    done
}

/// Opens what the shell has opened for this process.
fn open_again(path: &Path) -> io::Result<File> {
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let mut options = OpenOptions::new();
    options
        .append(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)
}

/// Opens something without being held up: the other end of a named pipe may never be opened. Whoever opens it soon is
/// waited for, and from then on a slow reader, too.
fn waited_for(path: &Path, open: impl Fn() -> io::Result<File>) -> Result<File> {
    let give_up = Instant::now() + READER;
    let file = loop {
        match open() {
            Ok(file) => break file,
            Err(error) if lacks_reader(path, &error) => {
                if Instant::now() >= give_up {
                    bail!(
                        "cannot write {}: nobody reads it; open its other end within {READER:?}",
                        printable_path(path)
                    );
                }
                thread::sleep(Duration::from_millis(10));
            }
            Err(error) => {
                let at = format!("cannot write {}", printable_path(path));
                return Err(error).context(at);
            }
        }
    };
    fcntl_setfl(&file, fcntl_getfl(&file)? - OFlags::NONBLOCK)?;
    Ok(file)
}

fn lacks_reader(path: &Path, error: &io::Error) -> bool {
    let is_fifo = || fs::metadata(path).is_ok_and(|meta| meta.file_type().is_fifo());
    error.raw_os_error() == Some(rustix::io::Errno::NXIO.raw_os_error()) && is_fifo()
}
