//! Calls about files: which of their arguments are paths, what is to be changed, and whether anything is. Knows numbers,
//! not what is allowed.

use libc::c_long;

/// What a call that opens a file wants with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Aim {
    Reading,
    /// Or making it.
    Writing,
}

/// Where a call that opens a file says how.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Flags {
    /// In this argument.
    In(usize),
    /// In the memory that this argument points to, first (`struct open_how`).
    Behind(usize),
}

/// How a call opens a file; none if it is no such call.
pub(crate) fn flags(call: c_long) -> Option<Flags> {
    match call {
        libc::SYS_openat => Some(Flags::In(2)),
        libc::SYS_openat2 => Some(Flags::Behind(2)),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_open => Some(Flags::In(1)),
        _ => None,
    }
}

/// What is meant by such flags.
pub(crate) fn aim(flags: u64) -> Aim {
    let writing = u64::from((libc::O_ACCMODE | libc::O_CREAT).cast_unsigned());
    if flags & writing == 0 { Aim::Reading } else { Aim::Writing }
}

/// What a change is of, and so when it is nothing but the sandbox that stands in its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// What is in a file; or the folder, if the file is not there.
    Content,
    /// The folder, where such a name is not there yet.
    NewName,
    /// The folder, where such a name is there.
    Name,
    /// The folder, whatever is there.
    AnyName,
    /// Mode or owner of a file that is there.
    Owned,
}

/// Where a call says what it changes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// The argument with the folder that a relative path starts from; the working folder if there is none.
    pub(crate) folder: Option<usize>,
    /// The argument with the path.
    pub(crate) path: usize,
    pub(crate) subject: Subject,
}

/// What is put into, taken out of and named in folders, and what is cut off.
pub(crate) const CHANGING: &[(c_long, &[Place])] = &[
    (libc::SYS_mkdirat, &[at(0, 1, Subject::NewName)]),
    (libc::SYS_mknodat, &[at(0, 1, Subject::NewName)]),
    (libc::SYS_unlinkat, &[at(0, 1, Subject::Name)]),
    (libc::SYS_renameat, &[at(0, 1, Subject::Name), at(2, 3, Subject::AnyName)]),
    (libc::SYS_renameat2, &[at(0, 1, Subject::Name), at(2, 3, Subject::AnyName)]),
    (libc::SYS_linkat, &[at(2, 3, Subject::NewName)]),
    (libc::SYS_symlinkat, &[at(1, 2, Subject::NewName)]),
    (libc::SYS_truncate, &[here(0, Subject::Content)]),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_creat, &[here(0, Subject::Content)]),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_mkdir, &[here(0, Subject::NewName)]),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_mknod, &[here(0, Subject::NewName)]),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_unlink, &[here(0, Subject::Name)]),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_rmdir, &[here(0, Subject::Name)]),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_rename, &[here(0, Subject::Name), here(1, Subject::AnyName)]),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_link, &[here(1, Subject::NewName)]),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_symlink, &[here(1, Subject::NewName)]),
];

/// Modes and owners, which a read-only mount holds and Landlock does not.
pub(crate) const OWNING: &[(c_long, &[Place])] = &[
    (libc::SYS_fchmodat, &[at(0, 1, Subject::Owned)]),
    (FCHMODAT2, &[at(0, 1, Subject::Owned)]),
    (libc::SYS_fchownat, &[at(0, 1, Subject::Owned)]),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_chmod, &[here(0, Subject::Owned)]),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_chown, &[here(0, Subject::Owned)]),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_lchown, &[here(0, Subject::Owned)]),
];

/// What opens files.
const OPENING: &[(c_long, &[Place])] = &[
    (libc::SYS_openat2, &[at(0, 1, Subject::Content)]),
    (libc::SYS_openat, &[at(0, 1, Subject::Content)]),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_open, &[here(0, Subject::Content)]),
];

/// What changes the working folder. Programs are told with the one that they were started in.
pub(crate) const LEAVING: [c_long; 2] = [libc::SYS_chdir, libc::SYS_fchdir];

/// Newer than libc's tables; the same number on all architectures.
pub(crate) const FCHMODAT2: c_long = 452;

/// What a call changes; none if it is not one of these.
pub(crate) fn places(call: c_long) -> Option<&'static [Place]> {
    let mut all = OPENING.iter().chain(CHANGING).chain(OWNING);
    all.find(|(number, _)| *number == call).map(|(_, places)| *places)
}

const fn at(folder: usize, path: usize, subject: Subject) -> Place {
    Place { folder: Some(folder), path, subject }
}

const fn here(path: usize, subject: Subject) -> Place {
    Place { folder: None, path, subject }
}
