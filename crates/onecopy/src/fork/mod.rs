//! Worker processes over copy-on-write memory.
