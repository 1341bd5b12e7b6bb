//! What is in a backup, one by one.

use std::{
    fmt,
    io::{Read, Write},
};

use zeroize::Zeroizing;

use super::{Error, FILE_MAX, Result};
use crate::vault::{NAME_MAX, VALUE_MAX};

/// Longest name of a profile and path of a file, in bytes.
const PATH_MAX: usize = 1024;

const END: u8 = 0;
const RECORD: u8 = 1;
const FILE: u8 = 2;

/// One thing in a backup. `Debug` shows no contents.
pub enum Item {
    /// A record of a vault.
    Record {
        /// The profile whose vault it is.
        profile: String,
        /// Its name.
        name: String,
        /// Its value.
        value: Zeroizing<Vec<u8>>,
    },
    /// A file of the home.
    File {
        /// Its path in the home, as it was written: whoever uses it must look where it leads.
        path: String,
        /// What it holds.
        contents: Zeroizing<Vec<u8>>,
    },
}

impl fmt::Debug for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Record { profile, name, .. } => {
                f.debug_struct("Record").field("profile", profile).field("name", name).finish()
            }
            Self::File { path, .. } => f.debug_struct("File").field("path", path).finish(),
        }
    }
}

pub(super) fn write_record(
    out: &mut impl Write,
    profile: &str,
    name: &str,
    value: &[u8],
) -> Result<()> {
    write(out, &[RECORD])?;
    write_short(out, profile, PATH_MAX)?;
    write_short(out, name, NAME_MAX)?;
    write_long(out, name, value, VALUE_MAX)
}

pub(super) fn write_file(out: &mut impl Write, path: &str, contents: &[u8]) -> Result<()> {
    write(out, &[FILE])?;
    write_short(out, path, PATH_MAX)?;
    write_long(out, path, contents, FILE_MAX)
}

pub(super) fn write_end(out: &mut impl Write, items: u64) -> Result<()> {
    write(out, &[END])?;
    write(out, &items.to_be_bytes())
}

/// The next item; at the end the number of items there were.
pub(super) fn read(input: &mut impl Read) -> Result<std::result::Result<Item, u64>> {
    let [kind] = read_array(input)?;
    match kind {
        RECORD => Ok(Ok(Item::Record {
            profile: read_short(input, PATH_MAX)?,
            name: read_short(input, NAME_MAX)?,
            value: read_long(input, VALUE_MAX)?,
        })),
        FILE => Ok(Ok(Item::File {
            path: read_short(input, PATH_MAX)?,
            contents: read_long(input, FILE_MAX)?,
        })),
        END => Ok(Err(u64::from_be_bytes(read_array(input)?))),
        _ => Err(Error::Damaged("it has an item of an unknown kind")),
    }
}

fn write(out: &mut impl Write, bytes: &[u8]) -> Result<()> {
    out.write_all(bytes).map_err(Error::Write)
}

fn write_short(out: &mut impl Write, text: &str, max: usize) -> Result<()> {
    let length = u16::try_from(text.len()).ok().filter(|_| text.len() <= max);
    let length = length.ok_or_else(|| Error::TooLarge { what: "a name".to_owned() })?;
    write(out, &length.to_be_bytes())?;
    write(out, text.as_bytes())
}

fn write_long(out: &mut impl Write, name: &str, bytes: &[u8], max: usize) -> Result<()> {
    let length = u32::try_from(bytes.len()).ok().filter(|_| bytes.len() <= max);
    let length = length.ok_or_else(|| Error::TooLarge { what: name.to_owned() })?;
    write(out, &length.to_be_bytes())?;
    write(out, bytes)
}

fn read_array<const N: usize>(input: &mut impl Read) -> Result<[u8; N]> {
    let mut bytes = [0; N];
    read_into(input, &mut bytes)?;
    Ok(bytes)
}

fn read_into(input: &mut impl Read, bytes: &mut [u8]) -> Result<()> {
    // The segments say themselves what is wrong with them; here it can only be that there are no more.
    input.read_exact(bytes).map_err(|error| super::segments::error(error, Error::Read))
}

fn read_short(input: &mut impl Read, max: usize) -> Result<String> {
    let length = usize::from(u16::from_be_bytes(read_array(input)?));
    if length > max {
        return Err(Error::Damaged("a name is too long"));
    }
    let mut bytes = vec![0; length];
    read_into(input, &mut bytes)?;
    String::from_utf8(bytes).map_err(|_| Error::Damaged("a name is no text"))
}

fn read_long(input: &mut impl Read, max: usize) -> Result<Zeroizing<Vec<u8>>> {
    let length = usize::try_from(u32::from_be_bytes(read_array(input)?)).unwrap_or(usize::MAX);
    if length > max {
        return Err(Error::Damaged("a value is too long"));
    }
    let mut bytes = Zeroizing::new(vec![0; length]);
    read_into(input, &mut bytes)?;
    Ok(bytes)
}
