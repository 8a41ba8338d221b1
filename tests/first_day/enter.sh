#!/bin/sh
# Run a shell on a machine that has nothing yet: a copy of this one's files that is thrown away, with
# an empty home, an empty /usr/local, and networks, processes and users of its own.
#
#   enter.sh begin FOLDER    as the first process of its namespaces, with this machine's network
#   enter.sh alone FOLDER    the same with a network of its own: the sandboxes, then the shell
#
# FOLDER/shared is /first-day there, and its `driver` what the shell runs. SANDBOX_… are commands.
set -eu
folder=$2
layers=$folder/layers
root=$layers/root

begin() {
    mount -t tmpfs tmpfs "$layers"
    mkdir "$layers/upper" "$layers/work" "$root"
    mount -t overlay overlay -o "lowerdir=/,upperdir=$layers/upper,workdir=$layers/work" "$root"
    mount --rbind /dev "$root/dev"
    mount -t proc proc "$root/proc"
    for empty in dev/shm tmp; do mount -t tmpfs -o mode=1777 tmpfs "$root/$empty"; done
    for empty in run usr/local; do mount -t tmpfs -o mode=0755 tmpfs "$root/$empty"; done
    mount -t tmpfs -o mode=0700 tmpfs "$root/root"
    mkdir -p "$root/first-day" "$root/run/lock" "$root/usr/local/bin" "$root/usr/local/sbin"
    mount --bind "$folder/shared" "$root/first-day"
    # Whoever worked here before has left nothing there.
    rm -rf "$root/opt/tokenproxy" "$root/etc/tokenproxy" "$root/var/lib/tokenproxy"
    for kept in etc/postgresql var/lib/postgresql var/lib/redis etc/letsencrypt; do
        [ ! -d "$root/$kept" ] || find "$root/$kept" -mindepth 1 -delete
    done
    # Packages start nothing: systemd, which would, is stood in for.
    printf '#!/bin/sh\nexit 101\n' > "$root/usr/sbin/policy-rc.d"
    cp "$folder/shared/inside/"* "$root/usr/local/bin/"
    chmod 0755 "$root/usr/sbin/policy-rc.d" "$root/usr/local/bin/"*
    cp "$folder/shared/hosts" "$root/etc/hosts"
    mount --bind "$folder/shared/hosts" /etc/hosts
    unshare --net sh "$0" alone "$folder"
}

alone() {
    ip link set lo up
    export SSL_CERT_FILE="$folder/shared/cert.pem"
    for sandbox in "$SANDBOX_STRIPE" "$SANDBOX_UPSTREAM" "$SANDBOX_MAIL"; do
        $sandbox >> "$folder/shared/log/sandboxes.log" 2>&1 &
    done
    unset SSL_CERT_FILE SANDBOX_STRIPE SANDBOX_UPSTREAM SANDBOX_MAIL
    exec chroot "$root" /bin/bash /first-day/driver
}

"$1"
