# What the host side of the lab's checks shares. Sourced by bash scripts with `set -euo pipefail`, from the project's top directory.
# Environment: BIN (directory of the programs), KEEP (a directory: logs of a run stay there).

BIN=${BIN:-$PWD/target/release}
[ -x "$BIN/stmfd" ] || { echo "lab: no stmfd in $BIN" >&2; exit 2; }
WORK=$(mktemp -d "${TMPDIR:-/tmp}/stmf-lab.XXXXXX")
. scripts/lib.sh
declare -A TARGET
GUEST_ADDRESS=(10.0.2.2 10.0.3.2)   # the host's loopback, by the guest's first and by its second interface
GUEST_PID='' GOOD=0 BAD=0
DISK=$WORK/disk.img

lab_init() {
    local node
    lab/image
    # Both now: a port that is asked for later may be one that a node has just left.
    for node in 0 1; do ISCSI_PORT[$node]=$(free_port); done
    CHANNEL_PORT=$(free_port)
    trap lab_exit EXIT
    trap 'exit 130' INT TERM
}

lab_exit() {
    local status=$?
    [ -z "$GUEST_PID" ] || { kill "$GUEST_PID"; wait "$GUEST_PID"; } 2>/dev/null || :
    pair_stop
    if [ $status != 0 ]; then
        printf '\nlast lines of the daemons:\n' >&2
        tail -n 15 "$WORK"/*.err >&2 || :
    fi
    [ -z "${KEEP:-}" ] || { mkdir -p "$KEEP"; cp -r "$WORK"/*.err "$WORK"/*.log "$WORK"/job* "$KEEP" 2>/dev/null || :; }
    rm -rf "$WORK"
}

create_target() { # NODE
    TARGET[$1]=iqn.2026-11.example.lab:node$1
    on "$1" itadm create-target -n "${TARGET[$1]}" >/dev/null
}

create_lu() { # NODE SIZE PROPERTY...: sets GUID
    truncate -s "$2" "$DISK"
    GUID=$(on "$1" stmfadm create-lu "${@:3}" "$DISK" | sed -n 's/^Logical unit created: //p')
    [ ${#GUID} = 32 ] || fail "create-lu printed no GUID"
}

alua_enabled() { on "$1" stmfadm list-state | grep -q 'ALUA Status *: enabled'; }

# Two nodes with one LU, Active on node 0.
lab_pair() { # SIZE
    local node
    for node in 0 1; do start_stmfd $node; done
    start_proxy 1
    start_proxy 0
    for node in 0 1; do
        until_true 20 "ALUA is enabled on node $node" alua_enabled $node
        create_target $node
    done
    create_lu 0 "$1"
    until_true 20 "the LU is known on node 1" access_is 1 Standby
    for node in 0 1; do on $node stmfadm add-view -n 0 "$GUID"; done
    access_is 0 Active || fail "the LU is not Active on node 0"
}

# path NODE: how the guest reaches the target of a node, each by an interface of its own.
path() { printf '%s@%s:%s,1' "${TARGET[$1]}" "${GUEST_ADDRESS[$1]}" "${ISCSI_PORT[$1]}"; }

# guest NAME OPTION...: runs a guest script (see lab/run) in the background; its output goes to the log of that name and here.
guest() {
    local name=$1
    shift
    JOB=$WORK/job-$name LOG=$WORK/$name.log
    mkdir -p "$JOB"
    lab/run --job "$JOB" "$@" > >(tee "$LOG" | sed -u 's/^/  guest| /') 2>&1 &
    GUEST_PID=$!
}

guest_signals() { # NAME SECONDS: waits for a file of the exchange folder
    local end=$((SECONDS + $2))
    until [ -e "$JOB/$1" ]; do
        kill -0 "$GUEST_PID" 2>/dev/null || return 1
        [ $SECONDS -lt $end ] || return 1
        sleep 0.2
    done
}

tell_guest() { : >"$JOB/$1"; }

guest_end() { # sets GUEST_STATUS
    GUEST_STATUS=0
    wait "$GUEST_PID" || GUEST_STATUS=$?
    GUEST_PID=''
}

harm() { printf '[%s] host: %s\n' "$(date -u +%H:%M:%S.%3N)" "$*"; }

verdict() { # NAME STATUS TEXT
    if [ "$2" = 0 ]; then GOOD=$((GOOD + 1)) word=GOOD; else BAD=$((BAD + 1)) word=BAD; fi
    printf '\nLAB %s: %s (%s)\n' "$1" "$word" "$3"
}

lab_end() {
    printf '\nLAB %s: %s good, %s bad\n' "$1" "$GOOD" "$BAD"
    [ "$BAD" = 0 ]
}
