//! The web server under load: nginx with one process, and its own count of requests.

use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Stdio},
};

use anyhow::{Context as _, Result, bail};

use super::namespaces::{Pair, kill, wait_for};
use crate::files::{create_folder, write};

/// The files to serve and their sizes in bytes.
const FILES: [(&str, usize); 2] = [("small", 1 << 10), ("large", 1 << 20)];

/// A running nginx.
#[derive(Debug)]
pub(super) struct Nginx {
    child: Child,
    status: PathBuf,
}

impl Nginx {
    /// Starts nginx with all its files in `folder`.
    pub(super) fn start(pair: &Pair, folder: &Path) -> Result<Self> {
        let www = folder.join("www");
        create_folder(&www)?;
        for (name, size) in FILES {
            write(&www.join(name), vec![b'x'; size])?;
        }
        let file = folder.join("nginx.conf");
        write(&file, configuration(folder))?;
        let log = folder.join("error.log");
        let mut command = pair.server.command("nginx");
        command.arg("-c").arg(&file).arg("-p").arg(folder).arg("-e").arg(&log);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let mut nginx =
            Self { child: child.context("nginx cannot be started")?, status: folder.join("status") };
        wait_for("nginx", || {
            if let Some(status) = nginx.child.try_wait().context("cannot wait for nginx")? {
                let log = fs::read_to_string(&log).unwrap_or_default();
                bail!("nginx exited with {status}:\n{log}");
            }
            Ok(nginx.requests().is_ok())
        })?;
        Ok(nginx)
    }

    /// The number of requests until now, including this one, which uses a Unix socket so that no
    /// observer sees it.
    pub(super) fn requests(&self) -> Result<u64> {
        let mut stream = UnixStream::connect(&self.status).context("cannot connect to nginx")?;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").context("cannot send the status request to nginx")?;
        let mut response = String::new();
        stream.read_to_string(&mut response).context("cannot read the status response of nginx")?;
        parse_requests(&response)
            .with_context(|| format!("nginx sent an unexpected status response: {response}"))
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        kill(&mut self.child);
    }
}

/// Parses the third number in the line after "server accepts handled requests".
fn parse_requests(status: &str) -> Option<u64> {
    let mut lines = status.lines().skip_while(|line| !line.starts_with("server accepts"));
    lines.nth(1)?.split_whitespace().nth(2)?.parse().ok()
}

fn configuration(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "daemon off;
master_process off;
worker_processes 1;
user root;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000000;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 80 backlog=4096;
        root {folder}/www;
        open_file_cache max=10;
    }}
    server {{
        listen unix:{folder}/status;
        location / {{ stub_status; }}
    }}
}}
"
    )
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_number_of_requests_is_parsed_from_the_status() {
        let status = "HTTP/1.1 200 OK\r\n\r\nActive connections: 1 \nserver accepts handled requests\n \
                      7 7 31 \nReading: 0 Writing: 1 Waiting: 0 \n";
        assert_eq!(super::parse_requests(status), Some(31));
        assert_eq!(super::parse_requests("HTTP/1.1 404 Not Found\r\n\r\n"), None);
    }
}
