//! A server on the loopback interface that speaks as much S3 as a repository needs, and misbehaves
//! when it is told to: what HTTP makes of a fault, and what the client library makes of that.

mod http;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{TcpListener, TcpStream};
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::path::Path;
use object_store::{BackoffConfig, ClientOptions, RetryConfig};
use repository::store::MaintainStore;
use repository::store::remote::RemoteStore;
use sha2::{Digest as _, Sha256};

use self::http::{Request, Response};

/// How many objects a page of a listing has.
const PAGE: usize = 3;
/// How long the client waits for an answer.
const CLIENT_TIMEOUT: Duration = Duration::from_millis(300);

/// What goes wrong with one request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Trouble {
    /// Nothing is done, and this status is the answer: 409, 429, 500, 503.
    Status(u16),
    /// It is done, and this status is the answer: a 412 for our own write, a 500 too late.
    Late(u16),
    /// The connection is cut before anything is done.
    CutBefore,
    /// It is done, and the connection is cut before the answer.
    CutAfter,
    /// The connection is cut in the middle of the answer's body.
    CutBody,
    /// It is done, and the answer comes after the client's patience has ended.
    Slow,
    /// The whole object is the answer to a question for a range.
    NoRange,
    /// A page of a listing is left out.
    DroppedPage,
    /// A page of a listing comes twice.
    RepeatedPage,
    /// A bit of the body of a request is another when it arrives.
    FlippedUpload,
}

/// The server; it ends with the process.
#[derive(Debug)]
pub struct S3 {
    shared: Arc<Shared>,
    port: u16,
}

#[derive(Debug)]
struct Shared {
    objects: Mutex<BTreeMap<String, Vec<u8>>>,
    plan: Mutex<Plan>,
}

#[derive(Debug)]
struct Plan {
    trouble: Option<(Trouble, Range<u64>)>,
    /// Requests so far that it can happen to.
    seen: u64,
    struck: Vec<String>,
}

impl S3 {
    /// A server with an empty bucket. The trouble comes with these requests, of those that it can
    /// happen to.
    pub fn start(trouble: Option<(Trouble, Range<u64>)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let plan = Mutex::new(Plan { trouble, seen: 0, struck: Vec::new() });
        let shared = Arc::new(Shared { objects: Mutex::default(), plan });
        let serving = Arc::clone(&shared);
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let shared = Arc::clone(&serving);
                std::thread::spawn(move || shared.serve(&connection));
            }
        });
        Self { shared, port }
    }

    /// A store in its bucket, as `Location::open` makes one, but less patient.
    pub fn store(&self) -> Arc<dyn MaintainStore> {
        let backoff = BackoffConfig {
            init_backoff: Duration::from_millis(1),
            max_backoff: Duration::from_millis(5),
            base: 2.0,
        };
        let retry = RetryConfig { backoff, max_retries: 4, retry_timeout: Duration::from_secs(20) };
        let options = ClientOptions::new().with_allow_http(true).with_timeout(CLIENT_TIMEOUT);
        let objects = AmazonS3Builder::new()
            .with_endpoint(format!("http://127.0.0.1:{}", self.port))
            .with_bucket_name("bucket")
            .with_region("here")
            .with_access_key_id("key")
            .with_secret_access_key("secret")
            .with_client_options(options)
            .with_retry(retry)
            .build()
            .unwrap();
        Arc::new(RemoteStore::new(Arc::new(objects), Path::from("a/b"), "s3".into()))
    }

    /// No more trouble from now on.
    pub fn calm(&self) {
        self.shared.plan.lock().unwrap().trouble = None;
    }

    /// The requests that met trouble.
    pub fn struck(&self) -> Vec<String> {
        self.shared.plan.lock().unwrap().struck.clone()
    }
}

impl Trouble {
    fn applies_to(self, request: &Request) -> bool {
        let put = request.method == "PUT";
        let list = request.method == "GET" && request.query("list-type").is_some();
        let get = request.method == "GET" && !list;
        match self {
            Self::Status(409) | Self::Late(_) | Self::FlippedUpload => put,
            Self::CutBody => get || list,
            Self::NoRange => get && request.header("range").is_some(),
            Self::DroppedPage | Self::RepeatedPage => list,
            _ => true,
        }
    }
}

impl Shared {
    fn serve(&self, connection: &TcpStream) {
        while let Some(mut request) = http::read(connection) {
            let trouble = self.trouble(&request);
            match trouble {
                Some(Trouble::CutBefore) => return,
                Some(Trouble::Status(status)) => {
                    if http::write(connection, &Response::status(status)).is_err() {
                        return;
                    }
                    continue;
                }
                Some(Trouble::NoRange) => request.headers.retain(|(name, _)| name != "range"),
                Some(Trouble::FlippedUpload) => {
                    request.body.iter_mut().take(1).for_each(|byte| *byte ^= 1);
                }
                _ => {}
            }
            let response = self.answer(&request, trouble);
            let sent = match trouble {
                Some(Trouble::CutAfter) => return,
                Some(Trouble::CutBody) => return drop(http::write_half(connection, &response)),
                Some(Trouble::Slow) => {
                    std::thread::sleep(CLIENT_TIMEOUT * 2);
                    return;
                }
                Some(Trouble::Late(status)) => http::write(connection, &Response::status(status)),
                _ => http::write(connection, &response),
            };
            if sent.is_err() {
                return;
            }
        }
    }

    fn trouble(&self, request: &Request) -> Option<Trouble> {
        let mut plan = self.plan.lock().unwrap();
        let (trouble, at) = plan.trouble.clone()?;
        if !trouble.applies_to(request) {
            return None;
        }
        let number = plan.seen;
        plan.seen += 1;
        at.contains(&number).then(|| {
            plan.struck
                .push(format!("{trouble:?} {number}: {} {}", request.method, request.target));
            trouble
        })
    }

    fn answer(&self, request: &Request, trouble: Option<Trouble>) -> Response {
        let mut objects = self.objects.lock().unwrap();
        let key = request.path.strip_prefix("/bucket/").unwrap_or_default().to_owned();
        match request.method.as_str() {
            // Also the test of incident after incident: what arrives must be what was sent.
            "PUT"
                if request.header("x-amz-content-sha256") != Some(hex(&request.body).as_str()) =>
            {
                Response::status(400)
            }
            "PUT" if request.header("if-none-match") == Some("*") && objects.contains_key(&key) => {
                Response::status(412)
            }
            "PUT" => {
                objects.insert(key, request.body.clone());
                Response::of(Vec::new())
            }
            "POST" => {
                let body = String::from_utf8(request.body.clone()).unwrap();
                let mut xml = String::from("<DeleteResult>");
                for part in body.split("<Key>").skip(1) {
                    let key = part.split("</Key>").next().unwrap();
                    objects.remove(key);
                    write!(xml, "<Deleted><Key>{key}</Key></Deleted>").unwrap();
                }
                Response::of((xml + "</DeleteResult>").into_bytes())
            }
            _ if request.query("list-type").is_some() => {
                Response::of(page(&objects, request, trouble).into_bytes())
            }
            _ => match objects.get(&key) {
                Some(bytes) => Response::object(bytes, request.header("range")),
                None => Response::status(404),
            },
        }
    }
}

// A token is the key after which a page begins.
fn page(
    objects: &BTreeMap<String, Vec<u8>>,
    request: &Request,
    trouble: Option<Trouble>,
) -> String {
    let prefix = request.query("prefix").unwrap_or_default();
    let token = request.query("continuation-token").unwrap_or_default();
    let below = objects.iter().filter(|(key, _)| key.starts_with(&prefix));
    let left: Vec<_> = below.filter(|(key, _)| **key > token).collect();
    let (mut page, rest) = left.split_at(left.len().min(PAGE));
    let mut next = page.last().map(|(key, _)| (*key).clone()).filter(|_| !rest.is_empty());
    match trouble {
        Some(Trouble::DroppedPage) => page = &[],
        // The same page is the next one, too.
        Some(Trouble::RepeatedPage) if !page.is_empty() => next = Some(token),
        _ => {}
    }
    let mut xml = String::from("<ListBucketResult>");
    for (key, bytes) in page {
        let size = bytes.len();
        write!(
            xml,
            "<Contents><Key>{key}</Key><Size>{size}</Size>\
             <LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>"
        )
        .unwrap();
    }
    if let Some(next) = next {
        write!(xml, "<NextContinuationToken>{next}</NextContinuationToken>").unwrap();
    }
    xml + "</ListBucketResult>"
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}
