//! How many copies of your data exist: memory accounting of process trees from /proc.
