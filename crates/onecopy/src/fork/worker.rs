//! The worker's side: everything between fork and `_exit`.
#![forbid(unsafe_code)]

use std::any::Any;
use std::io::Write as _;
use std::os::fd::{AsFd as _, OwnedFd};
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::Pid;
use serde::Serialize;

use super::error::Place;
use super::frame::{Kind, Panic, header};
use crate::sys::process::{self, ReadOutcome};

/// Codes that a worker exits with; its parent looks at them only when frames are missing.
const DONE: i32 = 0;
const PANICKED: i32 = 101;
const ORPHANED: i32 = 102;

/// A worker, as its own closure sees it.
#[derive(Debug)]
pub struct Worker {
    index: usize,
    count: usize,
    /// Results and news to the parent.
    news: OwnedFd,
    /// One byte for each time the parent lets this worker go on.
    control: OwnedFd,
}

impl Worker {
    pub(crate) fn new(index: usize, count: usize, news: OwnedFd, control: OwnedFd) -> Self {
        Self {
            index,
            count,
            news,
            control,
        }
    }

    /// 0 for the first.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }

    /// How many workers were started.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Tells the parent that this worker has come so far and waits for [`Running::resume`], so that
    /// the parent can look at all workers at the same time.
    ///
    /// [`Running::resume`]: super::Running::resume
    pub fn pause(&self) {
        self.write(Kind::Paused, &[]);
        self.wait_for_go();
    }

    /// Waits for the parent's byte; without a parent there is nobody to work for.
    fn wait_for_go(&self) {
        match process::read_some(self.control.as_fd(), &mut [0]) {
            Ok(ReadOutcome::Bytes(_)) => {}
            _ => process::exit_now(ORPHANED),
        }
    }

    fn write(&self, kind: Kind, payload: &[u8]) {
        let news = self.news.as_fd();
        let sent = process::write_all(news, &header(kind, payload.len()))
            .and_then(|()| process::write_all(news, payload));
        if sent.is_err() {
            process::exit_now(ORPHANED);
        }
    }

    /// Runs the closure and ends the process.
    pub(crate) fn run<T: Serialize>(self, parent: Pid, work: impl FnOnce(&Self) -> T) -> ! {
        // Nothing may unwind out of here (I1), not even a panic in a serializer or a destructor.
        let code = panic::catch_unwind(AssertUnwindSafe(|| self.live(parent, work)));
        process::exit_now(code.unwrap_or(PANICKED))
    }

    fn live<T: Serialize>(&self, parent: Pid, work: impl FnOnce(&Self) -> T) -> i32 {
        if !matches!(process::die_with_parent(parent), Ok(true)) {
            return ORPHANED;
        }
        self.wait_for_go();
        let last_panic = record_panics();
        let outcome = panic::catch_unwind(AssertUnwindSafe(|| {
            let result = work(self);
            let bytes = postcard::to_stdvec(&result);
            // Freeing it would only write to pages on the way out.
            std::mem::forget(result);
            bytes
        }));
        // `_exit` would throw away what the closure printed; whether it arrives is not our result.
        let _ = std::io::stdout().flush();
        match outcome {
            Ok(Ok(bytes)) => self.write(Kind::Result, &bytes),
            Ok(Err(error)) => self.write(Kind::Encode, error.to_string().as_bytes()),
            Err(payload) => {
                let recorded = last_panic
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .take();
                let panic = describe(payload.as_ref(), recorded);
                // A payload may panic when it is dropped.
                std::mem::forget(payload);
                self.write(
                    Kind::Panic,
                    &postcard::to_stdvec(&panic).unwrap_or_default(),
                );
                return PANICKED;
            }
        }
        DONE
    }
}

/// Replaces the panic hook by one that keeps this thread's last panic instead of printing it.
fn record_panics() -> Arc<Mutex<Option<Panic>>> {
    let last = Arc::new(Mutex::new(None));
    let (kept, closure_thread) = (Arc::clone(&last), std::thread::current().id());
    let previous = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if std::thread::current().id() != closure_thread {
            previous(info);
            return;
        }
        let place = info.location().map(|place| Place {
            file: place.file().to_owned(),
            line: place.line(),
            column: place.column(),
        });
        let panic = Panic {
            message: message(info.payload()),
            place,
        };
        *kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(panic);
    }));
    last
}

/// The panic that ended the closure: the recorded one, unless the payload is another's, which
/// `resume_unwind` throws without calling the hook.
fn describe(payload: &(dyn Any + Send), recorded: Option<Panic>) -> Panic {
    let message = message(payload);
    match recorded {
        Some(panic) if panic.message == message => panic,
        _ => Panic {
            message,
            place: None,
        },
    }
}

fn message(payload: &(dyn Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "a panic whose payload is no text".to_owned()
    }
}
