//! Whether a program may be run: nobody but root and the user who runs it may be able to change it, or
//! to put another in its place.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Others may write.
const WRITABLE_BY_OTHERS: u32 = 0o002;
/// The group may write.
const WRITABLE_BY_GROUP: u32 = 0o020;
/// In such a directory only the owner of a file can take it away.
const STICKY: u32 = 0o1000;

/// The most links, one to the next, that the kernel follows (path_resolution(7)).
const LINKS_MAX: usize = 40;

/// Examines a program that `user` is to run, and every directory on the way to it.
pub(super) fn examine(program: &Path, user: u32) -> Result<(), String> {
    let real = fs::canonicalize(program)
        .map_err(|error| format!("{} cannot be run: {error}", program.display()))?;
    let mut on_the_way: Vec<PathBuf> = real.ancestors().map(Path::to_owned).collect();
    // Who may change a directory that has a link may lead it elsewhere.
    let mut link = program.to_owned();
    for _ in 0..LINKS_MAX {
        let Some(directory) = link.parent() else { break };
        on_the_way.extend(directory.ancestors().map(Path::to_owned));
        let Ok(target) = fs::read_link(&link) else { break };
        link = directory.join(target);
    }
    for path in on_the_way {
        let path = path.as_path();
        let found = fs::metadata(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let mode = found.permissions().mode();
        if let Some((who, mend)) = changeable(found.uid(), found.gid(), mode, found.is_dir(), user)
        {
            let path = path.display();
            return Err(format!("refused: {who} could change {path}; {mend} {path}"));
        }
    }
    Ok(())
}

/// Who else could change a file or directory, and what mends that.
fn changeable(
    owner: u32,
    group: u32,
    mode: u32,
    is_directory: bool,
    user: u32,
) -> Option<(String, &'static str)> {
    if owner != 0 && owner != user {
        return Some((format!("its owner, user {owner},"), "chown root"));
    }
    if is_directory && mode & STICKY != 0 {
        return None;
    }
    if mode & WRITABLE_BY_OTHERS != 0 {
        return Some(("anybody".to_owned(), "chmod o-w"));
    }
    if mode & WRITABLE_BY_GROUP != 0 && group != 0 {
        return Some((format!("group {group}"), "chmod g-w"));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_root_and_who_runs_it_may_be_able_to_change_it() {
        let refused = |owner, group, mode, directory| {
            changeable(owner, group, mode, directory, 65_534).map(|(_, mend)| mend)
        };
        assert_eq!(refused(0, 0, 0o755, false), None);
        assert_eq!(refused(65_534, 65_534, 0o700, false), None);
        assert_eq!(refused(0, 0, 0o775, false), None, "the group of root");
        assert_eq!(refused(1000, 0, 0o755, false), Some("chown root"));
        assert_eq!(refused(0, 1000, 0o775, false), Some("chmod g-w"));
        assert_eq!(refused(0, 0, 0o757, false), Some("chmod o-w"));
        assert_eq!(refused(0, 0, 0o757, true), Some("chmod o-w"));
        assert_eq!(refused(0, 0, 0o1777, true), None, "as /tmp is");
        assert_eq!(refused(0, 0, 0o1777, false), Some("chmod o-w"));
    }

    #[test]
    fn a_link_is_as_good_as_the_directory_that_it_is_in() {
        let place = std::env::temp_dir().join(format!("evergate-link-{}", std::process::id()));
        fs::create_dir(&place).unwrap();
        let link = place.join("up");
        std::os::unix::fs::symlink("/bin/sh", &link).unwrap();
        let user = nix::unistd::geteuid().as_raw();
        for (mode, refused) in [(0o755, false), (0o777, true)] {
            fs::set_permissions(&place, fs::Permissions::from_mode(mode)).unwrap();
            let told = examine(&link, user);
            assert_eq!(told.is_err(), refused, "{told:?}");
        }
        fs::remove_dir_all(&place).unwrap();
    }

    #[test]
    fn a_script_that_others_may_write_is_refused_and_one_that_they_may_not_is_not() {
        let path = std::env::temp_dir().join(format!("evergate-trust-{}", std::process::id()));
        fs::write(&path, "#!/bin/sh\n").unwrap();
        let user = nix::unistd::geteuid().as_raw();
        for (mode, refused) in [(0o755, false), (0o777, true)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let told = examine(&path, user);
            assert_eq!(told.is_err(), refused, "{told:?}");
        }
        fs::remove_file(&path).unwrap();
        assert!(examine(&path, user).is_err(), "it is not there");
    }
}
