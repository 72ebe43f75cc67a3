# Fresh Debian systems under systemd, in containers with a network of their own, for tests of the packages. Sourced by
# bash scripts with `set -euo pipefail`, which have set WORK to an empty directory. Needs root.
# DEBIAN_CACHE: where the bare system is kept between runs. DEBIAN_MIRROR: where it comes from.

DEBIAN_CACHE=${DEBIAN_CACHE:-$PWD/target/debian}
DEBIAN_MIRROR=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
NETWORK=stmf-$$
declare -A MACHINE LEADER MOUNTED

. "${BASH_SOURCE[0]%/*}/basics.sh"

say()  { printf "\n== %s (%s s)\n" "$*" "$SECONDS"; }

# machines_init: a network of their own, 192.0.2.0/24, with the test at 192.0.2.100 and no other way out.
machines_init() {
    trap machines_stop EXIT
    ip netns add "$NETWORK"
    ip -n "$NETWORK" link set lo up
    ip -n "$NETWORK" link add bridge type bridge
    ip -n "$NETWORK" address add 192.0.2.100/24 dev bridge
    ip -n "$NETWORK" link set bridge up
}

# plug NAME ADDRESS...: the machine's end of a cable to that network.
plug() {
    local name=$1 space=$NETWORK-$1 address
    shift
    ip netns add "$space"
    ip -n "$NETWORK" link add "$name" type veth peer name eth0 netns "$space"
    ip -n "$NETWORK" link set "$name" master bridge up
    ip -n "$space" link set lo up
    for address in "$@"; do ip -n "$space" address add "$address/24" dev eth0; done
    ip -n "$space" link set eth0 up
}

# On the test's own side of that network.
outside() { ip netns exec "$NETWORK" "$@"; }

# packages NUMBER: the packages of `make deb`, at least so many, into $WORK/deb, as another build may replace them meanwhile; their names
# in DEBS, but for those of debug symbols.
packages() {
    mkdir "$WORK/deb"
    if [ -d target/deb ]; then flock target/deb.lock cp -r target/deb/. "$WORK/deb/"; fi
    mapfile -t DEBS < <(find "$WORK/deb" -name '*.deb' ! -name '*-dbgsym_*' | sort)
    [ ${#DEBS[@]} -ge "$1" ] || fail "no packages in target/deb: make deb"
}

# base: makes the bare system, once; of two who want it one waits.
base() {
    mkdir -p "${DEBIAN_CACHE%/*}"
    exec {lock}>"$DEBIAN_CACHE.lock"
    flock "$lock"
    make_base
    exec {lock}>&-
}

make_base() {
    [ -e "$DEBIAN_CACHE/.complete" ] && return
    rm -rf "$DEBIAN_CACHE"
    mkdir -p "$DEBIAN_CACHE"
    debootstrap --variant=minbase --components=main,contrib --include=systemd,systemd-sysv bookworm "$DEBIAN_CACHE" "$DEBIAN_MIRROR" \
        >"$WORK/debootstrap.log" 2>&1 || { tail -n 20 "$WORK/debootstrap.log" >&2; fail "debootstrap"; }
    chroot "$DEBIAN_CACHE" apt-get update -qq
    touch "$DEBIAN_CACHE/.complete"
}

# copy NAME: a copy of the bare system.
copy() {
    local name=$1 root=$WORK/$1
    mkdir "$root" "$root.changes" "$root.work"
    mount -t overlay overlay -o "lowerdir=$DEBIAN_CACHE,upperdir=$root.changes,workdir=$root.work" "$root"
    MOUNTED[$root]=1
    # It need not survive a crash of the test.
    echo force-unsafe-io >"$root/etc/dpkg/dpkg.cfg.d/unsafe-io"
    echo "$name" >"$root/etc/hostname"
    echo 'APT::Install-Recommends "false";' >"$root/etc/apt/apt.conf.d/00recommends"
}

# machine NAME DEB...: such a copy, with these packages in /srv/packages and all that they depend on in apt's cache.
machine() {
    local name=$1 root=$WORK/$1
    shift
    copy "$name"
    mkdir -p "$root/srv/packages"
    cp "$@" "$root/srv/packages/"
    DEBIAN_FRONTEND=noninteractive chroot "$root" sh -c 'apt-get install -y -qq --download-only /srv/packages/*.deb' >"$WORK/$name.apt" 2>&1 ||
        { tail -n 20 "$WORK/$name.apt" >&2; fail "the dependencies cannot be had"; }
}

# boot NAME [NSPAWN-OPTION...]: starts it, once it is plugged, and waits until systemd is up.
boot() {
    local name=$1
    shift
    systemd-nspawn --quiet --directory="$WORK/$name" --machine="$name-$$" --hostname="$name" --register=no --keep-unit --boot \
        --network-namespace-path="/run/netns/$NETWORK-$name" --link-journal=no --resolv-conf=off --console=pipe "$@" \
        </dev/null >"$WORK/$name.console" 2>&1 &
    MACHINE[$name]=$!
    until_true 60 "$name has a first process" first_process "$name"
    LEADER[$name]=$(first_process "$name")
    until_true 120 "$name is up" is_up "$name"
}

# The process that is number 1 in the container.
first_process() {
    local pid
    for pid in $(pgrep --parent "${MACHINE[$1]}"); do
        [ "$(awk '/^NSpid:/ { print $NF; exit }' "/proc/$pid/status")" = 1 ] && echo "$pid" && return
    done
    return 1
}

# Degraded: something that has nothing to do with the test, and a status that is not 0.
is_up() { [[ $(on "$1" systemctl is-system-running) =~ ^(running|degraded)$ ]]; }

# on NAME COMMAND...: as root in that machine.
on() {
    local name=$1
    shift
    nsenter --target "${LEADER[$name]}" --mount --uts --ipc --net --pid --root --wd -- \
        env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 "$@"
}

# crash NAME: the whole machine at once.
crash() {
    kill -KILL "${LEADER[$1]}"
    wait "${MACHINE[$1]}" || :
    unset "MACHINE[$1]" "LEADER[$1]"
}

# scrap NAME: ends a machine and forgets what is on it; its cable stays.
scrap() {
    local root=$WORK/$1
    [ -z "${LEADER[$1]:-}" ] || crash "$1"
    umount "$root"
    unset "MOUNTED[$root]"
    rm -rf "$root" "$root.changes" "$root.work"
}

machines_stop() {
    local status=$? name space root
    for name in "${!LEADER[@]}"; do
        [ $status = 0 ] || on "$name" journalctl --no-pager -n 40 -u stmfd -u stmfproxy >&2 || :
        kill -KILL "${LEADER[$name]}" || :
    done
    for name in "${!MACHINE[@]}"; do wait "${MACHINE[$name]}" || :; done
    for space in $(ip netns list | awk -v network="$NETWORK" 'index($1, network) == 1 { print $1 }'); do ip netns delete "$space"; done
    for root in "${!MOUNTED[@]}"; do umount "$root"; done
    rm -rf "$WORK"
}
