//! Users, sessions, tokens and the audit log.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails as they do")]

mod common;

use common::{at, open_store};
use portolan_store::{Error, NewAudit, NewToken, Role, ScanId, Session, Store};

fn session(user: i64, secret: u8) -> Session {
    Session {
        hash: vec![secret; 32],
        user,
        created: at(0),
        used: at(0),
        expires: at(100),
        agent: "browser".to_owned(),
        address: "127.0.0.1".to_owned(),
    }
}

fn token(store: &Store, user: Option<i64>) {
    let token = NewToken {
        id: "abc".to_owned(),
        user,
        name: "nightly".to_owned(),
        hash: vec![7; 32],
        scopes: vec![Role::Read, Role::Scan],
        created: at(0),
        expires: Some(at(50)),
    };
    store.create_token(token).unwrap();
}

#[test]
fn a_name_is_taken_in_any_case_of_letters() {
    let (_dir, store) = open_store();
    store
        .create_user("Ada", "hash", Role::Admin, at(0))
        .unwrap();
    let error = store
        .create_user("ada", "hash", Role::Read, at(0))
        .unwrap_err();
    assert!(matches!(error, Error::NameTaken { .. }));
    assert_eq!(store.find_user("ADA").unwrap().unwrap().role, Role::Admin);
    assert_eq!(store.users().unwrap().len(), 1);
}

#[test]
fn a_password_hash_is_not_printed_with_its_user() {
    let (_dir, store) = open_store();
    let user = store
        .create_user("ada", "$argon2id$secret", Role::Read, at(0))
        .unwrap();
    assert!(!format!("{user:?}").contains("secret"));
}

#[test]
fn a_session_counts_until_it_expires_or_is_revoked() {
    let (_dir, store) = open_store();
    let ada = store.create_user("ada", "hash", Role::Scan, at(0)).unwrap();
    store.create_session(session(ada.id, 1)).unwrap();
    store.create_session(session(ada.id, 2)).unwrap();
    let (found, user) = store.find_session(&[1; 32], at(99)).unwrap().unwrap();
    assert_eq!((found.user, user.name.as_str()), (ada.id, "ada"));
    assert!(store.find_session(&[1; 32], at(100)).unwrap().is_none());
    store.touch_session(&[1; 32], at(99), at(200)).unwrap();
    assert!(store.find_session(&[1; 32], at(100)).unwrap().is_some());
    assert_eq!(store.sessions(ada.id).unwrap()[0].used, at(99));
    assert_eq!(store.drop_expired_sessions(at(150)).unwrap(), 1);
    assert!(store.revoke_session(&[1; 32]).unwrap());
    assert!(!store.revoke_session(&[1; 32]).unwrap());
    assert!(store.find_session(&[1; 32], at(0)).unwrap().is_none());
}

#[test]
fn a_new_password_and_a_disabled_user_end_sessions() {
    let (_dir, store) = open_store();
    let ada = store.create_user("ada", "hash", Role::Scan, at(0)).unwrap();
    store.create_session(session(ada.id, 1)).unwrap();
    assert!(store.set_password(ada.id, "other").unwrap());
    assert!(store.find_session(&[1; 32], at(1)).unwrap().is_none());
    token(&store, Some(ada.id));
    assert!(store.find_token("abc", at(1)).unwrap().is_some());
    assert!(store.disable_user(ada.id).unwrap());
    store.create_session(session(ada.id, 2)).unwrap();
    assert!(store.find_session(&[2; 32], at(1)).unwrap().is_none());
    assert!(store.find_token("abc", at(1)).unwrap().is_none());
    assert!(store.enable_user(ada.id).unwrap());
    assert!(store.find_token("abc", at(1)).unwrap().is_some());
    assert!(store.delete_user(ada.id).unwrap());
    assert!(store.find_token("abc", at(1)).unwrap().is_none());
    assert!(store.user(ada.id).unwrap().is_none());
}

#[test]
fn a_token_counts_until_it_expires_or_is_revoked() {
    let (_dir, store) = open_store();
    token(&store, None);
    let found = store.find_token("abc", at(49)).unwrap().unwrap();
    assert_eq!(found.token.scopes, [Role::Read, Role::Scan]);
    assert!(store.find_token("abc", at(50)).unwrap().is_none());
    store.touch_token("abc", at(9)).unwrap();
    assert!(store.revoke_token("abc", at(10)).unwrap());
    assert!(!store.revoke_token("abc", at(11)).unwrap());
    assert!(store.find_token("abc", at(12)).unwrap().is_none());
    let listed = &store.tokens().unwrap()[0];
    assert_eq!((listed.used, listed.revoked), (Some(at(9)), Some(at(10))));
}

#[test]
fn what_was_done_is_listed_latest_first() {
    let (_dir, store) = open_store();
    for number in 0..5 {
        let entry = NewAudit {
            at: at(number),
            who: "ada".to_owned(),
            address: "127.0.0.1".to_owned(),
            action: "scan".to_owned(),
            subject: "192.0.2.1".to_owned(),
            scan: Some(ScanId(number % 2)),
            detail: String::new(),
        };
        store.log(entry).unwrap();
    }
    let page = store.audit(None, None, 2).unwrap();
    assert_eq!(page.items[0].entry.at, at(4));
    let rest = store.audit(None, page.next.as_ref(), 9).unwrap();
    assert_eq!(rest.items.len(), 3);
    assert_eq!(
        store.audit(Some(ScanId(0)), None, 9).unwrap().items.len(),
        3
    );
}
