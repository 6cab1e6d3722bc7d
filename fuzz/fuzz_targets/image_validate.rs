//! Any bytes: opened and validated as they are, and once more with a header that holds.
#![no_main]

use libfuzzer_sys::fuzz_target;
use onecopy::image::{Image, ImageBuf, validate};
use onecopy_fuzz::damage::repair_header;
use onecopy_fuzz::support::reader::read_all;

fuzz_target!(|data: &[u8]| {
    let valid = validate(data).is_ok();
    assert!(!valid || Image::open(data).is_ok());
    let mut repaired = data.to_vec();
    repair_header(&mut repaired);
    let repaired = ImageBuf::copy_of(&repaired);
    if validate(&repaired).is_ok() {
        read_all(&repaired);
    }
});
