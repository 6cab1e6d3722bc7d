//! Small images of every kind.

use onecopy::image::{
    ArrayLayout, ArrayShape, Container, ImageBuf, IntWidth, RowKind, Scalar, TextBuf,
    sequence_image,
};

use super::model::{Grid, Rows, Value, image_of};

/// One flat image of every kind of column, an array, and nested data.
pub fn samples() -> Vec<ImageBuf> {
    let leak = |text: &str| -> Scalar<'static> {
        Scalar::Str(Box::leak(Box::new(TextBuf::from(text))).as_text())
    };
    let [latin, wide, astral, ascii] = ["é ÿ", "日本語", "a🦀b", "a text of some length"].map(leak);
    let columns: Vec<Vec<Scalar<'static>>> = vec![
        vec![],
        vec![Scalar::Int(1), Scalar::Int(-100)],
        vec![Scalar::Int(1), Scalar::None, Scalar::Int(1000)],
        vec![Scalar::Int(1 << 20)],
        vec![Scalar::Int(i64::MIN), Scalar::Int(i64::MAX)],
        vec![Scalar::Uint(u64::MAX), Scalar::Int(0)],
        vec![Scalar::Float(-0.0), Scalar::Float(f64::NAN)],
        vec![Scalar::Bool(true), Scalar::None, Scalar::Bool(false)],
        vec![ascii, ascii],
        vec![ascii, latin, Scalar::None, wide, astral],
        vec![Scalar::Bytes(b""), Scalar::Bytes(b"\0\xff"), Scalar::None],
        vec![
            Scalar::None,
            Scalar::Bool(true),
            Scalar::Int(1 << 50),
            Scalar::Int(7),
            Scalar::Big(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
            Scalar::Float(f64::from_bits(u64::MAX)),
            ascii,
            wide,
            latin,
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

/// An image with a node of each kind of nested data; its first element is a dict from 0–11 to themselves.
pub fn nested() -> ImageBuf {
    // The others are much like these, and tests that try every bit take their time.
    let kept = [
        "dict",
        "frozenset",
        "table_rows",
        "table_namedtuple",
        "object",
        "array",
        "cycle",
    ];
    let members = nested_values().into_iter();
    let members = members.filter(|(name, _)| kept.contains(name));
    let members = members.chain(typed_values());
    let members: Vec<_> = members.map(|(_, value)| value).collect();
    image_of(&Value::List(members)).unwrap()
}

/// A value of each kind that has a node, and of a few that lead on to others.
pub fn nested_values() -> Vec<(&'static str, Value)> {
    let ints = || (0..12).map(Value::Int);
    let long = |text: &str| Value::text(&format!("{text}, longer than fits into a word"));
    let keys = ints().map(|key| Value::Tuple(vec![key, Value::text("é")]));
    let table = Rows {
        container: Container::List,
        kind: RowKind::Instance,
        class: Some("module:Class".to_owned()),
        count: 2,
        columns: vec![
            (Value::text("x"), vec![Value::Int(1), Value::None]),
            (
                Value::text("y"),
                vec![Value::Complex(1.0, 2.0), Value::Pickle(b"N.".to_vec())],
            ),
        ],
        shapes: Some((vec![vec![1, 0], vec![1]], vec![0, 1])),
    };
    let named = Rows {
        container: Container::Tuple,
        kind: RowKind::NamedTuple,
        class: Some("module:Named".to_owned()),
        count: 2,
        columns: vec![(
            Value::text("box"),
            vec![
                Value::List(vec![Value::Float(0.5)]),
                Value::Tuple(Vec::new()),
            ],
        )],
        shapes: None,
    };
    let records = Rows {
        kind: RowKind::Dict,
        class: None,
        shapes: None,
        ..table.clone()
    };
    let grid = |len: u8| Grid {
        shape: vec![u64::from(len), 2],
        data: (0..len * 2).collect(),
    };
    vec![
        (
            "dict",
            Value::Dict(ints().map(|key| (key.clone(), key)).collect()),
        ),
        (
            "dict_small",
            Value::Dict(vec![(Value::text("key"), Value::List(Vec::new()))]),
        ),
        (
            "dict_tuples",
            Value::Dict(keys.clone().map(|key| (key, Value::None)).collect()),
        ),
        ("frozenset", Value::FrozenSet(ints().collect())),
        (
            "set",
            Value::Set(vec![
                Value::None,
                Value::Bool(true),
                Value::Float(0.5),
                long("text"),
                Value::Bytes(b"bytes".to_vec()),
                Value::Big(vec![0, 0, 0, 0, 0, 0, 0, 0, 1]),
                Value::Complex(0.0, 1.0),
                Value::Uint(1 << 63),
                Value::Tuple(vec![Value::Int(1), Value::Int(2)]),
                Value::FrozenSet(vec![Value::Int(3)]),
                Value::Pickle(b"\x80\x05N.".to_vec()),
            ]),
        ),
        ("table_rows", Value::TableAndRows(table.clone(), vec![1, 0])),
        ("table_dataclass", Value::Table(table)),
        ("table_namedtuple", Value::Table(named)),
        ("table_dicts", Value::Table(records)),
        (
            "object",
            Value::Object(b"\x80\x05N.".to_vec(), vec![vec![7; 8], Vec::new()]),
        ),
        ("array", Value::Array(grid(3))),
        ("cycle", Value::List(vec![Value::Root, Value::Int(1)])),
        (
            "columns",
            Value::List(vec![
                Value::List(vec![Value::Int(1), Value::None]),
                Value::Tuple(vec![
                    long("ascii"),
                    Value::text("日本語"),
                    Value::text("🦀"),
                ]),
                Value::List(vec![Value::Bytes(b"\0\xff".to_vec()), Value::None]),
                Value::List(vec![Value::Bool(true)]),
                Value::List(vec![Value::Float(f64::NAN), Value::Int(1 << 60)]),
                Value::List(vec![Value::Uint(u64::MAX)]),
            ]),
        ),
    ]
}

/// Roots that are no containers, and what is too long for a compact list.
pub fn other_values() -> Vec<(&'static str, Value)> {
    let long = |value: Value| Value::List((0..2100).map(Value::Int).chain([value]).collect());
    vec![
        (
            "sections",
            Value::Tuple(vec![long(Value::Int(0)), long(Value::None)]),
        ),
        ("value_none", Value::None),
        ("value_int", Value::Int(1 << 60)),
        ("value_float", Value::Float(-0.0)),
        ("value_text", Value::text("a text of some length")),
        ("value_pickle", Value::Pickle(b"\x80\x05N.".to_vec())),
    ]
}

/// Objects with a class of their own, by the name of their fixture.
pub fn typed_values() -> Vec<(&'static str, Value)> {
    vec![
        (
            "typed_dict",
            typed(
                "collections:defaultdict",
                Value::Dict(vec![(
                    Value::text("a key of some length"),
                    Value::List(Vec::new()),
                )]),
                Value::Pickle(b"\x80\x05N.".to_vec()),
                Value::None,
            ),
        ),
        (
            "typed_list",
            typed(
                "module:Deque",
                Value::List(vec![Value::Root, Value::Int(1)]),
                Value::Int(3),
                Value::Dict(vec![(
                    Value::text("name"),
                    Value::text("a value of some length"),
                )]),
            ),
        ),
        (
            "typed_set",
            typed(
                "module:Set",
                Value::FrozenSet((0..12).map(Value::Int).collect()),
                Value::None,
                Value::Tuple(vec![Value::None, Value::Dict(Vec::new())]),
            ),
        ),
    ]
}

fn typed(class: &str, content: Value, argument: Value, state: Value) -> Value {
    Value::Typed(class.to_owned(), Box::new([content, argument, state]))
}
