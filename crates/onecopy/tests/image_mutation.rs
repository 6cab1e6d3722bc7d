//! Bytes are input: whatever they are, reading gives values or an error, and never panics.

mod support;

use std::fs;

use onecopy::image::{
    Element, HEADER_LEN, Header, Image, ImageBuf, ImageError, Node, Scalar, hash, read_blob,
    validate,
};
use proptest::prelude::*;

use support::model::{Value, image_of};
use support::reader::read_all;
use support::samples::{nested, nested_values, samples};

const FINDINGS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/findings");

#[test]
fn keys_are_found_and_others_not() {
    let image = nested();
    let image = Image::open(&image).unwrap();
    let Node::Sequence(root) = image.root().unwrap() else {
        panic!("a list was written");
    };
    let Some(Element::Node(dict)) = root.get(0).unwrap() else {
        panic!("a node was written");
    };
    let Node::Dict(dict) = image.node(dict).unwrap() else {
        panic!("a dict was written");
    };
    for key in -5..20 {
        for value in [Scalar::Int(key), Scalar::Float(key as f64)] {
            let hash = hash::scalar(&value, dict.keys.seed).unwrap();
            let found = dict.keys.find_scalar(&value, hash).unwrap();
            assert_eq!(found, usize::try_from(key).ok().filter(|&key| key < 12));
        }
    }
}

/// Repairs the header's check, so that damage behind it is reached.
fn with_valid_header(bytes: &[u8], root: Option<u64>) -> ImageBuf {
    let header = Header::read(bytes).unwrap();
    let header = Header {
        root: root.unwrap_or(header.root),
        ..header
    };
    let mut bytes = bytes.to_vec();
    bytes[..64].copy_from_slice(&header.to_bytes());
    ImageBuf::copy_of(&bytes)
}

#[test]
fn every_single_bit_may_flip() {
    for image in samples() {
        for index in 0..image.len() {
            for bit in 0..8 {
                let mut bytes = image.to_vec();
                bytes[index] ^= 1 << bit;
                let bytes = ImageBuf::copy_of(&bytes);
                if index < 64 {
                    assert!(
                        validate(&bytes).is_err(),
                        "bit {bit} of header byte {index}"
                    );
                }
                read_all(&bytes);
            }
        }
    }
}

#[test]
fn every_byte_may_hold_an_extreme() {
    for image in samples() {
        for index in 64..image.len() {
            for width in [1, 2, 4, 8].into_iter().filter(|width| index % width == 0) {
                for fill in [0x00, 0x7f, 0x80, 0xff] {
                    let mut bytes = image.to_vec();
                    let end = bytes.len().min(index + width);
                    bytes[index..end].fill(fill);
                    read_all(&ImageBuf::copy_of(&bytes));
                }
            }
        }
    }
}

#[test]
fn every_truncation_is_named() {
    for image in samples() {
        for len in 0..image.len() {
            let cut = ImageBuf::copy_of(&image[..len]);
            let error = Image::open(&cut).err();
            let is_named = if len < HEADER_LEN {
                matches!(error, Some(ImageError::NoHeader { .. }))
            } else {
                matches!(error, Some(ImageError::Truncated { .. }))
            };
            assert!(is_named, "{len}: {error:?}");
        }
        validate(&image).unwrap();
    }
}

#[test]
fn every_offset_may_be_called_the_root() {
    for image in samples() {
        for root in (0..image.len() as u64 + 16).chain([u64::MAX, u64::MAX - 7, 1 << 63]) {
            read_all(&with_valid_header(&image, Some(root)));
        }
    }
}

#[test]
fn every_offset_may_be_called_a_blob() {
    for image in samples() {
        for offset in (0..image.len() as u64 + 16).chain([u64::MAX, u64::MAX - 7]) {
            let _ = read_blob(&image, offset);
        }
    }
}

#[test]
fn bytes_after_the_image_are_ignored() {
    for image in samples() {
        let mut longer = image.to_vec();
        longer.extend([0xff; 100]);
        let longer = ImageBuf::copy_of(&longer);
        validate(&longer).unwrap();
        assert_eq!(Image::open(&longer).unwrap().bytes(), &image[..]);
    }
}

#[test]
fn a_newer_format_says_so() {
    let mut bytes = samples().remove(1).to_vec();
    // The version, with the check that a newer writer would have made.
    bytes[8] = 4;
    let check = bytes[..56]
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, &byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    bytes[56..64].copy_from_slice(&check.to_le_bytes());
    let error = Image::open(&ImageBuf::copy_of(&bytes)).unwrap_err();
    assert_eq!(
        error,
        ImageError::Newer {
            found: 4,
            newest: 3
        }
    );
    assert_eq!(
        error.to_string(),
        "image format 4 is newer than this library reads (up to 3): update onecopy"
    );
}

#[test]
fn an_address_between_words_is_refused() {
    let image = samples().remove(1);
    let mut shifted = vec![0_u64; image.len() / 8 + 2];
    let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut shifted);
    bytes[4..4 + image.len()].copy_from_slice(&image);
    assert!(matches!(
        Image::open(&bytes[4..]),
        Err(ImageError::Misaligned { .. })
    ));
}

/// Images that fuzzing once found wrong: see `fuzz/README.md`.
#[test]
fn what_was_found_stays_mended() {
    for entry in fs::read_dir(FINDINGS).unwrap() {
        read_all(&ImageBuf::copy_of(
            &fs::read(entry.unwrap().path()).unwrap(),
        ));
    }
}

/// The word that leads to the node at an offset.
fn node_word(offset: u64) -> [u8; 8] {
    (0xfffe << 48 | offset).to_le_bytes()
}

#[test]
fn a_value_that_leads_to_itself_is_refused() {
    let mut bytes = image_of(&Value::Int(5)).unwrap().to_vec();
    bytes[80..88].copy_from_slice(&node_word(64));
    let bytes = ImageBuf::copy_of(&bytes);
    assert!(validate(&bytes).is_err());
    assert!(Image::open(&bytes).unwrap().root().is_err());
}

#[test]
fn rows_are_as_many_as_cells() {
    let (_, table) = nested_values().swap_remove(8);
    let mut bytes = image_of(&table).unwrap().to_vec();
    assert!(matches!(
        Image::open(&ImageBuf::copy_of(&bytes)).unwrap().root(),
        Ok(Node::Table(_))
    ));
    bytes[72..80].copy_from_slice(&(1_u64 << 60).to_le_bytes());
    assert!(
        Image::open(&ImageBuf::copy_of(&bytes))
            .unwrap()
            .root()
            .is_err()
    );
    // No column, so nothing that vouches for rows.
    bytes[80..88].fill(0);
    assert!(
        Image::open(&ImageBuf::copy_of(&bytes))
            .unwrap()
            .root()
            .is_err()
    );
}

/// Tuples that hold the next one nine times: whoever hashed it for each would hash 9^14 of them.
#[test]
fn tuples_in_keys_are_hashed_once() {
    let level = |inner| {
        Value::Tuple((1..9).fold(vec![inner], |mut level, at| {
            level.push(Value::Int(at));
            level
        }))
    };
    let tower = (0..14).fold(Value::Tuple(vec![Value::Int(0)]), |inner, _| level(inner));
    let keys = (0..9).map(Value::Int).chain([tower]).collect();
    let image = image_of(&Value::Set(keys)).unwrap();
    validate(&image).unwrap();

    let opened = Image::open(&image).unwrap();
    let Node::Set(set) = opened.root().unwrap() else {
        panic!("a set was written");
    };
    let mut bytes = image.to_vec();
    let mut next = set.keys.items.get(9).unwrap();
    while let Some(Element::Node(offset)) = next {
        next = opened.sequence_at(offset).unwrap().get(0).unwrap();
        if let Some(Element::Node(inner)) = next {
            for word in 0..9 {
                bytes[offset as usize + 16 + 8 * word..][..8].copy_from_slice(&node_word(inner));
            }
        }
    }
    // The key's hash is another one now, so the index does not lead to it.
    let error = validate(&ImageBuf::copy_of(&bytes)).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("the index does not lead to a key")
    );
}

/// Only lists, tuples and arrays have sections.
#[test]
fn sections_of_a_kind_that_has_none_are_refused() {
    for kind in [Value::Set(vec![Value::Int(1)]), Value::Int(5)] {
        let mut bytes = image_of(&kind).unwrap().to_vec();
        bytes[64 + 3] = 1;
        let bytes = ImageBuf::copy_of(&bytes);
        let error = Image::open(&bytes).unwrap().root().unwrap_err();
        assert_eq!(
            error.to_string(),
            "corrupt image at offset 67: too many sections"
        );
    }
}

/// A list of lists that all claim the same items: whoever looked at them for each would take the square of the time.
#[test]
fn parts_that_overlap_are_refused() {
    let words = Value::List(vec![Value::List(Vec::new()); 600]);
    let mut bytes = image_of(&words).unwrap().to_vec();
    let count = 400_u64;
    for list in 0..600 {
        // Behind the root's head, table and words: empty lists of 16 bytes.
        let at = bytes.len() - 16 * (list + 1);
        assert_eq!(bytes[at..at + 4], [1, 6, 0, 0]);
        if at + 16 + count as usize * 8 > bytes.len() {
            continue;
        }
        bytes[at + 8..at + 16].copy_from_slice(&count.to_le_bytes());
    }
    let error = validate(&ImageBuf::copy_of(&bytes)).unwrap_err();
    assert_eq!(
        error.to_string().split(": ").nth(1),
        Some("parts of the image lie in the same bytes")
    );
}

/// What `validate` says of an image, without the place.
fn verdict(bytes: &[u8]) -> String {
    let error = validate(&ImageBuf::copy_of(bytes)).unwrap_err().to_string();
    error.split(": ").nth(1).unwrap_or_default().to_owned()
}

/// The image of a set, and where its keys node lies.
fn set_of(members: Vec<Value>) -> (Vec<u8>, usize) {
    let image = image_of(&Value::Set(members)).unwrap();
    let Node::Set(set) = Image::open(&image).unwrap().root().unwrap() else {
        panic!("a set was written");
    };
    (image.to_vec(), set.keys_offset as usize)
}

/// Looking for each of many equal keys would take the square of the time.
#[test]
fn equal_keys_are_refused() {
    let long = || Value::text(&"x".repeat(100));
    let pairs = [
        [Value::Int(1), Value::Bool(true)],
        [Value::Int(2), Value::Complex(2.0, -0.0)],
        [long(), long()],
        [
            Value::Tuple(vec![Value::Int(1), long()]),
            Value::Tuple(vec![Value::Float(1.0), long()]),
        ],
    ];
    for pair in pairs {
        for others in [0, 20] {
            let mut members: Vec<_> = (100..100 + others).map(Value::Int).collect();
            members.extend(pair.clone());
            assert_eq!(verdict(&set_of(members).0), "two keys are equal");
        }
    }
    // A NaN does not equal itself.
    let nan = || Value::Tuple(vec![Value::Float(f64::NAN)]);
    let members = (0..20).map(Value::Int).chain([nan(), nan()]).collect();
    validate(&ImageBuf::copy_of(&set_of(members).0)).unwrap();
}

#[test]
fn keys_no_writer_makes_are_refused() {
    let (image, keys) = set_of((0..12).map(Value::Int).collect());
    let with = |distance: usize, field: u64| {
        let mut bytes = image.clone();
        bytes[keys + distance..][..8].copy_from_slice(&field.to_le_bytes());
        bytes
    };
    assert_eq!(verdict(&with(24, 16)), "a seed that no writer takes");
    assert_eq!(verdict(&with(40, 0)), "so many keys have an index");

    let (mut few, keys) = set_of(vec![Value::Pickle(b"N.".to_vec())]);
    assert_eq!(few[keys + 2], 1);
    few[keys + 2] = 0;
    assert_eq!(verdict(&few), "keys are opaque that are not marked so");

    // Keys nodes are small, and a tuple of keys may be long.
    let sets = Value::List(vec![Value::Set(vec![Value::Int(1)]); 2]);
    let image = image_of(&sets).unwrap();
    let opened = Image::open(&image).unwrap();
    let Ok(Node::Sequence(root)) = opened.root() else {
        panic!("a list was written");
    };
    let [first, second] = [0, 1].map(|index| match root.get(index).unwrap() {
        Some(Element::Node(offset)) => match opened.node(offset).unwrap() {
            Node::Set(set) => set.keys,
            _ => panic!("a set was written"),
        },
        _ => panic!("a node was written"),
    });
    let mut bytes = image.to_vec();
    let field = second.offset() as usize + 16;
    bytes[field..field + 8].copy_from_slice(&first.items_offset.to_le_bytes());
    assert_eq!(verdict(&bytes), "two nodes have the same tuple of keys");
}

/// Every slot of an index leads to its key, and no key's way there is broken.
#[test]
fn a_damaged_index_is_refused() {
    let (image, keys) = set_of((0..12).map(Value::Int).collect());
    let opened = ImageBuf::copy_of(&image);
    let Ok(Node::Set(set)) = Image::open(&opened).unwrap().root() else {
        panic!("a set was written");
    };
    let field = |distance: usize| {
        let bytes = image[keys + distance..][..8].try_into().unwrap();
        u64::from_le_bytes(bytes) as usize
    };
    let (index, slots) = (field(32), set.keys.slots());
    let put = |bytes: &mut [u8], slot: usize, word: u64| {
        bytes[index + 8 * slot..][..8].copy_from_slice(&word.to_le_bytes());
    };
    for slot in 0..slots.len() {
        let mut bytes = image.clone();
        if slots[slot] == 0 {
            put(&mut bytes, slot, 1);
            assert!(validate(&ImageBuf::copy_of(&bytes)).is_err(), "{slot}");
            continue;
        }
        for other in 0..slots.len() {
            let mut bytes = image.clone();
            put(&mut bytes, slot, slots[other]);
            put(&mut bytes, other, slots[slot]);
            let moved = ImageBuf::copy_of(&bytes);
            let Ok(Node::Set(set)) = Image::open(&moved).unwrap().root() else {
                panic!("a set was written");
            };
            let found = (0..12).all(|key| {
                let value = Scalar::Int(key);
                let hash = hash::scalar(&value, set.keys.seed).unwrap();
                set.keys.find_scalar(&value, hash).unwrap() == usize::try_from(key).ok()
            });
            assert_eq!(validate(&moved).is_ok(), found, "{slot} and {other}");
        }
        put(&mut bytes, slot, 0);
        assert!(validate(&ImageBuf::copy_of(&bytes)).is_err(), "{slot}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn many_bytes_may_change_at_once(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        trailing in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let samples = samples();
        let image = which.get(&samples);
        let mut bytes = image.to_vec();
        for (at, value) in changes {
            let at = 64 + at.index(bytes.len() - 64);
            bytes[at] = value;
        }
        bytes.extend(trailing);
        read_all(&ImageBuf::copy_of(&bytes));
    }

    #[test]
    fn anything_may_follow_a_header(body in prop::collection::vec(any::<u8>(), 0..400)) {
        let header = Header { image_len: 64 + body.len() as u64, root: 64 };
        let mut bytes = header.to_bytes().to_vec();
        bytes.extend(body);
        read_all(&ImageBuf::copy_of(&bytes));
    }

    #[test]
    fn a_validated_image_is_read_without_an_error(
        which in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        value in any::<u8>(),
    ) {
        let samples = samples();
        let mut bytes = which.get(&samples).to_vec();
        let at = 64 + at.index(bytes.len() - 64);
        bytes[at] = value;
        let bytes = ImageBuf::copy_of(&bytes);
        if validate(&bytes).is_ok()
            && let Node::Sequence(sequence) = Image::open(&bytes).unwrap().root().unwrap()
        {
            for index in 0..sequence.len() {
                prop_assert!(sequence.get(index).unwrap().is_some());
            }
        }
    }
}
