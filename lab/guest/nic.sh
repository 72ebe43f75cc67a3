# Takes each interface given down for DOWN seconds (20), one after the other, then says nic-done.
. /job/.lab/guest/lib.sh
sleep 5
for dev in "$@"; do
  log "$dev down"; ip link set "$dev" down
  sleep "${DOWN:-20}"
  log "$dev up"; ip link set "$dev" up
  sleep 20
done
lab_signal nic-done
