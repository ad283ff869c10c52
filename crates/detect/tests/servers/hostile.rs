//! Servers that mean harm, or know no better. Each must end within its bounds and say nothing
//! wrong.

use std::time::Duration;

use portolan_detect::Options;
use portolan_model::Service;
use portolan_model::service::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use crate::common::{Server, detector, options, request, tls_config, tls_config_with};

/// Far more than any test takes; one that runs into it hangs.
const FOREVER: Duration = Duration::from_secs(30);

async fn ended(server: &Server) -> Option<Service> {
    timeout(FOREVER, server.detected())
        .await
        .expect("it ends within its bounds")
}

#[tokio::test]
async fn an_endless_stream_is_cut_off() {
    let server = Server::start(|mut stream, _| async move {
        while stream.write_all(&[b'A'; 8192]).await.is_ok() {}
    })
    .await;
    let service = ended(&server).await.unwrap();
    assert_eq!(service.method, Method::Table);
    // 512 bytes are kept, whatever came.
    assert_eq!(service.evidence.unwrap().bytes.len(), 512);
}

#[tokio::test]
async fn a_byte_at_a_time_does_not_hold_it_up() {
    let server = Server::start(|mut stream, _| async move {
        while stream.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let options = Options {
        budget: Duration::from_millis(600),
        ..options()
    };
    let detector = detector(options);
    let target = server.target();
    let service = timeout(FOREVER, detector.detect(&target)).await.unwrap();
    assert!(service.unwrap().evidence.unwrap().bytes.starts_with('x'));
}

#[tokio::test]
async fn a_gigabyte_of_header_is_not_read() {
    let server = Server::start(|mut stream, _| async move {
        request(&mut stream).await;
        let _ = stream
            .write_all(b"HTTP/1.1 200 OK\r\nServer: acme-http/1\r\n")
            .await;
        for _ in 0..131_072 {
            if stream.write_all(&[b'h'; 8192]).await.is_err() {
                return;
            }
        }
    })
    .await;
    let service = ended(&server).await.unwrap();
    assert_eq!(service.product.as_deref(), Some("Acme HTTP"));
}

#[tokio::test]
async fn bytes_that_are_no_text_and_escape_sequences_are_shown_harmless() {
    let server = Server::start(|mut stream, _| async move {
        let banner = b"ACME 1.2 on \x1b[2J\x9b\xff\xe2\x80\xae<script>=cmd()\x07\r\n";
        let _ = stream.write_all(banner).await;
        let _ = stream.read(&mut [0; 100]).await;
    })
    .await;
    let service = ended(&server).await.unwrap();
    assert_eq!(
        service.os.as_deref(),
        Some(r"\x1b[2J\x9b\xff\xe2\x80\xae<script>=cmd()\x07")
    );
    let bytes = service.evidence.unwrap().bytes;
    assert!(bytes.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
}

#[tokio::test]
async fn fields_are_bounded_and_no_field_of_http_escapes() {
    let server = Server::start(|mut stream, _| async move {
        request(&mut stream).await;
        let long = "t\u{1b}".repeat(5000);
        let page = format!(
            "HTTP/1.1 200 OK\r\nServer: acme-http/{long}\r\nX-Powered-By: {long}\r\n\r\n<title>{long}</title>"
        );
        let _ = stream.write_all(page.as_bytes()).await;
    })
    .await;
    let service = ended(&server).await.unwrap();
    let texts = service.facts.values().chain(service.version.iter());
    for text in texts {
        assert!(text.chars().count() <= 1000 && !text.chars().any(char::is_control));
    }
}

#[tokio::test]
async fn tls_records_that_lie_about_their_length_end_there() {
    for lie in [
        &[22, 3, 3, 0xff, 0xff, 2, 0xff, 0xff, 0xff, 3, 3][..],
        &[22, 3, 3, 0x40, 0x00, 2, 0, 0, 70, 3, 3],
        &[22, 3, 3, 0, 4, 2, 0xff, 0xff, 0xff],
        &[21, 3, 3, 0, 200, 2],
        &[22, 3, 3, 0, 0, 22, 3, 3, 0, 0],
    ] {
        let server = Server::start(move |mut stream, _| async move {
            let _ = stream.read(&mut [0; 2000]).await;
            let _ = stream.write_all(lie).await;
            let _ = stream.read(&mut [0; 2000]).await;
        })
        .await;
        let service = ended(&server).await.unwrap();
        assert!(!service.tls, "{lie:?}");
    }
}

#[tokio::test]
async fn a_certificate_of_megabytes_is_not_taken_in() {
    let server = Server::start(|mut stream, _| async move {
        let _ = stream.read(&mut [0; 2000]).await;
        // A ServerHello of TLS 1.2, then the beginning of a certificate of 16 megabytes.
        let mut hello = vec![2, 0, 0, 38, 3, 3];
        hello.extend_from_slice(&[7; 32]);
        hello.extend_from_slice(&[0, 0xc0, 0x2f, 0]);
        hello.extend_from_slice(&[11, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfc, 0xff, 0xff, 0xf9]);
        let mut record = vec![22, 3, 3, 0, u8::try_from(hello.len()).unwrap()];
        record.extend(hello);
        let _ = stream.write_all(&record).await;
        let mut more = vec![22, 3, 3, 0x40, 0];
        more.resize(5 + 0x4000, 0x30);
        while stream.write_all(&more).await.is_ok() {}
    })
    .await;
    let service = ended(&server).await.unwrap();
    assert!(service.tls);
    assert_eq!(service.facts["tls.version"], "TLSv1.2");
    assert!(!service.facts.contains_key("tls.cert.sha256"));
}

#[tokio::test]
async fn a_close_or_reset_at_any_step_is_an_end() {
    let steps: [&[u8]; 5] = [
        b"",
        b"HTTP/1.1",
        b"HTTP/1.1 200 OK\r\nServer: ac",
        b"\x16\x03\x03\x00",
        b"ACME 1.2",
    ];
    for said in steps {
        for reset in [false, true] {
            for greets in [false, true] {
                let server = Server::start(move |mut stream, _| async move {
                    if !greets {
                        let _ = stream.read(&mut [0; 2000]).await;
                    }
                    let _ = stream.write_all(said).await;
                    if reset {
                        let _ = stream.set_zero_linger();
                    }
                })
                .await;
                let service = ended(&server).await;
                let product = service.and_then(|service| service.product);
                assert_eq!(product, None, "{said:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_server_that_speaks_another_protocol_each_time_is_named_by_one_of_them() {
    let server = Server::start(|mut stream, number| async move {
        let said: &[u8] = match number % 4 {
            0 => b"ACME 1.2 on Linux\r\n",
            1 => b"220 mx ESMTP\r\n",
            2 => b"\x16\x03\x03\x00\x02\x02\x00",
            _ => b"HTTP/1.1 200 OK\r\nServer: acme-http/1\r\n\r\n",
        };
        let _ = stream.write_all(said).await;
    })
    .await;
    for _ in 0..8 {
        let service = ended(&server).await.unwrap();
        let pair = (service.name.as_str(), service.product.as_deref());
        let known = [
            ("acme", Some("Acme")),
            ("smtp", None),
            ("http", Some("Acme HTTP")),
        ];
        assert!(
            service.method == Method::Table || known.contains(&pair),
            "{pair:?}"
        );
    }
}

#[tokio::test]
async fn a_redirect_in_a_circle_is_followed_twice_at_the_most() {
    let server = Server::start(|mut stream, number| async move {
        request(&mut stream).await;
        let page = format!("HTTP/1.1 302 Found\r\nLocation: /{number}\r\n\r\n");
        let _ = stream.write_all(page.as_bytes()).await;
    })
    .await;
    let service = ended(&server).await.unwrap();
    assert_eq!(service.name, "http");
    assert!(server.count() < 10, "{}", server.count());
}

/// A server of TLS that shows a certificate which `change` has made into anything.
async fn shows(change: impl FnOnce(&mut Vec<u8>)) -> Service {
    let acceptor = tokio_rustls::TlsAcceptor::from(tls_config_with(change));
    let server = Server::start(move |stream, _| {
        let acceptor = acceptor.clone();
        async move {
            if let Ok(mut stream) = acceptor.accept(stream).await {
                request(&mut stream).await;
                let page = b"HTTP/1.1 200 OK\r\nServer: acme-http/1\r\n\r\n";
                let _ = stream.write_all(page).await;
                let _ = stream.shutdown().await;
            }
        }
    })
    .await;
    ended(&server).await.unwrap()
}

#[tokio::test]
async fn a_certificate_with_absurd_dates_takes_nothing_from_what_is_inside() {
    for time in [
        b"99999999999999Z",
        b"-0010101000000Z",
        b"00000000000000Z",
        b"+1000001010000Z",
        b"\x1b[2J\xff0101000000",
    ] {
        let service = shows(|der| {
            let usual = b"40960101000000Z";
            let at = der.windows(15).position(|part| part == usual).unwrap();
            der[at..at + 15].copy_from_slice(time);
        })
        .await;
        assert!(service.tls);
        assert_eq!(service.product.as_deref(), Some("Acme HTTP"), "{time:?}");
        let problem = &service.facts["tls.cert.problem"];
        assert_eq!(problem, "it cannot be read", "{time:?}");
        assert!(!service.facts.contains_key("tls.cert.not-after"));
    }
}

#[tokio::test]
async fn a_certificate_of_megabytes_in_a_whole_handshake_is_not_taken_in() {
    let service = shows(|der| der.resize(2 << 20, 0x30)).await;
    assert!(service.tls);
    assert!(!service.facts.contains_key("tls.cert.subject"));
}

#[tokio::test]
async fn a_close_or_reset_at_any_byte_of_a_handshake_is_an_end() {
    for bytes in [1, 4, 5, 9, 60, 120, 130, 400, 700, 1000, 2000] {
        for reset in [false, true] {
            let acceptor = tokio_rustls::TlsAcceptor::from(tls_config());
            let server = Server::start(move |mut stream, _| {
                let acceptor = acceptor.clone();
                async move {
                    // What the server says goes out up to so many bytes.
                    let (near, far) = tokio::io::duplex(4096);
                    let speaking = async {
                        if let Ok(mut stream) = acceptor.accept(near).await {
                            request(&mut stream).await;
                        }
                    };
                    let (mut said, mut hears) = tokio::io::split(far);
                    let (mut from, mut to) = stream.split();
                    let passing = async {
                        let mut left = bytes;
                        let mut chunk = [0; 512];
                        while let Ok(read @ 1..) = said.read(&mut chunk).await {
                            let part = &chunk[..read.min(left)];
                            left -= part.len();
                            if to.write_all(part).await.is_err() || left == 0 {
                                break;
                            }
                        }
                    };
                    tokio::select! {
                        () = passing => {}
                        _ = tokio::io::copy(&mut from, &mut hears) => {}
                        () = speaking => {}
                    }
                    if reset {
                        let _ = stream.set_zero_linger();
                    }
                }
            })
            .await;
            let service = ended(&server).await;
            let product = service.and_then(|service| service.product);
            assert_eq!(product, None, "{bytes} bytes, reset: {reset}");
        }
    }
}

#[tokio::test]
async fn an_icon_elsewhere_and_one_without_end_are_left_alone() {
    for icon in [
        "http://192.0.2.1/i.png",
        "//192.0.2.1/i.png",
        "/endless.png",
    ] {
        let server = Server::start(move |mut stream, _| async move {
            let asked = request(&mut stream).await;
            let asked = String::from_utf8_lossy(&asked).into_owned();
            if asked.starts_with("GET / ") {
                let page = format!(
                    "HTTP/1.1 200 OK\r\nServer: acme-http/1\r\n\r\n<title>x</title><link rel=icon href={icon}>"
                );
                let _ = stream.write_all(page.as_bytes()).await;
            } else if asked.starts_with("GET /endless.png ") {
                let head = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n\r\n";
                let _ = stream.write_all(head).await;
                while stream.write_all(&[7; 8192]).await.is_ok() {}
            } else {
                let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\n\r\n").await;
            }
        })
        .await;
        let service = ended(&server).await.unwrap();
        assert_eq!(service.product.as_deref(), Some("Acme HTTP"));
        assert!(!service.facts.contains_key("http.favicon.mmh3"), "{icon}");
    }
}
