//! Bytes are input: whatever they are, reading gives values or an error, and never panics.

use onecopy::image::{
    Arena, ArrayLayout, ArrayShape, ColumnCursor, Container, Element, FORMAT_VERSION, Header,
    Image, ImageBuf, ImageError, IntWidth, Node, RowKind, Scalar, Survey, TableParts, Text,
    TextBuf, TextKind, Word, hash, place_dict, place_object, place_set, place_table, put_dict,
    put_keys, put_row, put_set, put_table, put_value, read_blob, sequence_image, validate,
};
use proptest::prelude::*;

/// One image of every kind of column, and an array.
fn samples() -> Vec<ImageBuf> {
    let (latin, wide, astral) = (
        TextBuf::from("é ÿ"),
        TextBuf::from("日本語"),
        TextBuf::from("a🦀b"),
    );
    let ascii = TextBuf::from("a text of some length");
    let text = |text: &'static TextBuf| Scalar::Str(text.as_text());
    let leak = |text: TextBuf| -> &'static TextBuf { Box::leak(Box::new(text)) };
    let [latin, wide, astral, ascii] = [latin, wide, astral, ascii].map(leak);
    let columns: Vec<Vec<Scalar<'static>>> = vec![
        vec![],
        vec![Scalar::Int(1), Scalar::Int(-100)],
        vec![Scalar::Int(1), Scalar::None, Scalar::Int(1000)],
        vec![Scalar::Int(1 << 20)],
        vec![Scalar::Int(i64::MIN), Scalar::Int(i64::MAX)],
        vec![Scalar::Uint(u64::MAX), Scalar::Int(0)],
        vec![Scalar::Float(-0.0), Scalar::Float(f64::NAN)],
        vec![Scalar::Bool(true), Scalar::None, Scalar::Bool(false)],
        vec![text(ascii), text(ascii)],
        vec![
            text(ascii),
            text(latin),
            Scalar::None,
            text(wide),
            text(astral),
        ],
        vec![Scalar::Bytes(b""), Scalar::Bytes(b"\0\xff"), Scalar::None],
        vec![
            Scalar::None,
            Scalar::Bool(true),
            Scalar::Int(1 << 50),
            Scalar::Int(7),
            Scalar::Big(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
            Scalar::Float(f64::from_bits(u64::MAX)),
            text(ascii),
            text(wide),
            text(latin),
            Scalar::Bytes(b"a few bytes more than five"),
            Scalar::Bytes(b"abc"),
            Scalar::Uint(u64::MAX),
        ],
    ];
    let mut images: Vec<_> = columns
        .into_iter()
        .map(|values| {
            sequence_image(Container::List, IntWidth::Narrowest, values.into_iter()).unwrap()
        })
        .collect();
    let shape = ArrayShape {
        dtype: "<f8",
        item_size: 8,
        shape: &[3, 2],
        strides: &[8, 24],
        read_only: true,
    };
    let layout = ArrayLayout::new(&shape, 48).unwrap();
    let mut bytes = vec![0; layout.image_len as usize];
    layout.write(&shape, &mut bytes).unwrap();
    images.push(ImageBuf::copy_of(&bytes));
    images.push(nested());
    images
}

/// An image with a node of each kind of nested data.
fn nested() -> ImageBuf {
    let mut measure = Arena::measure();
    let root = write_nested(&mut measure);
    let len = measure.finish(root, FORMAT_VERSION).unwrap();
    let mut bytes = vec![0xaa; len as usize];
    let mut arena = Arena::write(&mut bytes);
    assert_eq!(write_nested(&mut arena), root);
    assert_eq!(arena.finish(root, FORMAT_VERSION).unwrap(), len);
    ImageBuf::copy_of(&bytes)
}

fn write_nested(arena: &mut Arena<'_>) -> u64 {
    let column = |arena: &mut Arena<'_>, container: Container, values: &[Scalar<'_>]| -> u64 {
        let mut survey = Survey::default();
        for value in values {
            survey.observe(value);
        }
        let plan = survey.plan(container, IntWidth::Narrowest);
        let mut cursor = ColumnCursor::place(arena, &plan).unwrap();
        for value in values {
            cursor.push(arena, value).unwrap();
        }
        cursor.finish(arena).unwrap()
    };
    let keys = |arena: &mut Arena<'_>, values: &[Scalar<'_>]| -> u64 {
        let items = column(arena, Container::Tuple, values);
        let count = values.len() as u64;
        put_keys(arena, items, count, false, |seed, give| {
            for value in values {
                give(hash::scalar(value, seed));
            }
            Ok(())
        })
        .unwrap()
    };
    let ints: Vec<_> = (0..12).map(Scalar::Int).collect();
    let ten = keys(arena, &ints);
    let values = column(arena, Container::List, &ints);
    let dict = place_dict(arena).unwrap();
    put_dict(arena, dict, 12, ten, values).unwrap();
    let set = place_set(arena).unwrap();
    put_set(arena, set, 12, true, ten).unwrap();
    let texts = [TextBuf::from("x"), TextBuf::from("y")];
    let names: Vec<_> = texts
        .iter()
        .map(|name| Scalar::Str(name.as_text()))
        .collect();
    let names = keys(arena, &names);
    let class = arena.class_blob("module:Class").unwrap();
    let (x, y) = (
        column(arena, Container::List, &[Scalar::Int(1), Scalar::None]),
        column(
            arena,
            Container::List,
            &[Scalar::Complex(1.0, 2.0), Scalar::Pickle(b"N.")],
        ),
    );
    let shapes = [
        column(arena, Container::List, &[Scalar::Int(1), Scalar::Int(0)]),
        column(arena, Container::List, &[Scalar::Int(1)]),
    ];
    let words = |arena: &mut Arena<'_>, container: Container, nodes: &[u64]| -> u64 {
        let mut survey = Survey::default();
        for _ in nodes {
            survey.observe_other();
        }
        let plan = survey.plan(container, IntWidth::Full);
        let mut cursor = ColumnCursor::place(arena, &plan).unwrap();
        for &node in nodes {
            cursor.push_word(arena, Word::node(node).unwrap()).unwrap();
        }
        cursor.finish(arena).unwrap()
    };
    let shapes = words(arena, Container::Tuple, &shapes);
    let row_shapes = column(arena, Container::List, &[Scalar::Int(0), Scalar::Int(1)]);
    let table = place_table(arena, 2).unwrap();
    let parts = TableParts {
        rows: 2,
        container: Container::List,
        row_kind: RowKind::Dataclass,
        names,
        class,
        shapes,
        row_shapes,
        columns: &[x, y],
    };
    put_table(arena, table, &parts).unwrap();
    let row = put_row(arena, table, 1).unwrap();
    let object = place_object(arena, 2, &[8]).unwrap();
    arena.put(object.pickle.offset, b"N.").unwrap();
    arena.put(object.buffers[0].offset, &[7; 8]).unwrap();
    let word = arena.blob(&Scalar::Int(1 << 60)).unwrap();
    let value = put_value(arena, word).unwrap();
    words(
        arena,
        Container::List,
        &[dict, set, table, row, object.node, value],
    )
}

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

/// Reads everything there is to read.
fn read_all(bytes: &[u8]) {
    let _ = validate(bytes);
    let Ok(image) = Image::open(bytes) else {
        return;
    };
    // Damage can make cycles and fans: a bounded number of nodes is enough.
    let mut ahead = vec![image.root_offset()];
    for _ in 0..1000 {
        let Some(offset) = ahead.pop() else {
            return;
        };
        if let Ok(node) = image.node(offset) {
            read_node(&node, &mut ahead);
        }
    }
}

/// Reads everything of one node, and says which nodes it leads to.
fn read_node(node: &Node<'_>, ahead: &mut Vec<u64>) {
    match *node {
        Node::Sequence(sequence) => {
            // A count that survived is backed by as many items, so this is bounded by the image's length.
            for index in 0..sequence.len() {
                if let Ok(Some(element)) = sequence.get(index) {
                    read_element(&element);
                    if let Element::Node(offset) = element {
                        ahead.push(offset);
                    }
                }
            }
        }
        Node::Array(array) => assert!(array.shape.extent().unwrap() <= array.data.len() as u64),
        Node::Dict(dict) => ahead.extend([dict.keys_offset, dict.values_offset]),
        Node::Set(set) => ahead.push(set.keys_offset),
        Node::Keys(keys) => {
            for hash in [0, 1, u64::MAX] {
                assert!(keys.candidates(hash).all(|position| position < keys.len()));
                let _ = keys.find_scalar(&Scalar::Int(1), hash);
                let _ = keys.find_text(
                    Text {
                        kind: TextKind::Ascii,
                        bytes: b"a",
                    },
                    hash,
                );
            }
            ahead.push(keys.items_offset);
        }
        Node::Table(table) => {
            ahead.push(table.names_offset);
            for field in 0..table.field_count() {
                let _ = table.column(field);
                ahead.extend(table.column_offset(field));
            }
            for shape in 0..table.shape_count() {
                let _ = table.shape(shape);
            }
        }
        Node::Object(object) => {
            for index in 0..object.buffer_count() {
                let _ = object.buffer(index);
            }
        }
        Node::Row(row) => ahead.push(row.table),
        Node::Value(word) => ahead.extend(word.node_offset()),
    }
}

fn read_element(element: &Element<'_>) {
    if let Scalar::Str(text) = element.as_scalar() {
        assert_eq!(text.codes().count(), text.char_count());
        let _ = (text.to_str(), text.is_canonical());
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
            for width in [1, 2, 4, 8] {
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
            assert!(
                matches!(Image::open(&cut), Err(ImageError::Truncated { .. })),
                "{len}"
            );
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
    bytes[8] = 3;
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
            found: 3,
            newest: 2
        }
    );
    assert_eq!(
        error.to_string(),
        "image format 3 is newer than this library reads (up to 2): update onecopy"
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
