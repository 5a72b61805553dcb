#!/bin/busybox sh
# The init process of a guest: runs everything and reports it, section by section, on the second
# serial port.
export PATH=/bin
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
# Nothing is mounted on /tmp: the file system is in memory, and tracer lies below /tmp if the checkout
# does.
for module in /modules/*; do
    insmod "$module"
done
ip link set lo up
stty -F /dev/ttyS1 raw
exec > /dev/ttyS1 2>&1

section() {
    name=$1
    shift
    echo "== $name"
    "$@"
    echo "== exit status $?"
}

# An emulated processor is about fifty times slower.
export TRACER_RANDOM_CONVERSATIONS=50
section kernel uname -r
section doctor /tracer doctor
section demo /tracer demo -o json
section tests /kernel-tests --ignored --test-threads=1 --show-output
poweroff -f
