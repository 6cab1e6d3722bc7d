//! Immutable objects as position-independent bytes.
