//! The volumes of a pod on disk.
//!
//! Comes in: contents as values. Goes out: folders that hold them, with the owners and modes that a kubelet gives them.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use super::files::{Content, VolumeFile};
use super::plan::Mount;
use super::sandbox::Bind;

/// Makes the folder of a volume and gives its path. `group` owns what is in it.
pub(super) fn write(
    content: &Content,
    folder: &Path,
    persistent: &Path,
    group: Option<u32>,
) -> io::Result<PathBuf> {
    match content {
        Content::Files(files) => {
            // Written anew for each container that starts.
            let _ = fs::remove_dir_all(folder);
            fs::create_dir_all(folder)?;
            files.iter().try_for_each(|file| write_file(file, folder))?;
            own(folder, group, 0o440)?;
            Ok(folder.to_owned())
        }
        Content::Scratch => {
            fs::create_dir_all(folder)?;
            fs::set_permissions(folder, fs::Permissions::from_mode(0o777))?;
            own(folder, group, 0o660)?;
            Ok(folder.to_owned())
        }
        Content::Claim { volume, .. } => {
            let folder = persistent.join(volume);
            fs::create_dir_all(&folder)?;
            own(&folder, group, 0o660)?;
            Ok(folder)
        }
    }
}

fn write_file(file: &VolumeFile, folder: &Path) -> io::Result<()> {
    let path = folder.join(&file.path);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(&path, &file.bytes)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(file.mode))
}

/// Gives all below `path` to a group, with at least these permissions; new files in folders are the group's, too.
fn own(path: &Path, group: Option<u32>, mode: u32) -> io::Result<()> {
    let Some(group) = group else { return Ok(()) };
    let metadata = fs::symlink_metadata(path)?;
    if metadata.is_symlink() {
        return Ok(());
    }
    chown(path, None, Some(group))?;
    let granted = if metadata.is_dir() { mode | 0o2110 } else { mode };
    fs::set_permissions(path, fs::Permissions::from_mode(metadata.permissions().mode() | granted))?;
    if metadata.is_dir() {
        for entry in fs::read_dir(path)? {
            own(&entry?.path(), Some(group), mode)?;
        }
    }
    Ok(())
}

/// What to mount for a container; `folder` is its volume's. A part of a volume that is not there is made as a folder.
pub(super) fn bind(mount: &Mount, content: &Content, folder: &Path, group: Option<u32>) -> io::Result<Bind> {
    let source = folder.join(&mount.sub_path);
    if !source.exists() {
        fs::create_dir_all(&source)?;
        own(&source, group, 0o660)?;
    }
    let read_only = mount.read_only || matches!(content, Content::Files(_));
    Ok(Bind { source, target: mount.target.clone(), read_only })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    #[test]
    fn parts_of_a_claim_lie_side_by_side() {
        let all = TempDir::new().unwrap();
        let content = Content::Claim { uid: "u".into(), volume: "v".into() };
        let folder = write(&content, &all.path().join("unused"), all.path(), None).unwrap();
        let mount = |part: &str| Mount {
            volume: "d".into(),
            sub_path: part.into(),
            target: "/data".into(),
            read_only: false,
        };
        let one = bind(&mount("one"), &content, &folder, None).unwrap();
        let two = bind(&mount("two"), &content, &folder, None).unwrap();
        assert_eq!((one.source, two.source), (all.path().join("v/one"), all.path().join("v/two")));
        assert!(!one.read_only && !all.path().join("unused").exists());
    }

    #[test]
    fn files_have_their_modes_and_are_read_only() {
        let all = TempDir::new().unwrap();
        let file = VolumeFile { path: "a/b".into(), bytes: b"x".to_vec(), mode: 0o400 };
        let content = Content::Files(vec![file]);
        let folder = write(&content, &all.path().join("s"), all.path(), None).unwrap();
        assert_eq!(fs::metadata(folder.join("a/b")).unwrap().permissions().mode() & 0o777, 0o400);
        let mount =
            Mount { volume: "s".into(), sub_path: "a/b".into(), target: "/t".into(), read_only: false };
        assert!(bind(&mount, &content, &folder, None).unwrap().read_only);
    }
}
