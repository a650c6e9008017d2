//! Names of files, and folders held open. What differs between operating systems has one file each; so far
//! there is one for Unix.

mod lexical;
mod resolve;
mod unix;

pub use lexical::normalise;
pub use resolve::resolve;
pub(crate) use resolve::{Last, resolve_with};
pub use unix::Mode;
pub(crate) use unix::{Fingerprint, Folder, Found, Kind, from_bytes, is_link, is_random_name, link_target};
