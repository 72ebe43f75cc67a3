# Two nodes on loopback, for the demonstration and for tests. Sourced by bash scripts with `set -euo pipefail`.
# The caller sets BIN (directory of the programs) and WORK (an existing empty directory) before `pair_init`.

. "${BASH_SOURCE[0]%/*}/basics.sh"

say()  { printf '\n\033[1m== %s\033[0m\n' "$*"; }
show() { printf '$ %s\n' "$*"; "$@"; }

# A free TCP port on loopback.
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

declare -A STMFD_PID PROXY_PID ISCSI_PORT

pair_init() {
    ISCSI_PORT[0]=$(free_port) ISCSI_PORT[1]=$(free_port) CHANNEL_PORT=$(free_port)
    trap pair_stop EXIT
}

# Runs a tool against one node: on NODE COMMAND...
on() {
    local node=$1
    shift
    STMF_ENDPOINT="daemon:$WORK/node$node.door" PATH="$BIN:$PATH" "$@"
}

# The same, printing the command as an administrator would type it.
show_on() { printf 'node%s$ %s\n' "$1" "${*:2}"; on "$@"; }

# start_stmfd NODE [OPTION...]
start_stmfd() {
    local node=$1
    shift
    : >"$WORK/stmfd$node.err"
    "$BIN/stmfd" --foreground --state-dir "$WORK/node$node" --door "$WORK/node$node.door" \
        --iscsi-portal "127.0.0.1:${ISCSI_PORT[$node]}" "$@" 2>>"$WORK/stmfd$node.err" &
    STMFD_PID[$node]=$!
    until_true 20 "stmfd of node $node is ready ($(tail -1 "$WORK/stmfd$node.err"))" grep -q 'stmfd: ready' "$WORK/stmfd$node.err"
}

start_proxy() {
    local node=$1 role=--connect
    [ "$node" = 0 ] || role=--listen
    # Not through `on`: the pid of a function in the background is that of a shell, and its end would leave the program running.
    STMF_ENDPOINT="daemon:$WORK/node$node.door" \
        "$BIN/stmfproxy" -f -n "$node" "$role" "127.0.0.1:$CHANNEL_PORT" --plain 2>>"$WORK/stmfproxy$node.err" &
    PROXY_PID[$node]=$!
}

kill_stmfd() {
    kill -KILL "${STMFD_PID[$1]}"
    wait "${STMFD_PID[$1]}" 2>/dev/null || :
    unset "STMFD_PID[$1]"
}

pair_stop() {
    local pid
    for pid in "${PROXY_PID[@]}" "${STMFD_PID[@]}"; do kill -TERM "$pid" 2>/dev/null || :; done
    for pid in "${PROXY_PID[@]}" "${STMFD_PID[@]}"; do wait "$pid" 2>/dev/null || :; done
}

# url NODE: the LU through that node.
url() { printf 'iscsi://127.0.0.1:%s/%s/0' "${ISCSI_PORT[$1]}" "${TARGET[$1]}"; }

# access_is NODE STATE: true when the LU has this access state there.
access_is() { [ "$(on "$1" stmfadm list-lu -v "$GUID" | sed -n 's/^ *Access State *: //p')" = "$2" ]; }
