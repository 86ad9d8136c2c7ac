#!/usr/bin/env python3
"""Files and uploads beside nginx and hyper: interleaved rounds, medians, ratios of one run. See docs/performance.md.

    export CARGO_TARGET_DIR=...
    cargo build --release --features json --example benchmark
    cargo build --release --manifest-path benches/beside/Cargo.toml
    benches/beside/run.py [file] [static] [upload] [chunked] [--rounds 5] [--seconds 2]

`--also NAME=COMMAND` adds another server, such as a build of before. BENCH_SRV_CPU and BENCH_LOAD_CPU are the cores of
server and load (0 and 1), BENCH_NICE is the niceness of both.
"""
import argparse, json, os, pathlib, shlex, socket, statistics, subprocess, sys, time

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

# what -> (load, clients, its arguments, peer, column of the ratio)
WORK = {
    "file": ("fetch", 16, ["/file"], "nginx", "cpu_us"),
    "static": ("fetch", 16, list(SMALL), "nginx", "cpu_us"),
    "upload": ("upload", 4, ["/upload", UPLOAD, "length"], "hyper", "cpu_us_mib"),
    "chunked": ("upload", 4, ["/upload", UPLOAD, "chunked"], "hyper", "cpu_us_mib"),
}
COLUMNS = ["cpu_us", "cpu_us_mib", "mib_s", "busy", "grown_kb", "peak_kb", "kb_client"]


def make_files():
    (FILES / "static").mkdir(parents=True, exist_ok=True)
    for path, size in {"/file": 1 << 20, **SMALL}.items():
        file = FILES / path[1:]
        if not file.exists() or file.stat().st_size != size:
            file.write_bytes(bytes(at % 251 for at in range(size)))
            os.utime(file, (1_600_000_000, 1_600_000_000))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def nginx(port):
    text = (HERE / "nginx.conf.in").read_text()
    for name, value in {"PORT": port, "RUN": RUN, "FILES": FILES}.items():
        text = text.replace(f"@{name}@", str(value))
    (RUN / "nginx.conf").write_text(text)
    # Files of an unprivileged user may be out of reach for the one that nginx would become.
    user = ["-g", f"user {os.environ.get('USER') or 'root'};"] if os.geteuid() == 0 else []
    return ["nginx", "-c", str(RUN / "nginx.conf"), "-p", str(RUN), *user]


def pinned(cpu, command):
    return ["nice", "-n", NICE, "taskset", "-c", cpu, *map(str, command)]


def measure(what, command, seconds):
    kind, clients, arguments, _, _ = WORK[what]
    port = free_port()
    environment = dict(os.environ, PORT=str(port), FILES=str(FILES))
    log = open(RUN / "server.log", "wb")
    server = subprocess.Popen(pinned(SERVER, command(port)), env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        wait_for(server, port)
        rss = resident(server.pid)
        load = [BIN / "load", kind, port, server.pid, clients, seconds, *arguments]
        run = subprocess.run(pinned(LOAD, load), capture_output=True, text=True, timeout=seconds + 30)
        if run.returncode:
            raise RuntimeError(run.stderr.strip()[:300])
        found = json.loads(run.stdout)
        return dict(found, grown_kb=found["peak_kb"] - rss, kb_client=round((found["peak_kb"] - rss) / clients))
    finally:
        server.kill()
        server.wait()


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


def table(what, peer, column, found):
    rounds = {name: len(of) for name, of in found.items()}
    print(f"\n{what}: medians of {rounds}; x = {column} beside {peer} in the same run, spread of it = (max - min) / median\n")
    print("| server | x | spread | " + " | ".join(COLUMNS) + " |\n|" + " --- |" * (len(COLUMNS) + 3))
    median = {name: {c: statistics.median(one[c] for one in of) for c in COLUMNS} for name, of in found.items() if of}
    for name, of in median.items():
        x = f"{of[column] / median[peer][column]:.2f}" if peer in median else "-"
        values = [one[column] for one in found[name]]
        spread = 100 * (max(values) - min(values)) / of[column]
        cells = " | ".join(f"{of[c]:.2f}" if of[c] < 100 else f"{of[c]:.0f}" for c in COLUMNS)
        print(f"| {name} | {x} | {spread:.0f} % | {cells} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", choices=[*WORK, []])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--also", action="append", default=[], metavar="NAME=COMMAND")
    options = parser.parse_args()
    make_files()
    peers = {"nginx": {"nginx": nginx},
             "hyper": {"hyper": lambda _: [BIN / "collect"], "hyper, mimalloc": lambda _: [BIN / "collect-mimalloc"]}}
    ours = {"ours": lambda _: [BIN / "examples" / "benchmark"]}
    for name, command in (also.split("=", 1) for also in options.also):
        ours[name] = lambda _, command=command: shlex.split(command)
    for what in options.what or WORK:
        peer, column = WORK[what][3:]
        servers = {**peers[peer], **ours}
        found = {name: [] for name in servers}
        for _ in range(options.rounds):
            for name, command in servers.items():
                try:
                    found[name].append(measure(what, command, options.seconds))
                except (RuntimeError, subprocess.TimeoutExpired) as error:
                    print(f"# {what}, {name}: {error}", file=sys.stderr)
        table(what, peer, column, found)


main()
