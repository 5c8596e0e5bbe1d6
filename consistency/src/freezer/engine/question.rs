//! One question to an engine, on a connection that is open before it is asked.
//!
//! HTTP/1.0, so that the answer ends with its connection. Nothing here allocates after
//! [`Question::open`].

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::thread;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType, connect, recv, send,
    socket_with,
};

use crate::clock::Moment;
use crate::freezer::{Act, FreezerError, Trouble};

#[derive(Debug)]
pub(super) struct Question {
    address: SocketAddrUnix,
    text: Vec<u8>,
    /// Open and not used yet, or waiting for the answer.
    stream: Option<OwnedFd>,
    used: bool,
    received: [u8; ANSWER_BYTES_MAX],
    length: usize,
}

/// The status of an answer, and how its body begins.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Answer {
    pub(super) status: u16,
    body: [u8; 2],
}

impl Answer {
    /// Of a list that was asked for, whether it is empty.
    pub(super) fn lists_nothing(self) -> Result<bool, Trouble> {
        if self.status == LISTED { Ok(self.body == *b"[]") } else { Err(self.refusal()) }
    }

    pub(super) fn refusal(self) -> Trouble {
        Trouble::Engine { status: self.status }
    }
}

impl Question {
    /// Connects; nothing is asked yet.
    pub(super) fn open(socket: &Path, question: &str) -> Result<Self, FreezerError> {
        let failed = |errno: Errno| FreezerError::Engine {
            socket: socket.to_owned(),
            source: io::Error::from(errno),
        };
        let address = SocketAddrUnix::new(socket).map_err(failed)?;
        let stream = Some(connected(&address).map_err(failed)?);
        let text = format!("{question} HTTP/1.0\r\nContent-Length: 0\r\n\r\n").into_bytes();
        let (received, length) = ([0; ANSWER_BYTES_MAX], 0);
        Ok(Self { address, text, stream, used: false, received, length })
    }

    /// Asks, and returns at once; on another connection when there is none that is unused.
    pub(super) fn ask(&mut self) -> Result<(), Trouble> {
        if !self.used && self.send().is_ok() {
            return Ok(());
        }
        self.connect()?;
        self.send()
    }

    fn connect(&mut self) -> Result<(), Trouble> {
        self.stream = Some(connected(&self.address).map_err(Trouble::system(Act::Ask))?);
        self.used = false;
        Ok(())
    }

    fn send(&mut self) -> Result<(), Trouble> {
        (self.used, self.length) = (true, 0);
        let stream = self.stream.as_ref().ok_or(Trouble::Silent)?;
        match send(stream, &self.text, SendFlags::NOSIGNAL) {
            // It fits into the buffer of any socket.
            Ok(count) if count == self.text.len() => Ok(()),
            Ok(_) => Err(Trouble::Silent),
            Err(errno) => Err(Trouble::system(Act::Ask)(errno)),
        }
    }

    /// The answer, when all of it has come.
    pub(super) fn answer(&mut self) -> Result<Option<Answer>, Trouble> {
        let Some(stream) = &self.stream else { return Err(Trouble::Silent) };
        loop {
            // Of a long answer only the beginning matters.
            let mut spare = [0; 512];
            let rest = match self.received.get_mut(self.length..) {
                Some(rest) if !rest.is_empty() => rest,
                _ => &mut spare[..],
            };
            match recv(stream, rest, rustix::net::RecvFlags::empty()) {
                Ok((0, _)) => break,
                Ok((count, _)) => self.length = (self.length + count).min(ANSWER_BYTES_MAX),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(None),
                Err(errno) => {
                    self.stream = None;
                    return Err(Trouble::system(Act::Ask)(errno));
                }
            }
        }
        self.stream = None;
        parse(self.received.get(..self.length).unwrap_or_default()).map(Some)
    }

    /// Asks and waits; not while anything is frozen by whoever calls this.
    pub(super) fn ask_and_wait(&mut self, patience: Duration) -> Result<Answer, Trouble> {
        self.ask()?;
        let end = Moment::now().after(patience);
        while Moment::now() < end {
            if let Some(answer) = self.answer()? {
                // For the next time.
                self.connect()?;
                return Ok(answer);
            }
            thread::sleep(WAIT);
        }
        Err(Trouble::Silent)
    }
}

fn connected(address: &SocketAddrUnix) -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let stream = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    connect(&stream, address)?;
    Ok(stream)
}

fn parse(text: &[u8]) -> Result<Answer, Trouble> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut head = httparse::Response::new(&mut headers);
    let Ok(httparse::Status::Complete(length)) = head.parse(text) else {
        return Err(Trouble::Silent);
    };
    let mut body = [0; 2];
    for (to, from) in body.iter_mut().zip(text.get(length..).unwrap_or_default()) {
        *to = *from;
    }
    Ok(Answer { status: head.code.unwrap_or_default(), body })
}

const LISTED: u16 = 200;
const ANSWER_BYTES_MAX: usize = 2048;
const HEADERS_MAX: usize = 32;
const WAIT: Duration = Duration::from_micros(200);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_answer_the_status_and_the_beginning_count() {
        let text = "HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n[]\n";
        let answer = parse(text.as_bytes()).unwrap();
        assert_eq!(answer.lists_nothing(), Ok(true));
        let some = parse(text.replace("[]", "[{\"Id\":1}]").as_bytes()).unwrap();
        assert_eq!(some.lists_nothing(), Ok(false));
        let refused = parse(b"HTTP/1.1 500 Internal Server Error\r\nA: b\r\n\r\n[]").unwrap();
        assert_eq!(refused.lists_nothing(), Err(Trouble::Engine { status: 500 }));
    }

    #[test]
    fn what_is_cut_off_or_no_answer_is_none() {
        for text in ["", "HTTP/1.0 200", "HTTP/1.0 200 OK\r\nA: b\r\n", "hello\r\n\r\n"] {
            assert_eq!(parse(text.as_bytes()).unwrap_err(), Trouble::Silent, "{text}");
        }
    }
}
