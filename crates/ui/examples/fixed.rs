//! Serves the fixed views on loopback, so that pages can be looked at and the browser tests run without the
//! service: `cargo run -p waybill-ui --example fixed -- 127.0.0.1:8190`.
#![allow(clippy::print_stdout, clippy::indexing_slicing, clippy::unwrap_used)]

#[path = "../tests/fixed/mod.rs"]
mod fixed;

use fixed::{order, others, search};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use waybill_ui::assets::{CONTENT_SECURITY_POLICY, STATIC_CACHE_CONTROL, STATIC_PREFIX};
use waybill_ui::model::State;
use waybill_ui::pages::problem::{NotFoundView, ProblemView, not_found, problem};
use waybill_ui::pages::{order as order_page, search as search_page};
use waybill_ui::time::{Day, Stamp};

struct Reply {
    status: &'static str,
    content_type: &'static str,
    cache: &'static str,
    body: Vec<u8>,
}

fn page(status: &'static str, html: String) -> Reply {
    Reply { status, content_type: "text/html; charset=utf-8", cache: "no-cache", body: html.into_bytes() }
}

fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8190".into());
    let listener = TcpListener::bind(&address)?;
    println!("http://{}/", listener.local_addr()?);
    for stream in listener.incoming() {
        let stream = stream?;
        std::thread::spawn(move || serve(stream));
    }
    Ok(())
}

fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
            break;
        }
    }
    let target = first.split(' ').nth(1).unwrap_or("/");
    let reply = answer(target);
    write!(
        stream,
        "HTTP/1.1 {}\r\ncontent-type: {}\r\ncache-control: {}\r\ncontent-security-policy: {CONTENT_SECURITY_POLICY}\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n",
        reply.status,
        reply.content_type,
        reply.cache,
        reply.body.len()
    )?;
    stream.write_all(&reply.body)
}

fn answer(target: &str) -> Reply {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let param = |name: &str| {
        query.split('&').filter_map(|p| p.split_once('=')).find(|(k, _)| *k == name).map(|(_, v)| decode(v))
    };
    let fragment = param("fragment").is_some();
    let as_of = match param("as_of").map(|t| parse(&t).ok_or(t)) {
        None => None,
        Some(Ok(t)) => Some(t),
        Some(Err(t)) => return page("400 Bad Request", problem(&bad_moment(&t))),
    };
    if let Some(name) = path.strip_prefix(STATIC_PREFIX) {
        return match waybill_ui::static_file(name) {
            Some((content_type, bytes)) => {
                Reply { status: "200 OK", content_type, cache: STATIC_CACHE_CONTROL, body: bytes.to_vec() }
            }
            None => page("404 Not Found", String::new()),
        };
    }
    if let Some(id) = path.strip_prefix("/v1/track/") {
        return json(&decode(id), as_of);
    }
    if let Some(id) = path.strip_prefix("/orders/") {
        let view = match decode(id).as_str() {
            order::ID => order::view(as_of),
            "PO-4" => others::old(),
            "BARE" => others::bare(),
            "INCOMPLETE" => others::incomplete(),
            "STALE" => order::view(None).tap(|v| v.frame = fixed::stale_frame()),
            "HOSTILE" => fixed::hostile::order_view(),
            other => return page("404 Not Found", not_found(&missing(other))),
        };
        return page(
            "200 OK",
            if fragment { order_page::fragment(&view) } else { order_page::document(&view) },
        );
    }
    let view = match param("q").as_deref() {
        Some("2565") => search::results(),
        Some("EMPTY") => search::empty(),
        Some("HOSTILE") => fixed::hostile::search_view(true),
        Some(q) if !q.is_empty() => search::no_match().tap(|v| v.query = Some(q.to_owned())),
        _ => search::overview(),
    };
    page("200 OK", if fragment { search_page::fragment(&view) } else { search_page::document(&view) })
}

trait Tap: Sized {
    fn tap(mut self, f: impl FnOnce(&mut Self)) -> Self {
        f(&mut self);
        self
    }
}

impl<T> Tap for T {}

fn missing(id: &str) -> NotFoundView {
    NotFoundView { frame: fixed::frame(), id: id.into(), searched: search::searched() }
}

fn bad_moment(text: &str) -> ProblemView {
    ProblemView {
        frame: fixed::frame(),
        status: 400,
        title: "The moment could not be read".into(),
        detail: Some(format!("as_of={text} is not a time")),
        hint: Some("Write it like 2015-03-20T12:00:00Z.".into()),
    }
}

/// The part of `GET /v1/track/{id}` that the browser tests compare with.
fn json(id: &str, as_of: Option<Stamp>) -> Reply {
    if id != order::ID {
        let body = br#"{"title":"not found"}"#.to_vec();
        return Reply {
            status: "404 Not Found",
            content_type: "application/problem+json",
            cache: "no-cache",
            body,
        };
    }
    let a = order::answer(as_of.unwrap_or(fixed::NOW));
    let day = |d: Option<Day>| d.map_or("null".to_owned(), |d| format!("\"{d}\""));
    let late = a.days_late.map_or("null".to_owned(), |n| n.to_string());
    let state = match a.state {
        State::Ordered => "ordered",
        State::InTransit => "in_transit",
        State::PartiallyDelivered => "partially_delivered",
        State::Delivered => "delivered",
        State::Cancelled => "cancelled",
        State::Unknown => "unknown",
    };
    let history: Vec<String> = order::told()
        .iter()
        .filter(|t| **t <= as_of.unwrap_or(fixed::NOW))
        .map(|t| format!("{{\"record_time\":\"{}\"}}", t.rfc3339()))
        .collect();
    let body = format!(
        "{{\"id\":\"{id}\",\"kind\":\"order\",\"state\":\"{state}\",\"promised\":{},\"estimated\":{},\"delivered\":{},\
         \"days_late\":{late},\"history\":[{}]}}",
        day(a.promised),
        day(a.estimated),
        day(a.delivered),
        history.join(",")
    );
    Reply { status: "200 OK", content_type: "application/json", cache: "no-cache", body: body.into_bytes() }
}

fn decode(s: &str) -> String {
    let bytes = s.as_bytes();
    let mut out = Vec::new();
    let mut i = 0;
    while i < bytes.len() {
        let hex = (bytes[i] == b'%')
            .then(|| s.get(i + 1..i + 3))
            .flatten()
            .and_then(|h| u8::from_str_radix(h, 16).ok());
        out.push(hex.unwrap_or(if bytes[i] == b'+' { b' ' } else { bytes[i] }));
        i += if hex.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// `2015-03-20T12:00:00[.000]Z`.
fn parse(s: &str) -> Option<Stamp> {
    let (date, time) = s.strip_suffix('Z')?.split_once('T')?;
    let mut d = date.splitn(3, '-').map(|n| n.parse::<i64>().ok());
    let day = Day::from_civil(d.next()??, d.next()??, d.next()??);
    let (clock, ms) = time.split_once('.').unwrap_or((time, "0"));
    let mut c = clock.splitn(3, ':').map(|n| n.parse::<i64>().ok());
    let (h, m) = (c.next()??, c.next()??);
    let sec = c.next().flatten().unwrap_or(0);
    Some(Stamp(day.start().0 + ((h * 60 + m) * 60 + sec) * 1000 + ms.parse::<i64>().ok()?))
}
