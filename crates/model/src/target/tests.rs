use proptest::prelude::*;

use super::*;

fn read(text: &str) -> String {
    text.parse::<Target>()
        .unwrap()
        .addresses()
        .unwrap()
        .to_string()
}

fn refused(text: &str) -> (String, Option<String>) {
    let error = text.parse::<Target>().unwrap_err();
    (error.to_string(), error.hint())
}

#[test]
fn every_form_of_target_is_read() {
    assert_eq!(read("192.0.2.1"), "192.0.2.1");
    assert_eq!(read("192.0.2.0/30"), "192.0.2.0-192.0.2.3");
    assert_eq!(read("0.0.0.0/0"), "0.0.0.0-255.255.255.255");
    assert_eq!(read("192.0.2.1/32"), "192.0.2.1");
    assert_eq!(read("192.0.2.1-50"), "192.0.2.1-192.0.2.50");
    assert_eq!(read("192.0.2.250-192.0.3.4"), "192.0.2.250-192.0.3.4");
    assert_eq!(
        read("10.0.0-1.1,5,9"),
        "10.0.0.1,10.0.0.5,10.0.0.9,10.0.1.1,10.0.1.5,10.0.1.9"
    );
    assert_eq!(read("10.0.*.*"), "10.0.0.0-10.0.255.255");
    assert_eq!(read("10.1-2.-.7-"), read("10.1-2.*.7-255"));
    assert_eq!(read("2001:db8::/126"), "2001:db8::-2001:db8::3");
    assert_eq!(read("[::1]"), "::1");
    assert_eq!(read("2001:db8::1-2001:db8::9"), "2001:db8::1-2001:db8::9");
    assert_eq!(
        "Example.COM.".parse::<Target>(),
        Ok(Target::Name(HostName("example.com".to_owned())))
    );
    assert!(matches!("db-1".parse(), Ok(Target::Name(_))));
}

#[test]
fn what_is_no_target_is_refused_with_a_way_out() {
    assert_eq!(refused("").0, "the target is empty");
    assert_eq!(refused("   ").0, "the target is empty");
    assert_eq!(
        refused("192.0.2.5/24"),
        (
            "`192.0.2.5/24` has host bits set: the network is `192.0.2.0/24`".to_owned(),
            Some(
                "write `192.0.2.0/24` for the network, or `192.0.2.5` for the one address"
                    .to_owned()
            )
        )
    );
    assert_eq!(
        refused("192.0.2.0/33").0,
        "`192.0.2.0/33` has a prefix of 33: IPv4 has prefixes of 0 to 32"
    );
    assert_eq!(
        refused("2001:db8::/129").0,
        "`2001:db8::/129` has a prefix of 129: IPv6 has prefixes of 0 to 128"
    );
    assert_eq!(
        refused("192.0.2.0/x").0,
        "`192.0.2.0/x` has `x` after its slash, where a prefix length belongs"
    );
    assert_eq!(
        refused("192.0.2.50-1"),
        (
            "the range `50-1` in `192.0.2.50-1` is reversed".to_owned(),
            Some("did you mean `1-50`?".to_owned())
        )
    );
    assert_eq!(
        refused("192.0.2.9-192.0.2.1").0,
        "the range `192.0.2.9-192.0.2.1` in `192.0.2.9-192.0.2.1` is reversed"
    );
    assert_eq!(
        refused("192.0.2.1-::1").0,
        "the range `192.0.2.1-::1` joins an IPv4 and an IPv6 address"
    );
    assert_eq!(
        refused("192.0.2").0,
        "`192.0.2` is no IPv4 address or range: it has 3 parts where four belong"
    );
    assert_eq!(
        refused("192.0.2.256").0,
        "`192.0.2.256` is no IPv4 address or range: `256` is no number from 0 to 255"
    );
    assert_eq!(
        refused("192.0.2.010").0,
        "`192.0.2.010` is no IPv4 address or range: `010` starts with a zero"
    );
    assert_eq!(refused("2001:db8::g").0, "`2001:db8::g` is no IPv6 address");
    assert_eq!(
        refused("exa mple").0,
        "`exa mple` is no address and no host name: only letters, digits, `-` and `_` may stand between its dots"
    );
    assert_eq!(
        refused("-example").0,
        "`-example` is no address and no host name: a part starts or ends with `-`"
    );
    assert_eq!(
        refused("http://example.com/a"),
        (
            "`http://example.com/a` is a web address, not a target".to_owned(),
            Some("scan its host: `example.com`".to_owned())
        )
    );
    assert_eq!(
        refused("192.0.2.1:80"),
        (
            "`192.0.2.1:80` is an address with a port, not a target".to_owned(),
            Some("write `192.0.2.1 -p 80`".to_owned())
        )
    );
    assert_eq!(
        refused("example.com/24").0,
        "`example.com/24` puts a prefix on a host name: only addresses have networks"
    );
    assert_eq!(
        refused("*.*.*.1,3").0,
        "`*.*.*.1,3` falls into 33554432 separate ranges: at most 1048576 are held"
    );
}

fn octet() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<u8>().prop_map(|value| value.to_string()),
        (any::<u8>(), any::<u8>()).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b))),
        prop::collection::vec(any::<u8>(), 1..4).prop_map(|values| values
            .iter()
            .map(u8::to_string)
            .collect::<Vec<_>>()
            .join(",")),
    ]
}

fn target() -> impl Strategy<Value = Target> {
    let octets = [octet(), octet(), octet(), octet()]
        .prop_map(|octets| octets.join("."))
        .prop_filter_map("too many runs", |text| text.parse().ok());
    let network = (any::<IpAddr>(), 0u8..=128).prop_map(|(address, prefix)| {
        let prefix = if address.is_ipv4() {
            prefix % 33
        } else {
            prefix
        };
        Target::Network {
            network: network_of(address, prefix),
            prefix,
        }
    });
    prop_oneof![
        any::<IpAddr>().prop_map(Target::Address),
        network,
        (any::<u32>(), any::<u32>()).prop_map(|(a, b)| Target::Range {
            first: Ipv4Addr::from_bits(a.min(b)).into(),
            last: Ipv4Addr::from_bits(a.max(b)).into(),
        }),
        octets,
        "[a-z]([a-z0-9-]{0,10}[a-z0-9])?(\\.[a-z]{2,8}){0,3}"
            .prop_map(|name| Target::Name(HostName(name))),
        zoned_target(),
    ]
}

/// Link-local targets with an interface.
fn zoned_target() -> impl Strategy<Value = Target> {
    let local =
        any::<u64>().prop_map(|bits| Ipv6Addr::from_bits((0xfe80 << 112) | u128::from(bits)));
    let inner = prop_oneof![
        local
            .clone()
            .prop_map(|address| Target::Address(address.into())),
        (local.clone(), 10u8..=128).prop_map(|(address, prefix)| Target::Network {
            network: network_of(address.into(), prefix),
            prefix,
        }),
        (local.clone(), local).prop_map(|(a, b)| Target::Range {
            first: a.min(b).into(),
            last: a.max(b).into(),
        }),
    ];
    (inner, "[a-z0-9][a-z0-9._-]{0,14}").prop_map(|(target, zone)| Target::Zoned {
        target: Box::new(target),
        zone: zone.parse().unwrap(),
    })
}

#[test]
fn an_interface_stands_after_an_address_a_network_or_a_range() {
    let printed = |text: &str| text.parse::<Target>().unwrap().to_string();
    assert_eq!(printed("fe80::1%eth0"), "fe80::1%eth0");
    assert_eq!(printed("FE80:0::1%3"), "fe80::1%3");
    assert_eq!(printed("[fe80::1%eth0]"), "fe80::1%eth0");
    assert_eq!(printed("fe80::/64%eth0"), "fe80::%eth0/64");
    assert_eq!(printed("fe80::%eth0/64"), "fe80::%eth0/64");
    assert_eq!(printed("fe80::%eth0/64%eth0"), "fe80::%eth0/64");
    for text in [
        "fe80::1-fe80::9%br-1a",
        "fe80::1%br-1a-fe80::9",
        "fe80::1%br-1a-fe80::9%br-1a",
    ] {
        assert_eq!(printed(text), "fe80::1-fe80::9%br-1a", "{text}");
    }
    assert_eq!(read("fe80::%eth0/126"), "fe80::-fe80::3");
}

#[test]
fn an_interface_that_means_nothing_is_refused_with_a_way_out() {
    assert_eq!(
        refused("2001:db8::1%eth0"),
        (
            "`2001:db8::1%eth0` names the interface `eth0`, which only link-local addresses \
             (fe80::/10) need"
                .to_owned(),
            Some("write `2001:db8::1`: the routing table knows its interface".to_owned())
        )
    );
    assert!(refused("192.0.2.1%eth0").0.contains("only link-local"));
    assert!(refused("fe80::1%eth0/64").0.contains("host bits"));
    assert!(refused("fe80::/9%eth0").0.contains("only link-local"));
    assert_eq!(
        refused("fe80::1%").0,
        "`fe80::1%` names no interface after its `%`: nothing stands there"
    );
    assert_eq!(
        refused("fe80::1%eth0-fe80::9%eth1").0,
        "`fe80::1%eth0-fe80::9%eth1` names two interfaces: `eth0` and `eth1`"
    );
    assert_eq!(
        refused("[fe80::1%eth0]:80").1,
        Some("write `[fe80::1%eth0] -p 80`".to_owned())
    );
    assert!(refused("exa%mple").0.contains("no host name"));
}

proptest! {
    #[test]
    fn a_printed_target_reads_back_as_the_same_addresses(target in target()) {
        let again: Target = target.to_string().parse().unwrap();
        prop_assert_eq!(&again.to_string(), &target.to_string());
        prop_assert_eq!(again.addresses(), target.addresses());
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC{0,40}") {
        let _ = text.parse::<Target>();
    }

    #[test]
    fn almost_targets_do_not_make_the_parser_panic(text in "[0-9a-f:./,*%\\[\\]-]{0,24}") {
        if let Ok(target) = text.parse::<Target>() {
            let _ = target.addresses().map(|set| set.len());
        }
    }
}

#[test]
fn what_can_be_done_is_said_in_the_words_of_who_shows_it() {
    use crate::front::Front;
    let hint = |text: &str, front| text.parse::<Target>().unwrap_err().hint_at(front).unwrap();
    for (text, shell, api, page) in [
        (
            "80",
            "to scan port 80, write `-p 80`",
            "to scan port 80, write it in `ports`",
            "to scan port 80, choose Custom Port Range and write it there",
        ),
        (
            "http://box.example:8080/x",
            "scan its host: `box.example -p 8080`",
            "scan its host: `box.example`, and the port 8080 in `ports`",
            "scan its host: `box.example`, and the port 8080 as a Custom Port Range",
        ),
        (
            "192.0.2.1:http",
            "write `192.0.2.1 -p http`",
            "write the host alone, `192.0.2.1`, and the port http in `ports`",
            "write the host alone, `192.0.2.1`, and the port http as a Custom Port Range",
        ),
    ] {
        assert_eq!(hint(text, Front::Shell), shell);
        assert_eq!(hint(text, Front::Api), api);
        assert_eq!(hint(text, Front::Page), page);
    }
}

#[test]
fn targets_stand_between_blanks_and_commas() {
    let text = "10.0.0.1, ::1,box.example 10.0.0-3.1,5,9\t10.0.0.9,";
    assert_eq!(
        words(text),
        [
            "10.0.0.1",
            "::1",
            "box.example",
            "10.0.0-3.1,5,9",
            "10.0.0.9"
        ]
    );
    assert!(words(" , ").is_empty());
}
