//! Which exception stands for which error, and what it knows in its attributes.
#![forbid(unsafe_code)]

use std::io;

use onecopy::image::{BuildError, ImageError};
use onecopy::{
    AccessError, AllocateError, AttachError, ContainerError, Corrupt, CreateError, Uuid,
    printable_path,
};
use onecopy_meter::MeterError;

/// Which exception to raise.
pub(super) enum Kind {
    Base,
    Kernel,
    Attach,
    AttachDenied,
    Gone,
    CorruptImage,
    Memory,
    Timeout,
    Runtime,
    Type,
    Value,
    Permission,
    ProcessLookup,
    Os,
}

/// What stands in an exception's attribute.
pub(super) enum Fact {
    Number(u64),
    Text(String),
}

impl From<u64> for Fact {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<u32> for Fact {
    fn from(number: u32) -> Self {
        Self::Number(number.into())
    }
}

impl From<String> for Fact {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Uuid> for Fact {
    fn from(name: Uuid) -> Self {
        Self::Text(name.to_string())
    }
}

impl From<&'static str> for Fact {
    fn from(text: &'static str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// An exception's type and attributes.
pub(super) type Shape = (Kind, Vec<(&'static str, Fact)>);

macro_rules! facts {
    ($($name:ident),*) => { vec![$((stringify!($name), Fact::from($name.clone()))),*] };
}

pub(super) fn kernel(source: &io::Error, otherwise: Kind) -> Shape {
    let kind = match source.raw_os_error() {
        Some(libc::ENOMEM | libc::ENOSPC) => Kind::Memory,
        _ => otherwise,
    };
    let known = match source.kind() {
        io::ErrorKind::FileTooLarge => Some(libc::EFBIG),
        _ => source.raw_os_error(),
    };
    let errno = known.and_then(|code| u64::try_from(code).ok()).unwrap_or(0);
    (kind, facts!(errno))
}

fn corrupt_store(Corrupt { store, offset, .. }: &Corrupt) -> Shape {
    (Kind::Base, facts!(store, offset))
}

pub(super) fn create(error: &CreateError) -> Shape {
    match error {
        CreateError::Kernel { source, .. } => kernel(source, Kind::Kernel),
        CreateError::NoAddressSpace { smallest } => {
            (Kind::Memory, vec![("requested", (*smallest).into())])
        }
        CreateError::Join(error) => access(error),
        _ => (Kind::Base, Vec::new()),
    }
}

pub(super) fn allocate(error: &AllocateError) -> Shape {
    match error {
        AllocateError::NoMemory {
            requested,
            available,
            limit,
        } => (Kind::Memory, facts!(requested, available, limit)),
        AllocateError::QuotaExceeded {
            requested,
            allocated,
            max_bytes,
        } => (Kind::Memory, facts!(requested, allocated, max_bytes)),
        AllocateError::Full {
            store,
            what,
            capacity,
        } => (Kind::Memory, facts!(store, what, capacity)),
        AllocateError::Kernel { source, requested } => {
            let (kind, mut known) = kernel(source, Kind::Kernel);
            known.extend(facts!(requested));
            (kind, known)
        }
        AllocateError::Access(error) => access(error),
        AllocateError::Create(error) => create(error),
        _ => (Kind::Base, Vec::new()),
    }
}

pub(super) fn access(error: &AccessError) -> Shape {
    match error {
        AccessError::Corrupt(corrupt) => corrupt_store(corrupt),
        AccessError::LockTimeout {
            store,
            waited_ms,
            pid,
            state,
        } => {
            let state = state.to_string();
            (Kind::Timeout, facts!(store, waited_ms, pid, state))
        }
        AccessError::Full {
            store,
            what,
            capacity,
            ..
        } => (Kind::Memory, facts!(store, what, capacity)),
        AccessError::Kernel { store, source, .. } => {
            let (kind, mut known) = kernel(source, Kind::Kernel);
            known.extend(facts!(store));
            (kind, known)
        }
        AccessError::NoHolds { store } => (Kind::Base, facts!(store)),
        _ => (Kind::Base, Vec::new()),
    }
}

/// Whether a token may have outlived what it names.
pub(super) fn has_outlived(error: &AttachError) -> bool {
    use AttachError::{Gone, NotFound, StoreGone};
    matches!(error, Gone | NotFound { .. } | StoreGone { .. })
}

pub(super) fn attach(error: &AttachError) -> Shape {
    match error {
        AttachError::Gone => (Kind::Gone, Vec::new()),
        AttachError::StoreGone { store, pid, fd, .. } => (Kind::Gone, facts!(store, pid, fd)),
        AttachError::NotFound { store, pid, fd, .. } => (Kind::Attach, facts!(store, pid, fd)),
        AttachError::ForeignProcess {
            store,
            pid,
            owner_uid,
            expected_uid,
        } => (
            Kind::AttachDenied,
            facts!(store, pid, owner_uid, expected_uid),
        ),
        AttachError::ForeignOwner {
            store,
            owner_uid,
            expected_uid,
        } => (Kind::AttachDenied, facts!(store, owner_uid, expected_uid)),
        AttachError::Layout { store, .. } => (Kind::Attach, facts!(store)),
        AttachError::NoAddressSpace {
            store, capacity, ..
        } => (Kind::Attach, facts!(store, capacity)),
        AttachError::WrongType { expected, .. } => (Kind::Type, facts!(expected)),
        AttachError::Access(error) => match access(error) {
            // These are `OSError`s.
            (Kind::Timeout | Kind::Kernel, facts) => (Kind::Attach, facts),
            other => other,
        },
        _ => (Kind::Attach, Vec::new()),
    }
}

pub(super) fn container(error: &ContainerError) -> Shape {
    match error {
        ContainerError::Corrupt(corrupt) => corrupt_store(corrupt),
        ContainerError::LockTimeout { pid, .. } => (Kind::Timeout, facts!(pid)),
        ContainerError::Allocate(error) => allocate(error),
        ContainerError::Attach(error) => attach(error),
        ContainerError::Access(error) => access(error),
        ContainerError::Overtaken { tries, .. } => (Kind::Timeout, facts!(tries)),
        ContainerError::NotHeld | ContainerError::OwnChange | ContainerError::InOperation => {
            (Kind::Runtime, Vec::new())
        }
        ContainerError::OtherStore => (Kind::Value, Vec::new()),
        ContainerError::Full { .. } => (Kind::Memory, Vec::new()),
        _ => (Kind::Base, Vec::new()),
    }
}

pub(super) fn image(error: &ImageError) -> Shape {
    match error {
        ImageError::Corrupt { offset, .. } => (Kind::CorruptImage, facts!(offset)),
        ImageError::Truncated { expected, found } | ImageError::NoHeader { expected, found } => {
            let offset = found;
            (Kind::CorruptImage, facts!(expected, found, offset))
        }
        ImageError::Newer { found, newest } => {
            // Where the version stands.
            let offset = 8_u64;
            (Kind::CorruptImage, facts!(found, newest, offset))
        }
        _ => (Kind::CorruptImage, vec![("offset", 0_u64.into())]),
    }
}

pub(super) fn build(error: &BuildError) -> Shape {
    match error {
        BuildError::Changed { index } => (Kind::Runtime, facts!(index)),
        BuildError::Outgrown => (Kind::Runtime, Vec::new()),
        BuildError::TooLarge { len } => (Kind::Memory, vec![("requested", (*len).into())]),
        _ => (Kind::Value, Vec::new()),
    }
}

pub(super) fn meter(error: &MeterError) -> Shape {
    match error {
        MeterError::Gone { pid } => (Kind::ProcessLookup, facts!(pid)),
        MeterError::OtherNamespace { pid, .. } => (Kind::Runtime, facts!(pid)),
        MeterError::Denied { pid, path, .. } => {
            let path = printable_path(path);
            (Kind::Permission, facts!(pid, path))
        }
        MeterError::Read { path, source } => {
            let path = printable_path(path);
            let (_, mut known) = kernel(source, Kind::Os);
            known.extend(facts!(path));
            (Kind::Os, known)
        }
        _ => (Kind::Base, Vec::new()),
    }
}
