//! Keys while a scan runs: pause, skip, end, and where it is.
//!
//! The terminal hands over each key at once and does not show it, for as long as a [`Keys`] lives.
//! However the program ends, the terminal is as it was before: the value is dropped, a panic and
//! the second Ctrl-C call [`restore`]. Only SIGKILL cannot be helped.

use std::io::{self, IsTerminal as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, Sender, bounded};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr};

/// A key is waited for at most so long before the thread looks whether it is still wanted.
const GLANCE: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 100_000_000,
};

/// How the terminal was before; `None` while it is as it was.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// Ctrl-D, and what a terminal says at the end of its input (`VEOF`, termios(3)).
const END_OF_INPUT: u8 = 4;

/// What a key asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    /// `p`: hold on, or go on.
    Pause,
    /// `s`: leave the host that lags.
    Skip,
    /// `q`: end in order.
    Quit,
    /// Any other: say where it is.
    Where,
}

/// The keys that are pressed, while it lives.
#[derive(Debug)]
pub(crate) struct Keys {
    pressed: Receiver<Key>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Keys {
    /// Listens to the keys; `None` where standard input or standard error is no terminal, and where
    /// this is not the program in its foreground.
    pub(crate) fn listen() -> Option<Self> {
        if !io::stdin().is_terminal() || !io::stderr().is_terminal() || !is_in_front() {
            return None;
        }
        restore_on_panic();
        let (into, pressed) = bounded(16);
        let is_over = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&is_over);
        let thread = thread::Builder::new()
            .name("keys".to_owned())
            .spawn(move || read(&into, &flag))
            .ok()?;
        Some(Self {
            pressed,
            is_over,
            thread: Some(thread),
        })
    }

    /// The next key that was pressed, if one was.
    pub(crate) fn pressed(&self) -> Option<Key> {
        self.pressed.try_recv().ok()
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic there has been shown, and ends no scan.
            let _ = thread.join();
        }
        restore();
    }
}

/// Gives the terminal back as it was.
pub(crate) fn restore() {
    let before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(before) = before {
        // A terminal that is gone needs nothing.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &before);
    }
}

fn restore_on_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            restore();
            before(panic);
        }));
    });
}

/// Whether this program is the one that the terminal listens to; another one that read or changed
/// it would be stopped.
fn is_in_front() -> bool {
    tcgetpgrp(io::stdin()).is_ok_and(|front| front == rustix::process::getpgrp())
}

/// Has the terminal hand over keys at once. Called again and again, since a shell that stopped the
/// program and took it back to the foreground has set its own ways.
fn hand_over_keys() -> bool {
    let Ok(mut termios) = tcgetattr(io::stdin()) else {
        return false;
    };
    let lines = LocalModes::ICANON | LocalModes::ECHO;
    if !termios.local_modes.intersects(lines) {
        return true;
    }
    let mut before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner);
    before.get_or_insert_with(|| termios.clone());
    // Ctrl-C and Ctrl-Z stay signals.
    termios.local_modes.remove(lines);
    tcsetattr(io::stdin(), OptionalActions::Now, &termios).is_ok()
}

fn read(into: &Sender<Key>, is_over: &AtomicBool) {
    let stdin = io::stdin();
    let mut bytes = [0; 64];
    while !is_over.load(Ordering::Relaxed) {
        if !is_in_front() {
            thread::park_timeout(std::time::Duration::from_millis(100));
            continue;
        }
        if !hand_over_keys() {
            return;
        }
        let mut fds = [PollFd::new(&stdin, PollFlags::IN)];
        match poll(&mut fds, Some(&GLANCE)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => continue,
            Ok(_) if is_in_front() => {}
            Ok(_) => continue,
            Err(_) => return,
        }
        let count = match rustix::io::read(&stdin, &mut bytes) {
            Ok(0) => return,
            Ok(count) => count,
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => continue,
            Err(_) => return,
        };
        // An arrow or function key is one key of several bytes.
        let keys = match bytes.get(..count) {
            Some([0x1b, ..]) => &bytes[..1],
            Some(keys) => keys,
            None => return,
        };
        // The end of what was written to the terminal, which no key is.
        for &byte in keys.iter().filter(|byte| **byte != END_OF_INPUT) {
            // What does not fit was pressed faster than it can mean anything.
            let _ = into.try_send(meaning(byte));
        }
    }
}

const fn meaning(byte: u8) -> Key {
    match byte {
        b'p' | b'P' => Key::Pause,
        b's' | b'S' => Key::Skip,
        b'q' | b'Q' => Key::Quit,
        _ => Key::Where,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_mean_what_the_help_says() {
        let keys = b"psqPSQ ?\r".map(meaning);
        let (pause, skip, quit) = (Key::Pause, Key::Skip, Key::Quit);
        let rest = [Key::Where; 3];
        assert_eq!(keys[..6], [pause, skip, quit, pause, skip, quit]);
        assert_eq!(keys[6..], rest);
    }
}
