#!/bin/bash
# nginx + Lua as a fault- and latency-injecting reverse proxy in front of any S3 server. The Host header, path and body
# pass through untouched, so SigV4 signatures stay valid. About 0.9 GiB/s.
#
#   s3-fault-nginx.sh install
#   s3-fault-nginx.sh start DIR HOST:PORT      of the server behind it; prints the proxy's endpoint
#   s3-fault-nginx.sh set DIR [clear] k=v..    for all requests from then on; clear puts every knob back first
#   s3-fault-nginx.sh get DIR                  knobs and counters
#   s3-fault-nginx.sh stop DIR
#
# Knobs (p_* are probabilities 0..1, judged once a request; FAULT_SEED in the environment of start seeds them):
#   ttfb_ms=0 jitter=0.3            delay before the request is forwarded: ttfb_ms * exp(N(0, jitter))
#   rate=0                          response bytes/s of each request; 0 = unlimited
#   p_slow=0 slow_ms=2000           stragglers: this much more before the first byte
#   p_slowrate=0 slowrate=1000000   stragglers: response body at this rate
#   p_503=0 p_500=0                 S3 SlowDown / InternalError, nothing forwarded
#   p_reset=0                       connection closed without an answer
#   p_cut=0                         body cut after about half of Content-Length, connection closed
#   p_flip=0                        one byte of the body altered, length and ETag unchanged (silent corruption)
#   only=                           Lua pattern: p_* apply only where "METHOD /path" matches (e.g. only=^GET)
#   down=0                          1: every request is closed without an answer
set -euo pipefail
here=$(dirname "$0")
. "$here/lib.sh"

install_nginx() {
  [ -e /usr/share/nginx/modules-available/mod-http-lua.conf ] && return
  install_packages nginx-light libnginx-mod-http-lua
}

start() {
  local dir=$1 upstream=$2 port
  install_nginx
  port=$(free_ports 1)
  mkdir -p "$dir/tmp"
  sed "s|@DIR@|$dir|g; s|@PORT@|$port|; s|@UPSTREAM@|$upstream|" "$here/s3-fault-nginx.conf" > "$dir/nginx.conf"
  nginx -q -p "$dir" -c "$dir/nginx.conf" -e "$dir/error.log"
  echo "http://127.0.0.1:$port" > "$dir/endpoint"
  wait_for_http "$(knobs_url "$dir")" 200
  cat "$dir/endpoint"
}

knobs_url() { echo "$(cat "$1/endpoint")/__fault"; }

set_knobs() {
  local dir=$1 query; shift
  query=$(IFS='&'; echo "$*")
  curl -sf "$(knobs_url "$dir")?$query" >/dev/null || { echo "bad knob in: $*" >&2; return 1; }
}

case ${1:-} in
  install) install_nginx ;;
  start) start "$2" "$3" ;;
  stop) end_process "$2/pid" 50 ;;
  set) shift; set_knobs "$@" ;;
  get) curl -sf "$(knobs_url "$2")" ;;
  *) sed -n 2,24p "$0"; exit 2 ;;
esac
