# Read by initramfs-tools' run_scripts once live-boot has built the root. live-boot has the medium at
# /run/live/medium; the installer wants it as /cdrom, and its own search passes over loop devices.
mkdir -p "${rootmnt:?}/cdrom"
mount -o bind /run/live/medium "${rootmnt}/cdrom"
