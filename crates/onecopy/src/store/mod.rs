//! The store: one memory file for everything shared.
