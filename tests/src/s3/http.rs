//! HTTP/1.1 as far as S3 clients need it: bodies with a length, connections that are kept.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;

/// The longest body that is taken.
const LONGEST: usize = 128 << 20;

pub(super) struct Request {
    pub(super) method: String,
    /// Decoded, without the slash at its begin.
    pub(super) path: String,
    query: Vec<(String, String)>,
    headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Request {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

pub(super) struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    /// The length that is told; of a HEAD, that of what a GET would carry.
    length: usize,
}

impl Answer {
    pub(super) fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new(), length: 0 }
    }

    pub(super) fn header(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    pub(super) fn body(mut self, body: Vec<u8>) -> Self {
        (self.length, self.body) = (body.len(), body);
        self
    }

    pub(super) fn xml(self, text: String) -> Self {
        self.header("Content-Type", "application/xml".to_owned()).body(text.into_bytes())
    }

    pub(super) fn without_body(mut self) -> Self {
        self.body.clear();
        self
    }
}

/// Answers requests of a connection until it closes.
pub(super) fn serve(connection: &TcpStream, answer: impl Fn(Request) -> Answer) -> io::Result<()> {
    connection.set_nodelay(true)?;
    let mut reader = BufReader::new(connection);
    while let Some(request) = read(&mut reader)? {
        let answer = answer(request);
        let mut head = format!("HTTP/1.1 {} -\r\n", answer.status);
        for (name, value) in &answer.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if answer.status != 204 {
            head.push_str(&format!("Content-Length: {}\r\n", answer.length));
        }
        head.push_str("\r\n");
        let mut whole = head.into_bytes();
        whole.extend_from_slice(&answer.body);
        (&*connection).write_all(&whole)?;
    }
    Ok(())
}

fn read(reader: &mut BufReader<&TcpStream>) -> io::Result<Option<Request>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace();
    let (Some(method), Some(target)) = (words.next(), words.next()) else {
        return Err(io::Error::other("no request line"));
    };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut request = Request {
        method: method.to_owned(),
        path: decode(path.trim_start_matches('/').trim_end_matches('/')),
        query: query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, ""))).map(pair).collect(),
        headers: Vec::new(),
        body: Vec::new(),
    };
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        request.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = request.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    if length > LONGEST {
        return Err(io::Error::other("a body that is too long"));
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    request.body = body;
    Ok(Some(request))
}

fn pair((key, value): (&str, &str)) -> (String, String) {
    (decode(key), decode(value))
}

/// Undoes percent signs.
fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let code = behind.get(..2).and_then(|code| std::str::from_utf8(code).ok());
        let code = code.filter(|_| *first == b'%').and_then(|code| u8::from_str_radix(code, 16).ok());
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() { behind.get(2..).unwrap_or_default() } else { behind };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
