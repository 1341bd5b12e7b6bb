//! Embeds `providers/*.toml`: writes a table of (name, text), sorted by name, that
//! `src/provider/bundled.rs` includes. The definitions are parsed at run time and checked by tests.

use std::{
    env,
    error::Error,
    fmt::Write as _,
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").ok_or("no CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("no OUT_DIR")?);
    let table = table(&root.join("providers"))?;
    File::create(out.join("providers.rs"))?.write_all(table.as_bytes())?;

    let mut cargo = io::stdout().lock();
    writeln!(cargo, "cargo::rerun-if-changed=providers")?;
    writeln!(cargo, "cargo::rerun-if-changed=scripts/build.rs")?;
    Ok(())
}

/// Rust source of the table: one `include_str!` per file, so that the compiler tracks each of them.
fn table(directory: &Path) -> Result<String, Box<dyn Error>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            files.push(path);
        }
    }
    files.sort();

    let mut source = String::from("&[\n");
    for path in files {
        let name =
            path.file_stem().and_then(|stem| stem.to_str()).ok_or("file name is no UTF-8")?;
        let file = path.to_str().ok_or("path is no UTF-8")?;
        writeln!(source, "    ({name:?}, include_str!({file:?})),")?;
    }
    source.push_str("]\n");
    Ok(source)
}
