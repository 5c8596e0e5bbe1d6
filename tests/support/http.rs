//! The service asked over HTTP, without any library of ours in between.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

pub mod tls;

const PATIENCE: Duration = Duration::from_secs(40);

/// What is asked.
#[derive(Clone, Debug)]
#[must_use = "nobody has asked yet"]
pub struct Request {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Option<String>,
}

/// What is answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The head, as it was sent.
    pub head: String,
    /// The body.
    pub body: String,
}

impl Request {
    /// One of this method.
    pub fn new(method: &str, path: &str) -> Self {
        let (method, path) = (method.to_owned(), path.to_owned());
        Self { method, path, headers: Vec::new(), body: None }
    }

    /// With a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With a token.
    pub fn token(self, token: &str) -> Self {
        self.header("Authorization", &format!("Bearer {token}"))
    }

    /// With a body.
    pub fn json(mut self, body: &Value) -> Self {
        self.body = Some(body.to_string());
        self.header("Content-Type", "application/json")
    }

    /// With this text for a body, whatever it is.
    pub fn body(mut self, text: &str) -> Self {
        self.body = Some(text.to_owned());
        self.header("Content-Type", "application/json")
    }

    /// Sends it.
    pub fn send(&self, mut stream: impl Write) -> io::Result<()> {
        let body = self.body.as_deref().unwrap_or_default();
        let mut text = Vec::new();
        write!(text, "{} {} HTTP/1.1\r\nHost: localhost\r\n", self.method, self.path)?;
        for (name, value) in &self.headers {
            write!(text, "{name}: {value}\r\n")?;
        }
        if self.body.is_some() {
            write!(text, "Content-Length: {}\r\n", body.len())?;
        }
        if !self.headers.iter().any(|(name, _)| name == "Connection") {
            write!(text, "Connection: close\r\n")?;
        }
        write!(text, "\r\n{body}")?;
        stream.write_all(&text)?;
        stream.flush()
    }

    /// Sends it, and waits for the answer.
    pub fn ask(&self, mut stream: impl Read + Write) -> io::Result<Answer> {
        // Where it is too long, the answer comes before its end.
        let sent = self.send(&mut stream);
        let mut answer = Vec::new();
        match stream.read_to_end(&mut answer) {
            // Whoever has all of it does not mind how the connection ends.
            Err(error) if answer.is_empty() => return Err(error),
            _ => {}
        }
        let answer = String::from_utf8_lossy(&answer);
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
        let Some(status) = status else {
            return Err(sent.err().unwrap_or_else(|| io::ErrorKind::InvalidData.into()));
        };
        Ok(Answer { status, head: head.to_owned(), body: body.to_owned() })
    }

    /// Asks on a Unix socket.
    pub fn ask_on(&self, socket: &Path) -> io::Result<Answer> {
        self.ask(connect(socket)?)
    }
}

impl Answer {
    /// The body; it has to be JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let headers = self.head.lines().filter_map(|line| line.split_once(": "));
        headers.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, it)| it)
    }
}

/// A connection to a Unix socket on which nobody waits for ever.
pub fn connect(socket: &Path) -> io::Result<UnixStream> {
    let stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// What is answered on a Unix socket: the status and the body.
pub fn get(socket: &Path, path: &str) -> io::Result<(u16, String)> {
    let answer = Request::new("GET", path).ask_on(socket)?;
    Ok((answer.status, answer.body))
}

/// The same at an address.
pub fn get_at(address: SocketAddr, path: &str) -> io::Result<(u16, String)> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let answer = Request::new("GET", path).ask(stream)?;
    Ok((answer.status, answer.body))
}

/// The value of a series, such as `stillpoint_runs_total{task="backup"}`, whose labels may be only some of
/// those that it has; the sum where several fit.
pub fn value(metrics: &str, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let fits = |line: &&str| {
        let series = line.split(['{', ' ']).next();
        series == Some(name)
            && labels.iter().all(|(key, value)| line.contains(&format!("{key}=\"{value}\"")))
    };
    let number = |line: &str| line.rsplit(' ').next().and_then(|number| number.parse::<f64>().ok());
    metrics.lines().filter(fits).filter_map(number).reduce(|sum, value| sum + value)
}
