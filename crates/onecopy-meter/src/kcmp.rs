//! Whether two processes have one address space: a child between `vfork(2)` and `exec`, or one that
//! `clone(2)` made with `CLONE_VM`. Their pages are mapped once, and both show them.
#![allow(
    unsafe_code,
    reason = "rustix has no binding for kcmp; this file is the only one"
)]

/// `KCMP_VM` of `linux/kcmp.h`.
const KCMP_VM: libc::c_int = 1;

/// `kcmp(2)`; `None` where the kernel does not have it, or one of the two may not be looked into.
pub(crate) fn same_address_space(one: u32, other: u32) -> Option<bool> {
    let (one, other) = (
        libc::pid_t::try_from(one).ok()?,
        libc::pid_t::try_from(other).ok()?,
    );
    let none: libc::c_ulong = 0;
    // SAFETY: kcmp takes five numbers and no address: it reads nothing of this process, writes nothing,
    // and answers for pids that are gone with ESRCH.
    let answer = unsafe { libc::syscall(libc::SYS_kcmp, one, other, KCMP_VM, none, none) };
    // 0 is equal, 1 to 3 are an order of different ones.
    (0..=3).contains(&answer).then_some(answer == 0)
}
