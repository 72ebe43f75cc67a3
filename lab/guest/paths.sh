# What multipath and scsi_dh_alua make of two paths, before and after a move; REPORT TARGET PORT GROUPS on both must agree.
#   run paths.sh --job DIR -- IQN@10.0.2.2:3260,1 IQN@10.0.3.2:3261,1
# Says `seen`; the host moves the LU to the second target, then says `moved`.
. /job/.lab/guest/lib.sh
bad=0
is() { # WHAT WANTED GOT
  if [ "$2" = "$3" ]; then echo "  ok    $1: $3"; else bad=$((bad + 1)); echo "  FAIL  $1: '$3', not '$2'"; fi
}
attribute() { cat "/sys/block/$1/device/$2" 2>&1; }
of() { lab_paths | awk -v t="${1%@*}" '$3 == t { print $1 }'; }   # the device of a target
prio() { multipathd show paths raw format '%d %p' | awk -v d="$1" '$1 == d { print $2 }'; }
state() { multipathd show paths raw format '%d %t %T' | awk -v d="$1" '$1 == d { print $2, $3 }'; }
eventually() { # SECONDS WANTED COMMAND...: its last answer
  limit=$1 want=$2; shift 2; i=0
  while got=$("$@"); [ "$got" != "$want" ] && [ $i -lt $((limit * 2)) ]; do sleep 0.5; i=$((i + 1)); done
  echo "$got"
}

expect() { # ACTIVE-DEVICE STANDBY-DEVICE: all that Linux knows
  is "access state by $1" active/optimized "$(eventually 120 active/optimized attribute "$1" access_state)"
  is "access state by $2" standby "$(eventually 120 standby attribute "$2" access_state)"
  is "priority of $1" 50 "$(eventually 120 50 prio "$1")"
  is "priority of $2" 1 "$(eventually 120 1 prio "$2")"
  for d in "$1" "$2"; do is "state of $d" "active ready" "$(state "$d")"; done
  for d in "$1" "$2"; do sg_rtpg -d "/dev/$d" >"/tmp/rtpg.$d" 2>&1 || { bad=$((bad + 1)); echo "  FAIL  sg_rtpg of $d"; }; done
  cat "/tmp/rtpg.$1"
  is "REPORT TARGET PORT GROUPS by $2" "$(cat "/tmp/rtpg.$1")" "$(cat "/tmp/rtpg.$2")"
  show multipath -ll
  is "path groups" 2 "$(multipath -ll | grep -c 'policy=')"
}

lab_up "$@" || exit 4
one=$(of "$1") two=$(of "$2")
for d in "$one" "$two"; do
  show sg_inq "/dev/$d"
  show sg_vpd -p di "/dev/$d"
  is "device handler of $d" alua "$(attribute "$d" dh_state)"
done
is "identifier by $two" "$(attribute "$one" wwid)" "$(attribute "$two" wwid)"
lab_multipathd
map=$(lab_wait_map 2) || { cat /run/multipathd.log; die "no map with two paths"; }
log "before the move"
expect "$one" "$two"
lab_signal seen
lab_wait moved 300 || die "the host did not move the LU"
log "after the move"
dd if="/dev/mapper/$map" of=/dev/null bs=4096 count=1 iflag=direct 2>/dev/null || bad=$((bad + 1))
expect "$two" "$one"
dmesg | tail -n 15
lab_down
log "paths.sh: $bad failed"
[ $bad = 0 ]
