//! `onecopy run` and `onecopy report` as programs: exit codes, signals, files, and what they say.

mod ends;
mod files;
mod measuring;
mod others;
mod signals;
mod support;
mod top;
