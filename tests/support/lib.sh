# Shared by the scripts of this folder; sourced by them.

# Prints the first of COUNT consecutive ports that nothing listens on now, below the range the kernel hands out itself.
free_ports() {
  local count=$1 first port
  for _ in $(seq 100); do
    first=$((10000 + RANDOM % 22000))
    for port in $(seq "$first" $((first + count - 1))); do
      if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then continue 2; fi
    done
    echo "$first"
    return
  done
  echo "no $count free ports in a row" >&2
  return 1
}

# Whether a process runs; a zombie does not.
is_live() { [ -d "/proc/$1" ] && ! grep -q '^State:[[:space:]]*Z' "/proc/$1/status" 2>/dev/null; }

# Ends the process of a pid file: SIGTERM, then SIGKILL after TENTHS of a second.
end_process() {
  local file=$1 tenths=$2 pid
  [ -s "$file" ] || return 0
  pid=$(cat "$file")
  kill "$pid" 2>/dev/null || true
  for _ in $(seq "$tenths"); do is_live "$pid" || break; sleep 0.1; done
  kill -9 "$pid" 2>/dev/null || true
  rm -f "$file"
}

# Waits until a URL answers with one of the given status codes.
wait_for_http() {
  local url=$1 code; shift
  for _ in $(seq 300); do
    code=$(curl -s -o /dev/null -w '%{http_code}' --max-time 2 "$url" || true)
    case " $* " in *" $code "*) return 0;; esac
    sleep 0.1
  done
  echo "$url does not answer" >&2
  return 1
}

# Installs Debian packages, as root or with sudo.
install_packages() {
  local run_as=
  [ "$(id -u)" = 0 ] || run_as=sudo
  $run_as apt-get -o DPkg::Lock::Timeout=600 install -y --no-install-recommends "$@" >/dev/null
}

# The same unless PROGRAM is there: install_unless PROGRAM PACKAGE...
install_unless() {
  command -v "$1" >/dev/null && return
  install_packages "${@:2}"
}

# Writes the environment in which tests find the server at PORT into DIR/s3.env.
write_s3_environment() {
  local dir=$1 port=$2
  cat > "$dir/s3.env" <<EOF
export FOREBAY_TEST_S3_ENDPOINT=http://127.0.0.1:$port
export FOREBAY_TEST_S3_ACCESS_KEY=$ACCESS_KEY FOREBAY_TEST_S3_SECRET_KEY=$SECRET_KEY
export FOREBAY_TEST_S3_BUCKET=forebay-test
EOF
  # curl 7.88 signs the header of the payload's digest only if it is given
  curl -sf -o /dev/null --max-time 20 --aws-sigv4 aws:amz:us-east-1:s3 --user "$ACCESS_KEY:$SECRET_KEY" \
    -H 'x-amz-content-sha256: UNSIGNED-PAYLOAD' -X PUT "http://127.0.0.1:$port/forebay-test"
}
ACCESS_KEY=testaccess
SECRET_KEY=testsecret

# Runs a command beside a server: with_server SCRIPT COMMAND..; the server is stopped however it ends.
with_server() {
  # not local: the trap reads them after the function is left
  server_script=$1; shift
  server_dir=$(mktemp -d -t forebay-s3-XXXXXX)
  trap '"$server_script" stop "$server_dir" || true; rm -rf "$server_dir" "$server_dir.log"' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  # Not to our own output: a server that makes it non-blocking would make the command's output get lost.
  "$server_script" start "$server_dir" >"$server_dir.log" 2>&1 || { cat "$server_dir.log" >&2; exit 1; }
  . "$server_dir/s3.env"
  local status=0
  "$@" || status=$?
  exit "$status"
}
