//! The `onecopy` command as a library.
