//! Finds the real paths that a plan's rules mean, and what is there. Knows nothing of mounts.
//!
//! Commands may have changed anything below a writable path, links among it. So there no link is followed to a
//! writable place. Where a path that is to be protected is a link, or lies behind one, the links are protected themselves,
//! together with where they lead, be there something or nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use helper_protocol::bytes::Bytes;
use helper_protocol::plan::{Access, Rules, Tmp};
use helper_protocol::report::Failure;
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use crate::links::{self, End, Passed};
use crate::patterns;
use crate::placeholder::{self, Placeholder, Shape, Taken};

/// What is at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A folder.
    Folder,
    /// Anything else but a link.
    File,
    /// A symbolic link, meant itself.
    Link,
    /// Nothing; a placeholder at most.
    Absent,
    /// A new folder that the command has for itself, in place of the machine's.
    Own,
}

/// Who has to see to it that absent protected paths are not created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Absence {
    /// We, by holding a placeholder.
    Hold,
    /// The caller.
    Tell,
}

/// The folder that a command may have for itself.
const TMP: &str = "/tmp";

/// What the rules mean on this machine at this moment.
pub(crate) struct Layout {
    /// By real path; the deepest one that holds a path decides. What none holds may be read.
    pub(crate) places: BTreeMap<PathBuf, (Access, Kind)>,
    /// Held until the command has ended.
    pub(crate) placeholders: Vec<Placeholder>,
}

/// Resolves the rules.
pub(crate) fn resolve(rules: &Rules, absence: Absence) -> Result<Layout, Failure> {
    let mut resolver = Resolver {
        absence,
        layout: Layout { places: BTreeMap::new(), placeholders: Vec::new() },
        known: Vec::new(),
        unseen: Vec::new(),
        linked: Vec::new(),
        plain: BTreeSet::new(),
    };
    let outcome = resolver.add_all(rules);
    if let Err(failure) = outcome {
        for placeholder in resolver.layout.placeholders {
            drop(placeholder.release());
        }
        return Err(failure);
    }
    Ok(resolver.layout)
}

impl Layout {
    /// The access that a real path has.
    pub(crate) fn access(&self, path: &Path) -> Access {
        path.ancestors().find_map(|above| self.places.get(above)).map_or(Access::Read, |(access, _)| *access)
    }

    /// A failure to set up what was laid out; where something of it has gone away, that is why.
    pub(crate) fn blame(&self, failure: Failure) -> Failure {
        let is_gone = |path: &Path| open_real(path).is_err_and(|errno| errno == Errno::NOENT);
        let gone = || {
            let real = self.places.iter().filter(|(_, (_, kind))| !matches!(kind, Kind::Absent | Kind::Own));
            real.map(|(path, _)| path).find(|path| is_gone(path))
        };
        match failure {
            Failure::Setup { .. } => gone().map_or(failure, |path| changed(path)),
            Failure::Plan { .. }
            | Failure::Rule { .. }
            | Failure::Changed { .. }
            | Failure::Lack { .. }
            | Failure::Cwd { .. }
            | Failure::NotFound
            | Failure::NotExecutable { .. } => failure,
        }
    }

    /// Whether what is at a real path on the machine is replaced by a folder of the command's own.
    fn is_in_own(&self, path: &Path) -> bool {
        let place = path.ancestors().find_map(|above| self.places.get(above));
        place.is_some_and(|(_, kind)| *kind == Kind::Own)
    }
}

/// Opens what a path without links means, a link at its end itself.
pub(crate) fn open_real(path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat2(rustix::fs::CWD, path, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS)
}

struct Resolver {
    absence: Absence,
    layout: Layout,
    /// Rules that were resolved: their path, its real path, and the access.
    known: Vec<(PathBuf, PathBuf, Access)>,
    /// Protected paths that do not exist and are not below a writable rule, but may be below a writable place.
    unseen: Vec<(PathBuf, Access)>,
    /// Protected paths with links in them, or with something in the way. Where these lead may be made writable by a rule that is still to come.
    linked: Vec<(PathBuf, Access)>,
    /// Folders that may not become git directories. Git shall die of what is held there in place of a git directory's
    /// parts, and not list it, as it does not list folders.
    plain: BTreeSet<PathBuf>,
}

impl Resolver {
    fn add_all(&mut self, rules: &Rules) -> Result<(), Failure> {
        match rules.tmp {
            Tmp::Shared => {}
            Tmp::Own => {
                let tmp = fs::canonicalize(TMP).map_err(|_| refused(Path::new(TMP), "does not exist"))?;
                self.layout.places.insert(tmp, (Access::Write, Kind::Own));
            }
        }
        let rules = patterns::expand(rules)?;
        let parts =
            rules.keys().filter(|path| path.file_name().is_some_and(|it| it == "refs" || it == "objects"));
        let protected = parts.filter(|part| rules.get(*part) == Some(&Access::Read));
        self.plain = protected.filter_map(|part| real(part.parent()?).ok()).collect();
        for (path, access) in rules {
            if !self.is_replaced(&path, access) {
                self.add(&path, access)?;
            }
        }
        for (path, access) in std::mem::take(&mut self.unseen) {
            if self.layout.access(&path) == Access::Write {
                self.add_open(&path, access)?;
            }
        }
        for (path, access) in std::mem::take(&mut self.linked) {
            self.add_linked(&path, access)?;
        }
        let places = self.layout.places.iter();
        let protected: Vec<_> =
            places.filter(|(_, place)| place.0 != Access::Write).map(|(path, _)| path.clone()).collect();
        for path in protected {
            self.pin_parents(&path);
        }
        Ok(())
    }

    /// Whether a path that is to be protected is not there for the command, because its own folder is in that place.
    fn is_replaced(&self, path: &Path, access: Access) -> bool {
        access != Access::Write && self.layout.is_in_own(path)
    }

    fn add(&mut self, path: &Path, access: Access) -> Result<(), Failure> {
        let around: Vec<_> = self.known.iter().filter(|(above, ..)| path.starts_with(above)).collect();
        let is_open = around.iter().any(|(.., access)| *access == Access::Write);
        let real =
            match around.last().and_then(|(above, real, _)| Some((real, path.strip_prefix(above).ok()?))) {
                Some((real, rest)) => real.join(rest),
                None => path.to_owned(),
            };
        let real = if is_open { self.add_open(&real, access)? } else { self.add_closed(path, access)? };
        if let Some(real) = real {
            self.known.push((path.to_owned(), real, access));
        }
        Ok(())
    }

    /// A path that no command can have changed: links are followed.
    fn add_closed(&mut self, path: &Path, access: Access) -> Result<Option<PathBuf>, Failure> {
        let real = match plain(path) {
            Some(kind) => {
                let real: PathBuf = path.components().collect();
                self.place(&real, access, kind);
                return Ok(Some(real));
            }
            None => fs::canonicalize(path),
        };
        let real = match real {
            Ok(real) => real,
            Err(_) => {
                if access != Access::Write {
                    self.unseen.extend(real_prefix(path).map(|real| (real, access)));
                }
                return Ok(None);
            }
        };
        let kind = match open_real(&real).and_then(rustix::fs::fstat) {
            Ok(stat) => kind(&stat),
            Err(_) => return Err(changed(path)),
        };
        self.place(&real, access, kind);
        Ok(Some(real))
    }

    /// A path below one that commands may write.
    fn add_open(&mut self, path: &Path, access: Access) -> Result<Option<PathBuf>, Failure> {
        let stat = match open_real(path).and_then(rustix::fs::fstat) {
            Ok(stat) => stat,
            Err(Errno::NOENT) if access == Access::Write => return Ok(None),
            Err(Errno::NOENT) => return self.add_absent(path, access).map(Some),
            Err(Errno::LOOP) if access == Access::Write => {
                return Err(refused(path, "lies behind a link in a writable folder"));
            }
            // There is nothing that could be written.
            Err(Errno::NOTDIR) if access == Access::Write => return Ok(None),
            Err(Errno::LOOP | Errno::NOTDIR | Errno::ACCESS) if access != Access::Write => {
                self.linked.push((path.to_owned(), access));
                return Ok(None);
            }
            Err(errno) => {
                let error = io::Error::from(errno);
                return Err(refused(path, &format!("can't be looked at: {error}")));
            }
        };
        match kind(&stat) {
            Kind::Link if access == Access::Write => {
                return Err(refused(path, "is a link in a writable folder"));
            }
            Kind::Link => {
                self.place(path, Access::Read, Kind::Link);
                self.linked.push((path.to_owned(), access));
            }
            Kind::Folder | Kind::File if access != Access::Write && placeholder::is_marked(&stat) => {
                return self.add_absent(path, access).map(Some);
            }
            kind @ (Kind::Folder | Kind::File | Kind::Absent | Kind::Own) => self.place(path, access, kind),
        }
        Ok(Some(path.to_owned()))
    }

    /// A protected path with links in it, below one that commands may write: nothing that decides where it leads can be
    /// exchanged, and what is there, or could be put there, is protected. What is made where no command may write is not
    /// made by one.
    fn add_linked(&mut self, path: &Path, access: Access) -> Result<(), Failure> {
        let way = links::follow(path).map_err(|errno| match errno {
            Errno::LOOP => changed(path),
            _ => refused(path, &format!("can't be looked at: {}", io::Error::from(errno))),
        })?;
        for (passed, kind) in way.passed {
            if self.layout.access(&passed) == Access::Write && !self.layout.is_in_own(&passed) {
                match kind {
                    Passed::Link => self.place(&passed, Access::Read, Kind::Link),
                    Passed::Folder => self.place(&passed, Access::Write, Kind::Folder),
                }
            }
        }
        let (end, is_there) = match way.end {
            End::There(end) => (end, true),
            End::Missing(end) | End::Stopped(end) => (end, false),
            End::Nowhere => return Ok(()),
        };
        let around = self.layout.access(&end);
        // To hide a folder from what is in it would take away all that is there, and nobody means that.
        let is_around = access == Access::Hidden && path.starts_with(&end);
        if self.layout.is_in_own(&end)
            || is_around
            || around <= access
            || !(is_there || around == Access::Write)
        {
            return Ok(());
        }
        // Where there is nothing, or something in the way, no secret is: to hide it would close its folder to Landlock.
        self.add_open(&end, if is_there { access } else { Access::Read }).map(drop)
    }

    /// A protected path that does not exist: nothing may be created from its first missing parent on.
    fn add_absent(&mut self, path: &Path, access: Access) -> Result<PathBuf, Failure> {
        // What another rule holds, or a killed helper left, is not there.
        let is_absent = |above: &Path| match self.layout.places.get(above) {
            Some((_, Kind::Absent)) => true,
            Some((_, Kind::Folder)) => false,
            Some((_, Kind::File | Kind::Link | Kind::Own)) | None => {
                open_real(above).is_err() || placeholder::is_left(above)
            }
        };
        let missing = path.ancestors().take_while(|above| *above == path || is_absent(above)).last();
        let missing = missing.unwrap_or(path).to_owned();
        if self.layout.places.contains_key(&missing) {
            return Ok(missing);
        }
        let mut kind_held = Kind::Absent;
        if self.absence == Absence::Hold {
            let is_plain = missing.parent().is_some_and(|folder| self.plain.contains(folder));
            let shape = if is_plain { Shape::Folder } else { placeholder::shape(&missing) };
            match placeholder::take(&missing, shape)? {
                Taken::Held(placeholder) => {
                    match placeholder.shape() {
                        Shape::Folder => {}
                        Shape::File => kind_held = Kind::File,
                    }
                    self.layout.placeholders.push(placeholder);
                }
                Taken::Impossible => return Ok(missing),
                Taken::Occupied => {
                    let kind = open_real(&missing).and_then(rustix::fs::fstat).map(|stat| kind(&stat));
                    return match kind {
                        Ok(kind @ (Kind::Folder | Kind::File)) if missing == path => {
                            self.place(path, access, kind);
                            Ok(missing)
                        }
                        Ok(_) | Err(_) => Err(changed(path)),
                    };
                }
            }
        }
        self.place(&missing, access, kind_held);
        Ok(missing)
    }

    /// The stricter access wins where two rules mean one place.
    fn place(&mut self, path: &Path, access: Access, kind: Kind) {
        let place = self.layout.places.entry(path.to_owned()).or_insert((access, kind));
        if access < place.0 {
            *place = (access, kind);
        }
    }

    /// Makes the folders between a place and the writable one that holds it places as well: a folder that is
    /// one can't be renamed, so the place can't be moved away with it.
    fn pin_parents(&mut self, path: &Path) {
        for above in path.ancestors().skip(1) {
            if self.layout.access(above) != Access::Write || self.layout.is_in_own(above) {
                break;
            }
            self.layout.places.entry(above.to_owned()).or_insert((Access::Write, Kind::Folder));
        }
    }
}

/// The path without links.
pub(crate) fn real(path: &Path) -> io::Result<PathBuf> {
    match plain(path) {
        Some(_) => Ok(path.components().collect()),
        None => fs::canonicalize(path),
    }
}

/// What is at a path in which there is no link. Most have none, and to see that takes one call.
fn plain(path: &Path) -> Option<Kind> {
    let is_plain = path.is_absolute() && path.components().all(|it| it != Component::ParentDir);
    let kind = is_plain.then(|| open_real(path).and_then(rustix::fs::fstat).map(|stat| kind(&stat)))?.ok()?;
    (kind != Kind::Link).then_some(kind)
}

/// The path with the links resolved in the part of it that exists.
fn real_prefix(path: &Path) -> Option<PathBuf> {
    path.ancestors().find_map(|above| {
        let real = fs::canonicalize(above).ok()?;
        Some(real.join(path.strip_prefix(above).ok()?))
    })
}

fn kind(stat: &Stat) -> Kind {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => Kind::Folder,
        FileType::Symlink => Kind::Link,
        _ => Kind::File,
    }
}

fn refused(path: &Path, reason: &str) -> Failure {
    Failure::Rule { path: Bytes(path.as_os_str().as_bytes().to_vec()), reason: reason.to_owned() }
}

pub(crate) fn changed(path: &Path) -> Failure {
    Failure::Changed { path: Bytes(path.as_os_str().as_bytes().to_vec()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use helper_protocol::plan::{Network, Rule};
    use std::os::unix::fs::symlink;

    fn resolved(rules: &[(&Path, Access)]) -> Result<Layout, Failure> {
        held(rules, Absence::Tell)
    }

    fn held(rules: &[(&Path, Access)], absence: Absence) -> Result<Layout, Failure> {
        let rule = |&(path, access): &(&Path, Access)| Rule {
            path: Bytes(path.as_os_str().as_bytes().to_vec()),
            access,
        };
        let rules = Rules {
            paths: rules.iter().map(rule).collect(),
            patterns: Vec::new(),
            network: Network::Off,
            local_sockets: Vec::new(),
            tmp: Tmp::Shared,
            reading: helper_protocol::plan::Reading::Silent,
            making: helper_protocol::plan::Making::Free,
        };
        resolve(&rules, absence)
    }

    fn places(layout: &Layout, root: &Path) -> Vec<(String, Access, Kind)> {
        let name = |path: &Path| path.strip_prefix(root).expect("below").display().to_string();
        layout.places.iter().map(|(path, (access, kind))| (name(path), *access, *kind)).collect()
    }

    #[test]
    fn parents_between_a_writable_folder_and_a_protected_one_are_pinned() {
        let scratch = tempfile::tempdir().expect("scratch");
        let root = fs::canonicalize(scratch.path()).expect("real");
        fs::create_dir_all(root.join("w/a/b/keep")).expect("mkdir");
        let layout = resolved(&[
            (&root.join("w"), Access::Write),
            (&root.join("w/a/b/gone/x"), Access::Hidden),
            (&root.join("w/a/b/keep"), Access::Read),
        ]);
        assert_eq!(
            places(&layout.expect("layout"), &root),
            [
                ("w".to_owned(), Access::Write, Kind::Folder),
                ("w/a".to_owned(), Access::Write, Kind::Folder),
                ("w/a/b".to_owned(), Access::Write, Kind::Folder),
                ("w/a/b/gone".to_owned(), Access::Hidden, Kind::Absent),
                ("w/a/b/keep".to_owned(), Access::Read, Kind::Folder),
            ]
        );
    }

    #[test]
    fn absent_places_below_one_missing_folder_are_held_together_and_leave_nothing() {
        let scratch = tempfile::tempdir().expect("scratch");
        let root = fs::canonicalize(scratch.path()).expect("real");
        let (one, two) = (root.join("gone/a"), root.join("gone/b/c"));
        let rules = [(&*root, Access::Write), (&one, Access::Read), (&two, Access::Hidden)];
        let check = || {
            let layout = held(&rules, Absence::Hold).expect("layout");
            let found: Vec<_> =
                layout.places.iter().map(|(path, (_, kind))| (path.as_path(), *kind)).collect();
            assert_eq!(found, [(&*root, Kind::Folder), (&root.join("gone"), Kind::Absent)]);
            layout.placeholders
        };
        // One that was killed leaves it; the next takes it over.
        drop(check());
        assert!(root.join("gone").exists());
        for placeholder in check() {
            drop(placeholder.release());
        }
        assert!(!root.join("gone").exists());
    }

    #[test]
    fn a_real_path_is_what_the_links_and_dots_lead_to() {
        let scratch = tempfile::tempdir().expect("scratch");
        let root = fs::canonicalize(scratch.path()).expect("real");
        fs::create_dir_all(root.join("a/b")).expect("mkdir");
        symlink("a", root.join("to-a")).expect("link");
        for name in ["a", "a/b", "a//b/", "./a/./b", "to-a", "to-a/b", "to-a/../a", "a/../a/b"] {
            let path = root.join(name);
            assert_eq!(real(&path).expect(name), fs::canonicalize(&path).expect(name), "{name}");
        }
        assert!(real(&root.join("gone")).is_err());
    }

    #[test]
    fn links_in_writable_folders_never_make_more_writable() {
        let scratch = tempfile::tempdir().expect("scratch");
        let root = fs::canonicalize(scratch.path()).expect("real");
        for name in ["w/shared", "outside/deep"] {
            fs::create_dir_all(root.join(name)).expect("mkdir");
        }
        symlink("../outside", root.join("w/out")).expect("link");
        symlink("shared", root.join("w/.git")).expect("link");
        symlink("w", root.join("trusted")).expect("link");

        let writable = (&*root.join("w"), Access::Write);
        for (name, access) in [("w/out", Access::Write), ("w/out/deep", Access::Write)] {
            let outcome = resolved(&[writable, (&root.join(name), access)]);
            assert!(matches!(outcome, Err(Failure::Rule { .. })), "{name}");
        }

        let trusted = root.join("trusted");
        let layout = resolved(&[(&trusted, Access::Write), (&trusted.join(".git"), Access::Read)]);
        assert_eq!(
            places(&layout.expect("layout"), &root),
            [
                ("w".to_owned(), Access::Write, Kind::Folder),
                ("w/.git".to_owned(), Access::Read, Kind::Link),
                ("w/shared".to_owned(), Access::Read, Kind::Folder),
            ]
        );
    }

    #[test]
    fn a_protected_link_is_kept_together_with_where_it_leads() {
        let scratch = tempfile::tempdir().expect("scratch");
        let root = fs::canonicalize(scratch.path()).expect("real");
        for name in ["w/d/e", "w/shared", "z/other", "out"] {
            fs::create_dir_all(root.join(name)).expect("mkdir");
        }
        fs::write(root.join("w/file"), "x").expect("write");
        symlink("shared", root.join("w/between")).expect("link");
        let (hidden, read, write) = (Access::Hidden, Access::Read, Access::Write);
        let (absent, file, folder, link) = (Kind::Absent, Kind::File, Kind::Folder, Kind::Link);
        let check = |name: &str, access: Access, wanted: &[(&str, Access, Kind)]| {
            let rules = [(root.join("w"), write), (root.join(name), access), (root.join("z"), write)];
            let rules: Vec<_> = rules.iter().map(|(path, access)| (&**path, *access)).collect();
            let found = places(&resolved(&rules).expect(name), &root);
            let others = found.iter().filter(|(path, ..)| path != "w" && path != "z");
            let found: Vec<_> = others.map(|(path, access, kind)| (&**path, *access, *kind)).collect();
            assert_eq!(found, wanted, "{name}");
        };
        for (target, access, wanted) in [
            ("nowhere", read, &[("w/l", read, link), ("w/nowhere", read, absent)][..]),
            ("nowhere", hidden, &[("w/l", read, link), ("w/nowhere", read, absent)]),
            ("gone/../x", read, &[("w/gone", read, absent), ("w/l", read, link)]),
            ("../nowhere", read, &[("w/l", read, link)]),
            ("/nonexistent", read, &[("w/l", read, link)]),
            ("../out", read, &[("w/l", read, link)]),
            ("../out", hidden, &[("out", hidden, folder), ("w/l", read, link)]),
            ("../z/other", read, &[("w/l", read, link), ("z/other", read, folder)]),
            ("../z/nowhere", read, &[("w/l", read, link), ("z/nowhere", read, absent)]),
            ("l", read, &[("w/l", read, link)]),
            ("file", read, &[("w/file", read, file), ("w/l", read, link)]),
            ("file/x", hidden, &[("w/file", read, file), ("w/l", read, link)]),
            ("between", read, &[("w/between", read, link), ("w/l", read, link), ("w/shared", read, folder)]),
            (
                "d/e/../../../out/x",
                read,
                &[("w/d", write, folder), ("w/d/e", write, folder), ("w/l", read, link)],
            ),
            (".", hidden, &[("w/l", read, link)]),
            ("/", hidden, &[("w/l", read, link)]),
        ] {
            symlink(target, root.join("w/l")).expect("link");
            check("w/l", access, wanted);
            fs::remove_file(root.join("w/l")).expect("remove");
        }
        check(
            "w/between/x",
            read,
            &[("w/between", read, link), ("w/shared", write, folder), ("w/shared/x", read, absent)],
        );
        check("w/file/x", read, &[("w/file", read, file)]);
    }

    #[test]
    fn what_went_away_is_to_blame() {
        let scratch = tempfile::tempdir().expect("scratch");
        let root = fs::canonicalize(scratch.path()).expect("real");
        let token = root.join("token");
        fs::write(&token, "x").expect("write");
        let layout = resolved(&[(&root, Access::Write), (&token, Access::Hidden)]).expect("layout");
        let failure = || Failure::Setup { step: "mount".to_owned(), errno: libc::ENOENT };
        assert!(matches!(layout.blame(failure()), Failure::Setup { .. }));
        fs::remove_file(&token).expect("remove");
        assert!(matches!(layout.blame(failure()), Failure::Changed { .. }));
    }
}
