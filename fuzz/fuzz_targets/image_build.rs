//! Any values: their images are valid, and hold what was written.
#![no_main]

use libfuzzer_sys::{arbitrary, fuzz_target};
use onecopy::image::{
    Container, Image, ImageBuf, IntWidth, Scalar, Survey, Writer, sequence_image, validate,
};
use onecopy_fuzz::input::{Leaf, Tree, scalars};
use onecopy_fuzz::support::model::{assert_same, check_image, image_of};
use onecopy_fuzz::support::reader::read_all;

#[derive(Debug, arbitrary::Arbitrary)]
struct Input {
    tuple: bool,
    narrow: bool,
    flat: Vec<Leaf>,
    changed: Vec<Leaf>,
    tree: Tree,
}

fuzz_target!(|input: Input| {
    let container = if input.tuple {
        Container::Tuple
    } else {
        Container::List
    };
    let width = if input.narrow {
        IntWidth::Narrowest
    } else {
        IntWidth::Full
    };
    let flat = scalars(&input.flat);
    let image = sequence_image(container, width, flat.iter().copied()).unwrap();
    check_flat(&image, container, &flat);
    write_changed(container, width, &flat, &scalars(&input.changed));

    let image = image_of(&input.tree.0).unwrap();
    validate(&image).unwrap();
    check_image(&image, &input.tree.0);
    read_all(&image);
});

fn check_flat(image: &ImageBuf, container: Container, values: &[Scalar<'_>]) {
    validate(image).unwrap();
    let read = Image::open(image).unwrap().sequence().unwrap();
    assert_eq!((read.container(), read.len()), (container, values.len()));
    for (index, value) in values.iter().enumerate() {
        let element = read.get(index).unwrap().unwrap();
        assert_same(&element.as_scalar(), value);
    }
}

/// What changes between survey and writing is refused, or is written as it is now.
fn write_changed(container: Container, width: IntWidth, seen: &[Scalar<'_>], now: &[Scalar<'_>]) {
    let mut survey = Survey::default();
    for value in seen {
        survey.observe(value);
    }
    let layout = survey.plan(container, width).layout().unwrap();
    let mut bytes = vec![0xaa; layout.image_len as usize];
    let mut writer = Writer::new(&layout, &mut bytes).unwrap();
    if now.iter().all(|value| writer.push(value).is_ok()) && writer.finish().is_ok() {
        check_flat(&ImageBuf::copy_of(&bytes), container, now);
    }
}
