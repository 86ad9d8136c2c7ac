//! Promise: wherever a client stands on its way to a server, through a proxy, TLS and a handshake of its protocol: whoever ends
//! it there has one `on_close`, an `on_error` before that if it was not the app, and nothing of it stays.

#![cfg(feature = "_tls")]
#![allow(clippy::indexing_slicing)] // a failing index fails the test

mod common;
mod ways;

use std::rc::Rc;
use std::time::Duration;

use common::Log;
use ways::certificate;
use workerman::testing::{Peer, Simulation};
use workerman::{AsyncTcpConnection, Codec, Status, Tcp, TlsClientOptions, TlsOptions, Websocket, Worker, Ws};

type Client = AsyncTcpConnection<Ws>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Initial,
    /// `connect` has been called.
    Due,
    /// The proxy has not answered.
    Proxy,
    /// The server's part of TLS is missing.
    Tls,
    /// The server's answer to the WebSocket handshake is missing.
    Handshake,
    Open,
    /// `close` has been called.
    Leaving,
    /// `reconnect` has been called.
    Waiting,
}

const STAGES: [Stage; 8] = {
    use Stage::{Due, Handshake, Initial, Leaving, Open, Proxy, Tls, Waiting};
    [Initial, Due, Proxy, Tls, Handshake, Open, Leaving, Waiting]
};

/// A client at one of them, who logs what it is told.
struct Scene {
    simulation: Simulation,
    client: Client,
    log: Log<String>,
    /// The other ends of its connection and of the worker's.
    ends: Option<(Peer, Option<Peer>)>,
    /// What a callback of it holds.
    held: Rc<()>,
}

impl Scene {
    fn at(stage: Stage) -> Self {
        let simulation = Simulation::new();
        let client = Client::new("wss://localhost:1/chat");
        client.set_proxy("http://proxy.test");
        client.set_transport_ssl(TlsClientOptions::new().ca_file(certificate().files().0));
        let (log, held) = (Log::new(), Rc::new(()));
        let (connect, opened, error, close) = (log.writer(), log.writer(), log.writer(), log.writer());
        let holds = Rc::clone(&held);
        client.on_connect(move |_| connect("connect".to_owned()));
        client.on_websocket_connect(move |_, _| opened("opened".to_owned()));
        client.on_error(move |_, code, text| error(format!("error {code} {text}")));
        client.on_close(move |_| {
            let _holds = &holds;
            close("close".to_owned());
        });
        let mut scene = Self { simulation, client, log, ends: None, held };
        scene.go_to(stage);
        scene.log.take();
        scene
    }

    fn go_to(&mut self, stage: Stage) {
        match stage {
            Stage::Initial => return,
            Stage::Waiting => return self.client.reconnect(100),
            _ => self.client.connect(),
        }
        if stage == Stage::Due {
            return;
        }
        self.simulation.run();
        let peer = self.simulation.accept().expect("it has connected");
        self.simulation.run();
        assert!(peer.read_text().starts_with("CONNECT localhost:1 HTTP/1.1\r\n"));
        if stage == Stage::Proxy {
            self.ends = Some((peer, None));
            return;
        }
        peer.write("HTTP/1.1 200 OK\r\n\r\n");
        self.simulation.run();
        let worker = match stage {
            Stage::Tls => None,
            Stage::Handshake => Some(self.secure::<Tcp>()),
            _ => Some(self.secure::<Websocket>()),
        };
        if let Some(worker) = &worker {
            self.carry(&peer, worker);
        }
        self.ends = Some((peer, worker));
        if stage == Stage::Leaving {
            self.client.close();
            self.simulation.run();
        }
    }

    /// The way to a server with TLS.
    fn secure<P: Codec>(&self) -> Peer {
        let worker = Worker::<P>::new("");
        let (certificate, key) = certificate().files();
        worker.set_transport_ssl(TlsOptions::new(certificate, key));
        worker.reload_certificates().expect("good files");
        self.simulation.connect(worker)
    }

    fn carry(&self, peer: &Peer, worker: &Peer) {
        loop {
            self.simulation.run();
            let (from, to) = (peer.read(), worker.read());
            if from.is_empty() && to.is_empty() {
                break;
            }
            worker.write(from);
            peer.write(to);
        }
    }

    /// The server and what leads to it are gone.
    fn forget_server(&mut self) -> bool {
        let Some((peer, worker)) = self.ends.take() else { return true };
        if let Some(worker) = worker {
            worker.reset();
        }
        self.simulation.run();
        peer.is_closed()
    }
}

/// How it ends.
type End = (&'static str, fn(&Scene));

const ENDS: [End; 7] = [
    ("close", |scene| scene.client.close()),
    ("close twice", |scene| {
        scene.client.close();
        scene.client.close();
        scene.client.destroy();
    }),
    ("destroy", |scene| scene.client.destroy()),
    ("cancel", |scene| {
        scene.client.cancel_reconnect();
        scene.client.destroy();
    }),
    ("reset", |scene| scene.ends.iter().for_each(|(peer, _)| peer.reset())),
    ("finish", |scene| scene.ends.iter().for_each(|(peer, _)| peer.finish())),
    ("time", |_| ()),
];

#[test]
fn whoever_ends_at_whatever_stage_is_told_once_and_leaves_nothing() {
    for stage in STAGES {
        for (name, end) in ENDS {
            let is_ours = matches!(name, "close" | "close twice" | "destroy" | "cancel");
            if !is_ours && matches!(stage, Stage::Initial | Stage::Due | Stage::Waiting)
                || name == "time" && stage == Stage::Open
            {
                continue;
            }
            let mut scene = Scene::at(stage);
            end(&scene);
            scene.simulation.advance(Duration::from_secs(60));
            if let Some((peer, Some(worker))) = &scene.ends {
                scene.carry(peer, worker);
                peer.finish();
            }
            scene.simulation.advance(Duration::from_secs(60));

            let (mut told, case) = (scene.log.take(), format!("{stage:?}, {name}"));
            let closed = told.pop_if(|last| last == "close").is_some();
            assert_eq!(closed, !matches!(stage, Stage::Initial | Stage::Waiting), "{case}: {told:?}");
            let fails = !is_ours && !matches!(stage, Stage::Open | Stage::Leaving);
            assert!(told.len() == usize::from(fails), "{case}: {told:?}");
            assert!(told.iter().all(|error| error.starts_with("error ")), "{case}: {told:?}");
            assert!(scene.forget_server(), "{case}: its connection is open");
            assert_eq!(scene.simulation.accept().map(drop), None, "{case}");
            assert_eq!((scene.client.status(), scene.client.address().as_str()), (Status::Closed, ""), "{case}");
            assert_eq!(Rc::strong_count(&scene.held), 1, "{case}: its callbacks are kept");
            assert_eq!(scene.simulation.next_wake_up(), None, "{case}: a timer is left");
        }
    }
}

#[test]
fn a_loop_that_ends_leaves_nothing_of_a_client_at_any_stage() {
    for stage in STAGES {
        let Scene { simulation, client, ends, held, .. } = Scene::at(stage);
        drop(simulation);
        assert_eq!(Rc::strong_count(&held), 1, "{stage:?}");
        assert!(ends.is_none_or(|(peer, _)| peer.is_closed()), "{stage:?}");
        assert_eq!(client.status(), Status::Closed, "{stage:?}");
    }
}

#[test]
fn a_client_that_is_told_to_come_back_at_whatever_stage_does_so() {
    for stage in STAGES {
        let mut scene = Scene::at(stage);
        scene.client.on_close(|_| ());
        scene.client.reconnect(1);
        scene.simulation.advance(Duration::from_millis(900));
        assert!(scene.forget_server(), "{stage:?}: the connection before is open");
        assert_eq!(scene.simulation.accept().map(drop), None, "{stage:?}");
        scene.simulation.advance(Duration::from_millis(200));
        scene.log.take();
        let peer = scene.simulation.accept().expect("it comes back");
        scene.simulation.run();
        peer.write("HTTP/1.1 200 OK\r\n\r\n");
        scene.simulation.run();
        peer.read();
        let told = scene.log.take();
        assert!(told.is_empty() && scene.simulation.accept().is_none(), "{stage:?}: {told:?}");
        assert_eq!(scene.client.status(), Status::Connecting, "{stage:?}");
    }
}

#[test]
fn a_secure_websocket_comes_back_through_its_proxy_each_time() {
    let mut scene = Scene::at(Stage::Initial);
    let closed = scene.log.writer();
    scene.client.on_close(move |client| {
        closed("close".to_owned());
        client.reconnect(0.5);
    });
    scene.go_to(Stage::Open);
    for _ in 0..3 {
        assert_eq!(scene.log.take(), ["connect", "opened"]);
        scene.ends.take().expect("a connection").0.reset();
        scene.simulation.run();
        assert_eq!(scene.log.take(), ["close"]);
        scene.simulation.advance(Duration::from_millis(500));
        scene.go_to(Stage::Open);
    }
}
