//! Files are found by what they are, bounded, and gone when they are deleted.

use super::*;

fn stored(store: &mut MediaStore, bytes: &[u8]) -> String {
    let token = token(bytes);
    store.put(&token, bytes.into()).unwrap();
    token
}

#[test]
fn a_file_is_found_by_its_hash_and_gone_when_deleted() {
    let mut store = MediaStore::at("h:1".to_owned());
    let token = stored(&mut store, b"one");
    assert_eq!(store.get(&token).unwrap().as_ref(), b"one");
    assert_eq!(read_token(&format!("{token}=")).unwrap(), token);
    assert_eq!(store.get("nothing"), Err(MediaError::NotFound));
    assert_eq!(store.clear(), std::slice::from_ref(&token));
    assert_eq!((store.get(&token), store.total()), (Err(MediaError::Gone), 0));
    stored(&mut store, b"one");
    assert!(store.get(&token).is_ok());
    for bad in ["", "AAAA", "not base64!", &format!("{token}A")] {
        assert_eq!(read_token(bad), Err(MediaError::Token), "{bad}");
    }
}

#[test]
fn one_file_and_all_together_are_bounded() {
    let mut store = MediaStore::default();
    assert_eq!(store.check_size("x", MAX_FILE + OVERHEAD + 1), Err(MediaError::TooLarge));
    for index in 0..4_u8 {
        store.put(&index.to_string(), vec![index; MAX_FILE].into()).unwrap();
    }
    assert_eq!(store.put("4", [1].as_slice().into()), Err(MediaError::Full));
    assert!(store.put("3", vec![3; MAX_FILE].into()).is_ok(), "it is there already");
    store.keep_unfinished("5", vec![1]);
    assert_eq!(store.offset("5"), 0);
}

#[test]
fn an_upload_that_broke_off_goes_on_where_it_was() {
    let mut store = MediaStore::default();
    store.keep_unfinished("t", b"abc".to_vec());
    assert_eq!(store.offset("t"), 3);
    assert_eq!(store.take_unfinished("t", 4), Err(MediaError::Offset(4, 3)));
    assert_eq!(store.take_unfinished("t", 2).unwrap(), b"ab");
    assert_eq!(store.offset("t"), 0);
}
