//! Readings while the kernel moves pages to other frames. A program of its own: it does so to all tests that run beside it.

mod common;

use common::truth::{data, session, sums};
use common::{Child, Pages, in_a_process};
use onecopy_meter::{Level, Proc};

/// Writing to it makes the kernel move pages until free memory is in one piece (Documentation/admin-guide/sysctl/vm.rst).
const COMPACT: &str = "/proc/sys/vm/compact_memory";

#[test]
fn pages_that_the_kernel_moves_are_no_copies() {
    if std::fs::write(COMPACT, "1").is_err() {
        skip::skipped("compacting memory needs root, and a kernel that can");
        return;
    }
    if Proc::default().level() != Level::A {
        skip::skipped("level A needs CAP_SYS_ADMIN");
        return;
    }
    in_a_process(|| {
        let pages = Pages::new(8_192);
        let mut session = session(Proc::default(), &pages);
        let readers = [(); 3].map(|()| Child::after(|| ()));
        // Moves pages for as long as it lives.
        let mover = Child::in_stages(&[&|| (), &|| {
            loop {
                let _ = std::fs::write(COMPACT, "1");
            }
        }]);
        mover.go();
        for _ in 0..50 {
            let report = session.read().unwrap();
            let (distinct, frames, new) = sums(data(&report));
            let wrong = frames.abs_diff(distinct) + distinct.abs_diff(8_192) + new;
            // While a page is moved it is nowhere, and before and after it is two frames. The report says how many were.
            let most = report.drift * (readers.len() as u64 + 2);
            let said = report.drift;
            assert!(
                wrong <= most,
                "{distinct} pages, {frames} frames, {new} new, drift {said}"
            );
        }
    });
}
