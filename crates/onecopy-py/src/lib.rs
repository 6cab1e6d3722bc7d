//! The extension module `onecopy._onecopy`.
