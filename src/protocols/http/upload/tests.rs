//! Where a file is kept, that it goes away, and what happens when it cannot be kept.

use std::os::unix::fs::PermissionsExt as _;

use tempfile::{TempDir, tempdir};

use super::*;

fn in_directory(directory: &TempDir, in_memory: usize) -> Uploads {
    Uploads { in_memory, directory: directory.path().to_owned() }
}

fn upload(pieces: &[&[u8]], uploads: &Uploads) -> UploadedFile {
    let head = PartHead { file_name: Some("x".into()), full_path: "d/x".into(), ..PartHead::default() };
    let mut upload = Upload::new(head);
    for piece in pieces {
        upload.append(piece, uploads);
    }
    upload.finish()
}

fn count(directory: &TempDir) -> usize {
    fs::read_dir(directory.path()).unwrap().count()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_file_is_in_memory_up_to_the_bound_and_on_disk_above_it() {
    let directory = tempdir().unwrap();
    let uploads = in_directory(&directory, 5);
    for pieces in [&[][..], &[&b"hello"[..]], &[b"he", b"llo"]] {
        let file = upload(pieces, &uploads);
        assert_eq!((file.path(), count(&directory)), (None, 0));
        assert_eq!(&*file.bytes().unwrap(), pieces.concat());
    }
    for pieces in [&[&b"hello!"[..]][..], &[b"hello", b"!"], &[b"hel", b"lo!!", b"!"]] {
        let file = upload(pieces, &uploads);
        let path = file.path().unwrap();
        assert_eq!((path.parent(), mode(path), count(&directory)), (Some(directory.path()), 0o600, 1));
        assert!(path.file_name().unwrap().to_str().unwrap().starts_with("workerman.upload."));
        assert_eq!((file.size(), file.error()), (pieces.concat().len() as u64, None));
        assert_eq!(&*file.bytes().unwrap(), pieces.concat());
        let mut read = Vec::new();
        file.reader().unwrap().read_to_end(&mut read).unwrap();
        assert_eq!(read, pieces.concat());
    }
    assert_eq!(count(&directory), 0, "what is dropped is deleted");
}

#[test]
fn an_upload_that_breaks_off_leaves_no_file() {
    let directory = tempdir().unwrap();
    let mut upload = Upload::new(PartHead::default());
    upload.append(b"hello", &in_directory(&directory, 1));
    assert_eq!(count(&directory), 1);
    drop(upload);
    assert_eq!(count(&directory), 0);
}

#[test]
fn a_file_that_is_saved_stays_and_takes_the_place_of_another() {
    for in_memory in [0, 100] {
        let (temporary, target) = (tempdir().unwrap(), tempdir().unwrap());
        let (first, second) = (target.path().join("first"), target.path().join("second"));
        let file = upload(&[b"hello"], &in_directory(&temporary, in_memory));
        fs::write(&first, "something longer").unwrap();
        file.save_to(&first).unwrap();
        assert_eq!(count(&temporary), 0, "moved, or never on disk");
        file.save_to(&second).unwrap();
        file.save_to(&second).unwrap();
        assert_eq!(&*file.bytes().unwrap(), b"hello");
        assert_eq!(file.path().is_some_and(|path| path == first), in_memory == 0);
        drop(file);
        assert_eq!((fs::read(&first).unwrap(), fs::read(&second).unwrap()), (b"hello".to_vec(), b"hello".to_vec()));
        assert_eq!(count(&target), 2, "nothing else stays behind");
        let new = target.path().join("new");
        fs::write(&new, "").unwrap();
        assert_eq!((mode(&first), mode(&second)), (mode(&new), mode(&new)), "permissions of a new file");
    }
}

#[test]
fn a_file_is_saved_to_another_file_system_too() {
    // Where there is no other one, this is the test above again.
    let Ok(target) = tempfile::tempdir_in("/dev/shm") else { return };
    let temporary = tempdir().unwrap();
    let file = upload(&[b"hello"], &in_directory(&temporary, 0));
    let path = target.path().join("file");
    file.save_to(&path).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"hello");
    assert_eq!(count(&target), 1);
    assert_eq!(&*file.bytes().unwrap(), b"hello");
}

#[test]
fn a_path_that_cannot_be_written_is_an_error_and_loses_nothing() {
    let (temporary, target) = (tempdir().unwrap(), tempdir().unwrap());
    for in_memory in [0, 100] {
        let file = upload(&[b"hello"], &in_directory(&temporary, in_memory));
        fs::create_dir_all(target.path().join("directory")).unwrap();
        for path in ["missing/file", "directory"] {
            assert!(file.save_to(target.path().join(path)).is_err(), "{path}");
            assert_eq!(&*file.bytes().unwrap(), b"hello");
        }
        assert!(file.save_to("/").is_err());
        assert_eq!(count(&target), 1, "nothing stays behind");
    }
}

#[test]
fn a_missing_directory_is_phps_error_6() {
    let uploads = Uploads { in_memory: 3, directory: "/nonexistent/directory".into() };
    let file = upload(&[b"hel", b"lo", b"!"], &uploads);
    assert_eq!((file.error(), file.size()), (Some(UploadError::NoTemporaryDirectory), 6));
    assert_eq!(file.error().map(UploadError::code), Some(6));
    assert!(file.path().is_none() && file.bytes().is_err() && file.reader().is_err());
    assert!(file.save_to(std::env::temp_dir().join("never written")).is_err());
}

#[test]
fn a_full_disk_is_phps_error_7_and_frees_what_was_written() {
    let directory = tempdir().unwrap();
    let uploads = in_directory(&directory, 0);
    let path = new_file(directory.path(), 0o600).unwrap().into_temp_path();
    let full = File::options().write(true).open("/dev/full").unwrap();
    let mut upload = Upload::new(PartHead::default());
    upload.store = Ok(Store::File(NamedTempFile::from_parts(full, path)));
    upload.append(b"hello", &uploads);
    assert_eq!(count(&directory), 0, "deleted at once");
    upload.append(b"world", &uploads);
    let file = upload.finish();
    assert_eq!((file.error(), file.size()), (Some(UploadError::CannotWrite), 10));
    assert_eq!(file.error().map(UploadError::code), Some(7));
    assert!(file.bytes().is_err());
}

#[test]
fn a_field_that_was_left_empty_is_phps_error_4() {
    let uploads = Uploads::default();
    let empty = Upload::new(PartHead { file_name: Some(String::new()), ..PartHead::default() });
    let file = empty.finish();
    assert_eq!(file.error().map(UploadError::code), Some(4));
    assert_eq!(&*file.bytes().unwrap(), b"");
    assert!(file.save_to(std::env::temp_dir().join("never written")).is_err());
    // A file without bytes, and bytes without a name, are files.
    assert_eq!(upload(&[], &uploads).error(), None);
    let mut nameless = Upload::new(PartHead { file_name: Some(String::new()), ..PartHead::default() });
    nameless.append(b"x", &uploads);
    assert_eq!(nameless.finish().error(), None);
}

#[test]
fn a_file_can_be_given_to_a_thread_and_its_debug_output_hides_what_is_in_it() {
    fn is_send_and_sync<T: Send + Sync>() {}
    is_send_and_sync::<UploadedFile>();
    let shown = format!("{:?}", upload(&[b"secret"], &Uploads::default()));
    assert!(shown.contains("\"x\"") && shown.contains('6') && !shown.contains("secret"), "{shown}");
}

#[test]
fn a_complete_file_holds_no_descriptor() {
    let directory = tempdir().unwrap();
    let file = upload(&[b"hello"], &in_directory(&directory, 0));
    let path = file.path().unwrap();
    let open = fs::read_dir("/proc/self/fd").map(|entries| {
        entries.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok()).filter(|target| target == path).count()
    });
    assert_eq!(open.unwrap_or_default(), 0);
}
