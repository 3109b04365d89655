#!/bin/sh
# Images of one tree that has everything a reader trips over, in every variant that image makers have.
# Usage: hard-cases.sh OUTPUT-FOLDER
# Needs: xorriso genisoimage mtools dosfstools; root for the device nodes (else they are left out).
# What is there already is kept, so it can run again and again.
set -eu
out=$1
mkdir -p "$out"
out=$(cd "$out" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
stamp=202402291200.00

rep() { head -c "$2" /dev/zero | tr '\0' "$1"; }

make_tree() {
    t=$work/tree
    mkdir "$t"
    echo hello >"$t/hello.txt"
    : >"$t/empty"
    echo long >"$t/$(rep n 230)"
    echo longer >"$t/$(rep m 251).txt"
    mkdir "$t/utf8"
    echo a >"$t/utf8/grüße.txt"
    echo b >"$t/utf8/日本語のファイル名.dat"
    echo c >"$t/utf8/emoji-🚀"
    echo d >"$t/UPPER.TXT"
    echo e >"$t/two.dots.tar.gz"
    echo f >"$t/spaces in a name"
    d=$t/deep
    for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do d=$d/level$i; done
    mkdir -p "$d"
    echo deep >"$d/bottom.txt"
    mkdir "$t/links"
    ln -s ../hello.txt "$t/links/relative"
    ln -s /etc/passwd "$t/links/absolute"
    ln -s nowhere "$t/links/dangling"
    ln -s . "$t/links/dot"
    ln -s .. "$t/links/dotdot"
    ln -s / "$t/links/root"
    ln -s "$(rep a 200)/$(rep b 200)/$(rep c 200)" "$t/links/long602"
    ln -s usr//lib/./x/../y "$t/links/odd"
    mkfifo "$t/fifo"
    mknod "$t/chardev" c 5 1 2>/dev/null || true
    mknod "$t/blockdev" b 7 3 2>/dev/null || true
    ln "$t/hello.txt" "$t/hardlink.txt"
    mkdir "$t/many"
    i=0
    while [ $i -lt 500 ]; do
        echo $i >"$t/many/file-number-$i.txt"
        i=$((i + 1))
    done
    echo secret >"$t/mode0600"
    chmod 600 "$t/mode0600"
    echo run >"$t/mode0755"
    chmod 755 "$t/mode0755"
    echo suid >"$t/mode4755"
    chmod 4755 "$t/mode4755"
    mkdir "$t/sticky"
    chmod 1777 "$t/sticky"
    head -c 300000 /dev/zero | tr '\0' 'x' >"$t/big.bin"
    find "$t" -exec touch -h -t $stamp {} +
}

# mk NAME COMMAND...: runs the command with the image's temporary name as last word.
mk() {
    name=$1
    shift
    [ -e "$out/$name" ] && return 0
    [ -d "$work/tree" ] || make_tree
    echo "$name"
    "$@" "$work/$name" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
    # The work folder may be on another file system: the last step has to be atomic.
    cp --sparse=always "$work/$name" "$out/.$name.part"
    mv "$out/.$name.part" "$out/$name"
    rm "$work/$name"
}

esp() {
    mkfs.vfat -C -n HARD "$1" 4096
    mmd -i "$1" ::/EFI ::/EFI/BOOT
    echo 'set timeout=5' | mcopy -i "$1" - ::/EFI/BOOT/grub.cfg
    echo long | mcopy -i "$1" - "::/EFI/a long name with ümläuts.txt"
}

xorriso_rr() { xorriso -as mkisofs -V HARD_RR -o "$1" "$work/tree"; }
xorriso_rrj() { xorriso -as mkisofs -V HARD_RRJ -J -joliet-long -o "$1" "$work/tree"; }
xorriso_joliet() { xorriso -as mkisofs -V HARD_J -J -joliet-long --norock -o "$1" "$work/tree"; }
xorriso_plain() { xorriso -as mkisofs -V HARD_PLAIN --norock -o "$1" "$work/tree"; }
# geniso LINK-TARGET OPTIONS: genisoimage 1.1.11 loops for ever over a target of 602 bytes in several
# components, and writes a malformed record for one of 602 bytes in one component.
geniso() {
    ln -sfn "$1" "$work/tree/links/long602"
    touch -h -t $stamp "$work/tree/links/long602" "$work/tree/links"
    shift
    timeout 60 genisoimage "$@" "$work/tree"
    ln -sfn "$(rep a 200)/$(rep b 200)/$(rep c 200)" "$work/tree/links/long602"
    touch -h -t $stamp "$work/tree/links/long602" "$work/tree/links"
}
genisoimage_reloc() { geniso short -V HARD_RELOC -R -o "$1"; }
genisoimage_rrj() { geniso short -V HARD_GRRJ -R -J -joliet-long -D -o "$1"; }
genisoimage_joliet() { geniso short -V HARD_GJ -J -joliet-long -D -o "$1"; }
genisoimage_udf() { geniso short -V HARD_UDF -R -udf -D -o "$1"; }
# Readers must survive it: bsdtar shows a cut target, xorriso refuses the image.
genisoimage_malformed() { geniso "$(rep x 602)" -V HARD_MALFORMED -R -D -o "$1"; }

hybrid() {
    esp "$work/esp.img"
    head -c 20480 /dev/zero | tr '\0' 'B' >"$work/tree/bios.img"
    touch -t $stamp "$work/tree/bios.img"
    xorriso -as mkisofs -V HARD_HYBRID -J -joliet-long -iso-level 3 -partition_offset 16 \
        -c boot.cat -b bios.img -no-emul-boot -boot-load-size 4 -boot-info-table \
        -eltorito-alt-boot -e --interval:appended_partition_2:all:: -no-emul-boot \
        -append_partition 2 0xef "$work/esp.img" -appended_part_as_gpt -o "$1" "$work/tree"
    rm "$work/tree/bios.img" "$work/esp.img"
}

big() {
    mkdir "$work/bigtree"
    truncate -s 4500000000 "$work/bigtree/big.img"
    # Something to find on both sides of the border between the extents, at 4 GiB - 2048.
    echo begin | dd of="$work/bigtree/big.img" conv=notrunc status=none
    echo border | dd of="$work/bigtree/big.img" bs=1 seek=4294965245 conv=notrunc status=none
    echo end | dd of="$work/bigtree/big.img" bs=1 seek=4499999996 conv=notrunc status=none
    echo after >"$work/bigtree/zzz.txt"
    xorriso -as mkisofs -V HARD_BIG -iso-level 3 -o "$1" "$work/bigtree"
    rm -r "$work/bigtree"
}

# fat NAME BITS KIB
fat() {
    mkfs.vfat -C -F "$2" -n "FAT$2" "$4" "$3"
    mmd -i "$4" ::/EFI ::/EFI/BOOT ::/many
    mcopy -i "$4" "$work/tree/big.bin" ::/EFI/BOOT/BOOTX64.EFI
    mcopy -i "$4" "$work/tree/hello.txt" ::/hello.txt
    mcopy -i "$4" "$work/tree/empty" ::/EMPTY
    for f in "$work/tree/utf8/"* "$work/tree/two.dots.tar.gz" "$work/tree/spaces in a name"; do
        mcopy -i "$4" "$f" ::/EFI/
    done
    i=0
    while [ $i -lt 100 ]; do
        echo $i >"$work/$i"
        i=$((i + 1))
    done
    (cd "$work" && mcopy -i "$4" [0-9] [0-9][0-9] ::/many/)
    # Holes, so that the next file gets its clusters in pieces.
    mdel -i "$4" ::/many/1 ::/many/3 ::/many/5 ::/many/77
    mcopy -i "$4" "$work/tree/big.bin" "::/in pieces.bin"
    rm -f "$work"/[0-9] "$work"/[0-9][0-9]
}
fat12() { fat x 12 2048 "$1"; }
fat16() { fat x 16 16384 "$1"; }
fat32() { fat x 32 70000 "$1"; }
# Few clusters, and FAT32 all the same: mkfs.vfat makes it, mtools refuses it.
fat32_small() { mkfs.vfat -C -F 32 -n SMALL32 "$1" 4096; }

export MTOOLS_SKIP_CHECK=1 LC_ALL=C.UTF-8
mk hard-rr.iso xorriso_rr
mk hard-rrj.iso xorriso_rrj
mk hard-joliet.iso xorriso_joliet
mk hard-plain.iso xorriso_plain
mk hard-g-reloc.iso genisoimage_reloc
mk hard-g-rrj.iso genisoimage_rrj
mk hard-g-joliet.iso genisoimage_joliet
mk hard-g-udf.iso genisoimage_udf
mk hard-g-malformed.iso genisoimage_malformed
mk hard-hybrid.iso hybrid
mk hard-big.iso big
mk hard-fat12.img fat12
mk hard-fat16.img fat16
mk hard-fat32.img fat32
mk hard-fat32-small.img fat32_small
