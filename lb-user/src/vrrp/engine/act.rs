//! From a machine's actions to the wire and the agent.

use std::{collections::BTreeSet, net::IpAddr, time::SystemTime};

use lb_common::limits::MAX_PEERS;

use super::{
    super::{
        accept,
        machine::{Action, Published, Reason, Role},
        socket,
        view::{Notice, Roles, Transition, Who},
        wire::{self, Advert, Envelope},
    },
    Engine, Place, UnitId,
    port::PortKey,
    router::Router,
};

impl Engine {
    /// Carries out what a unit's machines want, and arms its timers.
    pub(super) fn act(&mut self, id: UnitId) {
        let mut changed = false;
        while let Some((member, action)) = self
            .units
            .get_mut(&id)
            .and_then(|unit| unit.group.poll_action())
        {
            let place = Place { unit: id, member };
            match action {
                Action::Send(advert) => self.send(place, &advert),
                Action::Publish(published) => {
                    changed |= self.publish(place, published);
                    self.settle(place);
                }
            }
        }
        if changed {
            self.tell_group(id);
            self.publish_roles();
        }
        self.arm(id);
    }

    /// To every peer, or to the group of all.
    fn send(&mut self, place: Place, advert: &Advert) {
        let Some(unit) = self.units.get_mut(&place.unit) else {
            return;
        };
        let router = &mut unit.routers[place.member];
        let port: PortKey = router.port();
        let socket = self.ports.get(&port).and_then(|port| port.socket.as_ref());
        let (Some((_, socket)), Some(source)) = (socket, router.source) else {
            router.counters.send_errors += 1;
            return;
        };
        let group = [socket::multicast(router.instance.family)];
        let destinations: &[IpAddr] = match &router.instance.unicast {
            None => &group,
            Some(unicast) => &unicast.peers,
        };
        let form = accept::sent_form(&router.instance);
        let mut message = Vec::with_capacity(64);
        let mut sent = false;
        for destination in destinations {
            let envelope = Envelope {
                source,
                destination: *destination,
            };
            message.clear();
            let result = wire::encode(advert, form, envelope, &mut message)
                .map_err(std::io::Error::other)
                .and_then(|()| socket.send(source, *destination, &message));
            match result {
                Ok(()) => sent = true,
                Err(error) => {
                    router.counters.send_errors += 1;
                    if router.counters.send_errors.is_power_of_two() {
                        tracing::warn!(
                            instance = %router.instance.name, %destination, %error,
                            count = router.counters.send_errors, "an advert was not sent"
                        );
                    }
                }
            }
        }
        if sent {
            router.counters.sent += 1;
            let role = unit.group.machine(place.member).role();
            router.record.note(role, router.effective.priority);
        }
    }

    /// Notes a role. Whether it is another than before.
    fn publish(&mut self, place: Place, published: Published) -> bool {
        let Some(router) = self.router(place) else {
            return false;
        };
        let before = std::mem::replace(&mut router.published, published.clone());
        if before.role == published.role {
            return false;
        }
        router
            .record
            .note(published.role, router.effective.priority);
        if before.role != Role::Initialize {
            router.transitions += 1;
        }
        router.last_transition = Some(Transition {
            from: before.role,
            to: published.role,
            reason: published.reason,
            at: SystemTime::now(),
        });
        let notice = Notice {
            who: Who::Instance(router.instance.name.clone()),
            role: published.role,
            reason: published.reason,
            priority: router.priority(),
        };
        // A role that was kept over a restart is no news.
        if published.reason != Reason::Resumed {
            self.notice(notice);
        }
        true
    }

    /// The group's own notice, once all members agree.
    fn tell_group(&mut self, id: UnitId) {
        let Some(unit) = self.units.get_mut(&id) else {
            return;
        };
        let role = unit.group.role();
        let before = std::mem::replace(&mut unit.told, role);
        let (true, Some(name)) = (role != before, unit.name.clone()) else {
            return;
        };
        let Some(reason) = unit.routers.iter().map(|r| r.published.reason).next() else {
            return;
        };
        let Some(priority) = unit.routers.iter().map(Router::priority).min() else {
            return;
        };
        if reason != Reason::Resumed {
            self.notice(Notice {
                who: Who::Group(name),
                role,
                reason,
                priority,
            });
        }
    }

    /// What the agent follows.
    pub(super) fn publish_roles(&self) {
        let routers = || self.routers();
        let mut peers = BTreeSet::new();
        for peer in routers().flat_map(Router::peers) {
            // What the data plane has room for.
            if peers.len() < MAX_PEERS {
                peers.insert(peer);
            }
        }
        let roles = Roles {
            routers: routers()
                .map(|router| (router.instance.name.clone(), router.role()))
                .collect(),
            peers,
            awaiting: routers().filter(|router| router.was_master).count(),
        };
        self.ends.roles.send_if_modified(|old| {
            let modified = *old != roles;
            *old = roles;
            modified
        });
    }
}
