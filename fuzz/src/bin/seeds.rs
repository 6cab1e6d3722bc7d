//! Writes images to begin with, of every kind of node and column, into a folder: `seeds FOLDER FIXTURES…`.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use onecopy_fuzz::support::model::image_of;
use onecopy_fuzz::support::samples::{nested_values, other_values, samples, typed_values};

fn main() -> Result<(), Box<dyn Error>> {
    let mut folders = std::env::args_os().skip(1).map(PathBuf::from);
    let to = folders.next().ok_or("usage: seeds FOLDER FIXTURES…")?;
    fs::create_dir_all(&to)?;
    for (index, image) in samples().into_iter().enumerate() {
        fs::write(to.join(format!("sample-{index}")), &image[..])?;
    }
    let values = [nested_values(), other_values(), typed_values()];
    for (name, value) in values.into_iter().flatten() {
        fs::write(to.join(name), &image_of(&value)?[..])?;
    }
    for folder in folders {
        copy(&folder, &to)?;
    }
    Ok(())
}

fn copy(folder: &Path, to: &Path) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), to)?;
        } else {
            let name = folder.file_name().unwrap_or_default().to_string_lossy();
            let name = format!("{name}-{}", entry.file_name().to_string_lossy());
            fs::copy(entry.path(), to.join(name))?;
        }
    }
    Ok(())
}
