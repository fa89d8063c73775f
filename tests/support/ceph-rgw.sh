#!/bin/bash
# One-node Ceph with RADOS Gateway on free ports of 127.0.0.1; state, logs and sockets lie in DIR.
#
#   ceph-rgw.sh install                   Debian packages, when missing
#   ceph-rgw.sh start DIR                 writes DIR/s3.env with the endpoint and keys for tests
#   ceph-rgw.sh stop DIR
#   ceph-rgw.sh kill9 DIR osd|rgw|mon     for fault tests
#   ceph-rgw.sh up DIR osd|rgw|mon        starts that daemon again
#
# Environment: CEPH_STORE=memstore (1.3 s to start, contents are lost when the OSD stops) or bluestore; CEPH_OSD_GB=4.
# cephx is off: a test cluster only.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
store=${CEPH_STORE:-memstore}
osd_bytes=$((${CEPH_OSD_GB:-4} << 30))

install_ceph() { install_unless radosgw ceph-mon ceph-osd ceph-common radosgw; }

write_conf() {
  local dir=$1 rgw_port=$2 mon_port=$(($2 + 1))
  mkdir -p "$dir"/{mon,osd,rgw,log,run}
  cat > "$conf" <<EOF
[global]
fsid = $(cat /proc/sys/kernel/random/uuid)
mon host = [v2:127.0.0.1:$mon_port,v1:127.0.0.1:$((mon_port + 1))]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
auth cluster required = none
auth service required = none
auth client required = none
run dir = $dir/run
admin socket = $dir/run/\$cluster-\$name.asok
pid file = $dir/run/\$name.pid
log file = $dir/log/\$name.log
crash dir = $dir/log
ms bind port min = $((mon_port + 2))
ms bind port max = $((mon_port + 60))
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd pool default pgp num = 8
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon allow pool delete = true
mon warn on pool no redundancy = false
mon data avail crit = 1
mon data avail warn = 2
debug ms = 0/0
paxos propose interval = 0.05
paxos min wait = 0.01
rgw gc max objs = 8
rgw gc obj min wait = 30
rgw gc processor period = 30
rgw gc processor max time = 30
[mon]
mon data = $dir/mon/\$id
mon cluster log file = $dir/log/cluster.log
mon initial members = a
[osd]
osd data = $dir/osd/\$id
osd objectstore = $store
osd memory target = 1073741824
bluestore block create = true
bluestore block size = $osd_bytes
memstore device bytes = $osd_bytes
osd scrub load threshold = 0.01
[client.rgw.a]
# radosgw wants cephx-secured mon connections unless told otherwise
ms mon client mode = crc
rgw data = $dir/rgw
# without tcp_nodelay a small GET takes 49 ms
rgw frontends = beast endpoint=127.0.0.1:$rgw_port tcp_nodelay=1
rgw thread pool size = 64
rgw enable usage log = false
rgw dns name = localhost
EOF
}

run_mon() { ceph-mon -i a -c "$conf"; }
run_osd() { ceph-osd -i 0 -c "$conf" >/dev/null 2>>"${conf%/*}/log/start.log"; }
run_rgw() { radosgw -n client.rgw.a -c "$conf" >/dev/null 2>&1; }

pid_file() {
  case $2 in
    mon) echo "$1/run/mon.a.pid" ;;
    osd) echo "$1/run/osd.0.pid" ;;
    rgw) echo "$1/run/client.rgw.a.pid" ;;
    *) echo "no daemon $2" >&2; return 2 ;;
  esac
}

wait_for_osd() {
  for _ in $(seq 300); do
    ceph -c "$conf" osd stat 2>/dev/null | grep -q '1 up' && return
    sleep 0.1
  done
  echo "the OSD does not come up; see $1/log" >&2
  return 1
}

start() {
  local dir=$1 port mon_port
  install_ceph
  port=$(free_ports 64) mon_port=$((port + 1))
  write_conf "$dir" "$port"
  monmaptool --create --clobber --fsid "$(awk '/^fsid/{print $3}' "$conf")" \
    --addv a "[v2:127.0.0.1:$mon_port,v1:127.0.0.1:$((mon_port + 1))]" "$dir/monmap" >/dev/null
  ceph-mon --mkfs -i a --monmap "$dir/monmap" -c "$conf"
  run_mon
  local osd_uuid; osd_uuid=$(cat /proc/sys/kernel/random/uuid)
  timeout 60 ceph -c "$conf" osd new "$osd_uuid" >/dev/null
  mkdir -p "$dir/osd/0"
  ceph-osd -i 0 --mkfs --osd-uuid "$osd_uuid" -c "$conf" 2>>"$dir/log/mkfs.log"
  run_osd
  wait_for_osd "$dir"
  radosgw-admin -c "$conf" user create --uid test --display-name test --access-key "$ACCESS_KEY" \
    --secret-key "$SECRET_KEY" >"$dir/log/user.json" 2>"$dir/log/user.err"
  run_rgw
  wait_for_http "http://127.0.0.1:$port/" 200
  write_s3_environment "$dir" "$port"
  echo "Ceph RGW ($store) at http://127.0.0.1:$port"
}

stop() {
  local dir=$1
  end_process "$(pid_file "$dir" rgw)" 5   # stateless, and slow to leave
  end_process "$(pid_file "$dir" osd)" 200
  end_process "$(pid_file "$dir" mon)" 200
}

usage() { sed -n 2,11p "$0"; exit 2; }
[ $# -ge 1 ] || usage
[ "$1" = install ] && { install_ceph; exit; }
[ $# -ge 2 ] || usage
conf=$2/ceph.conf
export CEPH_CONF=$conf
case $1 in
  start) start "$2" ;;
  stop) stop "$2" ;;
  kill9) kill -9 "$(cat "$(pid_file "$2" "$3")")"; rm -f "$(pid_file "$2" "$3")" ;;
  up) "run_$3" ;;
  *) usage ;;
esac
