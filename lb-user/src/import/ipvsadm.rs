//! What `ipvsadm -S -n` prints: a line for each service (`-A`) and each real server (`-a`).

use std::net::{IpAddr, SocketAddr};

use super::{
    convert::{Backend, Cx, Front, Fronts, Method, Protocol, Service, scheduler},
    finding::{Place, quote},
    read::Line,
};

/// The services of a dump.
pub(super) fn services(lines: &[Line], cx: &mut Cx<'_>) -> Vec<Service> {
    let mut services: Vec<Known> = Vec::new();
    for line in lines {
        let words: Vec<&str> = line.text.split_whitespace().collect();
        let words = words.strip_prefix(&["ipvsadm"]).unwrap_or(&words);
        match words {
            [] => {}
            [comment, ..] if comment.starts_with('#') => {}
            ["-A" | "--add-service", rest @ ..] => add_service(&mut services, rest, &line.at, cx),
            ["-a" | "--add-server", rest @ ..] => add_server(&mut services, rest, &line.at, cx),
            _ => cx.warn(
                &line.at,
                format!(
                    "{} adds neither a service nor a real server: left out",
                    quote(&line.text)
                ),
            ),
        }
    }
    services
        .into_iter()
        .filter_map(|known| known.service)
        .collect()
}

/// A service, or the place of one that has no equal.
struct Known {
    /// As it was written, which real servers repeat.
    key: (String, String),
    service: Option<Service>,
}

fn add_service(services: &mut Vec<Known>, words: &[&str], at: &Place, cx: &mut Cx<'_>) {
    let Some((key, rest)) = key(words) else {
        return cx.error(at, "the line names no service: left out");
    };
    let service = front(&key, at).map(|(front, protocol)| {
        let mut service = Service::new(at, Fronts::One(front));
        service.protocol = Some(protocol);
        service.unchecked = true;
        options(&mut service, rest, at, cx);
        service
    });
    let service = service
        .map_err(|why| cx.error(at, format!("{why}: {} is left out", quote(&key.1))))
        .ok();
    services.push(Known { key, service });
}

/// `-t ADDRESS:PORT` and the like, and what follows.
fn key<'a>(words: &'a [&'a str]) -> Option<((String, String), &'a [&'a str])> {
    let [kind, address, rest @ ..] = words else {
        return None;
    };
    Some((((*kind).to_owned(), (*address).to_owned()), rest))
}

fn front((kind, address): &(String, String), at: &Place) -> Result<(Front, Protocol), String> {
    let protocol = match kind.as_str() {
        "-t" | "--tcp-service" => Protocol::Tcp,
        "-u" | "--udp-service" => Protocol::Udp,
        "-f" | "--fwmark-service" => return Err("firewall marks have no equal".to_owned()),
        "--sctp-service" => return Err("SCTP has no equal, there are TCP and UDP".to_owned()),
        other => return Err(format!("{} is no kind of service", quote(other))),
    };
    let (address, port) = place(address)?;
    let port = port.ok_or("a service for all ports has no equal, give one for each port")?;
    let at = at.clone();
    Ok((Front { at, address, port }, protocol))
}

/// `ADDRESS:PORT`; port 0 is none.
fn place(text: &str) -> Result<(IpAddr, Option<u16>), String> {
    if let Ok(place) = text.parse::<SocketAddr>() {
        return Ok((place.ip(), Some(place.port()).filter(|p| *p != 0)));
    }
    match text.trim_matches(['[', ']']).parse() {
        Ok(address) => Ok((address, None)),
        Err(_) => Err(format!(
            "{} is no address and port, print them with `ipvsadm -S -n`",
            quote(text)
        )),
    }
}

fn options(service: &mut Service, words: &[&str], at: &Place, cx: &mut Cx<'_>) {
    let mut words = words.iter().copied().peekable();
    while let Some(word) = words.next() {
        match word {
            "-s" | "--scheduler" => {
                let name = words.next().unwrap_or_default();
                service.scheduler = Some(match scheduler(name) {
                    Some(Ok(ours)) => ours,
                    Some(Err(nearest)) => {
                        cx.warn(
                            at,
                            format!("the scheduler `{name}` has no equal: `{nearest}` is written"),
                        );
                        nearest
                    }
                    None => {
                        cx.warn(
                            at,
                            format!("{} is no scheduler: `wlc` is written", quote(name)),
                        );
                        "wlc"
                    }
                });
            }
            "-p" | "--persistent" => {
                let seconds = words.next_if(|w| !w.starts_with('-'));
                let seconds = seconds
                    .and_then(|w| w.parse().ok())
                    .filter(|n| (1..=7 * 86_400).contains(n));
                service.persistence = Some(std::time::Duration::from_secs(seconds.unwrap_or(360)));
            }
            "-M" | "--netmask" => {
                let mask = words.next().unwrap_or_default();
                let length = match mask.parse::<IpAddr>() {
                    Ok(mask) => ipnet::ip_mask_to_prefix(mask).ok(),
                    Err(_) => mask.parse().ok(),
                };
                service.prefix_length = length.filter(|n| (1..=128).contains(n));
            }
            "-6" | "--ipv6" => {}
            "-b" | "--sched-flags" => {
                let flags = words.next().unwrap_or_default();
                for flag in flags.split(',').filter(|f| !HARMLESS.contains(f)) {
                    cx.warn(
                        at,
                        format!(
                            "the scheduler's flag {} has no equal: left out",
                            quote(flag)
                        ),
                    );
                }
            }
            other => no_equal(other, &mut words, at, cx),
        }
    }
}

/// Options that have no equal, with their values.
fn no_equal<'a>(
    word: &'a str,
    words: &mut std::iter::Peekable<impl Iterator<Item = &'a str>>,
    at: &Place,
    cx: &mut Cx<'_>,
) {
    let value = words.next_if(|w| !w.starts_with('-')).unwrap_or_default();
    let shown = quote(format!("{word} {value}").trim_end());
    cx.warn(at, format!("{shown} has no equal: left out"));
}

fn add_server(services: &mut [Known], words: &[&str], at: &Place, cx: &mut Cx<'_>) {
    let Some((key, rest)) = key(words) else {
        return cx.error(at, "the line names no service: left out");
    };
    let Some(known) = services.iter_mut().rev().find(|known| known.key == key) else {
        return cx.error(
            at,
            format!(
                "there is no service {} before this line: the real server is left out",
                quote(&key.1)
            ),
        );
    };
    // That it is left out was said with the service.
    let Some(service) = &mut known.service else {
        return;
    };
    let mut backend: Option<Backend> = None;
    let (mut weight, mut method) = (1, Method::DirectRouting);
    let mut words = rest.iter().copied().peekable();
    while let Some(word) = words.next() {
        match word {
            "-r" | "--real-server" => {
                let text = words.next().unwrap_or_default();
                match place(text) {
                    Ok((address, port)) => backend = Some(Backend::new(at, address, port)),
                    Err(why) => return cx.error(at, format!("{why}: the real server is left out")),
                }
            }
            "-g" | "--gatewaying" => method = Method::DirectRouting,
            "-i" | "--ipip" => method = Method::Tunnel,
            "-m" | "--masquerading" => method = Method::Nat,
            "-w" | "--weight" => {
                let text = words.next().unwrap_or_default();
                weight = text.parse().unwrap_or_else(|_| {
                    cx.warn(
                        at,
                        format!("{} is no weight from 0 to 65535: 1 is written", quote(text)),
                    );
                    1
                });
            }
            "-x" | "--u-threshold" | "-y" | "--l-threshold" => {
                if words.next_if(|w| *w != "0").is_some() {
                    cx.warn(
                        at,
                        format!("`{word}` has no equal: connections are not limited"),
                    );
                } else {
                    words.next();
                }
            }
            "--tun-type" if words.next_if_eq(&"ipip").is_some() => {}
            other => no_equal(other, &mut words, at, cx),
        }
    }
    let Some(mut backend) = backend else {
        return cx.error(at, "the line names no real server: left out");
    };
    backend.weight = Some(weight);
    backend.weight_at = Some(at.clone());
    backend.method = Some(method);
    service.backends.push(backend);
}

/// Flags of schedulers that ours have anyway.
const HARMLESS: &[&str] = &["mh-port", "mh-fallback", "sh-fallback"];
