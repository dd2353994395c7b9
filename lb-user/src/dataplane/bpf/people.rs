//! The maps for people and the device map: plain arrays, written by system calls.

use std::collections::BTreeSet;

use lb_common::describe::from_text;

use super::{
    ApplyError, Array, BackendDescription, BackendId, BackendInfo, Borrow, Bpf, DevMapHash,
    IfIndex, Map, MapData, MapError, PerCpuArray, PerCpuValues, ServiceDescription, ServiceId,
    ServiceImage, describe,
};

impl Bpf {
    fn data(&mut self, name: &'static str) -> Result<&mut Map, ApplyError> {
        self.ebpf
            .map_mut(name)
            .ok_or_else(|| ApplyError::Unknown(format!("the map `{name}`")))
    }

    pub(super) fn add_device(&mut self, device: IfIndex) -> Result<(), ApplyError> {
        let error = map_error("devices");
        let mut devices = DevMapHash::try_from(self.data("DEVICES")?).map_err(&error)?;
        let added = devices.insert(device.get(), device.get(), None, 0);
        added.map_err(|e| ApplyError::Map {
            name: "devices",
            source: Box::new(MapError::IoError(std::io::Error::other(e))),
        })
    }

    pub(super) fn remove_device(&mut self, device: IfIndex) -> Result<(), ApplyError> {
        let error = map_error("devices");
        let mut devices: DevMapHash<&mut MapData> =
            DevMapHash::try_from(self.data("DEVICES")?).map_err(&error)?;
        match devices.remove(device.get()) {
            // The kernel removes an interface from the map when it goes.
            Err(MapError::KeyNotFound) | Ok(()) => Ok(()),
            Err(MapError::SyscallError(e)) if e.io_error.kind() == std::io::ErrorKind::NotFound => {
                Ok(())
            }
            Err(e) => Err(error(e)),
        }
    }

    pub(super) fn read_devices(&self) -> BTreeSet<IfIndex> {
        let Some(map) = self.ebpf.map("DEVICES") else {
            return BTreeSet::new();
        };
        let Ok(devices): Result<DevMapHash<&MapData>, _> = map.try_into() else {
            return BTreeSet::new();
        };
        devices
            .keys()
            .filter_map(|key| IfIndex::new(key.ok()?))
            .collect()
    }

    pub(super) fn zero<T: aya::Pod + Default>(
        &mut self,
        name: &'static str,
        index: u32,
    ) -> Result<(), ApplyError> {
        let error = map_error(name);
        let zeros = vec![T::default(); cpus()];
        let values = PerCpuValues::try_from(zeros).map_err(|e| ApplyError::Map {
            name,
            source: Box::new(MapError::IoError(e)),
        })?;
        let mut stats: PerCpuArray<&mut MapData, T> =
            PerCpuArray::try_from(self.data(name)?).map_err(&error)?;
        stats.set(index, values, 0).map_err(error)
    }

    pub(super) fn describe_service(
        &mut self,
        id: ServiceId,
        service: Option<&ServiceImage>,
    ) -> Result<(), ApplyError> {
        let description = match service {
            None => zerocopy::FromZeros::new_zeroed(),
            Some(service) => ServiceDescription {
                name: describe::text(&service.name),
                address: describe::text(&service.key.addr.to_ip().to_string()),
                port: u32::from(service.key.port()),
                protocol: describe::text(match service.key.protocol() {
                    lb_common::flow::TCP => "tcp",
                    _ => "udp",
                }),
                ring_slots: u32::try_from(service.ring.slots.len()).unwrap_or(u32::MAX),
                backends: u32::try_from(service.ring.locals.len()).unwrap_or(u32::MAX),
            },
        };
        let error = map_error("services");
        let mut map: Array<&mut MapData, ServiceDescription> =
            Array::try_from(self.data("SERVICES")?).map_err(&error)?;
        set(&mut map, id.0, description).map_err(error)
    }

    pub(super) fn describe_backend(
        &mut self,
        id: BackendId,
        info: Option<&BackendInfo>,
        generation: u16,
    ) -> Result<(), ApplyError> {
        let description = match info {
            None => zerocopy::FromZeros::new_zeroed(),
            Some(info) => BackendDescription {
                name: describe::text(&info.name),
                service: describe::text(&info.service),
                address: describe::text(&info.address.to_string()),
                port: u32::from(info.port),
                weight: u32::from(info.weight),
                forwarding: describe::text(if info.tunnel {
                    "tunnel"
                } else {
                    "direct_routing"
                }),
                service_index: info.service_id.0,
                generation: u32::from(generation),
            },
        };
        let error = map_error("backends");
        let mut map: Array<&mut MapData, BackendDescription> =
            Array::try_from(self.data("BACKENDS")?).map_err(&error)?;
        set(&mut map, id.0, description).map_err(error)
    }

    pub(super) fn read_service(&self, id: ServiceId) -> Option<String> {
        let map: Array<&MapData, ServiceDescription> =
            Array::try_from(self.ebpf.map("SERVICES")?).ok()?;
        let description = map.get(&id.0, 0).ok()?;
        Some(from_text(&description.name).to_owned())
    }

    pub(super) fn read_backend(&self, id: BackendId) -> Option<BackendInfo> {
        let map: Array<&MapData, BackendDescription> =
            Array::try_from(self.ebpf.map("BACKENDS")?).ok()?;
        let description = map.get(&id.0, 0).ok()?;
        Some(BackendInfo {
            name: from_text(&description.name).to_owned(),
            service: from_text(&description.service).to_owned(),
            service_id: ServiceId(description.service_index),
            address: from_text(&description.address).parse().ok()?,
            port: u16::try_from(description.port).ok()?,
            weight: u16::try_from(description.weight).ok()?,
            tunnel: from_text(&description.forwarding) == "tunnel",
        })
    }
}

fn set<T: Borrow<MapData> + std::borrow::BorrowMut<MapData>, V: aya::Pod>(
    map: &mut Array<T, V>,
    index: u32,
    value: V,
) -> Result<(), MapError> {
    map.set(index, value, 0)
}

fn map_error(name: &'static str) -> impl Fn(MapError) -> ApplyError {
    move |source| ApplyError::Map {
        name,
        source: Box::new(source),
    }
}

/// Possible CPUs: per-CPU values come in that number.
fn cpus() -> usize {
    aya::util::nr_cpus().unwrap_or(1)
}
