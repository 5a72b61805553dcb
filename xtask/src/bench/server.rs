//! The web server under load: an nginx of one process, and its own count of what it was asked.

use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Stdio},
};

use anyhow::{Context as _, Result, bail};

use super::namespaces::{Pair, end, wait_for};

/// The files that are served, and their sizes.
const FILES: [(&str, usize); 2] = [("small", 1 << 10), ("large", 1 << 20)];

/// A running nginx.
#[derive(Debug)]
pub(super) struct Nginx {
    child: Child,
    status: PathBuf,
}

impl Nginx {
    /// Starts it with everything that it needs in `folder`.
    pub(super) fn start(pair: &Pair, folder: &Path) -> Result<Self> {
        let www = folder.join("www");
        fs::create_dir_all(&www).with_context(|| format!("{} cannot be made", www.display()))?;
        for (name, size) in FILES {
            fs::write(www.join(name), vec![b'x'; size]).with_context(|| format!("no file {name}"))?;
        }
        let file = folder.join("nginx.conf");
        fs::write(&file, configuration(folder)).context("nginx's configuration cannot be written")?;
        let log = folder.join("error.log");
        let mut command = pair.server.command("nginx");
        command.arg("-c").arg(&file).arg("-p").arg(folder).arg("-e").arg(&log);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let mut nginx =
            Self { child: child.context("nginx cannot be started")?, status: folder.join("status") };
        wait_for("nginx", || {
            if let Some(status) = nginx.child.try_wait().context("a child can be waited for")? {
                let log = fs::read_to_string(&log).unwrap_or_default();
                bail!("nginx ended with {status}:\n{log}");
            }
            Ok(nginx.requests().is_ok())
        })?;
        Ok(nginx)
    }

    /// Requests until now, this question included. It is asked on a socket that no network sees.
    pub(super) fn requests(&self) -> Result<u64> {
        let mut stream = UnixStream::connect(&self.status).context("nginx does not answer")?;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").context("nginx does not listen")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).context("nginx does not answer")?;
        parse_requests(&answer).with_context(|| format!("not what nginx's status looks like: {answer}"))
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// The third number of the line below "server accepts handled requests".
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
    fn the_status_tells_the_requests() {
        let status = "HTTP/1.1 200 OK\r\n\r\nActive connections: 1 \nserver accepts handled requests\n \
                      7 7 31 \nReading: 0 Writing: 1 Waiting: 0 \n";
        assert_eq!(super::parse_requests(status), Some(31));
        assert_eq!(super::parse_requests("HTTP/1.1 404 Not Found\r\n\r\n"), None);
    }
}
