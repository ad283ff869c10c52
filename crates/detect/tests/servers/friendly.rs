//! Servers that do what servers do.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use portolan_detect::rules::RuleSetBuilder;
use portolan_detect::{Detector, Options, RuleSet, Target};
use portolan_model::service::{Method, Service};
use portolan_model::{PortSet, Protocol};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UdpSocket};

use crate::common::{Server, detector, options, request, tls_config};

#[tokio::test]
async fn a_banner_tells_product_version_and_system() {
    let server = Server::start(|mut stream, _| async move {
        let _ = stream.write_all(b"ACME 1.2 on Linux 6\r\n").await;
        let _ = stream.read(&mut [0; 100]).await;
    })
    .await;
    let service = server.detected().await.unwrap();
    assert_eq!(service.name, "acme");
    assert_eq!(service.product.as_deref(), Some("Acme"));
    assert_eq!(service.version.as_deref(), Some("1.2"));
    assert_eq!(service.os.as_deref(), Some("Linux 6"));
    assert_eq!(service.method, Method::Probed);
    assert_eq!(service.cpe, ["cpe:2.3:a:acme:acme:1.2:*:*:*:*:*:*:*"]);
    let evidence = service.evidence.unwrap();
    assert_eq!(evidence.rule.as_deref(), Some("acme"));
    assert_eq!(evidence.bytes, r"ACME 1.2 on Linux 6\r\n");
}

#[tokio::test]
async fn the_second_message_waits_for_the_first_answer() {
    let server = Server::start(|mut stream, _| async move {
        if request(&mut stream).await == b"PING\r\n" {
            let _ = stream.write_all(b"PONG\r\n").await;
            if request(&mut stream).await == b"VERSION\r\n" {
                let _ = stream.write_all(b"2.7\r\n").await;
            }
        }
    })
    .await;
    let service = server.detected().await.unwrap();
    assert_eq!(service.product.as_deref(), Some("Ponger"));
    assert_eq!(service.version.as_deref(), Some("2.7"));
}

#[tokio::test]
async fn a_server_of_one_connection_at_a_time_is_asked_all_the_same() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let asked = request(&mut stream).await;
            if asked.starts_with(b"GET") {
                let answer = b"HTTP/1.0 200 OK\r\nServer: acme-http/5\r\n\r\n";
                let _ = stream.write_all(answer).await;
            }
        }
    });
    let target = Target::new(at.ip(), Protocol::Tcp, at.port());
    let service = detector(options()).detect(&target).await.unwrap();
    assert_eq!(service.product.as_deref(), Some("Acme HTTP"));
    assert_eq!(service.version.as_deref(), Some("5"));
}

#[tokio::test]
async fn tls_is_found_on_any_port_and_spoken_through() {
    let acceptor = tokio_rustls::TlsAcceptor::from(tls_config());
    let server = Server::start(move |stream, _| {
        let acceptor = acceptor.clone();
        async move {
            if let Ok(mut stream) = acceptor.accept(stream).await {
                request(&mut stream).await;
                let page = b"HTTP/1.1 200 OK\r\nServer: acme-http/2\r\nContent-Length: 0\r\n\r\n";
                let _ = stream.write_all(page).await;
                let _ = stream.shutdown().await;
            }
        }
    })
    .await;
    let service = server.detected().await.unwrap();
    assert_eq!((service.name.as_str(), service.tls), ("http", true));
    assert_eq!(service.version.as_deref(), Some("2"));
    assert_eq!(service.facts["tls.cert.names"], "DNS:box.example");
    assert_eq!(service.facts["tls.versions"], "TLSv1.2, TLSv1.3");
    assert_eq!(service.facts["tls.version"], "TLSv1.3");
    assert_eq!(service.facts["tls.cert.sha256"].len(), 64);
}

#[tokio::test]
async fn a_web_server_that_says_400_in_the_clear_is_asked_through_tls() {
    let acceptor = tokio_rustls::TlsAcceptor::from(tls_config());
    let server = Server::start(move |mut stream, _| {
        let acceptor = acceptor.clone();
        async move {
            let mut first = [0];
            if stream.peek(&mut first).await.is_err() {
                return;
            }
            if first == [22] {
                if let Ok(mut stream) = acceptor.accept(stream).await {
                    request(&mut stream).await;
                    let page = b"HTTP/1.1 200 OK\r\nServer: acme-http/7\r\n\r\n";
                    let _ = stream.write_all(page).await;
                    let _ = stream.shutdown().await;
                }
                return;
            }
            request(&mut stream).await;
            let refusal = b"HTTP/1.1 400 Bad Request\r\nServer: acme-http/7\r\n\r\nuse HTTPS";
            let _ = stream.write_all(refusal).await;
        }
    })
    .await;
    let service = server.detected().await.unwrap();
    assert_eq!((service.name.as_str(), service.tls), ("http", true));
    assert_eq!(service.facts["http.status"], "200");
}

#[tokio::test]
async fn starttls_shows_the_certificate_and_ehlo_the_program() {
    let acceptor = tokio_rustls::TlsAcceptor::from(tls_config());
    let server = Server::start(move |mut stream, _| {
        let acceptor = acceptor.clone();
        async move {
            let _ = stream.write_all(b"220 mx.example ESMTP\r\n").await;
            loop {
                let said = request(&mut stream).await;
                let answer: &[u8] = if said.starts_with(b"EHLO") {
                    b"250-mx.example\r\n250-STARTTLS\r\n250 X-ACME 4.2\r\n"
                } else if said.starts_with(b"STARTTLS") {
                    let _ = stream.write_all(b"220 go\r\n").await;
                    let _ = acceptor.accept(stream).await;
                    return;
                } else {
                    return;
                };
                let _ = stream.write_all(answer).await;
            }
        }
    })
    .await;
    let service = server.detected().await.unwrap();
    assert_eq!(service.product.as_deref(), Some("Acme Mail"));
    assert_eq!(service.version.as_deref(), Some("4.2"));
    assert_eq!(service.hostname.as_deref(), Some("mx.example"));
    assert!(!service.tls);
    assert_eq!(service.facts["tls.starttls"], "yes");
    assert_eq!(service.facts["tls.cert.names"], "DNS:box.example");
}

#[tokio::test]
async fn a_redirect_on_the_endpoint_is_followed_and_one_off_it_is_not() {
    let elsewhere = Server::start(|_, _| async {}).await;
    let off = elsewhere.at;
    let server = Server::start(move |mut stream, _| async move {
        let asked = request(&mut stream).await;
        let answer = if asked.starts_with(b"GET / ") {
            "HTTP/1.1 302 Found\r\nServer: acme-http/1\r\nLocation: /ui\r\n\r\n".to_owned()
        } else if asked.starts_with(b"GET /ui ") {
            format!(
                "HTTP/1.1 302 Found\r\nLocation: http://{off}/x\r\n\r\n<title>Acme App 3.1</title>"
            )
        } else {
            String::new()
        };
        let _ = stream.write_all(answer.as_bytes()).await;
    })
    .await;
    let service = server.detected().await.unwrap();
    assert_eq!(service.product.as_deref(), Some("Acme App"));
    assert_eq!(service.version.as_deref(), Some("3.1"));
    assert_eq!(elsewhere.count(), 0);
}

/// What a server received, in bytes, while it was asked by `options`.
async fn received(options: impl FnOnce(Options, u16) -> Options) -> usize {
    let got = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&got);
    let server = Server::start(move |mut stream, _| {
        let counted = Arc::clone(&counted);
        async move {
            let mut chunk = [0; 1024];
            while let Ok(read @ 1..) = stream.read(&mut chunk).await {
                counted.fetch_add(read, Ordering::SeqCst);
            }
        }
    })
    .await;
    let options = options(self::options(), server.at.port());
    let service = detector(options).detect(&server.target()).await;
    assert_eq!(service, None);
    assert!(server.count() > 0);
    got.load(Ordering::SeqCst)
}

#[tokio::test]
async fn a_printer_gets_not_one_byte() {
    let bytes = received(|options, port| Options {
        listen_only: PortSet::from_range(port, port),
        ..options
    });
    assert_eq!(bytes.await, 0);
    let usual = options().listen_only;
    assert!((9100..=9107).all(|port| usual.contains(port)));
}

#[tokio::test]
async fn a_radio_that_takes_any_letters_for_commands_gets_its_own_questions_only() {
    // No probe names the port, so that nothing is left to send.
    let bytes = received(|options, port| Options {
        own_only: PortSet::from_range(port, port),
        ..options
    });
    assert_eq!(bytes.await, 0);
    let usual = options().own_only;
    assert!((4532..=4533).all(|port| usual.contains(port)));
}

#[tokio::test]
async fn intensity_0_only_listens() {
    let bytes = received(|options, _| Options {
        intensity: 0,
        ..options
    });
    assert_eq!(bytes.await, 0);
    assert!(received(|options, _| options).await > 0);
}

/// Asks a server that keeps silent to all but `last`, by rules that have 24 questions before it.
async fn asked_at_last(intensity: u8) -> Option<Service> {
    let mut rules = String::new();
    for number in 0..24 {
        let _ = writeln!(
            rules,
            "[[probe]]\nname = 'silent-{number}'\nprotocol = 'tcp'\nsend = 'ask {number}'\nintensity = 2"
        );
    }
    rules.push_str(
        "[[probe]]\nname = 'last'\nprotocol = 'tcp'\nsend = 'last'\nports = '1'\nintensity = 10\nlast_resort = true\n\
        [[rule]]\nname = 'patient'\nservice = 'patient'\non = 'last'\nmatch = '^at last$'\nsamples = ['at last']\n",
    );
    let rules = RuleSetBuilder::default().file("test.toml", &rules).build();
    let server = Server::start(|mut stream, _| async move {
        let mut asked = [0; 1024];
        while let Ok(read @ 1..) = stream.read(&mut asked).await {
            if &asked[..read] == b"last" {
                let _ = stream.write_all(b"at last").await;
            }
        }
    })
    .await;
    let options = Options {
        intensity,
        // Five at a time, each to its end, would need four seconds.
        budget: Duration::from_millis(3200),
        answer: Duration::from_millis(800),
        talk: Duration::from_millis(800),
        ..options()
    };
    let detector = Detector::new(Arc::new(rules.unwrap()), options);
    detector.detect(&server.target()).await
}

#[tokio::test]
async fn a_server_that_keeps_silent_to_most_questions_is_asked_the_last_one_in_time() {
    let service = asked_at_last(7).await.unwrap();
    assert_eq!(service.name, "patient");
}

#[tokio::test]
async fn a_question_of_the_last_resort_is_kept_back_below_the_usual_intensity() {
    assert_eq!(asked_at_last(6).await, None);
}

#[tokio::test]
async fn what_no_rule_takes_keeps_its_bytes_and_the_name_of_its_number() {
    let server = Server::start(|mut stream, _| async move {
        let _ = stream.write_all(b"hello \x00\xff\r\n").await;
        let _ = stream.read(&mut [0; 100]).await;
    })
    .await;
    let service = server.detected().await.unwrap();
    assert_eq!(service.method, Method::Table);
    assert_eq!(service.product, None);
    let evidence = service.evidence.unwrap();
    assert_eq!(evidence.rule, None);
    assert_eq!(evidence.bytes, r"hello \x00\xff\r\n");
}

#[tokio::test]
async fn udp_is_asked_and_answers() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let at = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut datagram = [0; 100];
        while let Ok((read, from)) = socket.recv_from(&mut datagram).await {
            if &datagram[..read] == b"PING" {
                let _ = socket.send_to(b"PONG 1.9", from).await;
            }
        }
    });
    let target = Target::new(at.ip(), Protocol::Udp, at.port());
    let service = detector(options()).detect(&target).await.unwrap();
    assert_eq!(service.version.as_deref(), Some("1.9"));
}

#[tokio::test]
async fn many_endpoints_are_asked_at_once_but_not_more_than_may_be() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (counted, seen) = (Arc::clone(&now), Arc::clone(&most));
    let server = Server::start(move |mut stream, _| {
        let (now, most) = (Arc::clone(&counted), Arc::clone(&seen));
        async move {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            let _ = stream.write_all(b"ACME 1.2 on Linux\r\n").await;
            let _ = stream.read(&mut [0; 100]).await;
            now.fetch_sub(1, Ordering::SeqCst);
        }
    })
    .await;
    let options = Options {
        endpoints: 4,
        connections: 1,
        ..options()
    };
    let detector = detector(options);
    let tasks = (0..40).map(|_| {
        let (detector, target) = (detector.clone(), server.target());
        tokio::spawn(async move { detector.detect(&target).await })
    });
    for task in tasks.collect::<Vec<_>>() {
        assert_eq!(task.await.unwrap().unwrap().name, "acme");
    }
    // One that has been answered may still be closing when the next begins.
    let most = most.load(Ordering::SeqCst);
    assert!((2..=8).contains(&most), "{most}");
}

#[tokio::test]
async fn a_server_that_refuses_every_protocol_offered_still_shows_its_certificate() {
    let mut config = (*tls_config()).clone();
    config.alpn_protocols = vec![b"something/1".to_vec()];
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let server = Server::start(move |stream, _| {
        let acceptor = acceptor.clone();
        async move {
            if let Ok(mut stream) = acceptor.accept(stream).await {
                request(&mut stream).await;
            }
        }
    })
    .await;
    let service = server.detected().await.unwrap();
    assert!(service.tls);
    assert_eq!(service.facts["tls.cert.names"], "DNS:box.example");
}

/// A rule on a handshake, and a probe for those who want intensity 9.
const HANDSHAKE: &str = r"
[[probe]]
name = 'key'
protocol = 'tcp'
send = 'OPEN\r\n'
ports = '1-65535'
at_least = 9

[[rule]]
name = 'acme-sync'
service = 'acme-sync'
on = 'tls.alpn'
match = '^http/1\.1$'
product = 'Acme Sync'
priority = 15
samples = [{ value = 'http/1.1' }]
";

#[tokio::test]
async fn what_was_agreed_on_in_the_handshake_names_who_is_silent_inside() {
    let mut config = (*tls_config()).clone();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let server = Server::start(move |stream, _| {
        let acceptor = acceptor.clone();
        async move {
            if let Ok(mut stream) = acceptor.accept(stream).await {
                request(&mut stream).await;
            }
        }
    })
    .await;
    let rules = RuleSetBuilder::default()
        .file("handshake.toml", HANDSHAKE)
        .build()
        .unwrap();
    let detector = Detector::new(Arc::new(rules), options());
    let service = detector.detect(&server.target()).await.unwrap();
    assert_eq!(
        (service.name.as_str(), service.product.as_deref()),
        ("acme-sync", Some("Acme Sync"))
    );
    assert_eq!(service.evidence.unwrap().probe.as_deref(), Some("tls.alpn"));
}

#[tokio::test]
async fn a_probe_that_wants_more_intensity_goes_not_even_to_its_own_ports() {
    let heard = |intensity| async move {
        let said = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&said);
        let server = Server::start(move |mut stream, _| {
            let kept = Arc::clone(&kept);
            async move {
                let bytes = request(&mut stream).await;
                kept.lock().unwrap().extend(bytes);
            }
        })
        .await;
        let rules = RuleSetBuilder::default()
            .file("handshake.toml", HANDSHAKE)
            .build()
            .unwrap();
        let options = Options {
            intensity,
            ..options()
        };
        let detector = Detector::new(Arc::new(rules), options);
        detector.detect(&server.target()).await;
        let said = said.lock().unwrap().clone();
        said.windows(4).any(|part| part == b"OPEN")
    };
    assert!(!heard(8).await);
    assert!(heard(9).await);
}

#[tokio::test]
async fn the_icon_that_a_page_names_is_fetched_and_hashed() {
    for (link, path) in [
        ("", "GET /favicon.ico "),
        (
            "<link rel=\"shortcut icon\" href=\"i/a.png\">",
            "GET /i/a.png ",
        ),
    ] {
        let server = Server::start(move |mut stream, _| async move {
            let asked = request(&mut stream).await;
            let asked = String::from_utf8_lossy(&asked).into_owned();
            let answer = if asked.starts_with("GET / ") {
                format!("HTTP/1.1 200 OK\r\nServer: acme-http/1\r\n\r\n<title>x</title>{link}")
            } else if asked.starts_with(path) {
                "HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 4\r\n\r\nicon"
                    .to_owned()
            } else {
                "HTTP/1.1 404 Not Found\r\n\r\n".to_owned()
            };
            let _ = stream.write_all(answer.as_bytes()).await;
        })
        .await;
        let service = server.detected().await.unwrap();
        // Of `aWNvbg==` and a line feed.
        assert_eq!(service.facts["http.favicon.mmh3"], "1355950459", "{path}");
    }
}

/// A rule on an answer that a server never gives in words.
const MANNERS: &str = r"
[[probe]]
name = 'manners'
protocol = 'tcp'
send = 'HELO'
refuses = 'HALO'
ports = '1-65535'

[[rule]]
name = 'manners'
service = 'manners'
on = 'manners'
match = '^\(waits for more, and closes on another beginning\)$'
samples = ['(waits for more, and closes on another beginning)']
";

#[tokio::test]
async fn a_server_that_says_nothing_is_known_by_what_it_waits_for() {
    let named = |wanted: &'static [u8]| async move {
        let server = Server::start(move |mut stream, _| async move {
            let mut four = [0; 4];
            if stream.read_exact(&mut four).await.is_ok() && four == wanted {
                let _ = stream.read(&mut four).await;
            }
        })
        .await;
        let rules = RuleSetBuilder::default()
            .file("manners.toml", MANNERS)
            .build()
            .unwrap();
        let detector = Detector::new(Arc::new(rules), options());
        let service = detector.detect(&server.target()).await;
        service.map(|service| service.name)
    };
    assert_eq!(named(b"HELO").await.as_deref(), Some("manners"));
    assert_eq!(named(b"HOLA").await, None);
}

/// The names that a server of remote desktops tells before a log-in: a `TSRequest` around a
/// challenge (MS-CSSP, 2.2.1; MS-NLMP, 2.2.1.2).
fn credssp_challenge() -> Vec<u8> {
    let wide = |text: &str| -> Vec<u8> { text.encode_utf16().flat_map(u16::to_le_bytes).collect() };
    let mut info = Vec::new();
    for (kind, name) in [(1_u16, "BOX"), (2, "LAB"), (3, "box.lab.example")] {
        let name = wide(name);
        info.extend(kind.to_le_bytes());
        info.extend(u16::try_from(name.len()).unwrap().to_le_bytes());
        info.extend(name);
    }
    info.extend([0; 4]);
    let mut message = b"NTLMSSP\0\x02\0\0\0".to_vec();
    message.extend([0; 28]);
    let length = u16::try_from(info.len()).unwrap().to_le_bytes();
    message.extend([length, length].concat());
    message.extend(56_u32.to_le_bytes());
    // Windows 10.0, build 17763.
    message.extend([10, 0, 0x63, 0x45, 0, 0, 0, 15]);
    message.extend(info);
    let wrapped = |tag: u8, inside: &[u8]| {
        [&[tag, 0x81, u8::try_from(inside.len()).unwrap()], inside].concat()
    };
    let token = wrapped(0xa0, &wrapped(4, &message));
    let tokens = wrapped(0xa1, &wrapped(0x30, &wrapped(0x30, &token)));
    wrapped(0x30, &[&[0xa0, 3, 2, 1, 6], &tokens[..]].concat())
}

#[tokio::test]
async fn a_server_of_remote_desktops_tells_its_names_and_nobody_logs_in() {
    let acceptor = tokio_rustls::TlsAcceptor::from(tls_config());
    let sent = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&sent);
    let server = Server::start(move |mut stream, _| {
        let (acceptor, counted) = (acceptor.clone(), Arc::clone(&counted));
        async move {
            let mut request = [0; 19];
            if stream.read_exact(&mut request).await.is_err() || request[0] != 3 {
                return;
            }
            let chosen = b"\x03\0\0\x13\x0e\xd0\0\0\x12\x34\0\x02\x1f\x08\0\x02\0\0\0";
            let _ = stream.write_all(chosen).await;
            let Ok(mut stream) = acceptor.accept(stream).await else {
                return;
            };
            let mut chunk = [0; 1024];
            while let Ok(read @ 1..) = stream.read(&mut chunk).await {
                counted.fetch_add(read, Ordering::SeqCst);
                let _ = stream.write_all(&credssp_challenge()).await;
            }
        }
    })
    .await;
    let detector = Detector::new(Arc::new(RuleSet::embedded()), options());
    let service = detector.detect(&server.target()).await.unwrap();
    assert_eq!(service.name, "ms-wbt-server");
    assert_eq!(service.hostname.as_deref(), Some("box.lab.example"));
    assert_eq!(service.facts["ntlm.domain"], "LAB");
    assert_eq!(service.facts["ntlm.version"], "10.0.17763");
    assert_eq!(service.facts["tls.cert.names"], "DNS:box.example");
    // One message, which asks for the challenge.
    assert_eq!(sent.load(Ordering::SeqCst), 57);
}
