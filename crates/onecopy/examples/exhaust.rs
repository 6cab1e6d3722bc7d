//! Takes all memory of the machine, object by object, and shows that the end of it is an error.
//!
//! Run by `make torture`. Should the refusal ever fail, the kernel ends this process before any other.
#![allow(
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "numbers of elements, far below any limit"
)]

use std::error::Error;

use onecopy::{AllocateError, Huge, Store};

fn main() -> Result<(), Box<dyn Error>> {
    std::fs::write("/proc/self/oom_score_adj", "1000")?;
    for (bytes, huge) in [
        (16 << 20, Huge::Auto),
        (16 << 20, Huge::Never),
        (256 << 10, Huge::Auto),
    ] {
        let store = Store::new()?;
        let mut held = Vec::new();
        let error = loop {
            match store.allocate(bytes, huge) {
                Ok(building) => held.push(building),
                Err(error) => break error,
            }
        };
        println!(
            "{} objects of {bytes} bytes ({huge:?}), then: {error}",
            held.len()
        );
        assert!(
            matches!(error, AllocateError::NoMemory { .. }),
            "another error than no memory"
        );
        drop(held);
        store.verify()?;
        let view = store.share_slice(&[1u8; 100])?;
        assert_eq!(view[99], 1, "the store still works");
        drop(view);
        assert_eq!(store.stats()?.allocated_bytes, 0);
    }
    Ok(())
}
