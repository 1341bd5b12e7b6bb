//! `lo`, and two routes that make every address local to it.
//!
//! `local 0.0.0.0/0 dev lo` and `local ::/0 dev lo` in the local table (ip-route(8); "AnyIP"): the
//! kernel then delivers a packet to any address to a socket of this namespace.

#![cfg(target_os = "linux")]

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr},
};

use rtnetlink::{
    Handle, LinkUnspec, RouteMessageBuilder,
    packet_route::route::{RouteProtocol, RouteScope, RouteType},
};

/// Index of `lo` in a network namespace that was just made.
const LOOPBACK: u32 = 1;
/// The kernel's table of local addresses.
const LOCAL_TABLE: u32 = 255;

/// Sets `lo` up and routes every address to it. Returns whether there is IPv6: a kernel may be
/// booted without, and then there is nothing to catch.
pub(crate) fn make_every_address_local() -> io::Result<bool> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        let (connection, handle, _) = rtnetlink::new_connection()?;
        let connection = runtime.spawn(connection);
        let outcome = configure(&handle).await;
        connection.abort();
        outcome
    })
}

async fn configure(handle: &Handle) -> io::Result<bool> {
    let up = LinkUnspec::new_with_index(LOOPBACK).up().build();
    handle.link().set(up).execute().await.map_err(system_error)?;

    let v4 = RouteMessageBuilder::<Ipv4Addr>::new()
        .destination_prefix(Ipv4Addr::UNSPECIFIED, 0)
        .output_interface(LOOPBACK)
        .table_id(LOCAL_TABLE)
        .kind(RouteType::Local)
        .scope(RouteScope::Host)
        .protocol(RouteProtocol::Static)
        .build();
    handle.route().add(v4).execute().await.map_err(system_error)?;

    if !ipv6_exists() {
        return Ok(false);
    }
    let v6 = RouteMessageBuilder::<Ipv6Addr>::new()
        .destination_prefix(Ipv6Addr::UNSPECIFIED, 0)
        .output_interface(LOOPBACK)
        .table_id(LOCAL_TABLE)
        .kind(RouteType::Local)
        .protocol(RouteProtocol::Static)
        .build();
    handle.route().add(v6).execute().await.map_err(system_error)?;
    Ok(true)
}

/// Does `lo` have `::1`? Not with `ipv6.disable=1` or a `disable_ipv6` that new namespaces inherit.
fn ipv6_exists() -> bool {
    std::net::UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_ok()
}

fn system_error(error: rtnetlink::Error) -> io::Error {
    if let rtnetlink::Error::NetlinkError(message) = error {
        message.to_io()
    } else {
        io::Error::other(error)
    }
}
