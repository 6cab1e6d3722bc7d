//! Damaged images: opened without a look at the whole, and everything read that can be reached.
#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use onecopy::image::HEADER_LEN;
use onecopy_fuzz::damage::{damage, repair_header};
use onecopy_fuzz::support::reader::read_all;

fuzz_target!(|data: &[u8]| read_all(data));

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    // The fuzzer's own changes find what nobody thought of.
    if size < HEADER_LEN + 16 || seed.is_multiple_of(5) {
        let size = fuzzer_mutate(data, size, max_size);
        if !seed.is_multiple_of(25) {
            repair_header(&mut data[..size]);
        }
        return size;
    }
    damage(data, size, seed.into())
});
