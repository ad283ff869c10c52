//! The `tag` command: what people call hosts and scans of the history.

use std::fmt::Write as _;

use portolan_model::Target;
use portolan_store::{HostFilter, Mode, Store, Tagged};

use crate::data;
use crate::failure::{Failure, Result, visible};
use crate::server_args::{DataArgs, TagCommand, TaggedArgs};

/// Hosts that are read at once.
const PAGE: usize = 1000;

/// Puts tags on and takes them off; what is to be printed.
pub(crate) fn tag(command: TagCommand, data: &DataArgs) -> Result<String> {
    match command {
        TagCommand::Add(args) => {
            let store = data::open(data, Mode::Write)?;
            let on = tagged(&store, &args)?;
            let count = on.len();
            store.put_tag(args.tag.clone(), on).map_err(data::failure)?;
            Ok(format!("{} has the tag {}\n", things(count), args.tag))
        }
        TagCommand::Remove(args) => {
            let store = data::open(data, Mode::Write)?;
            let off = tagged(&store, &args)?;
            let taken = store
                .take_tag(args.tag.clone(), off)
                .map_err(data::failure)?;
            Ok(format!("took the tag {} off {}\n", args.tag, things(taken)))
        }
        TagCommand::List => {
            let tags = data::open(data, Mode::Read)?
                .all_tags()
                .map_err(data::failure)?;
            if tags.is_empty() {
                return Ok("no tags yet: put one on with `portolan tag add`\n".to_owned());
            }
            let mut text = format!("{:20}  {:>6}  {:>6}\n", "TAG", "HOSTS", "SCANS");
            for used in tags {
                let _ = writeln!(
                    text,
                    "{:20}  {:>6}  {:>6}",
                    used.tag, used.hosts, used.scans
                );
            }
            Ok(text)
        }
    }
}

fn things(count: usize) -> String {
    match count {
        1 => "1 host or scan".to_owned(),
        many => format!("each of {many} hosts and scans"),
    }
}

/// The hosts and scans that are named.
fn tagged(store: &Store, args: &TaggedArgs) -> Result<Vec<Tagged>> {
    let mut all: Vec<_> = args.scan.iter().copied().map(Tagged::Scan).collect();
    for target in &args.hosts {
        match target {
            Target::Name(name) => {
                return Err(Failure::new(format!(
                    "`{}` is a name: tags belong to addresses",
                    visible(name.as_str())
                ))
                .hint("write the address, or the network, as `192.0.2.0/24`"));
            }
            target => all.extend(known(store, target)?),
        }
    }
    if all.is_empty() {
        return Err(Failure::new("nothing to tag is named")
            .hint("write addresses or networks, or `--scan` and the number of a scan"));
    }
    Ok(all)
}

/// The hosts of the history within a target.
fn known(store: &Store, target: &Target) -> Result<Vec<Tagged>> {
    let filter = HostFilter {
        within: Some(target.clone()),
        ..HostFilter::default()
    };
    let mut found = Vec::new();
    let mut after = None;
    loop {
        let page = store
            .hosts(&filter, after.as_ref(), PAGE)
            .map_err(data::failure)?;
        found.extend(page.items.iter().map(|host| Tagged::Host(host.address)));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    if found.is_empty() {
        return Err(
            Failure::new(format!("the history has no host of `{target}`"))
                .hint("what a saved scan found can be tagged: scan it with `--save`"),
        );
    }
    Ok(found)
}
