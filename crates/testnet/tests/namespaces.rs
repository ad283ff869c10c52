//! The kernel makes the networks that are asked for.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use portolan_testnet::{Error, Listeners, Namespace, connect};

/// Far longer than any answer takes on a machine's own links, so that only silence reaches it.
const LONG: Duration = Duration::from_secs(10);
/// How long silence is listened to.
const SHORT: Duration = Duration::from_millis(200);

fn dial(from: &Namespace, to: SocketAddr, patience: Duration) -> io::Result<TcpStream> {
    from.enter(|| TcpStream::connect_timeout(&to, patience))
        .expect("a namespace that exists lets its maker in")
}

fn error_kind(result: io::Result<TcpStream>) -> io::ErrorKind {
    result
        .map(|_| ())
        .expect_err("nothing answers there")
        .kind()
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn a_namespace_has_a_loopback_of_its_own() {
    let (one, other) = (Namespace::new().unwrap(), Namespace::new().unwrap());
    let listeners = Listeners::start(&one, ["127.0.0.1:0".parse().unwrap()]).unwrap();
    let address = listeners.addresses()[0];
    assert_ne!(address.port(), 0);
    assert!(dial(&one, address, LONG).is_ok());
    assert_eq!(
        error_kind(dial(&other, address, LONG)),
        io::ErrorKind::ConnectionRefused
    );
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn a_veth_pair_carries_both_families_between_two_namespaces() {
    let (here, there) = (Namespace::new().unwrap(), Namespace::new().unwrap());
    connect((&here, "192.0.2.1/24"), (&there, "192.0.2.2/24")).unwrap();
    connect((&here, "2001:db8::1/64"), (&there, "2001:db8::2/64")).unwrap();
    let wanted = ["192.0.2.2:7", "[2001:db8::2]:7"].map(|text| text.parse().unwrap());
    let _listeners = Listeners::start(&there, wanted).unwrap();
    for address in wanted {
        assert!(dial(&here, address, LONG).is_ok(), "{address}");
    }
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn a_firewall_drops_what_its_rules_drop_and_nothing_else() {
    let (here, there) = (Namespace::new().unwrap(), Namespace::new().unwrap());
    connect((&here, "192.0.2.1/24"), (&there, "192.0.2.2/24")).unwrap();
    there
        .firewall(
            "table inet filter {
                chain input { type filter hook input priority 0; tcp dport 23 drop; }
            }",
        )
        .unwrap();
    let silent = dial(&here, "192.0.2.2:23".parse().unwrap(), SHORT);
    assert_eq!(error_kind(silent), io::ErrorKind::TimedOut);
    let refused = dial(&here, "192.0.2.2:24".parse().unwrap(), LONG);
    assert_eq!(error_kind(refused), io::ErrorKind::ConnectionRefused);
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn rules_that_do_not_parse_are_an_error_that_quotes_nft() {
    let namespace = Namespace::new().unwrap();
    let error = namespace.firewall("table inet").unwrap_err();
    assert!(matches!(error, Error::Failed { .. }), "{error:?}");
    assert!(error.to_string().contains("syntax error"), "{error}");
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn a_listener_serves_more_connections_than_a_queue_holds() {
    let namespace = Namespace::new().unwrap();
    // The longest queue of connections that wait to be accepted (listen(2)).
    namespace
        .enter(|| std::fs::write("/proc/sys/net/core/somaxconn", "4"))
        .unwrap()
        .unwrap();
    let listeners = Listeners::start(&namespace, ["127.0.0.1:0".parse().unwrap()]).unwrap();
    for number in 0..100 {
        let connection = dial(&namespace, listeners.addresses()[0], LONG);
        assert!(connection.is_ok(), "connection {number}");
    }
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn a_taken_address_is_an_error_that_names_it() {
    let namespace = Namespace::new().unwrap();
    let first = Listeners::start(&namespace, ["127.0.0.1:0".parse().unwrap()]).unwrap();
    let again = Listeners::start(&namespace, [first.addresses()[0]]).unwrap_err();
    assert!(
        again
            .to_string()
            .contains(&first.addresses()[0].to_string()),
        "{again}"
    );
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn dropping_a_namespace_removes_it_and_its_listeners() {
    let namespace = Namespace::new().unwrap();
    let path = Path::new("/run/netns").join(namespace.name());
    assert!(path.exists());
    let listeners = Listeners::start(&namespace, ["127.0.0.1:0".parse().unwrap()]).unwrap();
    let address = listeners.addresses()[0];
    drop(listeners);
    assert_eq!(
        error_kind(dial(&namespace, address, LONG)),
        io::ErrorKind::ConnectionRefused
    );
    drop(namespace);
    assert!(!path.exists());
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn a_command_that_fails_says_so_with_its_own_words() {
    let namespace = Namespace::new().unwrap();
    let error = namespace
        .run("ip", &["link", "show", "nothing"])
        .unwrap_err();
    assert!(error.to_string().contains("does not exist"), "{error}");
}
