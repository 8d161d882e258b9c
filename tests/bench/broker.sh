# Sourced by tests/bench/run and run_targets: an issuer and a broker on loopback, by folder. The caller has set
# `bin` and the array `pids`, whose processes it ends.

wait_for() {
    for _ in $(seq 200); do
        grep -Eom1 -- "$2" "$1" 2>/dev/null && return
        sleep 0.05
    done
    echo "tests/bench: no '$2' in $1" >&2
    cat "$1" >&2
    return 1
}

# start_issuer FOLDER ALGORITHM: sets `issuer`
start_issuer() {
    mkdir -p "$1/issuer"
    "$bin/stagepass-dev-issuer" serve --folder "$1/issuer" --port 0 --algorithm "$2" \
        >"$1/issuer.log" 2>&1 &
    pids+=($!)
    issuer=$(wait_for "$1/issuer.log" 'url=http://[^ ]*' | cut -d= -f2)
}

# write_config FOLDER ALGORITHM [LINE...]: what every broker here has, and lines of its own
write_config() {
    mkdir -p "$1/policies"
    cat >"$1/broker.yaml" <<END
issuer: https://broker.acme.example
listen: { address: 127.0.0.1, port: 0 }
admin: { address: 127.0.0.1, port: 0 }
store: store
policy: { directory: policies }
limits: { requests_per_address: 10000000, requests_per_issuer: 10000000 }
issuers:
  ci: { profile: github, url: $issuer, audience: broker, only: { repository_owner_id: "918273" },
        algorithms: [$2], allow_http: true, allow_networks: [127.0.0.0/8] }
END
    printf '%s\n' "${@:3}" >>"$1/broker.yaml"
}

# start_broker FOLDER: sets `port` and `pid`
start_broker() {
    "$bin/stagepassd" --config "$1/broker.yaml" >"$1/broker.log" 2>&1 &
    pid=$!
    pids+=("$pid")
    port=$(wait_for "$1/broker.log" 'url=http://[^ ]*' | sed 's/.*://')
}

# stop_broker: and wait until it has let go of its store
stop_broker() {
    kill "$pid"
    wait "$pid" || true
}

# write_tokens FOLDER ALGORITHM COUNT: unused ones into FOLDER/tokens
write_tokens() {
    "$bin/stagepass-dev-issuer" token --folder "$1/issuer" --url "$issuer" --audience broker \
        --algorithm "$2" --claims tests/data/claims/github/build.json --count "$3" >"$1/tokens"
}
