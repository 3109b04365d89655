#!/usr/bin/env bash
# serve against nginx (sendfile on): bytes/s of a file of 1 GB and requests/s of 10 kB, with 1, 16 and 256
# connections, processor time and memory. Ours serves an ISO; nginx the same tree extracted beside it. Servers
# run one at a time, in turns; of each the best is kept. A third row is ours over the extracted tree.
# benches/run.sh calls it; alone: benches/serve.sh [RUNS [SECONDS]]
set -euo pipefail
cd "$(dirname "$0")/.."
tool=$PWD/target/release/isowright
runs=${1:-${RUNS:-5}} seconds=${2:-3}
for need in nginx wrk curl xorriso python3; do
  PATH=$PATH:/usr/sbin command -v "$need" >/dev/null || { echo "serve is left out: $need is not there (apt install nginx-light wrk curl xorriso python3)"; exit 0; }
done
export PATH=$PATH:/usr/sbin
work=$(mktemp -d /dev/shm/isowright-serve.XXXXXX)
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null || true; rm -rf "$work"' EXIT
ports=(18080 18081 18082)

echo "serve, against nginx $(nginx -v 2>&1 | sed 's/.*nginx.//')"
mkdir -p "$work/tree/images/pxeboot" "$work/tree/small"
openssl enc -aes-128-ctr -nosalt -K 00 -iv 00 -in /dev/zero 2>/dev/null | head -c 1000000000 > "$work/tree/big.bin" || true
head -c 10000 "$work/tree/big.bin" > "$work/tree/small/file.rpm"
echo stand-in > "$work/tree/images/install.img"
head -c 12000000 /dev/urandom > "$work/tree/images/pxeboot/vmlinuz"
head -c 6000000 /dev/urandom > "$work/tree/images/pxeboot/initrd.img"
printf '%s\n' '[general]' 'arch = x86_64' 'family = AlmaLinux' 'version = 9.4' '[images-x86_64]' \
  'kernel = images/pxeboot/vmlinuz' 'initrd = images/pxeboot/initrd.img' \
  '[release]' 'name = AlmaLinux' 'short = AlmaLinux' 'version = 9.4' > "$work/tree/.treeinfo"
xorriso -as mkisofs -quiet -r -J -V BENCH -o "$work/big.iso" "$work/tree" 2>/dev/null
mkdir "$work/web"
mv "$work/tree" "$work/web/repo"
chmod -R a+rX "$work"
cat > "$work/nginx.conf" <<C
daemon off; pid $work/nginx.pid; error_log $work/nginx.log; worker_processes auto;
user $(id -un) $(id -gn);
events { worker_connections 1024; }
http {
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000; client_body_temp_path $work/t1;
  proxy_temp_path $work/t2; fastcgi_temp_path $work/t3; uwsgi_temp_path $work/t4; scgi_temp_path $work/t5;
  server { listen 127.0.0.1:${ports[0]}; root $work/web; }
}
C
names=("nginx" "isowright, from the ISO" "isowright, from a folder")

# up N: starts a server and waits for it.
up() {
  local listen=127.0.0.1:${ports[$1]}
  case $1 in
    0) nginx -c "$work/nginx.conf" & ;;
    1) "$tool" serve "$work/big.iso" --full-tree --quiet --listen "$listen" >"$work/serve.log" 2>&1 & ;;
    2) "$tool" serve "$work/web" --quiet --listen "$listen" >"$work/serve.log" 2>&1 & ;;
  esac
  pid=$!
  for _ in $(seq 100); do curl -sf -o "$work/out" "http://$listen/repo/small/file.rpm" && break; sleep 0.05; done
  cmp "$work/out" "$work/web/repo/small/file.rpm"
}
down() { kill "$pid"; wait "$pid" 2>/dev/null || true; pid=; }
all() { echo "$pid"; pgrep -P "$pid" || true; }
# ticks: processor time of the server so far, all its processes.
ticks() { for p in $(all); do awk '{print $14 + $15}' "/proc/$p/stat"; done | awk '{n += $1} END {print n}'; }
peak() { for p in $(all); do awk '/VmHWM/ {print $2}' "/proc/$p/status"; done | awk '{n += $1} END {print n}'; }

declare -A best cpu mem
tick=$(getconf CLK_TCK)
# keep KEY VALUE CPU: the best of several, and what it cost.
keep() {
  if [ -z "${best[$1]:-}" ] || awk "BEGIN {exit !($2 > ${best[$1]})}"; then best[$1]=$2 cpu[$1]=$3; fi
}
for _ in $(seq "$runs"); do
  for n in 0 1 2; do
    up "$n"
    for c in 1 16 256; do
      before=$(ticks)
      read -r bytes took < <(python3 benches/discard.py 127.0.0.1 "${ports[$n]}" /repo/big.bin "$c" "$seconds")
      used=$(( $(ticks) - before ))
      keep "b$n.$c" "$(awk "BEGIN {print $bytes / $took}")" "$(awk "BEGIN {print $used / $tick / ($bytes / 1e9)}")"
      before=$(ticks)
      wrk -t 1 -c "$c" -d "${seconds}s" "http://127.0.0.1:${ports[$n]}/repo/small/file.rpm" > "$work/wrk"
      ! grep -q "Non-2xx\|Socket errors" "$work/wrk" || cat "$work/wrk"
      requests=$(awk '/requests in/ {print $1}' "$work/wrk")
      used=$(( $(ticks) - before ))
      keep "r$n.$c" "$(awk '/^Requests\/sec/ {print $2}' "$work/wrk")" "$(awk "BEGIN {print $used / $tick / $requests * 1e6}")"
    done
    m=$(peak)
    [ "${mem[$n]:-0}" -ge "$m" ] || mem[$n]=$m
    down
  done
done
for c in 1 16 256; do
  echo "  1 GB, $c connections (limits: 1.0 x nginx's bytes/s, 1.2 x its processor time)"
  for n in 0 1 2; do
    awk -v n="${names[$n]}" -v v="${best[b$n.$c]}" -v b="${best[b0.$c]}" -v c="${cpu[b$n.$c]}" -v d="${cpu[b0.$c]}" \
      'BEGIN {printf "    %-26s %8.2f GB/s %6.3f x    %6.3f s/GB %6.3f x\n", n, v/1e9, v/b, c, c/d}'
  done
  echo "  10 kB, $c connections (limit: 0.9 x nginx's requests/s)"
  for n in 0 1 2; do
    awk -v n="${names[$n]}" -v v="${best[r$n.$c]}" -v b="${best[r0.$c]}" -v c="${cpu[r$n.$c]}" -v d="${cpu[r0.$c]}" \
      'BEGIN {printf "    %-26s %8.0f /s   %6.3f x    %6.2f us/request %6.3f x\n", n, v, v/b, c, c/d}'
  done
done
echo "  peak memory (limit: 96 MiB = 98304 KiB)"
for n in 0 1 2; do printf '    %-26s %8d KiB\n' "${names[$n]}" "${mem[$n]}"; done
