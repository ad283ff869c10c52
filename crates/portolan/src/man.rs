//! The manual pages, from the definition of the command line.

use std::io::{self, Write as _};

use clap_mangen::Man;

use crate::failure::{Failure, Result, io_reason};
use crate::{NAME, args, argv};

/// What the program is, for its page; the pages of commands have their own.
const DESCRIPTION: &str = "\
Finds the open TCP ports of hosts and networks. It asks as fast as the path carries and no faster, asks silent ports \
again as often as the loss that it measured demands, and says at the end how sure the result is.

Results are a table on standard output; files for people and for other programs are written beside it.";

/// The page of the program, or of one of its commands.
///
/// # Errors
/// When there is no such command.
pub(crate) fn page(of: Option<&str>) -> Result<String> {
    let mut command = args::command();
    command.build();
    let command = match of {
        None => command.long_about(DESCRIPTION),
        Some(name) => command
            .find_subcommand(name)
            .cloned()
            .ok_or_else(|| argv::no_command(name, &command))?,
    };
    let mut page = Vec::new();
    render(&command, &mut page)
        .map_err(|error| Failure::new(format!("cannot write the page: {}", io_reason(&error))))?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}

fn render(command: &clap::Command, page: &mut Vec<u8>) -> io::Result<()> {
    // The generator leaves out the help of what the short help hides.
    let whole = command.clone().mut_args(|option| {
        let help = option.get_long_help().or_else(|| option.get_help());
        let help = help.cloned().unwrap_or_default();
        option
            .help(help)
            .long_help(clap::builder::Resettable::Reset)
            .hide_short_help(false)
    });
    let title = whole.get_display_name().unwrap_or(NAME).to_uppercase();
    let after = whole.get_after_long_help().map(ToString::to_string);
    let has_description = whole.get_long_about().is_some();
    let has_commands = whole.has_subcommands();
    let man = Man::new(whole);
    // Of the generator's own, a version without a date would take the place of the date.
    let version = env!("CARGO_PKG_VERSION");
    writeln!(
        page,
        ".TH \"{}\" 1 \"\" \"portolan {version}\" \"Portolan\"",
        escaped(&title)
    )?;
    man.render_name_section(page)?;
    man.render_synopsis_section(page)?;
    if has_description {
        // Without a long text, the generator repeats the line of the name.
        man.render_description_section(page)?;
    }
    man.render_options_section(page)?;
    if has_commands {
        man.render_subcommands_section(page)?;
    }
    after.map_or(Ok(()), |text| render_after(&text, page))
}

/// What stands under the long help: examples, the exit status, a reminder; a paragraph each.
fn render_after(text: &str, page: &mut Vec<u8>) -> io::Result<()> {
    for paragraph in text.split("\n\n") {
        if let Some(examples) = paragraph.strip_prefix("Examples:\n") {
            // Columns stay columns.
            writeln!(page, ".SH EXAMPLES\n.nf\n{}\n.fi", escaped(examples))?;
        } else if let Some(status) = paragraph.strip_prefix("Exit status: ") {
            writeln!(page, ".SH \"EXIT STATUS\"\n{}", escaped(status))?;
        } else {
            writeln!(page, ".PP\n{}", escaped(paragraph))?;
        }
    }
    Ok(())
}

/// Text in which nothing is a command of the page's language (roff(7)).
fn escaped(text: &str) -> String {
    let text = text
        .replace('\\', "\\e")
        .replace('-', "\\-")
        .replace('\'', "\\(aq");
    text.replace("\n.", "\n\\&.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_describes_every_option_once() {
        let mut commands: Vec<Option<String>> = vec![None];
        let names = args::command();
        commands.extend(
            names
                .get_subcommands()
                .map(|of| Some(of.get_name().to_owned())),
        );
        for of in commands {
            let page = page(of.as_deref()).unwrap();
            let lines: Vec<&str> = page.lines().collect();
            for pair in lines.windows(3) {
                if pair[0] == ".TP" {
                    assert!(
                        !pair[2].trim().is_empty(),
                        "{of:?}: {} says nothing",
                        pair[1]
                    );
                }
            }
            assert!(
                page.contains("\"portolan 0.") || page.contains("\"portolan "),
                "{page}"
            );
        }
    }

    #[test]
    fn a_short_help_is_not_repeated_before_the_long_one() {
        let page = page(None).unwrap();
        assert!(page.contains("for standard input"), "{page}");
        assert!(!page.contains("for stdin"), "{page}");
        assert_eq!(page.matches("Charts the open ports").count(), 1, "{page}");
        assert!(
            page.contains("\n.SH EXAMPLES\n.nf\n  portolan 127.0.0.1 "),
            "{page}"
        );
    }
}
