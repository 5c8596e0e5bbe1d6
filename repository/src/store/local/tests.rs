mod power;
mod record;

use super::*;
use crate::contract;

#[tokio::test]
async fn a_directory_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let store = LocalStore::make(folder.path().join("new/repository")).await.unwrap();
    contract::check(&store).await.unwrap();
}

#[tokio::test]
async fn a_directory_that_is_gone_is_an_error_and_not_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("repository");
    let store = LocalStore::make(&root).await.unwrap();
    store.create(ObjectName::Generation(1), "1".into()).await.unwrap();
    fs::remove_dir_all(&root).unwrap();
    for name in [ObjectName::Descriptor, ObjectName::Generation(2)] {
        let error = store.create(name, "2".into()).await.unwrap_err();
        assert!(error.to_string().contains(root.to_str().unwrap()), "{error}");
    }
    store.list(Folder::Generations).await.unwrap_err();
    assert!(!root.exists());
    // Folders in it are made as they are needed.
    fs::create_dir(&root).unwrap();
    assert_eq!(store.list(Folder::Generations).await.unwrap(), []);
    store.create(ObjectName::Generation(2), "2".into()).await.unwrap();
}

#[tokio::test]
async fn unfinished_objects_are_not_listed() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("gen")).unwrap();
    fs::write(folder.path().join("gen").join(format!("{UNFINISHED_PREFIX}1")), "torn").unwrap();
    let store = LocalStore::new(folder.path());
    assert_eq!(store.list(Folder::Generations).await.unwrap(), []);
}
