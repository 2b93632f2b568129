//! Scratch files on a real disk.

use std::{fs, io, path::Path};
use tributary_service::{FilesFactory, production::ScratchFolders};

fn entries(path: &Path) -> usize {
    fs::read_dir(path).unwrap().count()
}

#[tokio::test]
async fn files_are_written_read_in_pieces_and_removed() {
    let base = tempfile::tempdir().unwrap();
    let folders = ScratchFolders::new(base.path(), base.path()).unwrap();
    let room = folders.room("sync-../../x").await.unwrap();
    let files = &room.files;
    assert_eq!(files.read("ids", 0, 10).await.unwrap(), b"");
    files.append("ids", b"hello ".to_vec()).await.unwrap();
    files.append("ids", b"world".to_vec()).await.unwrap();
    assert_eq!(files.read("ids", 4, 4).await.unwrap(), b"o wo");
    assert_eq!(files.read("ids", 9, 100).await.unwrap(), b"ld");
    assert_eq!(files.read("ids", 99, 100).await.unwrap(), b"");
    files.remove("ids").await.unwrap();
    files.remove("ids").await.unwrap();
    assert_eq!(files.read("ids", 0, 10).await.unwrap(), b"");
    assert!(room.folder.is_dir() && room.folder.starts_with(folders.path()));
}

#[tokio::test]
async fn two_rooms_do_not_see_each_other_and_names_do_not_lead_outside() {
    let base = tempfile::tempdir().unwrap();
    let folders = ScratchFolders::new(base.path(), base.path()).unwrap();
    let (a, b) = (
        folders.room("same").await.unwrap(),
        folders.room("same").await.unwrap(),
    );
    a.files.append("x", b"a".to_vec()).await.unwrap();
    assert_eq!(b.files.read("x", 0, 1).await.unwrap(), b"");
    for name in ["../x", "", "/etc/passwd", ".hidden", "a b"] {
        let error = a.files.append(name, Vec::new()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{name}");
    }
}

#[test]
fn everything_is_gone_at_the_end() {
    let base = tempfile::tempdir().unwrap();
    let folders = ScratchFolders::new(base.path(), base.path()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let room = runtime.block_on(folders.room("job")).unwrap();
    runtime
        .block_on(room.files.append("x", vec![0; 1000]))
        .unwrap();
    drop(runtime);
    drop(folders);
    // Kept by its last room.
    assert_eq!(entries(base.path()), 1);
    drop(room);
    assert_eq!(entries(base.path()), 0);
}

#[test]
fn what_a_killed_process_left_behind_is_removed_and_nothing_else() {
    let base = tempfile::tempdir().unwrap();
    let living = ScratchFolders::new(base.path(), base.path()).unwrap();
    let dead = base.path().join("tributary-dead");
    fs::create_dir_all(dead.join("1-sync")).unwrap();
    fs::write(dead.join("lock"), "").unwrap();
    let unlocked = base.path().join("tributary-data");
    fs::create_dir(&unlocked).unwrap();
    fs::create_dir(base.path().join("other")).unwrap();
    let next = ScratchFolders::new(base.path(), base.path()).unwrap();
    assert!(!dead.exists());
    for path in [
        living.path(),
        next.path(),
        &unlocked,
        &base.path().join("other"),
    ] {
        assert!(path.exists(), "{}", path.display());
    }
}

#[cfg(unix)]
#[test]
fn nobody_else_may_look_inside() {
    use std::os::unix::fs::PermissionsExt;
    let base = tempfile::tempdir().unwrap();
    let folders = ScratchFolders::new(base.path(), base.path()).unwrap();
    let mode = fs::metadata(folders.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[tokio::test]
async fn a_disk_that_cannot_be_written_is_an_error() {
    let base = tempfile::tempdir().unwrap();
    let folders = ScratchFolders::new(base.path(), base.path()).unwrap();
    let room = folders.room("job").await.unwrap();
    fs::remove_dir_all(folders.path()).unwrap();
    assert!(room.files.append("x", b"a".to_vec()).await.is_err());
}
