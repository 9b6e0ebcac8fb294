//! Who calls, as plugins that count calls tell callers apart.
use std::net::IpAddr;

use twinplane_engine::exchange::Exchange;

/// The id of the consumer.
pub(crate) fn consumer(x: &Exchange) -> Option<&[u8]> {
    x.consumer
        .as_ref()
        .map(|consumer| consumer.model.id.as_bytes())
}

/// The id of the credential.
pub(crate) fn credential(x: &Exchange) -> Option<&[u8]> {
    x.credential
        .as_ref()
        .map(|credential| credential.id.as_bytes())
}

/// The address; one of IPv4 is the same in either form.
pub(crate) fn address(x: &Exchange) -> [u8; 16] {
    let address = match x.client.ip {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    };
    address.octets()
}
