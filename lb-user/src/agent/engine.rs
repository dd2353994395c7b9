//! Which engine serves which service: XDP, or the kernel's IPVS.

use std::borrow::Cow;

use crate::config::{
    Config,
    model::{Engine, Forwarding, Service},
};

/// Who forwards, and why not the usual one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Engines {
    /// Why XDP cannot be had, where `engine: auto` found that.
    pub(super) no_xdp: Option<String>,
}

impl Engines {
    /// Whether IPVS serves `service`.
    pub(super) fn by_ipvs(&self, config: &Config, service: &Service) -> bool {
        match config.datapath.engine {
            Engine::Ipvs => true,
            Engine::Xdp => false,
            Engine::Auto => service.forwarding == Forwarding::Nat || self.no_xdp.is_some(),
        }
    }

    /// Why IPVS serves `service`.
    pub(super) fn reason(&self, config: &Config, service: &Service) -> String {
        match (&self.no_xdp, config.datapath.engine) {
            (_, Engine::Ipvs) => "`datapath.engine` is ipvs".to_owned(),
            _ if service.forwarding == Forwarding::Nat => "nat is IPVS's".to_owned(),
            (Some(reason), _) => format!("XDP cannot be had: {reason}"),
            (None, _) => "by configuration".to_owned(),
        }
    }

    /// The services that IPVS serves.
    pub(super) fn for_ipvs<'a>(&self, config: &'a Config) -> Vec<&'a Service> {
        let services = config.services.iter();
        services.filter(|s| self.by_ipvs(config, s)).collect()
    }

    /// The configuration with the services that XDP serves only.
    pub(super) fn for_xdp<'a>(&self, config: &'a Config) -> Cow<'a, Config> {
        if !config.services.iter().any(|s| self.by_ipvs(config, s)) {
            return Cow::Borrowed(config);
        }
        let services = config.services.iter();
        let services = services.filter(|s| !self.by_ipvs(config, s));
        Cow::Owned(Config {
            services: services.cloned().collect(),
            ..config.clone()
        })
    }

    /// Whether there is anything for XDP to do.
    pub(super) fn needs_xdp(&self, config: &Config) -> bool {
        !config.services.iter().all(|s| self.by_ipvs(config, s))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    fn config(engine: &str) -> Config {
        let text = format!(
            "datapath: {{ interfaces: [eth0], engine: {engine} }}\nservices:\n  \
             - {{ name: a, address: 10.0.0.1, port: 80, forwarding: nat, backends: [{{ address: 10.1.0.1 }}] }}\n  \
             - {{ name: b, address: 10.0.0.2, port: 80, backends: [{{ address: 10.1.0.1 }}] }}\n"
        );
        config::validate_str("t.yaml", &text).unwrap().config
    }

    #[test]
    fn nat_is_ipvss_and_everything_is_where_xdp_cannot_be_had() {
        let auto = config("auto");
        let engines = Engines::default();
        assert_eq!(engines.for_ipvs(&auto), [&auto.services[0]]);
        assert_eq!(engines.for_xdp(&auto).services, auto.services[1..]);
        assert!(engines.needs_xdp(&auto));
        let without = Engines {
            no_xdp: Some("no driver".to_owned()),
        };
        assert_eq!(without.for_ipvs(&auto).len(), 2);
        assert!(!without.needs_xdp(&auto));
        assert_eq!(
            without.reason(&auto, &auto.services[1]),
            "XDP cannot be had: no driver"
        );
        assert_eq!(engines.reason(&auto, &auto.services[0]), "nat is IPVS's");
    }

    #[test]
    fn an_engine_that_is_named_serves_all() {
        let ipvs = config("ipvs");
        assert_eq!(Engines::default().for_ipvs(&ipvs).len(), 2);
        assert!(!Engines::default().needs_xdp(&ipvs));
    }
}
