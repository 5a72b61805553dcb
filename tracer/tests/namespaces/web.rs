//! A real web server and a real client, nginx and curl, each with its own log of the bytes sent.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tracer::lab::netns::{Namespace, PairEnd};

use crate::eventually;

/// A temporary directory. Dropping it removes it with its content.
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// Creates a new directory.
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("tracer-test-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        // Fails if it exists: then it is not ours.
        let made = fs::DirBuilder::new().mode(0o700).create(&path);
        made.unwrap_or_else(|error| panic!("no folder {}: {error}", path.display()));
        Self(path)
    }

    /// The path of a file in it.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn write(&self, name: &str, content: &[u8]) {
        let path = self.file(name);
        fs::write(&path, content).unwrap_or_else(|error| panic!("no file {}: {error}", path.display()));
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Size of `/small`.
pub(crate) const SMALL: usize = 1_000;
/// Size of `/big`.
pub(crate) const BIG: usize = 5_000_000;
/// Content of the response to `/broken`.
pub(crate) const BROKEN: &str = "out of order\n";

/// A running nginx. Dropping it kills the process.
///
/// - `/small`, `/big`: files
/// - `/paced`: the same file as `/big`, which takes some seconds
/// - `/chunked`: a file of 5000 bytes, sent chunked
/// - `/broken`: status 500
/// - `/account`: status 200 with a cookie, `s3cr3t`
/// - `/form`: reads the body; status 200
pub(crate) struct Nginx {
    child: Child,
    folder: Folder,
}

/// A line of nginx's access log: one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Served {
    /// Number of the connection.
    pub(crate) connection: u64,
    /// Number of the request in its connection, from 1.
    pub(crate) request: u64,
    /// Status code; 499 if the client closed first.
    pub(crate) status: u64,
    /// Bytes of the response, head and content.
    pub(crate) bytes_sent: u64,
    /// Bytes of content sent.
    pub(crate) body_bytes_sent: u64,
    /// Bytes of the request, head and content.
    pub(crate) request_length: u64,
    /// The client's port.
    pub(crate) port: u64,
    /// The request target.
    pub(crate) target: String,
}

impl Nginx {
    /// Starts nginx on the ports 80 and 8080 of `namespace`, and waits until it accepts
    /// connections.
    #[track_caller]
    pub(crate) fn start(namespace: &Namespace) -> Self {
        let folder = Folder::new();
        fs::create_dir(folder.file("www")).expect("the folder is new");
        folder.write("www/small", &content(SMALL));
        folder.write("www/big", &content(BIG));
        folder.write("www/chunked", &content(5_000));
        folder.write("nginx.conf", configuration(&folder.0).as_bytes());
        let mut command = Command::new("nginx");
        command.arg("-c").arg(folder.file("nginx.conf")).arg("-p").arg(&folder.0);
        command.arg("-e").arg(folder.file("error.log"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = namespace.command(command);
        let child = child.unwrap_or_else(|error| panic!("nginx (nginx-light) is not installed: {error}"));
        let mut nginx = Self { child, folder };
        // nginx writes this file when all sockets listen.
        let started = eventually(|| {
            let ended = !matches!(nginx.child.try_wait(), Ok(None));
            ended || nginx.folder.file("nginx.pid").exists()
        });
        let running = matches!(nginx.child.try_wait(), Ok(None));
        assert!(started && running, "nginx does not start:\n{}", nginx.errors());
        nginx
    }

    /// Waits until the access log has at least `count` lines, and returns it.
    #[track_caller]
    pub(crate) fn served(&self, count: usize) -> Vec<Served> {
        let read = || fs::read_to_string(self.folder.file("access.log")).unwrap_or_default();
        // nginx writes a line after it has finished a request, which is later than the client has.
        let written = eventually(|| read().lines().count() >= count);
        let log = read();
        assert!(written, "nginx served {} requests, not {count}:\n{}", log.lines().count(), self.errors());
        log.lines().map(Served::parse).collect()
    }

    /// Stops nginx, and returns its complete access log.
    #[track_caller]
    pub(crate) fn stop(mut self) -> Vec<Served> {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("process numbers are small"));
        kill(pid, Signal::SIGQUIT).expect("nginx is running");
        self.child.wait().expect("a child can be waited for");
        self.served(0)
    }

    fn errors(&self) -> String {
        fs::read_to_string(self.folder.file("error.log")).unwrap_or_default()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

impl Served {
    #[track_caller]
    fn parse(line: &str) -> Self {
        let numbers: Vec<u64> = line.split(' ').map_while(|number| number.parse().ok()).collect();
        let [connection, request, status, bytes_sent, body_bytes_sent, request_length, port] = numbers[..]
        else {
            panic!("not a line of the access log: {line}")
        };
        let target = line.rsplit_once(' ').map_or("", |(_, target)| target).to_owned();
        Self { connection, request, status, bytes_sent, body_bytes_sent, request_length, port, target }
    }
}

/// Bytes without a pattern that repeats with the length of a segment.
pub(crate) fn content(size: usize) -> Vec<u8> {
    (0..size).map(|place| b'a' + u8::try_from(place % 10_007 % 26).expect("below 26")).collect()
}

fn configuration(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "daemon off;
        # One process, so that killing it leaves nothing.
        master_process off;
        worker_rlimit_nofile 4096;
        pid {folder}/nginx.pid;
        events {{ worker_connections 2048; }}
        http {{
            log_format account '$connection $connection_requests $status $bytes_sent $body_bytes_sent \
$request_length $remote_port $request_uri';
            access_log {folder}/access.log account;
            client_body_temp_path {folder}/body;
            proxy_temp_path {folder}/proxy;
            fastcgi_temp_path {folder}/fastcgi;
            uwsgi_temp_path {folder}/uwsgi;
            scgi_temp_path {folder}/scgi;
            client_max_body_size 16m;
            keepalive_requests 1000000;
            server {{
                listen 80 backlog=1024;
                listen [::]:80 backlog=1024;
                listen 8080;
                root {folder}/www;
                location /chunked {{ ssi on; ssi_types *; }}
                location = /paced {{ alias {folder}/www/big; limit_rate 1500k; }}
                location /broken {{ return 500 'out of order\\n'; }}
                location /account {{ add_header Set-Cookie 'session=s3cr3t'; return 200 'yours\\n'; }}
                # Over a socket that no interface shows. Proxying makes nginx read the whole body first.
                location /form {{ proxy_pass http://unix:{folder}/form; }}
            }}
            server {{
                listen unix:{folder}/form;
                access_log off;
                location / {{ return 200 'thank you\\n'; }}
            }}
        }}
        "
    )
}

/// A line of curl's output: one transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fetched {
    /// Status code.
    pub(crate) status: u64,
    /// Bytes of content, without the framing of chunks.
    pub(crate) content: u64,
    /// Bytes of heads received, those of interim responses included.
    pub(crate) header: u64,
    /// Bytes of the request's head.
    pub(crate) request: u64,
    /// Bytes of the request's content.
    pub(crate) upload: u64,
    /// Connections made for it.
    pub(crate) connects: u64,
    /// The client's port.
    pub(crate) port: u64,
}

/// The format of curl's output for each transfer.
const WRITE_OUT: &str = "%{http_code} %{size_download} %{size_header} %{size_request} %{size_upload} \
%{num_connects} %{local_port}\n";

/// Runs curl with `arguments` at one end, and returns each transfer.
#[track_caller]
pub(crate) fn curl(end: &PairEnd, arguments: &[&str]) -> Vec<Fetched> {
    curl_in(&end.namespace, arguments)
}

/// Runs curl with `arguments` in a namespace, and returns each transfer.
#[track_caller]
pub(crate) fn curl_in(namespace: &Namespace, arguments: &[&str]) -> Vec<Fetched> {
    let mut command = Command::new("curl");
    // -q: the developer's own .curlrc must not change a byte.
    command.args(["-q", "--silent", "--show-error", "--noproxy", "*", "--max-time", "60"]);
    command.args(["--output", "/dev/null", "--write-out", WRITE_OUT]).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = namespace.command(command).unwrap_or_else(|error| panic!("curl is not installed: {error}"));
    let output = child.wait_with_output().expect("curl ends");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "curl {arguments:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text.lines().map(Fetched::parse).collect()
}

impl Fetched {
    #[track_caller]
    fn parse(line: &str) -> Self {
        let numbers: Vec<u64> = line.split(' ').map_while(|number| number.parse().ok()).collect();
        let [status, content, header, request, upload, connects, port] = numbers[..] else {
            panic!("not a line of curl's output: {line}")
        };
        Self { status, content, header, request, upload, connects, port }
    }
}
