# One path to one node: what an initiator does from discovery to a file system.
#   run one-node.sh -- IQN@10.0.2.2:3260,1
# Environment, besides lib.sh's: CHAP_TARGET, an IQN at the same portal that wants CHAP, and USERS, "user:secret user:secret" of the
# initiator and of that target; GROW=1: say `grow`, wait for the host's `grown`, expect another size.
. /job/.lab/guest/lib.sh
bad=0
is() { if [ "$2" = "$3" ]; then echo "  ok    $1: $3"; else bad=$((bad + 1)); echo "  FAIL  $1: '$3', not '$2'"; fi; }
must() { # WHAT COMMAND...
  what=$1; shift
  if "$@" >/tmp/must 2>&1; then echo "  ok    $what"; else bad=$((bad + 1)); echo "  FAIL  $what ($?): $*"; tail -n 20 /tmp/must; fi
}
portal=${1##*@}; portal=${portal%%,*}
session() { ls -d /sys/class/iscsi_session/session* 2>/dev/null | head -n 1; }
attribute() { cat /sys/class/iscsi_connection/connection*:0/"$1"; }
set_node() { iscsiadm -m node -T "${1%@*}" -p "${1##*@}" -o update -n "$2" -v "$3"; }
disk() { lab_paths | awk -v t="${1%@*}" '$3 == t { print $1 }'; }
logout() { must "logout" iscsiadm -m node -T "${1%@*}" -p "${1##*@}" --logout; is "sessions left" "" "$(session)"; }

modprobe ext4 || die "no ext4"
mkdir -p /mnt
lab_iscsid

file_system() { # DEVICE
  must "mkfs.ext4" mkfs.ext4 -q -F "/dev/$1"
  must "mount" mount -t ext4 -o discard "/dev/$1" /mnt
  must "fio with verification" fio --name=verify --directory=/mnt --direct=1 --ioengine=libaio --iodepth=8 \
    --rw=randwrite --bsrange=512-65536 --blockalign=512 --size=16m --verify=crc32c --do_verify=1 --verify_fatal=1
  dd if=/dev/urandom of=/mnt/random bs=1M count=8 conv=fsync 2>/dev/null; sum=$(sha256sum </mnt/random)
  must "unmount" umount /mnt
  must "fsck" e2fsck -f -n "/dev/$1"
  echo 3 >/proc/sys/vm/drop_caches
  must "mount again" mount -t ext4 -o discard "/dev/$1" /mnt
  is "content" "$sum" "$(sha256sum </mnt/random)"
  must "remove" rm /mnt/random
  must "fstrim" fstrim /mnt
  must "unmount" umount /mnt
  must "fsck" e2fsck -f -n "/dev/$1"
}

log "1. discovery with SendTargets"
show iscsiadm -m discovery -t sendtargets -o nonpersistent -p "$portal" | tee /tmp/found
grep -q " ${1%@*}\$" /tmp/found && echo "  ok    found" || { bad=$((bad + 1)); echo "  FAIL  ${1%@*} not found"; }

for digest in None CRC32C; do
  log "2. digests: $digest"
  must "node record" iscsiadm -m node -o new -T "${1%@*}" -p "${1##*@}"
  for d in Header Data; do must "${d}Digest" set_node "$1" "node.conn[0].iscsi.${d}Digest" $digest; done
  must "login" iscsiadm -m node -T "${1%@*}" -p "${1##*@}" --login
  lab_wait_paths 1 || die "no disk"
  want=0; [ $digest = None ] || want=1
  is "header digest" $want "$(attribute header_digest)"
  is "data digest" $want "$(attribute data_digest)"
  dev=$(disk "$1")
  file_system "$dev"
  if [ $digest = CRC32C ] && [ -n "${GROW:-}" ]; then
    log "3. growth"
    was=$(cat "/sys/block/$dev/size")
    lab_signal grow; lab_wait grown 300 || die "the host did not grow the disk"
    must "read" dd "if=/dev/$dev" of=/dev/null bs=4096 count=1 iflag=direct
    must "rescan" iscsiadm -m session -R
    now=$(cat "/sys/block/$dev/size")
    log "$was sectors, then $now"
    [ "$now" -gt "$was" ] || { bad=$((bad + 1)); echo "  FAIL  no growth"; }
    is "kernel saw CAPACITY DATA HAS CHANGED" 1 "$(dmesg | grep -c 'Capacity data has changed')"
  fi
  logout "$1"
done

if [ -n "${CHAP_TARGET:-}" ]; then
  log "4. CHAP"
  chap=$CHAP_TARGET@${1##*@}
  us=${USERS%% *} them=${USERS##* }
  iscsiadm -m node -o new -T "$CHAP_TARGET" -p "${1##*@}" >/dev/null
  refused() {
    if iscsiadm -m node -T "$CHAP_TARGET" -p "${1##*@}" --login >/tmp/must 2>&1; then
      bad=$((bad + 1)); echo "  FAIL  $2: let in"; iscsiadm -m node -T "$CHAP_TARGET" --logout
    else echo "  ok    $2: $(grep -o 'error .*\|authorization.*' /tmp/must | head -n 1)"; fi
  }
  refused "$chap" "without CHAP"
  set_node "$chap" node.session.auth.authmethod CHAP
  set_node "$chap" node.session.auth.username "${us%%:*}"
  set_node "$chap" node.session.auth.password wrong-wrong-wrong
  refused "$chap" "a wrong secret"
  set_node "$chap" node.session.auth.password "${us#*:}"
  must "one-way" iscsiadm -m node -T "$CHAP_TARGET" -p "${1##*@}" --login
  logout "$chap"
  set_node "$chap" node.session.auth.username_in "${them%%:*}"
  set_node "$chap" node.session.auth.password_in wrong-wrong-wrong
  refused "$chap" "a target that we do not trust"
  set_node "$chap" node.session.auth.password_in "${them#*:}"
  must "mutual" iscsiadm -m node -T "$CHAP_TARGET" -p "${1##*@}" --login
  lab_wait_paths 1 || bad=$((bad + 1))
  must "read" dd "if=/dev/$(disk "$chap")" of=/dev/null bs=1M count=4 iflag=direct
  logout "$chap"
fi
dmesg | grep -i 'iscsi\|sense\|i/o error\|EXT4' | tail -n 20
log "one-node.sh: $bad failed"
[ $bad = 0 ]
