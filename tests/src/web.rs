//! A real web server (nginx) on a host; each says its own name.

use std::{
    fs,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::Result;

use crate::{
    netns::Host,
    process::{Process, command},
    wait::wait_for,
};

/// A running nginx: `/` answers with its name, `/big` with 4 MiB of its name, `/slow` with 64 KiB
/// at 16 KiB/s.
#[derive(Debug)]
pub struct Web {
    name: String,
    /// Its one process.
    pub process: Process,
}

impl Web {
    /// Starts nginx on `host` with the host's name, port 80 of every address.
    ///
    /// # Errors
    /// When it does not listen within 10 s.
    pub fn start(host: &Host) -> Result<Self> {
        Self::start_on(host, 80)
    }

    /// The same on another port.
    ///
    /// # Errors
    /// When it does not listen within 10 s.
    pub fn start_on(host: &Host, port: u16) -> Result<Self> {
        let name = host.name().to_owned();
        let label = format!("nginx-{port}");
        let root = host.dir().join(&label);
        fs::create_dir_all(&root)?;
        fs::write(
            root.join("big"),
            format!("{name}\n").repeat(BIG / (name.len() + 1)),
        )?;
        fs::write(
            root.join("slow"),
            format!("{name}\n").repeat(SLOW / (name.len() + 1)),
        )?;
        let config = root.join("nginx.conf");
        fs::write(
            &config,
            configuration(&name, port, &root.display().to_string()),
        )?;

        let root_text = root.display().to_string();
        let mut nginx = command("nginx", ["-p", &root_text, "-e", "stderr", "-c"]);
        nginx.arg(&config);
        let mut process = host.spawn(&label, nginx)?;
        wait_for(&format!("nginx on {name}"), Duration::from_secs(10), || {
            if let Some(status) = process.try_status() {
                return Err(format!("ended with {status}: {}", process.log()));
            }
            host.run(|| {
                for address in [
                    SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
                    (Ipv6Addr::LOCALHOST, port).into(),
                ] {
                    TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
                }
                Ok(())
            })
            .map_err(|error| format!("{error:#}"))
        })?;
        Ok(Self { name, process })
    }

    /// What `/` answers (without the newline).
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// One process, so that a kill kills the server. `user root`: the scratch directory is ours alone.
fn configuration(name: &str, port: u16, root: &str) -> String {
    format!(
        "user root;
daemon off;
master_process off;
pid {root}/pid;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {root}/body;
    proxy_temp_path {root}/proxy;
    fastcgi_temp_path {root}/fastcgi;
    uwsgi_temp_path {root}/uwsgi;
    scgi_temp_path {root}/scgi;
    default_type text/plain;
    client_header_timeout 10m;
    server {{
        listen {port} backlog=4096;
        listen [::]:{port} backlog=4096;
        root {root};
        add_header X-Server {name} always;
        location = / {{ return 200 \"{name}\\n\"; }}
        location = /slow {{ limit_rate 16k; }}
    }}
}}
"
    )
}

const BIG: usize = 4 << 20;
const SLOW: usize = 64 << 10;
