//! An HTTP/1.1 client that sends exactly what it is told: raw paths, repeated headers,
//! broken messages, and several requests over one connection.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(30);

/// A request. `Host` and, with a body, `Content-Length` are added unless they are there.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    /// The request target, sent as it is.
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: Option<Vec<u8>>,
}

impl Request {
    pub fn new(method: &str, target: &str) -> Request {
        Request {
            method: method.to_string(),
            target: target.to_string(),
            headers: Vec::new(),
            body: None,
        }
    }

    pub fn get(target: &str) -> Request {
        Request::new("GET", target)
    }

    /// A POST with a JSON body.
    pub fn post(target: &str, json: impl Into<Vec<u8>>) -> Request {
        Request::new("POST", target).json(json)
    }

    /// A PATCH with a JSON body.
    pub fn patch(target: &str, json: impl Into<Vec<u8>>) -> Request {
        Request::new("PATCH", target).json(json)
    }

    /// Adds a header; one of the same name stays.
    pub fn header(mut self, name: &str, value: &str) -> Request {
        self.headers.push((name.to_string(), value.to_string()));
        self
    }

    pub fn bearer(self, token: &str) -> Request {
        self.header("Authorization", &format!("Bearer {token}"))
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Request {
        self.body = Some(body.into());
        self
    }

    pub fn json(self, body: impl Into<Vec<u8>>) -> Request {
        self.header("Content-Type", "application/json").body(body)
    }

    fn has(&self, name: &str) -> bool {
        self.headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name))
    }

    /// The bytes of the message.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        if !self.has("Host") {
            head += "Host: localhost\r\n";
        }
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        let body = self.body.as_deref().unwrap_or_default();
        let framed = self.has("Content-Length") || self.has("Transfer-Encoding");
        if self.body.is_some() && !framed {
            head += &format!("Content-Length: {}\r\n", body.len());
        }
        [head.as_bytes(), b"\r\n", body].concat()
    }
}

/// A response, whole.
#[derive(Debug, Clone)]
pub struct Response {
    pub status: u16,
    /// What follows the status code.
    pub reason: String,
    /// Names as sent, values without the surrounding spaces.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    /// The value of the first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(given, _)| given.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// With the body, when it is something else.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("not JSON: {error}: {} {}", self.status, self.text()))
    }

    /// The `code` of an error's body, empty when there is none.
    pub fn code(&self) -> String {
        let document: Option<serde_json::Value> = serde_json::from_slice(&self.body).ok();
        let code = document.as_ref().and_then(|document| document["code"].as_str());
        code.unwrap_or_default().to_string()
    }
}

/// A connection, kept open between requests as long as the server keeps it.
#[derive(Debug)]
pub struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    /// A connection to a port of 127.0.0.1.
    pub fn open(port: u16) -> io::Result<Connection> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        Ok(Connection { stream: BufReader::new(stream) })
    }

    /// Sends a request and reads its response.
    pub fn send(&mut self, request: &Request) -> io::Result<Response> {
        self.write(&request.to_bytes())?;
        self.read(&request.method)
    }

    /// Sends bytes as they are.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// Reads the response to a request of that method, past any interim ones.
    pub fn read(&mut self, method: &str) -> io::Result<Response> {
        loop {
            let mut response = self.read_head()?;
            if (100..200).contains(&response.status) {
                continue;
            }
            if method != "HEAD" && response.status != 204 && response.status != 304 {
                response.body = self.read_body(&response)?;
            }
            return Ok(response);
        }
    }

    /// A response without its body.
    fn read_head(&mut self) -> io::Result<Response> {
        let line = self.read_line()?;
        let parse = || {
            let mut parts = line.strip_prefix("HTTP/1.")?.splitn(3, ' ').skip(1);
            Some((parts.next()?.parse().ok()?, parts.next().unwrap_or_default().to_string()))
        };
        let (status, reason) =
            parse().ok_or_else(|| invalid(format!("not a status line: {line:?}")))?;
        let mut headers = Vec::new();
        loop {
            let line = self.read_line()?;
            if line.is_empty() {
                return Ok(Response { status, reason, headers, body: Vec::new() });
            }
            let (name, value) =
                line.split_once(':').ok_or_else(|| invalid(format!("not a header: {line:?}")))?;
            headers.push((name.to_string(), value.trim_matches([' ', '\t']).to_string()));
        }
    }

    fn read_line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line)?;
        match line.strip_suffix(b"\r\n") {
            Some(text) => Ok(String::from_utf8_lossy(text).into_owned()),
            None if line.is_empty() => Err(io::ErrorKind::UnexpectedEof.into()),
            None => Err(invalid(format!("a line without CRLF: {line:?}"))),
        }
    }

    fn read_body(&mut self, response: &Response) -> io::Result<Vec<u8>> {
        if response.header("Transfer-Encoding").is_some_and(|c| c.eq_ignore_ascii_case("chunked")) {
            return self.read_chunks();
        }
        let mut body = Vec::new();
        match response.header("Content-Length") {
            Some(length) => {
                let length = length.parse().map_err(|_| invalid(format!("length {length:?}")))?;
                body.resize(length, 0);
                self.stream.read_exact(&mut body)?;
            }
            None => {
                self.stream.read_to_end(&mut body)?;
            }
        }
        Ok(body)
    }

    fn read_chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.read_line()?;
            let size = line.split(';').next().unwrap_or_default().trim();
            let size = usize::from_str_radix(size, 16)
                .map_err(|_| invalid(format!("chunk size {line:?}")))?;
            let start = body.len();
            body.resize(start + size, 0);
            self.stream.read_exact(&mut body[start..])?;
            let end = self.read_line()?;
            if !end.is_empty() {
                return Err(invalid(format!("after a chunk: {end:?}")));
            }
            if size == 0 {
                return Ok(body);
            }
        }
    }
}

/// Sends the bytes of one request over a new connection, and reads its response.
pub fn exchange(port: u16, request: &[u8], method: &str) -> io::Result<Response> {
    let mut connection = Connection::open(port)?;
    // A server may answer and close before it has read everything.
    let written = connection.write(request);
    connection.read(method).map_err(|error| written.err().unwrap_or(error))
}

fn invalid(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}
