//! The terminal while signals come: it is put back before they do what they do.
//!
//! ```text
//! TERM, HUP, INT, QUIT, …   put it back ─▶ end by that signal
//! TSTP                      put it back ─▶ stop ─▶ CONT: take it again
//! CONT after STOP           take it again: a shell may have changed it meanwhile
//! ```
//! A thread of its own sees to that. The loop that waits for keys may be in the middle of a reading, and it
//! never comes back from a terminal that has hung up.
#![forbid(unsafe_code)]

use std::io::{self, stdout};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use ratatui::DefaultTerminal;
use ratatui::crossterm::cursor::{Hide, Show};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use signal_hook::consts::{
    SIGALRM, SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGUSR1, SIGUSR2,
};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

use crate::command::run::ignored;

/// What ends this process unless it was started to ignore it.
const ENDING: [i32; 7] = [SIGTERM, SIGHUP, SIGINT, SIGQUIT, SIGALRM, SIGUSR1, SIGUSR2];
/// How often, and after which pauses, a signal looks whether a picture is drawn at last.
const ATTEMPTS: u32 = 100;
const PAUSE: Duration = Duration::from_millis(10);

/// The terminal, taken.
#[derive(Debug, Clone, Default)]
pub(super) struct Terminal(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// Whether it is taken; locked by whoever writes to it.
    taken: Mutex<bool>,
    /// Whether nothing of the last picture is there any more.
    is_lost: AtomicBool,
}

impl Terminal {
    /// Takes the terminal. From here on signals put it back.
    pub(super) fn take() -> io::Result<(Self, DefaultTerminal)> {
        let ignored = ignored();
        let mut signals = vec![SIGCONT];
        let others = ENDING.into_iter().chain([SIGTSTP]);
        signals.extend(others.filter(|signal| ignored >> (signal - 1) & 1 == 0));
        let mut signals = Signals::new(signals)?;
        let screen = Self::default();
        let seen = screen.clone();
        let mut taken = screen.lock();
        let thread = thread::Builder::new().name("signals".to_owned());
        thread.spawn(move || {
            for signal in signals.forever() {
                seen.act(signal);
            }
        })?;
        let terminal = ratatui::try_init()?;
        *taken = true;
        drop(taken);
        Ok((screen, terminal))
    }

    /// For as long as something is written to it.
    pub(super) fn lock(&self) -> MutexGuard<'_, bool> {
        // Whether it is taken is right even if somebody has panicked.
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether everything has to be drawn anew; asked once.
    pub(super) fn is_lost(&self) -> bool {
        self.0.is_lost.swap(false, Ordering::Relaxed)
    }

    /// Puts the terminal back.
    pub(super) fn leave(&self) {
        let mut taken = self.lock();
        ratatui::restore();
        *taken = false;
    }

    fn act(&self, signal: i32) {
        let Some(taken) = self.patiently() else {
            // It takes no more output, so that nothing can be drawn, but its mode can be set.
            if signal != SIGCONT {
                let _ = disable_raw_mode();
                let _ = emulate_default_handler(signal);
            }
            return;
        };
        // A terminal that is gone needs nothing.
        if *taken {
            let _ = disable_raw_mode();
            let _ = execute!(stdout(), LeaveAlternateScreen, Show);
        }
        if signal != SIGCONT {
            // Returns from a stop only.
            let _ = emulate_default_handler(signal);
        }
        if *taken {
            let _ = enable_raw_mode();
            let _ = execute!(stdout(), EnterAlternateScreen, Hide);
            self.0.is_lost.store(true, Ordering::Relaxed);
        }
        drop(taken);
    }

    fn patiently(&self) -> Option<MutexGuard<'_, bool>> {
        (0..ATTEMPTS).find_map(|_| match self.0.taken.try_lock() {
            Ok(taken) => Some(taken),
            Err(std::sync::TryLockError::Poisoned(taken)) => Some(taken.into_inner()),
            Err(std::sync::TryLockError::WouldBlock) => {
                thread::sleep(PAUSE);
                None
            }
        })
    }
}
