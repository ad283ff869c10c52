//! ONC RPC (RFC 5531): the programs that a port mapper knows (RFC 1833), and answers to NULL.

use std::collections::BTreeMap;

use super::{Reader, Reading};
use crate::cursor::Cursor;

/// The reader.
pub(crate) const READER: Reader = Reader {
    name: "rpc",
    reads: &["rpc-dump", "rpc-dump-tcp", "nfs-null-tcp", "nfs-null"],
    fields: &["programs", "info"],
    read,
};

/// The most mappings that are read.
const MAPPINGS: usize = 1000;

/// Programs by number (IANA, "RPC Program Numbers").
const PROGRAMS: [(usize, &str); 16] = [
    (100_000, "rpcbind"),
    (100_001, "rstatd"),
    (100_002, "rusersd"),
    (100_003, "nfs"),
    (100_004, "ypserv"),
    (100_005, "mountd"),
    (100_007, "ypbind"),
    (100_009, "yppasswdd"),
    (100_011, "rquotad"),
    (100_012, "sprayd"),
    (100_021, "nlockmgr"),
    (100_024, "status"),
    (100_068, "cmsd"),
    (100_227, "nfs_acl"),
    (391_002, "sgi_fam"),
    (395_184, "ganesha"),
];

/// The identifier of the call for mappings, and of that to NFS.
const DUMP: usize = 0x506f_7274;
const NFS: usize = 0x506f_4e46;

/// The status of a call to a program that is not there (RFC 5531, 9: `PROG_UNAVAIL`).
const NO_PROGRAM: usize = 1;

fn read(bytes: &[u8]) -> Option<Reading> {
    // Over TCP a record mark comes first.
    let body = match bytes {
        [0x80, _, _, _, rest @ ..] => rest,
        all => all,
    };
    let mut reply = Cursor(body);
    let call = reply.be(4)?;
    if reply.be(4)? != 1 {
        return None;
    }
    let accepted = reply.be(4)? == 0;
    match call {
        NFS => {
            let mut reading = Reading::new("nfs");
            if accepted {
                reply.be(4)?;
                reply.counted(4)?;
                // Program mismatch: lowest and highest version.
                if reply.be(4)? == 2 {
                    let versions = format!("versions {}-{}", reply.be(4)?, reply.be(4)?);
                    reading.field("info", versions);
                }
            }
            reading.hidden = true;
            Some(reading)
        }
        DUMP => {
            let mut reading = Reading::new("rpcbind");
            reading.hidden = true;
            if accepted {
                reply.be(4)?;
                reply.counted(4)?;
                let status = reply.be(4)?;
                if status == NO_PROGRAM {
                    // It speaks RPC for a program of its own, as Gluster does.
                    reading = Reading::new("sunrpc");
                    reading.hidden = true;
                } else if status == 0 {
                    let programs = programs(&mut reply);
                    reading.fact("rpc.programs", programs.join(", ").as_bytes());
                    reading.field("programs", programs.join(", "));
                }
            }
            Some(reading)
        }
        _ => None,
    }
}

/// `nfs 3,4 on 2049/tcp`.
fn programs(reply: &mut Cursor<'_>) -> Vec<String> {
    let mut all: BTreeMap<(usize, usize, usize), Vec<String>> = BTreeMap::new();
    for _ in 0..MAPPINGS {
        let mut next = || {
            if reply.be(4)? != 1 {
                return None;
            }
            Some((reply.be(4)?, reply.be(4)?, reply.be(4)?, reply.be(4)?))
        };
        let Some((program, version, protocol, port)) = next() else {
            break;
        };
        let versions = all.entry((program, port, protocol)).or_default();
        versions.push(version.to_string());
    }
    all.into_iter()
        .map(|((program, port, protocol), versions)| {
            let known = PROGRAMS.iter().find(|(known, _)| *known == program);
            let name = known.map_or_else(|| program.to_string(), |(_, name)| (*name).to_owned());
            let protocol = match protocol {
                6 => "tcp".to_owned(),
                17 => "udp".to_owned(),
                other => other.to_string(),
            };
            format!("{name} {} on {port}/{protocol}", versions.join(","))
        })
        .collect()
}
