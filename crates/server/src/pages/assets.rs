//! The sheet, the scripts and the mark, inside the binary. Their address holds a hash of them
//! all, so that browsers keep them for ever and still get new ones with a new version.

use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use portolan_model::{Protocol, services};

use crate::Problem;

/// A file as it is served.
struct Asset {
    path: &'static str,
    media_type: &'static str,
    body: String,
}

macro_rules! files {
    ($($path:literal),+ $(,)?) => {
        &[$(($path, include_str!(concat!("../../assets/", $path)))),+]
    };
}

/// Every file of `assets/` that is served.
const FILES: &[(&str, &str)] = files![
    "app.js",
    "elements/copy-button.js",
    "elements/habits.js",
    "elements/live-list.js",
    "elements/live-scan.js",
    "elements/port-map.js",
    "elements/progress-chart.js",
    "elements/query-box.js",
    "elements/result-table.js",
    "elements/scan-form.js",
    "lib/page.js",
    "lib/query.js",
    "lib/rows.js",
    "lib/stream.js",
    "lib/text.js",
    "mark.svg",
    "style.css",
];

/// The names of ports, for the guesses beside ports that said nothing.
const SERVICES: &str = "services.txt";

static ASSETS: LazyLock<Vec<Asset>> = LazyLock::new(|| {
    let mut assets: Vec<Asset> = FILES
        .iter()
        .map(|&(path, text)| Asset {
            path,
            media_type: media_type(path),
            body: match ending(path) {
                "svg" => text.to_owned(),
                "js" => tight(&slim(text)),
                _ => slim(text),
            },
        })
        .collect();
    assets.push(Asset {
        path: SERVICES,
        media_type: media_type(SERVICES),
        body: service_names(),
    });
    assets
});

static HASH: LazyLock<String> = LazyLock::new(|| {
    let mut hasher = DefaultHasher::new();
    for asset in ASSETS.iter() {
        (asset.path, &asset.body).hash(&mut hasher);
    }
    format!("{:016x}", hasher.finish())
});

/// What a file's name ends with, after the dot.
fn ending(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or_default()
}

fn media_type(path: &str) -> &'static str {
    match ending(path) {
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        _ => "text/plain; charset=utf-8",
    }
}

/// The lines of a script without the blanks round its signs, which are for readers as well. What
/// stands between double quotes stays as it is, and so does a line that may hold other text, or an
/// expression to match with.
fn tight(script: &str) -> String {
    let mut out = String::with_capacity(script.len());
    for line in script.lines() {
        if line.contains(['\'', '`', '/', '\\']) {
            out.push_str(line);
        } else {
            for (place, part) in line.split('"').enumerate() {
                let is_text = place % 2 == 1;
                if place > 0 {
                    out.push('"');
                }
                out.push_str(&if is_text {
                    part.to_owned()
                } else {
                    tight_code(part)
                });
            }
        }
        out.push('\n');
    }
    out
}

/// A part of a line that holds no text, without the blanks round its signs.
fn tight_code(code: &str) -> String {
    let code = [
        "=", "=>", "===", "!==", "+=", "&&", "||", "??", "?", ":", "<", ">", "<=", ">=", "*", "+",
        "-",
    ]
    .iter()
    .fold(code.to_owned(), |code, sign| {
        // Before a sign of the next number the blank parts it from `++` and `--`.
        code.replace(&format!(" {sign} -"), &format!("{sign} -"))
            .replace(&format!(" {sign} +"), &format!("{sign} +"))
            .replace(&format!(" {sign} "), sign)
    });
    [", ", "{ ", "; ", ") {", "if (", "for (", "} else", " }"]
        .iter()
        .fold(code, |code, blank| {
            code.replace(blank, &blank.replace(' ', ""))
        })
}

/// A script or sheet without its comments and indentation, which are for those who read the
/// source. Only whole lines are looked at, so that text within a line is never touched.
fn slim(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut in_comment = false;
    for line in text.lines().map(str::trim) {
        if in_comment || line.starts_with("/*") {
            in_comment = !line.ends_with("*/");
        } else if !line.is_empty() && !line.starts_with("//") {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

/// A line for each port that has a name: its number, its name for TCP (`-` for none), for UDP.
fn service_names() -> String {
    let mut out = String::new();
    for port in 0..=u16::MAX {
        let [tcp, udp] = [Protocol::Tcp, Protocol::Udp].map(|of| services::name(port, of));
        let written = match (tcp, udp) {
            (None, None) => continue,
            (Some(tcp), None) => writeln!(out, "{port} {tcp}"),
            (tcp, Some(udp)) => writeln!(out, "{port} {} {udp}", tcp.unwrap_or("-")),
        };
        written.expect("a string takes whatever is written to it");
    }
    out
}

/// The address of a file.
pub(super) fn address(path: &str) -> String {
    format!("/assets/{}/{path}", *HASH)
}

/// The address of the names of ports.
pub(super) fn services() -> String {
    address(SERVICES)
}

fn found(path: &str) -> Option<&'static Asset> {
    ASSETS.iter().find(|asset| asset.path == path)
}

/// `GET /assets/{hash}/{path}`
pub(super) async fn serve(Path((hash, path)): Path<(String, String)>) -> Response {
    let Some(asset) = found(&path) else {
        return Problem::not_found(format!("there is no file `{path}`")).into_response();
    };
    // A page from before an update asks by an old hash: it gets what there is, not to be kept.
    let keep = if hash == *HASH {
        "public, max-age=31536000, immutable"
    } else {
        "no-store"
    };
    let headers = [(CONTENT_TYPE, asset.media_type), (CACHE_CONTROL, keep)];
    (headers, asset.body.as_str()).into_response()
}

/// `GET /favicon.svg`, and `/favicon.ico`, for which browsers ask by themselves.
pub(super) async fn favicon() -> Response {
    let mark = found("mark.svg").map_or("", |asset| asset.body.as_str());
    let headers = [
        (CONTENT_TYPE, "image/svg+xml"),
        (CACHE_CONTROL, "public, max-age=86400"),
    ];
    (headers, mark).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(kind: &str) -> usize {
        let matching = ASSETS.iter().filter(|asset| ending(asset.path) == kind);
        matching.map(|asset| asset.body.len()).sum()
    }

    #[test]
    fn scripts_and_sheet_stay_small() {
        let (scripts, sheet) = (bytes("js"), bytes("css"));
        assert!(scripts <= 66 * 1024, "the scripts have {scripts} bytes");
        assert!(sheet <= 25 * 1024, "the sheet has {sheet} bytes");
    }

    #[test]
    fn every_module_that_a_script_imports_is_served() {
        for asset in ASSETS.iter().filter(|asset| ending(asset.path) == "js") {
            let folder = asset.path.rsplit_once('/').map_or("", |(folder, _)| folder);
            for line in asset.body.lines().filter(|line| line.contains("import ")) {
                let Some(from) = line.split('"').nth(1) else {
                    continue;
                };
                let path = match from.strip_prefix("../") {
                    Some(path) => path.to_owned(),
                    None => format!("{folder}/{}", from.trim_start_matches("./")),
                };
                let path = path.trim_start_matches('/');
                assert!(
                    found(path).is_some(),
                    "{} imports `{from}`, which is not served",
                    asset.path
                );
            }
        }
    }

    #[test]
    fn nothing_is_ever_read_as_markup_or_as_a_program() {
        for &(path, text) in FILES.iter().filter(|(path, _)| ending(path) == "js") {
            for forbidden in [
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "eval(",
                "new Function",
                "setAttribute(\"style\"",
                "srcdoc",
            ] {
                assert!(!text.contains(forbidden), "{path} uses {forbidden}");
            }
        }
    }

    #[test]
    fn slimming_takes_whole_comments_and_nothing_else() {
        let text = "/* a\n b */\n// c\nlet x = \"// d\";\n\n  /** e */\n  f();\n";
        assert_eq!(slim(text), "let x = \"// d\";\nf();\n");
    }

    #[test]
    fn tightening_leaves_text_alone() {
        let text = "let f = (a, b) => a ? { a } : b;\nlet x = \"a = b, c\";\nlet y = /a = b/;\n";
        let tight_text = "let f=(a,b)=>a?{a}:b;\nlet x=\"a = b, c\";\nlet y = /a = b/;\n";
        assert_eq!(tight(text), tight_text);
        assert_eq!(
            tight("if (a === \"b = c, d\" || e) {"),
            "if(a===\"b = c, d\"||e){\n"
        );
        assert_eq!(tight("a + b - -c"), "a+b- -c\n");
    }

    #[test]
    fn a_port_that_all_know_has_its_name() {
        let names = service_names();
        assert!(names.lines().any(|line| line.starts_with("22 ssh")));
    }
}
