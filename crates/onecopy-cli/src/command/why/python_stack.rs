//! Which Python functions were running, from a copy of the native stack.
//!
//! Each running Python function has called the evaluation loop through a piece of compiled code, and has
//! left a return address into it on the stack. So have functions that returned long ago, in parts of the
//! stack that nobody has written to since. What tells them apart is the loop's frame, which always has
//! the same size:
//!
//! ```text
//! low   … return address into the loop, from a function that it called        at q
//!       … the loop's own frame, with leftovers …
//! high  … return address into the compiled code that has called the loop      at q + distance
//! ```
//! The distance is read from the first instructions of the loop, which make its frame. That is known for
//! x86-64; elsewhere call chains go on through the interpreter, and nothing has to be looked for.
#![forbid(unsafe_code)]

use super::faults::{Frame, NO_FILE};

/// The evaluation loop.
pub(super) const LOOP: &str = "_PyEval_EvalFrameDefault";

/// The words of a stack that are addresses of code of the interpreter, or of code without a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Words {
    /// What was running.
    pub(super) running: Frame,
    /// Position and address, innermost first.
    pub(super) found: Vec<(u16, Frame)>,
}

/// Words between the two return addresses, from the first bytes of the loop's code.
pub(super) fn distance(code: &[u8]) -> Option<u16> {
    let mut pushed = 0u32;
    let mut rest = code;
    loop {
        rest = match rest {
            // push of a register, old and new
            [0x50..=0x57, rest @ ..] | [0x41, 0x50..=0x57, rest @ ..] => {
                pushed += 1;
                rest
            }
            // endbr64, and mov between registers, which compilers put in between
            [0xf3, 0x0f, 0x1e, 0xfa, rest @ ..]
            | [0x48..=0x4d, 0x89 | 0x8b, 0xc0..=0xff, rest @ ..]
            | [0x89 | 0x8b, 0xc0..=0xff, rest @ ..] => rest,
            // sub from the stack pointer
            [0x48, 0x81, 0xec, a, b, c, d, ..] => {
                let bytes = u32::from_le_bytes([*a, *b, *c, *d]);
                return (bytes.is_multiple_of(8))
                    .then(|| u16::try_from(pushed + bytes / 8 + 1).ok())?;
            }
            [0x48, 0x83, 0xec, bytes, ..] => {
                return u16::try_from(pushed + u32::from(*bytes) / 8 + 1).ok();
            }
            _ => return None,
        };
    }
}

/// The addresses of compiled code that was running, innermost first.
pub(super) fn running(words: &Words, distance: u16, is_loop: impl Fn(&Frame) -> bool) -> Vec<u64> {
    let at = |position: u16| {
        let index = words
            .found
            .binary_search_by_key(&position, |(at, _)| *at)
            .ok()?;
        let (_, frame) = words.found.get(index)?;
        (frame.file == NO_FILE).then_some(frame.offset)
    };
    let mut found = Vec::new();
    let mut from = 0;
    // A loop that was running itself has no return address below its frame.
    let innermost = distance.checked_sub(1).filter(|_| is_loop(&words.running));
    if let Some((position, address)) =
        innermost.and_then(|position| Some((position, at(position)?)))
    {
        found.push(address);
        from = position + 1;
    }
    for (position, _) in words.found.iter().filter(|(_, frame)| is_loop(frame)) {
        let caller = position.saturating_add(distance);
        if let Some(address) = at(caller).filter(|_| *position >= from) {
            found.push(address);
            from = caller + 1;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOP_AT: Frame = Frame {
        file: 1,
        offset: 0x100,
    };
    const OTHER: Frame = Frame {
        file: 1,
        offset: 0x900,
    };

    fn compiled(offset: u64) -> Frame {
        Frame {
            file: NO_FILE,
            offset,
        }
    }

    fn is_loop(frame: &Frame) -> bool {
        *frame == LOOP_AT
    }

    fn words(running: Frame, found: &[(u16, Frame)]) -> Words {
        Words {
            running,
            found: found.to_vec(),
        }
    }

    #[test]
    fn leftovers_within_a_frame_are_no_callers() {
        // Three live frames of 20 words; within them, what earlier calls have left.
        let stack = words(
            OTHER,
            &[
                (2, LOOP_AT),
                (5, compiled(0xdead)),
                (9, LOOP_AT),
                (22, compiled(1)),
                (24, OTHER),
                (30, LOOP_AT),
                (37, compiled(0xbeef)),
                (50, compiled(2)),
                (53, LOOP_AT),
                (73, compiled(3)),
                (80, compiled(0xfeed)),
            ],
        );
        assert_eq!(running(&stack, 20, is_loop), [1, 2, 3]);
    }

    #[test]
    fn a_loop_that_runs_itself_is_the_innermost() {
        let stack = words(
            LOOP_AT,
            &[
                (4, compiled(0xdead)),
                (19, compiled(1)),
                (30, LOOP_AT),
                (50, compiled(2)),
            ],
        );
        assert_eq!(running(&stack, 20, is_loop), [1, 2]);
        let elsewhere = words(OTHER, &stack.found);
        assert_eq!(running(&elsewhere, 20, is_loop), [2]);
    }

    #[test]
    fn the_distance_is_what_the_loop_pushes_and_takes() {
        // CPython 3.12 on x86-64: six registers and 0x148 bytes.
        let code = [
            0x41, 0x57, 0x41, 0x56, 0x41, 0x55, 0x41, 0x54, 0x55, 0x53, 0x48, 0x81, 0xec, 0x48,
            0x01, 0, 0, 0x48,
        ];
        assert_eq!(distance(&code), Some(6 + 41 + 1));
        let with_frame_pointer = [
            0xf3, 0x0f, 0x1e, 0xfa, 0x55, 0x48, 0x89, 0xe5, 0x53, 0x48, 0x83, 0xec, 0x18,
        ];
        assert_eq!(distance(&with_frame_pointer), Some(2 + 3 + 1));
        // A jump, nothing, and another kind of processor.
        for code in [
            &[0x55, 0xe9, 0, 0, 0, 0][..],
            &[],
            &[0xfd, 0x7b, 0xb3, 0xa9],
            &code[..12],
        ] {
            assert_eq!(distance(code), None);
        }
        assert!(running(&words(LOOP_AT, &[]), 20, is_loop).is_empty());
    }
}
