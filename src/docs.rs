//! The code in the pages of `docs/` and in the README, compiled by `cargo test`.

#[doc = include_str!("../README.md")]
mod readme {}
#[doc = include_str!("../docs/clients.md")]
mod clients {}
#[doc = include_str!("../docs/design.md")]
mod design {}
#[cfg(feature = "json")] // some of its code is about that
#[doc = include_str!("../docs/http.md")]
mod http {}
#[doc = include_str!("../docs/http-conformance.md")]
mod http_conformance {}
#[doc = include_str!("../docs/performance.md")]
mod performance {}
#[doc = include_str!("../docs/porting.md")]
mod porting {}
#[doc = include_str!("../docs/processes.md")]
mod processes {}
#[doc = include_str!("../docs/proxy.md")]
mod proxy {}
#[doc = include_str!("../docs/protocols.md")]
mod protocols {}
#[cfg(feature = "session")]
#[doc = include_str!("../docs/sessions.md")]
mod sessions {}
#[doc = include_str!("../docs/sse.md")]
mod sse {}
#[doc = include_str!("../docs/threads.md")]
mod threads {}
#[doc = include_str!("../docs/udp.md")]
mod udp {}
#[doc = include_str!("../docs/unix-sockets.md")]
mod unix_sockets {}
#[doc = include_str!("../docs/websocket.md")]
mod websocket {}
#[doc = include_str!("../docs/websocket-conformance.md")]
mod websocket_conformance {}
