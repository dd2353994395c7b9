//! Configurations as tests think of them: services and their backends. `to_string()` is the YAML.

use std::{
    fmt::{self, Display},
    net::IpAddr,
};

/// What goes into `ballast.yaml`.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// `datapath.interfaces`.
    pub interfaces: Vec<String>,
    /// `datapath.ring_memory`, where it is not the default.
    pub ring_memory: Option<&'static str>,
    /// `datapath.connection_table_size`, where it is not the default.
    pub connection_table_size: Option<u32>,
    /// `services`.
    pub services: Vec<Service>,
    /// Written at the end as it is: other top-level keys.
    pub extra: String,
}

/// One of `services`, without health checks: a test's backends are up unless it says otherwise.
#[derive(Clone, Debug)]
pub struct Service {
    /// `name`.
    pub name: String,
    /// `address`.
    pub address: IpAddr,
    /// `port`.
    pub port: u16,
    /// `protocol`.
    pub protocol: &'static str,
    /// `health_check`.
    pub health_check: String,
    /// Other keys, a line each, as they are.
    pub extra: Vec<String>,
    /// `backends`.
    pub backends: Vec<Backend>,
}

/// One of `backends`.
#[derive(Clone, Debug)]
pub struct Backend {
    /// `name`.
    pub name: String,
    /// `address`.
    pub address: IpAddr,
    /// `weight`.
    pub weight: u16,
    /// `forwarding`.
    pub forwarding: Forwarding,
}

/// How packets reach a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forwarding {
    /// The MAC is rewritten.
    DirectRouting,
    /// IP-in-IP.
    Tunnel,
}

impl Config {
    /// No services yet, XDP on `interfaces`.
    #[must_use]
    pub fn on(interfaces: &[&str]) -> Self {
        Self {
            interfaces: interfaces.iter().map(|name| (*name).to_owned()).collect(),
            ..Self::default()
        }
    }

    /// Adds a service.
    #[must_use]
    pub fn service(mut self, service: Service) -> Self {
        self.services.push(service);
        self
    }
}

impl Service {
    /// A TCP service without backends.
    #[must_use]
    pub fn new(name: &str, address: impl Into<IpAddr>, port: u16) -> Self {
        Self {
            name: name.to_owned(),
            address: address.into(),
            port,
            protocol: "tcp",
            health_check: "none".to_owned(),
            extra: Vec::new(),
            backends: Vec::new(),
        }
    }

    /// Has its backends checked like this.
    #[must_use]
    pub fn health_check(mut self, check: &str) -> Self {
        check.clone_into(&mut self.health_check);
        self
    }

    /// Adds another key, like `quorum: { up: 2 }`.
    #[must_use]
    pub fn yaml(mut self, line: &str) -> Self {
        self.extra.push(line.to_owned());
        self
    }

    /// Adds a backend.
    #[must_use]
    pub fn backend(mut self, backend: Backend) -> Self {
        self.backends.push(backend);
        self
    }
}

impl Backend {
    /// A backend of weight 1.
    #[must_use]
    pub fn new(name: &str, address: impl Into<IpAddr>, forwarding: Forwarding) -> Self {
        Self {
            name: name.to_owned(),
            address: address.into(),
            weight: 1,
            forwarding,
        }
    }

    /// With another weight.
    #[must_use]
    pub fn weight(mut self, weight: u16) -> Self {
        self.weight = weight;
        self
    }
}

impl Display for Forwarding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DirectRouting => "direct_routing",
            Self::Tunnel => "tunnel",
        })
    }
}

impl Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "datapath:\n  interfaces: [{}]",
            self.interfaces.join(", ")
        )?;
        if let Some(size) = self.ring_memory {
            writeln!(f, "  ring_memory: {size}")?;
        }
        if let Some(size) = self.connection_table_size {
            writeln!(f, "  connection_table_size: {size}")?;
        }
        if !self.services.is_empty() {
            writeln!(f, "services:")?;
        }
        for service in &self.services {
            let Service {
                name,
                address,
                port,
                protocol,
                health_check,
                extra,
                backends,
            } = service;
            writeln!(f, "  - name: {name}")?;
            writeln!(f, "    address: \"{address}\"")?;
            writeln!(f, "    port: {port}")?;
            writeln!(f, "    protocol: {protocol}")?;
            writeln!(f, "    health_check: {health_check}")?;
            for line in extra {
                writeln!(f, "    {line}")?;
            }
            writeln!(f, "    backends:")?;
            for Backend {
                name,
                address,
                weight,
                forwarding,
            } in backends
            {
                writeln!(
                    f,
                    "      - {{ name: {name}, address: \"{address}\", weight: {weight}, forwarding: {forwarding} }}"
                )?;
            }
        }
        f.write_str(&self.extra)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_reads_like_one_written_by_hand() {
        let config = Config::on(&["eth0"]).service(
            Service::new("web", [10, 0, 0, 125], 80)
                .backend(Backend::new(
                    "web1",
                    [10, 0, 0, 101],
                    Forwarding::DirectRouting,
                ))
                .backend(Backend::new("web2", [10, 0, 0, 102], Forwarding::Tunnel).weight(3)),
        );
        assert_eq!(
            config.to_string(),
            r#"datapath:
  interfaces: [eth0]
services:
  - name: web
    address: "10.0.0.125"
    port: 80
    protocol: tcp
    health_check: none
    backends:
      - { name: web1, address: "10.0.0.101", weight: 1, forwarding: direct_routing }
      - { name: web2, address: "10.0.0.102", weight: 3, forwarding: tunnel }
"#
        );
    }
}
