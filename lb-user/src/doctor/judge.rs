//! From facts to judgements, by what they are about. Pure.

pub(super) mod backends;
pub(super) mod datapath;
pub(super) mod host;
pub(super) mod segment;
pub(super) mod virtuals;

use crate::config::{
    Config,
    model::{Engine, Forwarding},
};

/// Whether IPVS does some of the work.
fn uses_ipvs(config: &Config) -> bool {
    config.datapath.engine == Engine::Ipvs || uses_nat(config)
}

fn uses_nat(config: &Config) -> bool {
    let services = config.services.iter();
    services
        .clone()
        .any(|service| service.forwarding == Forwarding::Nat)
}
