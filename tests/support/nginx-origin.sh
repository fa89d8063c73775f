#!/bin/bash
# nginx serving DIR/root/BUCKET/KEY as path-style objects: GET, HEAD, Range, ETag, If-Match, If-None-Match. Signatures
# are ignored; there is no PUT and no listing. The fastest origin we have: it shows whether another server is the limit.
#
#   nginx-origin.sh install | start DIR | stop DIR     start prints the endpoint
set -euo pipefail
. "$(dirname "$0")/lib.sh"

start() {
  local dir=$1 port
  install_unless nginx nginx-light
  port=$(free_ports 1)
  mkdir -p "$dir/root" "$dir/tmp"
  cat > "$dir/nginx.conf" <<EOF
worker_processes 1; pid $dir/pid; error_log $dir/error.log; events { worker_connections 4096; }
http {
  access_log off; sendfile on; sendfile_max_chunk 2m; tcp_nodelay on; keepalive_requests 1000000; keepalive_timeout 300s;
  client_body_temp_path $dir/tmp/a; proxy_temp_path $dir/tmp/b; fastcgi_temp_path $dir/tmp/c;
  uwsgi_temp_path $dir/tmp/d; scgi_temp_path $dir/tmp/e;
  server { listen 127.0.0.1:$port backlog=1024; root $dir/root; default_type application/octet-stream; location / { } }
}
EOF
  nginx -q -p "$dir" -c "$dir/nginx.conf" -e "$dir/error.log"
  echo "http://127.0.0.1:$port"
}

case ${1:-} in
  install) install_unless nginx nginx-light ;;
  start) start "$2" ;;
  stop) end_process "$2/pid" 50 ;;
  *) sed -n 2,5p "$0"; exit 2 ;;
esac
