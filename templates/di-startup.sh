# Sourced by the installer at its start, after a preseed.cfg in the initrd was read.
# The lease that started iPXE names boot.ipxe, and the installer takes any URL in a lease for its
# preseed file, fetches it, and stops. Nothing on the command line prevents that: this does.
echo 'dhcp_preseed_url() { :; }' >>/lib/preseed/preseed.sh
