//! nmap's XML, document type version 1.05: what most programs that read scans can read.
//!
//! Some of it looks odd and is there because a reader in use needs it: the scanner's name,
//! `hostnames` without a name in it, a `service` for each port, the plain name and a tunnel for
//! what is behind TLS, `runstats` after an interrupt. Times are in whole seconds.

mod read;
mod scripts;

use std::io::{self, Write};
use std::net::IpAddr;

use portolan_model::event::{NameKind, Outcome};
use portolan_model::service::Method;
use portolan_model::{HostRecord, Protocol, ScanRecord, Service, Zone};

pub(crate) use read::read;

use crate::escape::{comment, markup};
use crate::format::WriteOptions;
use crate::view::{self, Counted, Row};

/// What the program calls itself in the `version` attribute.
const PROGRAM: &str = "portolan";

pub(crate) fn write(
    record: &ScanRecord,
    options: &WriteOptions,
    out: &mut dyn Write,
) -> io::Result<()> {
    let start = view::start(record);
    let startstr = view::ctime(start, &options.time_zone);
    writeln!(out, r#"<?xml version="1.0" encoding="UTF-8"?>"#)?;
    writeln!(out, "<!DOCTYPE nmaprun>")?;
    let head = format!(
        "{PROGRAM} {} scan initiated {startstr} as: {}",
        record.version, record.args
    );
    writeln!(out, "<!-- {} -->", comment(&head))?;
    writeln!(
        out,
        r#"<nmaprun scanner="{}" args="{}" start="{}" startstr="{startstr}" version="{PROGRAM} {}" xmloutputversion="1.05">"#,
        markup(&options.xml_scanner),
        markup(&record.args),
        start.as_second(),
        markup(&record.version),
    )?;
    if let Some(started) = &record.started {
        for technique in &started.techniques {
            let protocol = technique.protocol();
            let ports = started.ports.of(protocol);
            if ports.is_empty() {
                // Hosts alone were looked for.
                continue;
            }
            writeln!(
                out,
                r#"<scaninfo type="{technique}" protocol="{protocol}" numservices="{}" services="{ports}"/>"#,
                ports.len(),
            )?;
        }
    }
    writeln!(out, "<verbose level=\"0\"/>\n<debugging level=\"0\"/>")?;
    for (&address, found) in &record.hosts {
        let zone = record.zoned(address).zone;
        host(address, zone.as_ref(), found, options, out)?;
    }
    runstats(record, options, out)?;
    writeln!(out, "</nmaprun>")
}

fn host(
    address: IpAddr,
    zone: Option<&Zone>,
    host: &HostRecord,
    options: &WriteOptions,
    out: &mut dyn Write,
) -> io::Result<()> {
    let family = match address {
        IpAddr::V4(_) => "ipv4",
        IpAddr::V6(_) => "ipv6",
    };
    writeln!(
        out,
        r#"<host starttime="{}" endtime="{}"><status state="{}" reason="{}" reason_ttl="{}"/>"#,
        host.first.as_second(),
        host.last.as_second(),
        if host.is_up() { "up" } else { "down" },
        host.reason,
        host.ttl.unwrap_or(0),
    )?;
    writeln!(out, r#"<address addr="{address}" addrtype="{family}"/>"#)?;
    if let Some(mac) = host.mac {
        writeln!(out, r#"<address addr="{mac}" addrtype="mac"/>"#)?;
    }
    writeln!(out, "<hostnames>")?;
    for (name, kind) in &host.names {
        let kind = match kind {
            NameKind::User => "user",
            NameKind::Ptr => "PTR",
        };
        writeln!(out, r#"<hostname name="{}" type="{kind}"/>"#, markup(name))?;
    }
    writeln!(out, "</hostnames>")?;
    let (rows, counted) = view::split(host, options.open_only);
    if !rows.is_empty() || !counted.is_empty() {
        write!(out, "<ports>")?;
        extraports(&counted, out)?;
        for row in &rows {
            port(row, out)?;
        }
        writeln!(out, "</ports>")?;
    }
    // What readers know as an address holds no zone: it stands beside.
    let scripts = zone.is_some() || host.answers_all.is_some();
    if scripts {
        write!(out, "<hostscript>")?;
    }
    if let Some(zone) = zone {
        let zone = markup(zone.as_str());
        write!(out, r#"<script id="zone" output="{zone}"/>"#)?;
    }
    if let Some(found) = &host.answers_all {
        write!(
            out,
            concat!(
                r#"<script id="{}" output="{}">"#,
                r#"<elem key="asked">{}</elem><elem key="answered">{}</elem>"#,
                r#"<elem key="windowless">{}</elem></script>"#
            ),
            match found.protocol {
                Protocol::Tcp => "answers-all",
                Protocol::Udp => "answers-all-udp",
            },
            markup(&found.words()),
            found.asked,
            found.answered,
            found.windowless,
        )?;
    }
    if scripts {
        writeln!(out, "</hostscript>")?;
    }
    if let Some(rtt) = host.rtt {
        let srtt = rtt.as_micros();
        // The document type asks for all three; of one answer, the variance is half of it and
        // the time-out a second (RFC 6298, 2.2 and 2.4).
        let rttvar = srtt / 2;
        let timeout = (srtt + 4 * rttvar).max(1_000_000);
        writeln!(
            out,
            r#"<times srtt="{srtt}" rttvar="{rttvar}" to="{timeout}"/>"#
        )?;
    }
    writeln!(out, "</host>")
}

fn extraports(counted: &Counted, out: &mut dyn Write) -> io::Result<()> {
    for (state, groups) in counted {
        let count: usize = groups.iter().map(|(_, _, ports)| ports.len()).sum();
        writeln!(out, r#"<extraports state="{state}" count="{count}">"#)?;
        for (protocol, reason, ports) in groups {
            writeln!(
                out,
                r#"<extrareasons reason="{reason}" count="{}" proto="{protocol}" ports="{ports}"/>"#,
                ports.len(),
            )?;
        }
        writeln!(out, "</extraports>")?;
    }
    Ok(())
}

fn port(row: &Row<'_>, out: &mut dyn Write) -> io::Result<()> {
    write!(
        out,
        r#"<port protocol="{}" portid="{}"><state state="{}" reason="{}" reason_ttl="{}"/>"#,
        row.protocol,
        row.port,
        row.state,
        row.reason,
        row.found.and_then(|found| found.ttl).unwrap_or(0),
    )?;
    // A reader fails on a port without a service, so "unknown" is said in so many words.
    let unknown = || Service {
        confidence: 3,
        ..Service::default()
    };
    let found = row.service().unwrap_or_else(unknown);
    service(&found, out)?;
    scripts::write(&found, out)?;
    writeln!(out, "</port>")
}

fn service(service: &Service, out: &mut dyn Write) -> io::Result<()> {
    let name = match view::plain_name(service) {
        "" => "unknown",
        name => name,
    };
    write!(out, r#"<service name="{}""#, markup(name))?;
    for (attribute, value) in [
        ("product", &service.product),
        ("version", &service.version),
        ("extrainfo", &service.extra),
        ("hostname", &service.hostname),
        ("ostype", &service.os),
        ("devicetype", &service.device),
    ] {
        if let Some(value) = value {
            write!(out, r#" {attribute}="{}""#, markup(value))?;
        }
    }
    if service.tls {
        write!(out, r#" tunnel="ssl""#)?;
    }
    let method = match service.method {
        Method::Table => "table",
        Method::Probed => "probed",
    };
    write!(
        out,
        r#" method="{method}" conf="{}""#,
        service.confidence.min(10)
    )?;
    if service.cpe.is_empty() {
        return write!(out, "/>");
    }
    write!(out, ">")?;
    for cpe in &service.cpe {
        write!(out, "<cpe>{}</cpe>", markup(&scripts::cpe_uri(cpe)))?;
    }
    write!(out, "</service>")
}

fn runstats(record: &ScanRecord, options: &WriteOptions, out: &mut dyn Write) -> io::Result<()> {
    let end = view::end(record);
    let timestr = view::ctime(end, &options.time_zone);
    let (exit, message) = match record.outcome() {
        Outcome::Complete => ("success", None),
        Outcome::Incomplete => ("success", Some(left_out(record))),
        Outcome::Interrupted => ("error", Some("interrupted".to_owned())),
    };
    let message = message.map_or_else(String::new, |message| {
        format!(r#" errormsg="{}""#, markup(&message))
    });
    writeln!(
        out,
        r#"<runstats><finished time="{}" timestr="{timestr}" summary="Portolan done at {timestr}; {}" elapsed="{}" exit="{exit}"{message}/>"#,
        end.as_second(),
        view::summary(record),
        view::seconds(view::elapsed(record)),
    )?;
    let (up, down, total) = view::hosts(record);
    writeln!(
        out,
        r#"<hosts up="{up}" down="{down}" total="{total}"/></runstats>"#
    )
}

/// What is missing, in one line.
fn left_out(record: &ScanRecord) -> String {
    let problems: Vec<String> = record
        .problems
        .iter()
        .filter(|problem| problem.left_out)
        .map(|problem| problem.line().into_owned())
        .collect();
    if problems.is_empty() {
        "something is left out".to_owned()
    } else {
        problems.join("; ")
    }
}
