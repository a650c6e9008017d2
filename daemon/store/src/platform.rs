//! What differs between operating systems, one file each. Windows follows with its own file.

#[cfg(unix)]
mod unix;
#[cfg(unix)]
pub(crate) use unix::{file_system, make_private_file, make_private_folder, own_file, sync_folder};
