//! Addresses of machines: node *n* of a run is 10.0.0.*n + 1*.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use squall_core::host::NodeIx;

use super::Errno;
use crate::cpu::Memory;

/// The address of a machine.
pub fn of_node(node: NodeIx) -> Ipv4Addr {
    let [high, low] = (node.0 + 1).to_be_bytes();
    Ipv4Addr::new(10, 0, high, low)
}

/// The machine that an address leads to; `own` is the one that asks.
pub fn to_node(address: IpAddr, own: NodeIx) -> Option<NodeIx> {
    let address = address.to_canonical();
    if address.is_loopback() || address.is_unspecified() {
        return Some(own);
    }
    match address {
        IpAddr::V4(v4) => match v4.octets() {
            [10, 0, high, low] => u16::from_be_bytes([high, low]).checked_sub(1).map(NodeIx),
            _ => None,
        },
        IpAddr::V6(_) => None,
    }
}

/// Reads a `sockaddr_in` or `sockaddr_in6`.
pub fn read(memory: &Memory, at: usize, len: usize) -> Result<SocketAddr, Errno> {
    if len < 2 {
        return Err(Errno(libc::EINVAL));
    }
    let bytes = memory.slice(at, len);
    let family = i32::from(u16::from_ne_bytes([bytes[0], bytes[1]]));
    let port = |bytes: &[u8]| u16::from_be_bytes([bytes[2], bytes[3]]);
    match family {
        libc::AF_INET if len >= 16 => {
            let octets: [u8; 4] = bytes[4..8].try_into().unwrap_or_default();
            Ok(SocketAddr::new(Ipv4Addr::from(octets).into(), port(bytes)))
        }
        libc::AF_INET6 if len >= 28 => {
            let octets: [u8; 16] = bytes[8..24].try_into().unwrap_or_default();
            Ok(SocketAddr::new(Ipv6Addr::from(octets).into(), port(bytes)))
        }
        libc::AF_INET | libc::AF_INET6 => Err(Errno(libc::EINVAL)),
        _ => Err(Errno(libc::EAFNOSUPPORT)),
    }
}

/// Writes an address as the family of a socket has it, as far as there is room, and its length.
pub fn write(memory: &Memory, at: usize, len_at: usize, address: SocketAddr, is_v6: bool) {
    if at == 0 || len_at == 0 {
        return;
    }
    let mut bytes = Vec::with_capacity(28);
    match (address.ip().to_canonical(), is_v6) {
        (IpAddr::V4(v4), false) => {
            bytes.extend((libc::AF_INET as u16).to_ne_bytes());
            bytes.extend(address.port().to_be_bytes());
            bytes.extend(v4.octets());
            bytes.extend([0; 8]);
        }
        (ip, _) => {
            let v6 = match (ip, address.ip()) {
                (IpAddr::V4(v4), _) if v4.is_unspecified() => Ipv6Addr::UNSPECIFIED,
                (IpAddr::V4(v4), _) => v4.to_ipv6_mapped(),
                (IpAddr::V6(v6), _) => v6,
            };
            bytes.extend((libc::AF_INET6 as u16).to_ne_bytes());
            bytes.extend(address.port().to_be_bytes());
            bytes.extend([0; 4]);
            bytes.extend(v6.octets());
            bytes.extend([0; 4]);
        }
    }
    let room = memory.read_u32(len_at) as usize;
    memory.write(at, &bytes[..bytes.len().min(room)]);
    memory.write_u32(len_at, bytes.len() as u32);
}
