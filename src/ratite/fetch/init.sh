#!/bin/sh
# The first process of the guest that Ratite packs: mounts, says that the guest is up, and gives a shell.
# "selftest" on the kernel command line: work a little, compare the results, report, power off.
PATH=/bin:/sbin
HOME=/root
export PATH HOME

/bin/busybox --install -s /bin
mount -t proc none /proc
mount -t sysfs none /sys
mount -t devtmpfs none /dev || true
mkdir -p /dev/pts
mount -t devpts none /dev/pts || true
mount -t tmpfs none /tmp || true

seconds() { cut -d' ' -f1 /proc/uptime; }

stop() {
    sync
    poweroff -f
    sleep 60
}

expect() { # WHAT WANTED GOT
    if [ "$2" = "$3" ]; then
        echo "selftest: $1: $3"
    else
        echo "SELFTEST-FAILED $1: got '$3', expected '$2'"
        stop
    fi
}

selftest() {
    uname -a
    expect arithmetic 5050 "$(i=0; s=0; while [ $i -lt 100 ]; do i=$((i + 1)); s=$((s + i)); done; echo $s)"
    expect sha256 f6351f5ead9a700e34275480b3856ea738122a7c57bdeb744a631251c069587a "$(seq 1 20000 | sha256sum | cut -d' ' -f1)"
    expect awk 2.718281828459 "$(awk 'BEGIN { e = t = 1; for (n = 1; n < 30; n++) { t /= n; e += t } printf "%.12f", e }')"
    expect sort "1 10000" "$(seq 10000 -1 1 | sort -n | sed -n '1p;$p' | tr '\n' ' ' | sed 's/ $//')"
    seq 1 50000 >/tmp/plain
    gzip -c /tmp/plain | gunzip -c | cmp - /tmp/plain
    expect gzip 0 $?
    expect processes 200 "$(n=0; for i in $(seq 200); do /bin/true && n=$((n + 1)); done; echo $n)"
    echo "SELFTEST-OK uptime $(seconds)"
    stop
}

# The console's own device, so that the shell has a controlling terminal and thereby job control.
console() {
    name=$(sed 's/.* //' /sys/class/tty/console/active)
    if [ -c "/dev/$name" ]; then echo "/dev/$name"; else echo /dev/console; fi
}

echo "GUEST-READY $(uname -m) $(uname -r) uptime $(seconds)"

for word in $(cat /proc/cmdline); do
    case $word in
        selftest) selftest ;;
        run=*) # a program of the archive to run in place of a shell; the guest powers off when it ends
            "${word#run=}"
            echo "RUN-ENDED $?"
            stop ;;
    esac
done

cd /root || cd /
while :; do
    tty=$(console)
    setsid sh -c "exec sh -i <'$tty' >'$tty' 2>&1"
    sleep 1
done
