# Sourced by the scripts of this folder, from the repository's root: an engine ($docker), a base image ($base), a folder ($work) and counted checks. An engine that answers is used;
# where none does and this is root, one is started for the time of the script: Debian's docker.io (installed where it is missing), with folders of its own and without touching the
# host's packet filter; its base image is made by debootstrap where none can be pulled. A script that sources this defines clean_up, which is called at its end.
docker=${DOCKER:-docker}
base=${BASE:-debian:trixie-slim}
work=$(mktemp -d /var/tmp/modprop-docker.XXXXXX)
name=modprop-test-$$
passed=0
failed=0
engine=
say() { printf '\n== %s\n' "$*"; }
skip() {
    echo "SKIPPED: $0: $*" >&2
    exit 77
}
check() { # check NAME COMMAND...
    what=$1
    shift
    if "$@"; then
        passed=$((passed + 1))
        echo "ok: $what"
    else
        failed=$((failed + 1))
        echo "FAILED: $what" >&2
    fi
}
cleanup() {
    clean_up
    if [ -n "$engine" ]; then
        kill "$engine" 2>/dev/null || true
        wait "$engine" 2>/dev/null || true
        umount "$work"/exec/netns/* 2>/dev/null || true
        [ -n "$had_bridge" ] || ip link delete docker0 2>/dev/null || true
    fi
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# ---- the engine

if ! command -v "$docker" >/dev/null 2>&1 || ! "$docker" info >/dev/null 2>&1; then
    [ "$(id -u)" -eq 0 ] || skip "no engine answers \`$docker info\`, and only root can start one"
    [ -x /usr/sbin/dockerd ] || sh docker/install-packages engine || skip "no engine answers \`$docker info\`, and docker.io cannot be installed"
    say "engine"
    docker=/usr/bin/docker
    had_bridge=$(ip link show docker0 2>/dev/null || true)
    export DOCKER_HOST="unix://$work/engine.sock"
    dockerd --host "$DOCKER_HOST" --data-root "$work/data" --exec-root "$work/exec" --pidfile "$work/engine.pid" --iptables=false >"$work/engine.log" 2>&1 &
    engine=$!
    tries=0
    until "$docker" info >/dev/null 2>&1; do
        tries=$((tries + 1))
        if [ "$tries" -gt 120 ] || ! kill -0 "$engine" 2>/dev/null; then
            tail -n 3 "$work/engine.log" >&2
            skip "dockerd cannot run here"
        fi
        sleep 0.5
    done
    "$docker" info --format 'docker {{.ServerVersion}}, {{.Driver}}, cgroup version {{.CgroupVersion}}'
fi
[ "$(id -u)" -eq 0 ] || skip "folders must be given to another user: run it as root"

if ! "$docker" image inspect "$base" >/dev/null 2>&1 && ! "$docker" pull -q "$base" 2>/dev/null; then
    say "base image by debootstrap"
    command -v debootstrap >/dev/null 2>&1 || sh docker/install-packages engine || skip "$base cannot be pulled, and debootstrap cannot be installed"
    release=${base#*:} # debian:trixie-slim
    debootstrap --variant=minbase "${release%-slim}" "$work/base" >"$work/base.log" 2>&1 || { tail -n 5 "$work/base.log" >&2; skip "$base can neither be pulled nor made"; }
    rm -rf "$work"/base/var/lib/apt/lists/* "$work"/base/var/cache/apt/archives/*.deb # as the hub's has it
    tar -C "$work/base" -c . | "$docker" import - "$base" >/dev/null
    rm -rf "$work/base"
fi

