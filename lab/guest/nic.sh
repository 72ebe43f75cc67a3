# Takes interfaces down and up when the host says so: down-ethN, up-ethN.
. /job/.lab/guest/lib.sh
while :; do
  for f in /job/down-eth* /job/up-eth*; do
    [ -e "$f" ] || continue
    rm "$f"; f=${f##*/}
    log "${f#*-} ${f%%-*}"; ip link set "${f#*-}" "${f%%-*}"
  done
  sleep 0.5
done
