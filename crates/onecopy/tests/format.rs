//! The format, byte for byte: images of every kind as they were written when their version was released.
//!
//! A difference here means that images in files no longer read as they did: it needs a new format version and fixtures
//! of its own beside these, never a change of these. `ONECOPY_WRITE_FIXTURES=1` writes those that are missing.

mod support;

use std::fs;
use std::path::PathBuf;

use onecopy::image::{
    ArrayLayout, ArrayShape, Container, Image, ImageBuf, IntWidth, Node, Scalar, TextBuf,
    sequence_image, validate,
};

use support::model::{check_image, image_of};
use support::samples::{nested_values, other_values, typed_values};

/// Text whose image is to be built; leaked, as a test has few.
fn text(content: &str) -> Scalar<'static> {
    Scalar::Str(Box::leak(Box::new(TextBuf::from(content))).as_text())
}

fn codes(codes: &[u32]) -> Scalar<'static> {
    let text = TextBuf::from_codes(codes.iter().copied());
    Scalar::Str(Box::leak(Box::new(text)).as_text())
}

/// A payload that collides with the tags of words.
const TAGGED_NAN: u64 = 0xfffb_1234_5678_9abc;

#[allow(clippy::too_many_lines)] // A table.
#[allow(clippy::type_complexity)]
fn sequences() -> Vec<(&'static str, Container, IntWidth, Vec<Scalar<'static>>)> {
    use Container::{List, Tuple};
    use IntWidth::{Full, Narrowest};
    let ints = |values: &[i64]| values.iter().map(|&value| Scalar::Int(value)).collect();
    vec![
        ("empty_list", List, Full, vec![]),
        ("empty_tuple", Tuple, Full, vec![]),
        ("i8", List, Narrowest, ints(&[-128, 0, 127])),
        ("i16", Tuple, Narrowest, ints(&[-32_768, 32_767])),
        ("i32", List, Narrowest, ints(&[1 << 20, -(1 << 31)])),
        ("i64", List, Full, ints(&[1, -1, i64::MIN, i64::MAX])),
        (
            "u64",
            List,
            Full,
            vec![
                Scalar::Int(0),
                Scalar::Uint(1 << 63),
                Scalar::Uint(u64::MAX),
            ],
        ),
        (
            "f64",
            List,
            Full,
            [0.0, -0.0, 1.5, f64::INFINITY, f64::from_bits(TAGGED_NAN)]
                .map(Scalar::Float)
                .into(),
        ),
        (
            "bool",
            Tuple,
            Full,
            vec![Scalar::Bool(true), Scalar::Bool(false)],
        ),
        ("only_none", List, Full, vec![Scalar::None; 9]),
        (
            "i64_none",
            List,
            Full,
            vec![Scalar::Int(1), Scalar::None, Scalar::Int(3)],
        ),
        (
            "f64_none",
            List,
            Full,
            vec![Scalar::None, Scalar::Float(0.5)],
        ),
        (
            "bool_none",
            List,
            Full,
            vec![Scalar::Bool(true), Scalar::None],
        ),
        (
            "str_ascii",
            List,
            Full,
            vec![text("one"), text(""), text("nul\0inside")],
        ),
        (
            "str_any",
            List,
            Full,
            vec![
                text("ascii"),
                text("naïve"),
                text("日本語"),
                text("a🦀"),
                codes(&[0x61, 0xdc80]),
                Scalar::None,
            ],
        ),
        (
            "bytes",
            Tuple,
            Full,
            vec![Scalar::Bytes(b"\0\xff"), Scalar::Bytes(b""), Scalar::None],
        ),
        (
            "words",
            List,
            Full,
            vec![
                Scalar::None,
                Scalar::Bool(true),
                Scalar::Bool(false),
                Scalar::Int(-1),
                Scalar::Int((1 << 47) - 1),
                Scalar::Int(1 << 47),
                Scalar::Uint(1 << 63),
                Scalar::Big(&[0, 0, 0, 0, 0, 0, 0, 0, 1]),
                Scalar::Float(-0.0),
                Scalar::Float(f64::from_bits(TAGGED_NAN)),
                text("five5"),
                text("sixsix"),
                text("é"),
                text("ÿÿÿÿÿÿ"),
                text("日"),
                text("🦀"),
                Scalar::Bytes(b"five5"),
                Scalar::Bytes(b"sixsix"),
            ],
        ),
    ]
}

fn arrays() -> Vec<(&'static str, ArrayShape<'static>, Vec<u8>)> {
    let columns = ArrayShape {
        dtype: "<i2",
        item_size: 2,
        shape: &[2, 3],
        strides: &[2, 4],
        read_only: true,
    };
    let scalar = ArrayShape {
        dtype: "<f8",
        item_size: 8,
        shape: &[],
        strides: &[],
        read_only: false,
    };
    let buffer = |dtype, item_size, shape| ArrayShape {
        dtype,
        item_size,
        shape,
        strides: if item_size == 1 { &[1] } else { &[2] },
        read_only: false,
    };
    vec![
        ("array_fortran", columns, (0..12).collect()),
        ("array_0d", scalar, 2.5_f64.to_le_bytes().into()),
        (
            "buffer_bytearray",
            buffer("bytearray", 1, &[5]),
            (0..5).collect(),
        ),
        ("buffer_mmap", buffer("mmap", 1, &[5]), (0..5).collect()),
        (
            "buffer_memoryview",
            buffer("memoryview:h", 2, &[3]),
            (0..6).collect(),
        ),
        ("buffer_array", buffer("array:H", 2, &[3]), (0..6).collect()),
    ]
}

fn array_image(shape: &ArrayShape<'_>, data: &[u8]) -> ImageBuf {
    let layout = ArrayLayout::new(shape, data.len() as u64).unwrap();
    let mut bytes = vec![0xee; layout.image_len as usize];
    layout.write(shape, &mut bytes).unwrap();
    bytes[layout.data.offset as usize..][..data.len()].copy_from_slice(data);
    ImageBuf::copy_of(&bytes)
}

fn fixture(version: u32, name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    folder.join(format!("tests/fixtures/v{version}/{name}.image"))
}

/// The released bytes, or `image` itself where a fixture is to be written for the first time.
fn released(version: u32, name: &str, image: &[u8]) -> ImageBuf {
    let path = fixture(version, name);
    if std::env::var_os("ONECOPY_WRITE_FIXTURES").is_some() && !path.exists() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        // Under another name first: other tests read while this one writes.
        let part = path.with_extension(format!("{:?}", std::thread::current().id()));
        fs::write(&part, image).unwrap();
        fs::rename(&part, &path).unwrap();
    }
    ImageBuf::copy_of(
        &fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())),
    )
}

#[test]
fn sequences_are_written_as_released() {
    for (name, container, width, values) in sequences() {
        let image = sequence_image(container, width, values.into_iter()).unwrap();
        assert_eq!(&released(1, name, &image)[..], &image[..], "{name}");
    }
}

#[test]
fn released_sequences_are_read() {
    for (name, container, width, values) in sequences() {
        let written = sequence_image(container, width, values.clone().into_iter()).unwrap();
        let bytes = released(1, name, &written);
        validate(&bytes).unwrap();
        let sequence = Image::open(&bytes).unwrap().sequence().unwrap();
        assert_eq!(
            (sequence.container(), sequence.len()),
            (container, values.len()),
            "{name}"
        );
        for (index, value) in values.iter().enumerate() {
            let element = sequence.get(index).unwrap().unwrap();
            match (element.as_scalar(), value) {
                (Scalar::Float(read), Scalar::Float(written)) => {
                    assert_eq!(read.to_bits(), written.to_bits(), "{name}[{index}]");
                }
                (read, written) => assert_eq!(read, *written, "{name}[{index}]"),
            }
        }
    }
}

#[test]
fn arrays_are_written_and_read_as_released() {
    for (name, shape, data) in arrays() {
        let image = array_image(&shape, &data);
        let bytes = released(1, name, &image);
        assert_eq!(&bytes[..], &image[..], "{name}");
        validate(&bytes).unwrap();
        let Node::Array(array) = Image::open(&bytes).unwrap().root().unwrap() else {
            panic!("{name} is no array")
        };
        assert_eq!(array.spec.as_shape(), shape, "{name}");
        assert_eq!(array.data, data, "{name}");
        assert!(array.data_offset.is_multiple_of(64), "{name}");
    }
}

#[test]
fn nested_data_are_written_and_read_as_released() {
    let values = [nested_values(), other_values(), typed_values()];
    for (name, value) in values.into_iter().flatten() {
        let image = image_of(&value).unwrap();
        let version = if name.starts_with("typed") { 3 } else { 2 };
        assert_eq!(image[8..12], u32::to_le_bytes(version), "{name}");
        let bytes = released(version, name, &image);
        assert_eq!(&bytes[..], &image[..], "{name}");
        validate(&bytes).unwrap();
        check_image(&bytes, &value);
    }
}

/// One image for each kind of node, by the byte that says so in `docs/format.md`.
#[test]
fn every_kind_of_node_is_in_a_released_image() {
    let mut met = [false; 13];
    let folders = [2, 3].map(|version| fs::read_dir(fixture(version, "").parent().unwrap()));
    for entry in folders.into_iter().flat_map(Result::unwrap) {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        let bytes = ImageBuf::copy_of(&bytes);
        let image = Image::open(&bytes).unwrap();
        // Every node lies at a multiple of 8; what only looks like one does no harm.
        for offset in (64..bytes.len()).step_by(8) {
            if image.node(offset as u64).is_ok() {
                met[usize::from(bytes[offset])] = true;
            }
        }
    }
    assert_eq!(met[1..], [true; 12]);
}

/// Written by hand from the byte tables in `docs/format.md`, so that table and code cannot drift apart together.
#[test]
fn the_tables_describe_what_is_written() {
    let mut bytes = Vec::new();
    let u64_at_end = |bytes: &mut Vec<u8>, value: u64| bytes.extend(value.to_le_bytes());
    // Header.
    bytes.extend(*b"\x89OCPY\r\n\x1a");
    bytes.extend([1, 0, 0, 0, 0, 0, 0, 0]);
    u64_at_end(&mut bytes, 264);
    u64_at_end(&mut bytes, 64);
    bytes.extend([0; 24]);
    let check = bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, &byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    u64_at_end(&mut bytes, check);
    // Node: list, str, has None but not only ASCII, three sections, offsets of four bytes, three elements.
    bytes.extend([1, 8, 1, 3, 4, 0, 0, 0]);
    u64_at_end(&mut bytes, 3);
    for (offset, len) in [(128, 16), (192, 1), (256, 4)] {
        u64_at_end(&mut bytes, offset);
        u64_at_end(&mut bytes, len);
    }
    // Offsets: "é" is Latin-1, kind 1; None is empty; "abc" is ASCII, kind 0.
    for offset in [1_u32 << 30, 1, 1, 4] {
        bytes.extend(offset.to_le_bytes());
    }
    bytes.resize(192, 0);
    bytes.push(0b101);
    bytes.resize(256, 0);
    bytes.extend(*b"\xe9abc");
    bytes.resize(264, 0);

    let values = [text("é"), Scalar::None, text("abc")];
    let image = sequence_image(Container::List, IntWidth::Full, values.into_iter()).unwrap();
    assert_eq!(&image[..], bytes);
}
