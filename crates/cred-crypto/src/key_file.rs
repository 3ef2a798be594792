//! Key files: one line of text that only the owner can read.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

use zeroize::Zeroizing;

use crate::KeyRingError;

/// A key file has at most 46 bytes: the text form and a line end. A longer file is not read
/// further.
const MAX_LEN: usize = 64;

/// Reads at most `MAX_LEN + 1` bytes, into a buffer that does not grow.
pub(crate) fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, KeyRingError> {
    let unreadable = |source| KeyRingError::UnreadableFile { path: path.to_owned(), source };
    // Check before opening, because opening a pipe waits for a writer, and check the opened file
    // again.
    check(path, &std::fs::metadata(path).map_err(unreadable)?)?;
    let file = File::open(path).map_err(unreadable)?;
    check(path, &file.metadata().map_err(unreadable)?)?;

    let mut content = Zeroizing::new(vec![0; MAX_LEN + 1]);
    let mut length = 0;
    while let Some(rest @ [_, ..]) = content.get_mut(length..) {
        match (&file).read(rest) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(unreadable(error)),
        }
    }
    content.truncate(length);
    Ok(content)
}

pub(crate) fn without_line_end(content: &[u8]) -> &[u8] {
    let line = content.strip_suffix(b"\n").unwrap_or(content);
    if line.len() < content.len() { line.strip_suffix(b"\r").unwrap_or(line) } else { line }
}

fn check(path: &Path, metadata: &Metadata) -> Result<(), KeyRingError> {
    if !metadata.is_file() {
        return Err(KeyRingError::NotAFile { path: path.to_owned() });
    }
    #[cfg(unix)]
    {
        let mode = std::os::unix::fs::MetadataExt::mode(metadata) & 0o7777;
        if mode & 0o077 != 0 {
            return Err(KeyRingError::ExposedFile { path: path.to_owned(), mode });
        }
    }
    Ok(())
}

/// Writes `text` and a line end to a new file.
pub(crate) fn create(path: &Path, text: &[u8]) -> Result<(), KeyRingError> {
    let uncreated = |source| KeyRingError::UncreatedFile { path: path.to_owned(), source };
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path).map_err(uncreated)?;
    let written = write(&file, text).and_then(|()| sync_directory_of(path));
    if written.is_err() {
        // This call created the file, and it is incomplete. It would make the next attempt fail.
        let _ = std::fs::remove_file(path);
    }
    written.map_err(uncreated)
}

fn write(mut file: &File, text: &[u8]) -> io::Result<()> {
    file.write_all(text)?;
    file.write_all(b"\n")?;
    file.sync_all()
}

/// Makes a new file name durable by syncing its directory.
#[cfg(unix)]
fn sync_directory_of(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(not(unix))]
fn sync_directory_of(_: &Path) -> io::Result<()> {
    Ok(())
}
