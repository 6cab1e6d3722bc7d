//! The files that a run leaves behind.
//!
//! ```text
//! open ─▶ the command runs ─▶ write: a regular file is emptied, everything else just written to
//!   └▶ never written: what was there before is unharmed, and what was not there before is removed
//! ```
//! Each is opened once, before the command is started: a wrong name is said then and not hours later, and
//! a named pipe keeps its reader. The descriptors are closed on exec, so that the command has none of them.
#![forbid(unsafe_code)]

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Seek as _, SeekFrom, Write};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
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
        let mut opened = Vec::new();
        let mut open = |option: &'static str, path: Option<&Path>| -> Result<Option<Place>> {
            let Some(path) = path else { return Ok(None) };
            let place = Place::open(path)
                .with_context(|| format!("{option}: cannot write {}", path.display()))?;
            let same = opened.iter().find(|(_, id)| *id == place.identity);
            if let Some((other, _)) = same.filter(|_| place.identity.is_some()) {
                bail!(
                    "{other} and {option} both write to {}: give each a file of its own",
                    path.display()
                );
            }
            opened.push((option, place.identity));
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
    file: File,
    /// Device and inode; `None` where several may write without harm.
    identity: Option<(u64, u64)>,
    /// A regular file that belongs to this output alone, and is emptied before it is written.
    whole: bool,
    /// It was not there before, and nothing has been written yet.
    fresh: bool,
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
    fn open(path: &Path) -> io::Result<Self> {
        let stream = Stream::of(path);
        let (file, fresh) = match stream {
            // Opened by its name, a file would be written from its start, over what the command wrote.
            Some(Stream::Out) => (io::stdout().as_fd().try_clone_to_owned()?.into(), false),
            Some(Stream::Error) => (io::stderr().as_fd().try_clone_to_owned()?.into(), false),
            Some(Stream::Other) => open(path, true)?,
            None => open(path, false)?,
        };
        let meta = file.metadata()?;
        let is_null = meta.file_type().is_char_device()
            && fs::metadata("/dev/null").is_ok_and(|null| null.rdev() == meta.rdev());
        Ok(Self {
            path: path.to_owned(),
            file,
            identity: (!is_null).then(|| (meta.dev(), meta.ino())),
            whole: stream.is_none() && meta.is_file(),
            fresh,
        })
    }

    fn write(&mut self, fill: &dyn Fn(&mut dyn Write) -> Result<()>) -> Result<()> {
        match self.try_write(fill) {
            // Whoever reads has had enough, as in any pipeline.
            Err(error) if crate::is_closed_pipe(&error) => Ok(()),
            done => done.with_context(|| format!("cannot write {}", self.path.display())),
        }
    }

    fn try_write(&mut self, fill: &dyn Fn(&mut dyn Write) -> Result<()>) -> Result<()> {
        if self.whole {
            if !self.has_its_name() {
                // The command has put its folder in order; the report is wanted under this name.
                (self.file, _) = open(&self.path, false)?;
            }
            self.file.set_len(0)?;
            self.file.seek(SeekFrom::Start(0))?;
        }
        self.fresh = false;
        let mut out = BufWriter::new(&self.file);
        let done = fill(&mut out).and_then(|()| Ok(out.flush()?));
        // What could not be written is not tried again.
        let _ = out.into_parts();
        done
    }

    fn has_its_name(&self) -> bool {
        let named = fs::metadata(&self.path);
        named.is_ok_and(|meta| Some((meta.dev(), meta.ino())) == self.identity)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.fresh && self.has_its_name() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Opens a file for writing without changing it, and says whether it was made for that.
fn open(path: &Path, append: bool) -> io::Result<(File, bool)> {
    let mut options = OpenOptions::new();
    // Not blocking: the other end of a named pipe may never be opened.
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    options
        .write(true)
        .append(append)
        .custom_flags(flags.bits().cast_signed());
    let give_up = Instant::now() + READER;
    let (file, fresh) = loop {
        match options.open(path) {
            Ok(file) => break (file, false),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                match options.clone().create_new(true).open(path) {
                    Ok(file) => break (file, true),
                    // A link to a name that is not there yet.
                    Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                        break (options.clone().create(true).open(path)?, false);
                    }
                    Err(error) => return Err(error),
                }
            }
            Err(error) if lacks_reader(path, &error) => {
                if Instant::now() >= give_up {
                    let text = format!("nobody reads it; open its other end within {READER:?}");
                    return Err(io::Error::other(text));
                }
                thread::sleep(Duration::from_millis(10));
            }
            Err(error) => return Err(error),
        }
    };
    // From here on a slow reader is waited for.
    fcntl_setfl(&file, fcntl_getfl(&file)? - OFlags::NONBLOCK)?;
    Ok((file, fresh))
}

fn lacks_reader(path: &Path, error: &io::Error) -> bool {
    let is_fifo = || fs::metadata(path).is_ok_and(|meta| meta.file_type().is_fifo());
    error.raw_os_error() == Some(rustix::io::Errno::NXIO.raw_os_error()) && is_fifo()
}
