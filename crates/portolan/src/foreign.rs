//! Options of nmap that this program does not have: who types one from habit is told in plain
//! words what becomes of it, instead of being guessed at.

use crate::failure::Failure;

/// What is meant by the names of options: what the program does instead, and what to do.
struct Foreign {
    /// The options, as they are typed; one that ends with `*` stands for all that begin so.
    names: &'static [&'static str],
    /// Why there is none of it here.
    why: &'static str,
    /// What to do.
    instead: &'static str,
}

const LEAVE_OUT: &str = "leave the option out";

const TABLE: &[Foreign] = &[
    Foreign {
        names: &["--script*", "-sC"],
        why: "there are no scripts",
        instead: LEAVE_OUT,
    },
    Foreign {
        names: &["-O", "--osscan*", "--fuzzy"],
        why: "operating systems are not guessed",
        instead: LEAVE_OUT,
    },
    Foreign {
        names: &["-A"],
        why: "operating systems, scripts and routes are not looked for",
        instead: "write `-sV` for services and versions",
    },
    Foreign {
        names: &["--traceroute"],
        why: "routes are not traced",
        instead: "leave the option out, and use a program such as `traceroute` beside it",
    },
    Foreign {
        names: &[
            "--initial-rtt-timeout",
            "--min-rtt-timeout",
            "--max-rtt-timeout",
        ],
        why: "how long is waited follows from the answers",
        instead: "leave it out, or bound every wait by `--timeout TIME`",
    },
    Foreign {
        names: &["--scan-delay", "--max-scan-delay"],
        why: "there is no fixed gap between probes",
        instead: "leave it out, or bound the pace by `--max-rate N` or `-T0` to `-T2`",
    },
    Foreign {
        names: &["--min-parallelism", "--min-hostgroup", "--max-hostgroup"],
        why: "how many are asked at once follows from the path",
        instead: "leave it out, or bound it by `--concurrency N`",
    },
    Foreign {
        names: &["--defeat-rst-ratelimit"],
        why: "hosts that limit their resets are noticed without it",
        instead: LEAVE_OUT,
    },
    Foreign {
        names: &["-D", "-S", "-g", "--source-port", "--spoof-mac", "-sI"],
        why: "probes never pretend to come from elsewhere",
        instead: LEAVE_OUT,
    },
    Foreign {
        names: &[
            "-f",
            "--mtu",
            "--data-string",
            "--data-length",
            "--badsum",
            "--ip-options",
        ],
        why: "packets are not dressed up to pass a firewall",
        instead: LEAVE_OUT,
    },
    Foreign {
        names: &["-e"],
        why: "the interface follows from the routing table",
        instead: "leave the option out; `ip route get ADDRESS` shows which it is",
    },
    Foreign {
        names: &["-r"],
        why: "the order of ports is drawn by lot, to spread the load",
        instead: "leave it out; `--seed N` gives the same order again",
    },
    Foreign {
        names: &["--resume"],
        why: "scans are gone on with from the history",
        instead: "scan with `--save`, then `portolan resume ID`",
    },
    Foreign {
        names: &["--append-output"],
        why: "a result has a file of its own",
        instead: LEAVE_OUT,
    },
    Foreign {
        names: &["-d", "--packet-trace"],
        why: "single packets are not shown",
        instead: "use `-v` to hear more",
    },
    Foreign {
        names: &["--version-light", "--version-all", "--version-trace"],
        why: "how much is tried to find services out is a number",
        instead: "write `-sV --detect-intensity N`, from 0 to 9",
    },
    Foreign {
        names: &["--privileged", "--unprivileged"],
        why: "which rights there are is found out",
        instead: "leave it out, or choose by `--syn` or `--connect`",
    },
];

/// What is said of an option of nmap's that is not known here; nothing for any other.
pub(crate) fn refusal(option: &str) -> Option<Failure> {
    let is_meant = |name: &&str| match name.strip_suffix('*') {
        Some(beginning) => option.starts_with(beginning),
        None => option == *name,
    };
    let found = TABLE
        .iter()
        .find(|foreign| foreign.names.iter().any(is_meant))?;
    Some(Failure::new(format!("`{option}`: {}", found.why)).hint(found.instead))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args;

    #[test]
    fn no_option_of_our_own_is_called_foreign() {
        let command = args::command();
        for option in command.get_arguments() {
            let long = option.get_long_and_visible_aliases().unwrap_or_default();
            let hidden = option.get_all_aliases().unwrap_or_default();
            for name in long.into_iter().chain(hidden) {
                assert_eq!(refusal(&format!("--{name}")), None);
            }
            if let Some(letter) = option.get_short() {
                assert_eq!(refusal(&format!("-{letter}")), None);
            }
        }
    }

    #[test]
    fn what_the_hints_name_is_there() {
        let command = args::command();
        let named = |option: &str| {
            command
                .get_arguments()
                .any(|of| of.get_long() == Some(option))
        };
        for foreign in TABLE {
            for word in foreign.instead.split(['`', ' ']) {
                if let Some(option) = word.strip_prefix("--") {
                    assert!(named(option), "--{option}");
                }
            }
        }
    }

    #[test]
    fn a_beginning_stands_for_all_that_begin_so() {
        assert!(refusal("--script-args").is_some());
        assert!(refusal("--osscan-guess").is_some());
        assert_eq!(refusal("--scope"), None);
        assert_eq!(refusal("-Dx"), None);
    }
}
