//! `http://` and `https://` by ureq, with rustls and the system's certificates (RFC 9110).
//!
//! Redirects are followed here and not by ureq: the address that they lead to is asked from then on, since a
//! mirror service may lead elsewhere the next time, and https never leads to http. What a redirect led to may
//! expire (a signed address); then the first address is asked again.

use super::body::Trouble;
use super::{Address, Failure, Opened, Patience, Pin, Ranges, changed};
use crate::error::{Error, ErrorKind, Result};
use std::io::{self, Read};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use ureq::http::{Response, StatusCode, header};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Body, Proxy};

/// Fetched with the first request: the system area, the descriptors, and mostly the path tables and the root.
const FIRST: u64 = 64 << 10;
/// Redirects in a row.
const REDIRECTS: usize = 10;
/// The longest file that [`text`] fetches.
const TEXT: u64 = 16 << 20;

/// Time limits.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// For finding the host, and for each connection.
    pub connect: Duration,
    /// From a request to the end of the answer's head.
    pub head: Duration,
    /// For each read.
    pub read: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Limits { connect: seconds(20), head: seconds(60), read: seconds(30) }
    }
}

/// The proxies, by the scheme of what is asked for.
#[derive(Clone, Default)]
pub struct Proxies {
    /// For `http://`.
    pub http: Option<Proxy>,
    /// For `https://`.
    pub https: Option<Proxy>,
}

impl Proxies {
    /// From their URLs; hosts in `without`, parted by commas, go without, as do those below `.domain`.
    ///
    /// # Errors
    /// `Usage` for what is no proxy's URL.
    pub fn new(http: Option<&str>, https: Option<&str>, without: &str) -> Result<Proxies> {
        let one = |url: &str| {
            let bad = |e| {
                Error::usage("the proxy's URL can't be used")
                    .because(e)
                    .hint("HTTPS_PROXY, HTTP_PROXY and ALL_PROXY take http://host:port")
            };
            let p = Proxy::new(url).map_err(bad)?;
            let mut b = Proxy::builder(p.protocol()).host(p.host()).port(p.port());
            if let Some(u) = p.username() {
                b = b.username(u);
            }
            if let Some(w) = p.password() {
                b = b.password(w);
            }
            let hosts = without.split(',').map(str::trim).filter(|h| !h.is_empty());
            hosts.fold(b, |b, host| b.no_proxy(host)).build().map_err(bad)
        };
        Ok(Proxies { http: http.map(one).transpose()?, https: https.map(one).transpose()? })
    }
}

/// A file on a web server.
pub struct Http {
    address: Address,
    name: String,
    limits: Limits,
    /// Where redirects led to.
    place: Mutex<Address>,
    plain: Agent,
    secure: Agent,
}

impl Http {
    /// For `address`; nothing is sent yet.
    pub fn new(address: Address, limits: Limits, proxies: &Proxies) -> Http {
        Http {
            name: address.shown(),
            limits,
            place: Mutex::new(address.clone()),
            address,
            plain: agent(limits, proxies.http.clone()),
            secure: agent(limits, proxies.https.clone()),
        }
    }

    fn place(&self) -> Address {
        self.place.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sends one request, and follows where it leads.
    fn ask(
        &self,
        from: &Address,
        range: Option<&Range<u64>>,
        pin: Option<&Pin>,
    ) -> Result<Response<Body>, Failure> {
        let mut at = from.clone();
        for _ in 0..=REDIRECTS {
            let agent = match at.scheme() {
                super::Scheme::Https => &self.secure,
                _ => &self.plain,
            };
            let mut request = agent.get(at.url());
            if let Some(r) = range {
                request = request.header(header::RANGE, format!("bytes={}-{}", r.start, r.end - 1));
            }
            if let (Some(_), Some(version)) = (range, pin.and_then(Pin::version)) {
                request = request.header(header::IF_RANGE, version);
            }
            if let Some(a) = at.authorization() {
                request = request.header(header::AUTHORIZATION, a);
            }
            let answer = request.call().map_err(unanswered)?;
            if !matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
                *self.place.lock().unwrap_or_else(PoisonError::into_inner) = at;
                return Ok(answer);
            }
            let location = header_of(&answer, header::LOCATION);
            let location = location.ok_or_else(|| refused("is redirected to nowhere"))?;
            at = at.follow(&location)?;
        }
        Err(refused("is redirected in circles").into())
    }

    fn small(&self, patience: &Patience) -> Result<Vec<u8>, Failure> {
        patience.go_on()?;
        let answer = self.ask(&self.address, None, None)?;
        if answer.status() != StatusCode::OK {
            return Err(status(&answer, false));
        }
        let bytes = within(answer.into_body().into_reader().take(TEXT + 1), self.limits.head)?;
        match bytes.len() as u64 > TEXT {
            true => Err(Error::unsupported(format!("longer than {TEXT} bytes")).into()),
            false => Ok(bytes),
        }
    }
}

/// All that comes, which has to be there within `time`: each read by itself has its limit, and a server that
/// sends a byte now and then would keep to that.
fn within(mut body: impl Read, time: Duration) -> Result<Vec<u8>, Failure> {
    let since = Instant::now();
    let (mut bytes, mut buf) = (Vec::new(), vec![0; 16 << 10]);
    loop {
        match body.read(&mut buf) {
            Ok(0) => return Ok(bytes),
            Ok(n) => bytes.extend_from_slice(&buf[..n]),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(Failure::again("the connection broke", e)),
        }
        if since.elapsed() > time {
            let what = format!("the server sent only {} bytes in {time:?}", bytes.len());
            return Err(Failure::from_again(refused(&what)));
        }
    }
}

/// The whole of a small file: a list of checksums, a signature.
///
/// # Errors
/// Those of the server; `Unsupported` above 16 MiB.
pub fn text(http: &Http, patience: &Patience) -> Result<Vec<u8>> {
    let patience = Patience { attempts: patience.attempts.min(3), ..*patience };
    let mut trouble = Trouble::default();
    loop {
        match http.small(&patience) {
            Ok(bytes) => return Ok(bytes),
            Err(f) => trouble.met(f, &patience)?,
        }
    }
}

fn agent(limits: Limits, proxy: Option<Proxy>) -> Agent {
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::PlatformVerifier)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .build();
    Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .user_agent(concat!("isowright/", env!("CARGO_PKG_VERSION")))
        .accept("*/*")
        // Ranges are of what lies there, not of what would be packed for the way.
        .accept_encoding("identity")
        .proxy(proxy)
        .tls_config(tls)
        .timeout_resolve(Some(limits.connect))
        .timeout_connect(Some(limits.connect))
        .timeout_recv_response(Some(limits.head))
        .timeout_per_read(Some(limits.read))
        .timeout_per_write(Some(limits.read))
        .build()
        .into()
}

fn header_of(answer: &Response<Body>, name: header::HeaderName) -> Option<String> {
    answer.headers().get(name)?.to_str().ok().map(str::to_owned)
}

fn refused(what: &str) -> Error {
    Error::new(ErrorKind::Remote, what)
}

/// There is no answer at all.
fn unanswered(e: ureq::Error) -> Failure {
    use ureq::Error as U;
    let hint = match &e {
        U::HostNotFound => "check the host's name; HTTPS_PROXY, HTTP_PROXY and NO_PROXY are heeded",
        U::Tls(_) | U::Rustls(_) => "the certificate is checked with those of the system",
        U::ConnectProxyFailed(_) => "HTTPS_PROXY, HTTP_PROXY and NO_PROXY say which proxy is asked",
        U::Io(io) if is_tls(io) => "the certificate is checked with those of the system",
        U::LargeResponseHeader(..) | U::Protocol(_) | U::Http(_) | U::BadUri(_) => {
            "it may be no web server"
        }
        _ => return Failure::again("no answer", e),
    };
    refused("no answer").because(e).hint(hint).into()
}

fn is_tls(e: &io::Error) -> bool {
    e.get_ref().is_some_and(|e| e.is::<rustls::Error>())
}

/// An answer that is neither the bytes nor a redirect.
fn status(answer: &Response<Body>, pinned: bool) -> Failure {
    let code = answer.status();
    let what = format!("the server answers {code}");
    let error = |kind| Error::new(kind, what.clone());
    match code.as_u16() {
        404 | 410 => error(ErrorKind::NotFound).hint("check the address").into(),
        401 | 403 => {
            let hint = "https://user:password@host/… is how a password is given";
            error(ErrorKind::Remote).hint(hint).into()
        }
        412 | 416 if pinned => changed(what).into(),
        416 => Error::new(ErrorKind::Corrupt, "is empty").into(),
        408 | 429 | 500 | 502..=504 | 506..=599 => {
            let wish = header_of(answer, header::RETRY_AFTER).and_then(|t| t.trim().parse().ok());
            Failure::Again { error: error(ErrorKind::Remote), after: wish.map(Duration::from_secs) }
        }
        _ => error(ErrorKind::Remote).into(),
    }
}

/// RFC 9110, section 14.4: `bytes 0-499/1234`. First byte, the one behind the last, and the whole length.
fn content_range(answer: &Response<Body>) -> Option<(Range<u64>, u64)> {
    let text = header_of(answer, header::CONTENT_RANGE)?;
    let (range, len) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last, len): (u64, u64, u64) =
        (first.trim().parse().ok()?, last.trim().parse().ok()?, len.trim().parse().ok()?);
    (first <= last && last < len).then_some((first..last + 1, len))
}

fn content_length(answer: &Response<Body>) -> Option<u64> {
    header_of(answer, header::CONTENT_LENGTH)?.trim().parse().ok()
}

fn pin_of(answer: &Response<Body>, len: u64) -> Pin {
    Pin {
        len,
        etag: header_of(answer, header::ETAG),
        modified: header_of(answer, header::LAST_MODIFIED),
    }
}

/// What the answer says of the version, against the pinned one.
fn same(answer: &Response<Body>, pin: &Pin) -> Result<()> {
    let told = |name, was: &Option<String>, now: Option<String>, must: bool| match (was, now) {
        (Some(was), Some(now)) if *was != now => {
            Err(changed(format!("{name} was {was}, is {now}")))
        }
        (Some(_), None) if must => Err(changed(format!("{name} is gone"))),
        _ => Ok(()),
    };
    let etag = header_of(answer, header::ETAG);
    let same_etag = etag.is_some();
    told("its ETag", &pin.etag, etag, true)?;
    // RFC 9110, section 15.3.7: beside an ETag it may be left out.
    let modified = header_of(answer, header::LAST_MODIFIED);
    told("its Last-Modified", &pin.modified, modified, !same_etag)
}

/// The bytes of a 206, which are those of `range` or fewer.
fn part(
    answer: Response<Body>,
    range: &Range<u64>,
) -> Result<(Box<dyn Read + Send>, u64), Failure> {
    let (got, len) = content_range(&answer).ok_or_else(|| {
        refused(
            "the server's Content-Range can't be read: it sends other parts than it was asked for",
        )
    })?;
    if got.start != range.start || got.end > range.end {
        let what = format!("bytes {}-{} were asked for", range.start, range.end - 1);
        return Err(refused(&format!("{what}, {}-{} are sent", got.start, got.end - 1)).into());
    }
    if header_of(&answer, header::CONTENT_ENCODING)
        .is_some_and(|e| !e.eq_ignore_ascii_case("identity"))
    {
        return Err(refused("the server sends the part packed (Content-Encoding)").into());
    }
    let told = content_length(&answer);
    let n = got.end - got.start;
    if told.is_some_and(|t| t != n) {
        let what = format!("Content-Length and Content-Range disagree, over {n} bytes");
        return Err(Failure::from_again(refused(&what)));
    }
    let body = Exact { inner: answer.into_body().into_reader(), left: n, framed: told.is_some() };
    Ok((Box::new(body), len))
}

/// So many bytes and no more; the connection goes back to the others when they are through.
struct Exact<R> {
    inner: R,
    left: u64,
    framed: bool,
}

impl<R: Read> Read for Exact<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.left.min(buf.len() as u64) as usize;
        let n = self.inner.read(&mut buf[..n])?;
        self.left -= n as u64;
        if self.left == 0 && self.framed && n > 0 {
            // Where its end is known this waits for nothing.
            let _ = self.inner.read(&mut [0]);
        }
        Ok(n)
    }
}

impl Ranges for Http {
    fn name(&self) -> &str {
        &self.name
    }

    fn open(&self) -> Result<Opened, Failure> {
        let range = 0..FIRST;
        let answer = self.ask(&self.address, Some(&range), None)?;
        match answer.status().as_u16() {
            206 => {
                let (etag, modified) =
                    (header_of(&answer, header::ETAG), header_of(&answer, header::LAST_MODIFIED));
                let (body, len) = part(answer, &range)?;
                let first = within(body, self.limits.head)?;
                Ok(Opened::Parts { pin: Pin { len, etag, modified }, first })
            }
            200 => {
                let pin = pin_of(&answer, content_length(&answer).unwrap_or(0));
                Ok(Opened::Whole { pin, body: Box::new(answer.into_body().into_reader()) })
            }
            _ => Err(status(&answer, false)),
        }
    }

    fn get(&self, range: Range<u64>, pin: &Pin) -> Result<Box<dyn Read + Send>, Failure> {
        let place = self.place();
        let mut answer = self.ask(&place, Some(&range), Some(pin))?;
        if matches!(answer.status().as_u16(), 401 | 403 | 404 | 410) && place != self.address {
            answer = self.ask(&self.address, Some(&range), Some(pin))?;
        }
        match answer.status().as_u16() {
            206 => {
                same(&answer, pin)?;
                let (body, len) = part(answer, &range)?;
                match len == pin.len {
                    true => Ok(body),
                    false => {
                        Err(changed(format!("it had {} bytes, and has {len}", pin.len)).into())
                    }
                }
            }
            200 => {
                same(&answer, pin)?;
                let len = content_length(&answer);
                if let Some(len) = len.filter(|l| *l != pin.len) {
                    return Err(changed(format!("it had {} bytes, and has {len}", pin.len)).into());
                }
                let what = "the server sends the whole file where it was asked for a part";
                Err(refused(what)
                    .hint("it did send parts before: try again, or download it")
                    .into())
            }
            _ => Err(status(&answer, true)),
        }
    }
}
