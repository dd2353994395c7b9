//! "did you mean …": the known word nearest to one that is not known.

#[cfg(test)]
mod tests;

/// Words of keepalived and HAProxy files beside ours.
const FOREIGN: &[(&str, &str)] = &[
    ("advert_int", "advertisement_interval"),
    ("algo", "scheduler"),
    ("auth_pass", "pass"),
    ("balance", "scheduler"),
    ("bind", "address"),
    ("check", "health_check"),
    ("connect_timeout", "timeout"),
    ("delay_loop", "interval"),
    ("fwmark", "address"),
    ("inhibit_on_failure", "on_failure"),
    ("inter", "interval"),
    ("ip", "address"),
    ("kind", "forwarding"),
    ("lb_algo", "scheduler"),
    ("lb_kind", "forwarding"),
    ("lvs_method", "forwarding"),
    ("lvs_sched", "scheduler"),
    ("mode", "forwarding"),
    ("nopreempt", "preempt"),
    ("persistence_timeout", "persistence"),
    ("real_server", "backends"),
    ("script", "command"),
    ("server", "backends"),
    ("servers", "backends"),
    ("sorry_server", "fallback"),
    ("state", "initial_state"),
    ("unicast_peer", "unicast_peers"),
    ("unicast_src_ip", "unicast_source"),
    ("vip", "address"),
    ("virtual_ipaddress", "virtual_addresses"),
    ("virtual_server", "services"),
    ("vrid", "virtual_router_id"),
    // Values.
    ("dr", "direct_routing"),
    ("gate", "direct_routing"),
    ("ipip", "tunnel"),
    ("tun", "tunnel"),
    ("masq", "nat"),
    ("roundrobin", "rr"),
    ("leastconn", "lc"),
    ("source", "sh"),
    ("mh", "maglev"),
    ("skb", "generic"),
    ("driver", "native"),
];

/// The one of `known` that `word` most likely stands for: a word of another product, else the nearest by edits, if near enough.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase().replace('-', "_");
    let known: Vec<&str> = known.into_iter().collect();
    let foreign = FOREIGN
        .iter()
        .find(|(theirs, _)| *theirs == word)
        .map(|(_, ours)| *ours);
    if let Some(ours) = known.iter().find(|k| Some(**k) == foreign) {
        return Some(ours);
    }
    // None for a single letter, one for a short word, a quarter of a long one.
    let limit = (word.chars().count() + 2) / 4;
    known
        .into_iter()
        .map(|k| (strsim::osa_distance(&word, &k.to_lowercase()), k))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, k)| k)
}

/// `, did you mean …?` to go on with in a message, or nothing.
#[must_use]
pub fn hint<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    // A name can be of any length; a comparison costs its square.
    if word.len() > 128 {
        return String::new();
    }
    nearest(word, known)
        .map(|k| format!(", did you mean `{k}`?"))
        .unwrap_or_default()
}
