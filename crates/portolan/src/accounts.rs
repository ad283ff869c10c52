//! The `user` and `token` commands: who may use the web app.

use std::fmt::Write as _;
use std::io::{self, BufRead as _, IsTerminal as _};

use jiff::Timestamp;
use portolan_server::auth::{password, tokens};
use portolan_store::{Mode, Store, User};
use rustix::termios::{self, LocalModes, OptionalActions};

use crate::failure::{Failure, Result, io_reason, visible};
use crate::server_args::{DataArgs, TokenCommand, UserCommand};
use crate::{data, terminal};

/// The longest name.
const LONGEST_NAME: usize = 100;

/// Does something with users; what is to be printed.
pub(crate) fn user(command: UserCommand, data: &DataArgs) -> Result<String> {
    match command {
        UserCommand::Add { name, role } => {
            let name = name.trim();
            let is_name = !name.is_empty()
                && name.chars().count() <= LONGEST_NAME
                && !name.chars().any(char::is_control);
            if !is_name {
                return Err(Failure::new(format!(
                    "`{}` is no name: expected 1 to {LONGEST_NAME} characters",
                    visible(name)
                )));
            }
            let store = data::open(data, Mode::Write)?;
            if store.find_user(name).map_err(data::failure)?.is_some() {
                let taken = portolan_store::Error::NameTaken {
                    name: name.to_owned(),
                };
                return Err(data::failure(taken));
            }
            let hash = new_password()?;
            store
                .create_user(name, &hash, role, Timestamp::now())
                .map_err(data::failure)?;
            Ok(format!("made the user {name}, who may {role}\n"))
        }
        UserCommand::List => {
            let users = data::open(data, Mode::Read)?
                .users()
                .map_err(data::failure)?;
            Ok(users.iter().fold(String::new(), |mut text, user| {
                let note = if user.disabled { "  disabled" } else { "" };
                let name = visible(&user.name);
                let _ = writeln!(
                    text,
                    "{name:20}  {:5}  since {:.0}{note}",
                    user.role, user.created
                );
                text
            }))
        }
        UserCommand::Password { name } => {
            let store = data::open(data, Mode::Write)?;
            let user = known(&store, &name)?;
            let hash = new_password()?;
            store.set_password(user.id, &hash).map_err(data::failure)?;
            Ok(format!("changed the password of {}\n", visible(&user.name)))
        }
        UserCommand::Remove { name } => {
            let store = data::open(data, Mode::Write)?;
            let user = known(&store, &name)?;
            store.delete_user(user.id).map_err(data::failure)?;
            Ok(format!("removed the user {}\n", visible(&user.name)))
        }
    }
}

/// Does something with tokens; what is to be printed.
pub(crate) fn token(command: TokenCommand, data: &DataArgs) -> Result<String> {
    match command {
        TokenCommand::Add {
            name,
            user,
            scope,
            days,
        } => {
            let store = data::open(data, Mode::Write)?;
            let owner = user.map(|user| known(&store, &user)).transpose()?;
            let token = tokens::make(&store, owner.map(|owner| owner.id), &name, scope, days)
                .map_err(|problem| Failure::new(problem.detail))?;
            Ok(format!("{token}\n"))
        }
        TokenCommand::List => {
            let tokens = data::open(data, Mode::Read)?
                .tokens()
                .map_err(data::failure)?;
            Ok(tokens.iter().fold(String::new(), |mut text, token| {
                let kept = &token.token;
                let scopes: Vec<_> = kept.scopes.iter().map(ToString::to_string).collect();
                let _ = write!(
                    text,
                    "{}  {:10}  {}",
                    kept.id,
                    scopes.join(","),
                    visible(&kept.name)
                );
                if let Some(at) = token.revoked {
                    let _ = write!(text, "  revoked {at:.0}");
                } else if let Some(at) = kept.expires {
                    let _ = write!(text, "  until {at:.0}");
                }
                text.push('\n');
                text
            }))
        }
        TokenCommand::Remove { id } => {
            let store = data::open(data, Mode::Write)?;
            let revoked = store
                .revoke_token(&id, Timestamp::now())
                .map_err(data::failure)?;
            if revoked {
                Ok(format!("revoked the token {}\n", visible(&id)))
            } else {
                Err(
                    Failure::new(format!("there is no token `{}` that counts", visible(&id)))
                        .hint("`portolan token list` shows them"),
                )
            }
        }
    }
}

fn known(store: &Store, name: &str) -> Result<User> {
    store
        .find_user(name)
        .map_err(data::failure)?
        .ok_or_else(|| {
            Failure::new(format!("there is no user `{}`", visible(name)))
                .hint("`portolan user list` shows them")
        })
}

/// Asks for a new password, twice on a terminal; its hash.
fn new_password() -> Result<String> {
    let typed = if io::stdin().is_terminal() {
        let first = ask("password: ")?;
        if ask("the same again: ")? != first {
            return Err(Failure::new("the two passwords differ"));
        }
        first
    } else {
        line()?
    };
    password::hash(&typed).map_err(|error| Failure::new(error.to_string()))
}

/// Asks a question on the terminal without showing the answer.
fn ask(question: &str) -> Result<String> {
    let failed = |error: rustix::io::Errno| {
        Failure::new(format!(
            "cannot hide what is typed: {}",
            io_reason(&error.into())
        ))
    };
    terminal::stderr(question);
    let before = termios::tcgetattr(io::stdin()).map_err(failed)?;
    let mut hidden = before.clone();
    hidden.local_modes.remove(LocalModes::ECHO);
    termios::tcsetattr(io::stdin(), OptionalActions::Flush, &hidden).map_err(failed)?;
    let answer = line();
    termios::tcsetattr(io::stdin(), OptionalActions::Now, &before).map_err(failed)?;
    terminal::stderr("\n");
    answer
}

fn line() -> Result<String> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).map_err(|error| {
        Failure::new(format!("cannot read the password: {}", io_reason(&error)))
    })?;
    Ok(line.trim_end_matches(['\n', '\r']).to_owned())
}
