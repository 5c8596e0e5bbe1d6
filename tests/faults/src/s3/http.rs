//! HTTP/1.1, as far as one client library needs it.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;

/// A request.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: String,
    /// The path and the query, as they came.
    pub(super) target: String,
    pub(super) path: String,
    /// Their names in lower case.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

/// An answer.
#[derive(Debug)]
pub(super) struct Response {
    status: u16,
    headers: String,
    body: Vec<u8>,
}

impl Request {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(found, _)| found == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(super) fn query(&self, name: &str) -> Option<String> {
        let (_, query) = self.target.split_once('?')?;
        let mut pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        pairs.find(|(found, _)| *found == name).map(|(_, value)| decode(value))
    }
}

impl Response {
    pub(super) fn status(status: u16) -> Self {
        let body = format!("<Error><Code>{status}</Code><Message>on purpose</Message></Error>");
        Self { status, headers: String::new(), body: body.into_bytes() }
    }

    pub(super) fn of(body: Vec<u8>) -> Self {
        Self { status: 200, headers: "ETag: \"1\"\r\n".into(), body }
    }

    pub(super) fn object(bytes: &[u8], range: Option<&str>) -> Self {
        let metadata = "ETag: \"1\"\r\nLast-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\n";
        let Some((start, end)) = range.and_then(|range| {
            let (start, end) = range.strip_prefix("bytes=")?.split_once('-')?;
            Some((start.parse::<usize>().ok()?, end.parse::<usize>().ok()? + 1))
        }) else {
            return Self { status: 200, headers: metadata.into(), body: bytes.to_vec() };
        };
        if start >= bytes.len() {
            return Self::status(416);
        }
        let end = end.min(bytes.len());
        let place = format!("Content-Range: bytes {start}-{}/{}\r\n", end - 1, bytes.len());
        let body = bytes[start..end].to_vec();
        Self { status: 206, headers: format!("{metadata}{place}"), body }
    }

    fn head(&self) -> String {
        let (status, length) = (self.status, self.body.len());
        format!("HTTP/1.1 {status} X\r\n{}Content-Length: {length}\r\n\r\n", self.headers)
    }
}

/// The next request of a connection; nothing at its end.
pub(super) fn read(mut connection: &TcpStream) -> Option<Request> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        connection.read_exact(&mut byte).ok()?;
        head.extend(byte);
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.lines();
    let mut first = lines.next()?.split(' ');
    let (method, target) = (first.next()?.to_owned(), first.next()?.to_owned());
    let header = |line: &str| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_lowercase(), value.trim().to_owned()))
    };
    let headers: Vec<_> = lines.filter_map(header).collect();
    let path = decode(target.split('?').next()?);
    let mut request = Request { method, target, path, headers, body: Vec::new() };
    let length = request.header("content-length").map_or(0, |length| length.parse().unwrap());
    request.body.resize(length, 0);
    connection.read_exact(&mut request.body).ok()?;
    Some(request)
}

pub(super) fn write(mut connection: &TcpStream, response: &Response) -> io::Result<()> {
    connection.write_all(&[response.head().as_bytes(), &response.body].concat())
}

/// All that belongs to the head, and half of the body.
pub(super) fn write_half(mut connection: &TcpStream, response: &Response) -> io::Result<()> {
    let half = &response.body[..response.body.len() / 2];
    connection.write_all(&[response.head().as_bytes(), half].concat())
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next().unwrap(), rest.next().unwrap()];
            let digits = str::from_utf8(&digits).unwrap();
            bytes.push(u8::from_str_radix(digits, 16).unwrap());
        } else {
            bytes.push(if byte == b'+' { b' ' } else { byte });
        }
    }
    String::from_utf8(bytes).unwrap()
}
