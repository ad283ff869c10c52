//! Answers that are like the samples of the rules and are not them: other versions, forks, the
//! suffixes of packages, headers in lower case. What must not be said counts as much as what must.
#![expect(clippy::unwrap_used, reason = "every function here serves a test")]

use std::sync::LazyLock;

use portolan_detect::rules::{Answer, BANNER, RuleSet};
use portolan_detect::{Found, readers};
use portolan_model::Protocol;

static RULES: LazyLock<RuleSet> = LazyLock::new(RuleSet::embedded);

/// What the rules make of an answer: the best, filled up by the others of its service.
fn found(to: &str, bytes: &[u8]) -> Found {
    let probe = RULES.probes().iter().find(|probe| probe.name == to);
    let matches = RULES.identify(Answer {
        to,
        protocol: probe.map_or(Protocol::Tcp, |probe| probe.protocol),
        bytes,
    });
    let mut found = matches.first().unwrap().found.clone();
    for other in &matches {
        if other.found.service == found.service {
            found.fill_from(&other.found);
        }
    }
    found
}

fn named(found: &Found) -> (&str, &str) {
    (
        found.product.as_deref().unwrap_or_default(),
        found.version.as_deref().unwrap_or_default(),
    )
}

/// A page with these header lines and this body.
fn page(headers: &str, body: &str) -> Found {
    let bytes = format!("HTTP/1.1 200 OK\r\n{headers}\r\n{body}");
    found("http-get", bytes.as_bytes())
}

#[test]
fn banners_of_other_versions_are_named() {
    for (banner, product, version) in [
        ("SSH-2.0-OpenSSH_10.0p2 Debian-5\r\n", "OpenSSH", "10.0p2"),
        ("SSH-2.0-OpenSSH_7.2p2-hpn14v4\r\n", "OpenSSH", "7.2p2"),
        ("SSH-2.0-dropbear_2025.88\r\n", "Dropbear sshd", "2025.88"),
        (
            "SSH-2.0-dropbear_2022.83+r1\r\n",
            "Dropbear sshd",
            "2022.83",
        ),
        ("220 (vsFTPd 3.0.5)\r\n", "vsftpd", "3.0.5"),
        (
            "220 m.example ESMTP Exim 4.99-RC1 Mon\r\n",
            "Exim smtpd",
            "4.99",
        ),
        ("OK MPD 0.24.0\n", "Music Player Daemon", ""),
    ] {
        let found = found(BANNER, banner.as_bytes());
        assert_eq!(named(&found), (product, version), "{banner:?}");
    }
}

#[test]
fn what_others_say_too_names_no_product() {
    for (to, bytes) in [
        (BANNER, "OK MPD 0.19.0\n"),
        (BANNER, "\x01\0\0\0"),
        (BANNER, "+OK ready  <123.456@mail.example.org>\r\n"),
        ("redis-info", "-NOAUTH Authentication required.\r\n"),
        ("git-upload-pack", "0025ERR Repository not found: portolan"),
        (
            "smtp-help",
            "220 h ESMTP\r\n250 h\r\n500 Unrecognized command\r\n",
        ),
    ] {
        let found = found(to, bytes.as_bytes());
        assert_eq!(found.product, None, "{bytes:?}: {found:?}");
    }
    for (headers, body) in [
        ("Set-Cookie: redirect_to=%2F; Path=/\r\n", ""),
        ("Server: Linux/3.10 UPnP/1.0 Thing\r\n", ""),
        ("Server: Apache TomEE\r\n", ""),
        ("WWW-Authenticate: Basic realm=\"jsonrpc\"\r\n", ""),
        ("", "<html><title>Vault</title><p>Our holiday pictures</p>"),
        ("", "<html><title>Harbor</title><p>Boats and ships</p>"),
        ("", "<html><title>UniFication of things</title>"),
        ("", "<html><title>How to install Nextcloud</title>"),
        (
            "",
            "<script>var x = {\"buildInfo\":{\"version\":\"1.2.3\"}}</script>",
        ),
    ] {
        let found = page(headers, body);
        assert_eq!(found.product, None, "{headers:?} {body:?}: {found:?}");
    }
}

#[test]
fn a_fork_is_not_taken_for_what_it_comes_from() {
    for (server, product, version) in [
        ("Apache Tomcat/4.1.31 (HTTP/1.1 Connector)", "", ""),
        ("Icecast 2.4.0-kh15", "Icecast-KH", "2.4.0-kh15"),
        ("JBoss-EAP/7", "JBoss EAP", "7"),
        ("Cheroot/10.0.0", "Cheroot", "10.0.0"),
        ("thinkphp/5.0", "thinkphp", "5.0"),
        ("Angie/1.5.2", "Angie", "1.5.2"),
        ("freenginx/1.27.4", "freenginx", "1.27.4"),
    ] {
        let found = page(&format!("Server: {server}\r\n"), "");
        assert_eq!(named(&found), (product, version), "{server:?}");
    }
    let agent = RULES.identify_value("bitcoin.agent", b"/Satoshi:27.1.0/Knots:20240801/");
    assert_eq!(agent[0].found.product.as_deref(), Some("Bitcoin Knots"));
    let thanos = page(
        "",
        "<title>Thanos | Highly available Prometheus setup</title>",
    );
    assert_eq!(thanos.product.as_deref(), Some("Thanos"));
    let usermin = page(
        "Server: MiniServ/2.000\r\nContent-Type: text/html\r\n",
        "<title>Login to Usermin</title>",
    );
    assert_eq!(named(&usermin), ("Usermin", "2.000"));
}

#[test]
fn headers_may_be_in_lower_case_and_in_any_order() {
    for (headers, product, version) in [
        (
            "content-length: 0\r\nserver: nginx/1.27.3\r\n",
            "nginx",
            "1.27.3",
        ),
        (
            "x-jenkins: 2.479.1\r\nserver: Jetty(12.0.14)\r\n",
            "Jenkins",
            "2.479.1",
        ),
        ("set-cookie: grafana_session=x\r\n", "Grafana", ""),
        (
            "SERVER: Apache/2.4.62 (Debian)\r\n",
            "Apache httpd",
            "2.4.62",
        ),
        (
            "set-cookie: _gitlab_session=1\r\nserver: nginx\r\n",
            "GitLab",
            "",
        ),
    ] {
        assert_eq!(named(&page(headers, "")), (product, version), "{headers:?}");
    }
    let sip = b"SIP/2.0 200 OK\r\nserver: Asterisk PBX certified/18.9-cert8\r\n\r\n";
    assert_eq!(
        named(&found("sip-options", sip)),
        ("Asterisk", "18.9-cert8")
    );
}

#[test]
fn versions_end_before_the_suffix_of_a_package() {
    let version = |source: &str, value: &str| {
        let matches = RULES.identify_value(source, value.as_bytes());
        matches[0].found.version.clone().unwrap_or_default()
    };
    assert_eq!(
        version("dns.version-bind", "9.18.28-1~deb12u2-Debian"),
        "9.18.28"
    );
    assert_eq!(
        version("dns.version-bind", "9.11.4-P2-RedHat-9.11.4-26.P2.el7"),
        "9.11.4-P2"
    );
    assert_eq!(
        version("mysql.version", "5.5.5-10.11.6-MariaDB-0+deb12u1"),
        "10.11.6"
    );
    assert_eq!(
        version("mysql.version", "10.6.16-11-MariaDB-enterprise-log"),
        "10.6.16"
    );
    assert_eq!(
        version("mysql.version", "8.0.40-0ubuntu0.24.04.1"),
        "8.0.40"
    );
    let sip = b"SIP/2.0 200 OK\r\nServer: Asterisk PBX 20.6.0~dfsg+~cs6.13.40431414-2\r\n\r\n";
    assert_eq!(named(&found("sip-options", sip)), ("Asterisk", "20.6.0"));
}

#[test]
fn nothing_is_tried_as_a_credential_unless_it_is_asked_for() {
    let least = |name: &str| {
        let probe = RULES.probes().iter().find(|probe| probe.name == name);
        probe.unwrap().at_least
    };
    assert_eq!(
        (least("snmp-get"), least("snmp-v3"), least("mqtt")),
        (8, 1, 7)
    );
    let of_public = |bytes: &[u8]| bytes.windows(6).any(|part| part == b"public");
    for probe in RULES.probes().iter().filter(|probe| probe.at_least < 8) {
        assert!(
            !probe.send.iter().any(|sent| of_public(sent)),
            "{}",
            probe.name
        );
    }
}

#[test]
fn a_handshake_names_who_says_nothing_inside() {
    assert!(readers::has_field("tls.alpn") && readers::has_field("tls.subject"));
    let found = RULES.identify_value("tls.alpn", b"bep/1.0");
    assert_eq!(found[0].found.product.as_deref(), Some("Syncthing"));
}

#[test]
fn a_library_that_speaks_for_a_program_gives_it_no_version() {
    let mercurial =
        b"HTTP/1.1 200 Script output follows\r\nServer: BaseHTTP/0.6 Python/3.11.2\r\n\r\n";
    let supervisor = b"HTTP/1.1 200 OK\r\nServer: Medusa/1.12\r\n\r\n<html><head><title>Supervisor Status</title>";
    for (page, product) in [
        (&mercurial[..], "Mercurial hgweb"),
        (&supervisor[..], "Supervisor"),
    ] {
        assert_eq!(named(&found("http-get", page)), (product, ""));
    }
}

#[test]
fn a_name_of_several_words_is_read_and_that_of_a_stack_of_devices_is_not() {
    for (server, product, version) in [
        (
            "Some Embedded HTTP Server v1.37.1",
            "Some Embedded HTTP Server",
            "1.37.1",
        ),
        ("Kannel/1.4.5", "Kannel", "1.4.5"),
        ("Linux UPnP/1.0 Huawei-ATP-IGD", "", ""),
        ("Debian/12 UPnP/1.1 thing", "", ""),
        ("gateway", "", ""),
    ] {
        let found = page(&format!("Server: {server}\r\n"), "");
        assert_eq!(named(&found), (product, version), "{server:?}");
    }
}

#[test]
fn who_knows_no_port_mapper_is_none() {
    // The reply of a Gluster daemon to the question for mappings: the program is not there.
    let gluster = b"\x80\0\0\x18Port\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01";
    assert_eq!(found("rpc-dump-tcp", gluster).service, "sunrpc");
    let mapper = b"\x80\0\0\x1CPort\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    assert_eq!(found("rpc-dump-tcp", mapper).service, "rpcbind");
}

#[test]
fn a_device_of_modbus_is_named_with_its_maker() {
    let answer = |maker: &[u8], code: &[u8]| {
        let mut bytes = vec![0x50, 0x6f, 0, 0, 0];
        bytes.push(u8::try_from(12 + maker.len() + code.len()).unwrap());
        bytes.extend([1, 0x2b, 0x0e, 1, 0x83, 0, 0, 2, 0]);
        bytes.push(u8::try_from(maker.len()).unwrap());
        bytes.extend(maker);
        bytes.push(1);
        bytes.push(u8::try_from(code.len()).unwrap());
        bytes.extend(code);
        bytes
    };
    for (maker, code, product) in [
        (&b"Pymodbus"[..], &b"PM"[..], "Pymodbus PM"),
        (b"WAGO", b"WAGO 750", "WAGO 750"),
    ] {
        let found = found("modbus-identification", &answer(maker, code));
        assert_eq!(found.product.as_deref(), Some(product));
    }
}
