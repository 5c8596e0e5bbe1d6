mod power;
mod record;

use format::ids::ObjectId;
use format::names::PackName;

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

#[tokio::test]
async fn what_a_session_left_unfinished_goes_with_its_registration() {
    let folder = tempfile::tempdir().unwrap();
    let (ended, other) = (PointId::new([1; 16]), PointId::new([2; 16]));
    let store = LocalStore::new(folder.path());
    let unfinished = |kind: &str, session: PointId| {
        let folder = folder.path().join(format!("{kind}/{session}"));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join(format!("{UNFINISHED_PREFIX}1"));
        fs::write(&path, "torn").unwrap();
        path
    };
    let [pack, index] = ["pack", "idx"].map(|kind| unfinished(kind, ended));
    let at_work = unfinished("pack", other);
    let whole = ObjectName::Pack(PackName { session: ended, id: ObjectId::new([3; 16]) });
    store.create(whole, "whole".into()).await.unwrap();
    store.create(ObjectName::Session(0, ended), "1".into()).await.unwrap();
    store.delete(ObjectName::Session(0, ended)).await.unwrap();
    assert!(!pack.exists() && !index.exists() && at_work.exists());
    assert_eq!(store.get(whole).await.unwrap(), "whole");
}
