#!/usr/bin/env python3
"""Files, uploads, TLS and clients beside nginx and hyper: interleaved rounds, medians, ratios of one run. See
docs/performance.md.

    export CARGO_TARGET_DIR=...
    cargo build --release --features json,tls --example benchmark --example outgoing
    cargo build --release --manifest-path benches/beside/Cargo.toml
    benches/beside/run.py [file] [static] [upload] [chunked]    what is measured is the server's processor time
    benches/beside/run.py [https] [sse-tls]                     the same over TLS 1.3: an answer, an event
    benches/beside/run.py [handshake]                           a full handshake, ECDSA on P-256
    benches/beside/run.py [idle-tls]                            the server's memory for a connection that rests
    benches/beside/run.py [client] [outgoing]                   the client's processor time and memory
    with [--rounds 5] [--seconds 2]

`--also NAME=COMMAND` adds another server, such as a build of before. BENCH_SRV_CPU and BENCH_LOAD_CPU are the cores of
server and load (0 and 1), BENCH_NICE is the niceness of both.
"""
import argparse, json, os, pathlib, resource, shlex, socket, statistics, subprocess, sys, time

HERE = pathlib.Path(__file__).resolve().parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or sys.exit("set CARGO_TARGET_DIR")).resolve()
BIN = TARGET / "release"
RUN = TARGET / "beside"
FILES = RUN / "files"
SERVER, LOAD = os.environ.get("BENCH_SRV_CPU", "0"), os.environ.get("BENCH_LOAD_CPU", "1")
NICE = os.environ.get("BENCH_NICE", "0")
KINDS = ["html", "css", "js", "svg", "png"]
SMALL = {f"/static/{at:02}.{KINDS[at % 5]}": round(1024 * 50 ** (at / 19)) for at in range(20)}  # 1 to 50 KiB
UPLOAD = 20 << 20

CERT, KEY = RUN / "cert.pem", RUN / "key.pem"

FILE_COLUMNS = ["cpu_us", "cpu_us_mib", "mib_s", "busy", "grown_kb", "peak_kb", "kb_client"]
TLS_COLUMNS = ["cpu_us", "per_cpu_second", "per_second", "busy", "bytes_client"]

# what -> (load, clients, its arguments, peer, column of the ratio, all columns)
WORK = {
    "file": ("load fetch", 16, ["/file"], "nginx", "cpu_us", FILE_COLUMNS),
    "static": ("load fetch", 16, list(SMALL), "nginx", "cpu_us", FILE_COLUMNS),
    "upload": ("load upload", 4, ["/upload", UPLOAD, "length"], "hyper", "cpu_us_mib", FILE_COLUMNS),
    "chunked": ("load upload", 4, ["/upload", UPLOAD, "chunked"], "hyper", "cpu_us_mib", FILE_COLUMNS),
    "https": ("secure keep", 64, [], "hyper-tls", "cpu_us", TLS_COLUMNS),
    "sse-tls": ("secure hear", 1000, [], "hyper-tls", "cpu_us", TLS_COLUMNS),
    "handshake": ("secure shake", 16, [], "nginx-tls", "cpu_us", TLS_COLUMNS),
    "idle-tls": ("secure idle", 5000, [], "hyper-tls", "bytes_client", TLS_COLUMNS),
    # Of these the client is measured: what it takes follows the port of its server.
    "client": ("client", 64, [], "hyper", "cpu_us", ["cpu_us", "per_second", "busy"]),
    "outgoing": ("client", 10_000, [], "ours", "bytes", ["bytes", "cpu_us", "late_p50_us", "late_p99_us", "late_most_us"]),
}


def make_files():
    (FILES / "static").mkdir(parents=True, exist_ok=True)
    for path, size in {"/file": 1 << 20, **SMALL}.items():
        file = FILES / path[1:]
        if not file.exists() or file.stat().st_size != size:
            file.write_bytes(bytes(at % 251 for at in range(size)))
            os.utime(file, (1_600_000_000, 1_600_000_000))


def make_certificate():
    if not CERT.exists():
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "3650",
                        "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
                        "-keyout", str(KEY), "-out", str(CERT)], check=True, capture_output=True)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def nginx(port, template="nginx.conf.in"):
    text = (HERE / template).read_text()
    for name, value in {"PORT": port, "RUN": RUN, "FILES": FILES, "CERT": CERT, "KEY": KEY}.items():
        text = text.replace(f"@{name}@", str(value))
    (RUN / "nginx.conf").write_text(text)
    # Files of an unprivileged user may be out of reach for the one that nginx would become.
    user = ["-g", f"user {os.environ.get('USER') or 'root'};"] if os.geteuid() == 0 else []
    return ["nginx", "-c", str(RUN / "nginx.conf"), "-p", str(RUN), *user]


# peer -> servers, or for the last two clients, by name and port
def peers(what, also):
    benchmark, site, outgoing = BIN / "examples" / "benchmark", BIN / "site", BIN / "examples" / "outgoing"
    by_peer = {
        "nginx": {"nginx": nginx},
        "hyper": {"hyper": lambda _: [BIN / "collect"], "hyper, mimalloc": lambda _: [BIN / "collect-mimalloc"]},
        "hyper-tls": {"hyper-tls": lambda _: [site]},
        "nginx-tls": {"nginx-tls": lambda port: nginx(port, "nginx-tls.conf.in"), "hyper-tls": lambda _: [site]},
    }
    if what == "client":
        return {"hyper": lambda port: [BIN / "requests", port], "ours": lambda _: [outgoing], **also}
    if what == "outgoing":
        return {"ours": lambda _: [outgoing], "ours, alike": lambda _: ["env", "ALIKE=1", outgoing], **also}
    return {**by_peer[WORK[what][3]], "ours": lambda _: [benchmark], **also}


def pinned(cpu, command):
    return ["nice", "-n", NICE, "taskset", "-c", cpu, *map(str, command)]


def measure(what, command, seconds):
    port = free_port()
    if WORK[what][0] == "client":
        # The measured side has the first core here too.
        server, cpu = [BIN / ("site" if what == "client" else "mirror")], LOAD
    else:
        server, cpu = command(port), SERVER
    environment = dict(os.environ, PORT=str(port), FILES=str(FILES))
    if "tls" in what or what in ("https", "handshake"):
        environment.update(TLS_CERTIFICATE=str(CERT), TLS_KEY=str(KEY))
    log = open(RUN / "server.log", "wb")
    server = subprocess.Popen(pinned(cpu, server), env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        wait_for(server, port)
        if WORK[what][0] == "client":
            return measure_client(what, command(port), port, seconds)
        return measure_server(what, server, port, seconds)
    finally:
        server.kill()
        server.wait()


def measure_server(what, server, port, seconds):
    load, clients, arguments = WORK[what][:3]
    program, kind = load.split()
    rss = resident(server.pid)
    found = run(pinned(LOAD, [BIN / program, kind, port, server.pid, clients, seconds, *arguments]), seconds)
    if "peak_kb" in found:
        found.update(grown_kb=found["peak_kb"] - rss, kb_client=round((found["peak_kb"] - rss) / clients))
    return found


def measure_client(what, command, port, seconds):
    clients = WORK[what][1]
    # Ours reads its environment, as the words of its command line are the framework's.
    kind = "requests" if what == "client" else "connections"
    environment = dict(os.environ, WHAT=kind, PORT=str(port), COUNT=str(clients), SECONDS=str(seconds), PER_TICK="20")
    words = [clients, seconds] if what == "client" and len(command) > 1 else []
    return run(pinned(SERVER, [*command, *words]), seconds, environment)


def run(command, seconds, environment=None):
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=seconds + 60)
    if done.returncode:
        raise RuntimeError(done.stderr.strip()[:300])
    return json.loads(next(line for line in done.stdout.splitlines() if line.startswith("{")))


def wait_for(server, port):
    for _ in range(200):
        try:
            return socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if server.poll() is not None:
                break
            time.sleep(0.05)
    raise RuntimeError(f"does not listen: see {RUN / 'server.log'}")


def resident(pid):
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


def table(what, found):
    peer, column, columns = WORK[what][3:]
    rounds = {name: len(of) for name, of in found.items()}
    print(f"\n{what}: medians of {rounds}; x = {column} beside {peer} in the same run, spread of it = (max - min) / median\n")
    print("| server | x | spread | " + " | ".join(columns) + " |\n|" + " --- |" * (len(columns) + 3))
    median = {name: {c: statistics.median(one[c] for one in of) for c in columns} for name, of in found.items() if of}
    for name, of in median.items():
        x = f"{of[column] / median[peer][column]:.2f}" if peer in median else "-"
        values = [one[column] for one in found[name]]
        spread = 100 * (max(values) - min(values)) / of[column]
        cells = " | ".join(f"{of[c]:.2f}" if of[c] < 100 else f"{of[c]:.0f}" for c in columns)
        print(f"| {name} | {x} | {spread:.0f} % | {cells} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", choices=[*WORK, []])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--also", action="append", default=[], metavar="NAME=COMMAND")
    options = parser.parse_args()
    make_files()
    make_certificate()
    # Whoever is started here may have as many connections as that.
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    also = dict(also.split("=", 1) for also in options.also)
    also = {name: lambda _, command=command: shlex.split(command) for name, command in also.items()}
    for what in options.what or WORK:
        found = {name: [] for name in peers(what, also)}
        for _ in range(options.rounds):
            for name, command in peers(what, also).items():
                try:
                    found[name].append(measure(what, command, options.seconds))
                except (RuntimeError, subprocess.TimeoutExpired) as error:
                    print(f"# {what}, {name}: {error}", file=sys.stderr)
        table(what, found)


main()
