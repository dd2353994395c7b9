//! Virtual routers as tests think of them, written as keepalived's configuration or as Ballast's;
//! adverts as they are on the wire; and what `ballast status` says about them.

mod advert;
mod announcement;
mod conf;

pub mod forged;
mod router;
mod status;
mod sum;
mod yaml;

pub use advert::{Advert, Adverts, is_advert};
pub use announcement::{Announcement, Announcements, Burst};
pub use conf::keepalived_conf;
pub use router::{TRACKED, Version, VirtualRouter};
pub use status::{Instance, Transition, instances, unclaimed};
pub use sum::Sum;
pub use yaml::{sync_group, vrrp_yaml};
