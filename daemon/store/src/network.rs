//! Whether a file is kept on another machine. SQLite's WAL is shared memory, which does not reach across machines
//! (sqlite.org/wal.html, section 1), and locks of network file systems are not always what they say.

use std::path::Path;

use crate::platform;

/// What to tell a person whose database is on a network file system.
pub(crate) fn warning(database: &Path) -> Option<String> {
    let name = name(platform::file_system(database)?)?;
    Some(format!(
        "`{}` is on {name}, which may be a network file system: only one machine may use it at a time, and a \
         lost connection may damage it; set `SKEIN_HOME` to a folder on a local disk",
        database.display()
    ))
}

/// File systems whose files are, or may be, on another machine, by their magic numbers (statfs(2), linux/magic.h).
fn name(magic: u32) -> Option<&'static str> {
    match magic {
        0x6969 => Some("NFS"),
        0x517b => Some("SMB"),
        0xff53_4d42 => Some("CIFS"),
        0xfe53_4d42 => Some("SMB 2"),
        0x0102_1997 => Some("9P"),
        0x6573_5546 => Some("FUSE"),
        0x5346_414f => Some("AFS"),
        0x00c3_6400 => Some("Ceph"),
        0x0bd0_0bd0 => Some("Lustre"),
        0x7461_636f => Some("OCFS2"),
        0x0116_1970 => Some("GFS2"),
        0x786f_4256 => Some("a folder of VirtualBox"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_file_systems_of_other_machines_are_named() {
        for (magic, wanted) in
            [(0x6969, Some("NFS")), (0xff53_4d42, Some("CIFS")), (0x6573_5546, Some("FUSE"))]
        {
            assert_eq!(name(magic), wanted);
        }
        let local = [("ext4", 0xef53), ("tmpfs", 0x0102_1994), ("btrfs", 0x9123_683e), ("xfs", 0x5846_5342)];
        for (local, magic) in [("overlayfs", 0x794c_7630), ("zfs", 0x2fc1_2fc1)].into_iter().chain(local) {
            assert_eq!(name(magic), None, "{local}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_no_warning() {
        assert_eq!(warning(Path::new("/no/such/file")), None);
    }
}
