# PostgreSQL 15 and PgBouncer for .ci/run, which sources this file. Both are ours alone: own ports, data in $work or in
# memory, nothing of the system's cluster. $work is the run's directory.

postgres_bin=/usr/lib/postgresql/15/bin
postgres_port=
postgres_pid=
pgbouncer_pid=
postgres_data=
superuser_password=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
direct_url=
pooler_url=

install_servers() {
  if [[ -x $postgres_bin/postgres && -x /usr/sbin/pgbouncer ]]; then
    echo 'Both are installed.'
    return
  fi
  # Keeps the packages from starting a server of the system's.
  local policy=/usr/sbin/policy-rc.d is_ours=false status=0
  if [[ ! -e $policy ]]; then
    is_ours=true
    printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy"
  fi
  {
    apt-get update && apt-get install --yes --no-install-recommends postgresql-15 pgbouncer
  } >"$work/apt.log" 2>&1 || status=$?
  "$is_ours" && rm -f "$policy"
  ((status == 0)) || tail -n 30 "$work/apt.log"
  return "$status"
}

start_postgres() {
  local port
  port=$(free_port) || return
  postgres_data=$(mktemp -d "$(throwaway_parent)/rowhouse-ci-XXXXXX") || return
  chown postgres "$postgres_data"
  printf '%s\n' "$superuser_password" >"$work/password"
  chown postgres "$work/password" && chmod 600 "$work/password"
  (become_postgres "$postgres_bin/initdb" --pgdata="$postgres_data" --username=postgres --pwfile="$work/password" \
    --auth=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 --no-sync) >"$work/initdb.log" 2>&1 ||
    { cat "$work/initdb.log" && return 1; }
  become_postgres "$postgres_bin/postgres" -D "$postgres_data" -p "$port" \
    -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c max_connections=300 -c shared_buffers=256MB \
    -c fsync=off -c synchronous_commit=off -c full_page_writes=off -c wal_level=minimal -c max_wal_senders=0 \
    -c max_wal_size=1GB -c checkpoint_timeout=30min >"$work/postgres.log" 2>&1 &
  postgres_pid=$!
  direct_url="postgres://postgres:$superuser_password@127.0.0.1:$port/postgres"
  postgres_port=$port
  wait_for "$postgres_pid" "$work/postgres.log" pg_isready -q -h 127.0.0.1 -p "$port"
  pg_isready -h 127.0.0.1 -p "$port"
}

# A wildcard for databases, since every test makes one, and logins looked up on the server, which the suite creates.
start_pgbouncer() {
  local port
  port=$(free_port) || return
  mkdir -p "$work/pgbouncer"
  cat >"$work/pgbouncer/pgbouncer.ini" <<INI
[databases]
* = host=127.0.0.1 port=$postgres_port auth_user=postgres

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = $port
unix_socket_dir =
auth_type = scram-sha-256
auth_file = $work/pgbouncer/userlist.txt
pool_mode = transaction
default_pool_size = 4
max_client_conn = 1000
server_idle_timeout = 30
log_connections = 0
log_disconnections = 0
INI
  printf '"postgres" "%s"\n' "$superuser_password" >"$work/pgbouncer/userlist.txt"
  chown -R postgres "$work/pgbouncer" && chmod 700 "$work/pgbouncer"
  become_postgres /usr/sbin/pgbouncer "$work/pgbouncer/pgbouncer.ini" >"$work/pgbouncer.log" 2>&1 &
  pgbouncer_pid=$!
  pooler_url="postgres://postgres:$superuser_password@127.0.0.1:$port/postgres?pgbouncer=true"
  wait_for "$pgbouncer_pid" "$work/pgbouncer.log" pg_isready -q -h 127.0.0.1 -p "$port" || return
  /usr/sbin/pgbouncer --version | head -n 1
}

stop_servers() {
  [[ -n $pgbouncer_pid ]] && kill -TERM "$pgbouncer_pid" 2>/dev/null && wait "$pgbouncer_pid" 2>/dev/null
  # Fast shutdown: nobody is asked to leave first.
  [[ -n $postgres_pid ]] && kill -INT "$postgres_pid" 2>/dev/null && wait "$postgres_pid" 2>/dev/null
  [[ -n $postgres_data ]] && rm -rf "$postgres_data"
  return 0
}

# Replaces the (sub)shell it is called in, so that $! is the server's own pid. Not runuser, which stays in between and kills
# what does not end within two seconds.
become_postgres() {
  cd / && exec setpriv --reuid=postgres --regid=postgres --init-groups "$@"
}

# wait_for <pid> <log> <command...>: until the command succeeds; fails when the process is gone or 30 s went by.
wait_for() {
  local pid=$1 log=$2 attempt
  shift 2
  for ((attempt = 0; attempt < 300; attempt++)); do
    "$@" && return
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.1
  done
  cat "$log"
  return 1
}

free_port() {
  node -e 'const s = require("node:net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close() })'
}

# Memory where there is room for the databases of a run.
throwaway_parent() {
  local free_kib
  free_kib=$(df --output=avail /dev/shm 2>/dev/null | tail -n 1)
  if ((${free_kib:-0} >= 4 * 1024 * 1024)); then echo /dev/shm; else echo "$work"; fi
}
