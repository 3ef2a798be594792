# Unpacks the packages in ./packages.txt without installing them, so that it needs no root.
# Usage: debian.sh FOLDER NAME PACKAGE PROGRAM
set -eu
packages=$(sed '/^#/d' packages.txt)
cd "$1"
# A new machine has no list of packages yet; reading it needs root.
# shellcheck disable=SC2086
apt-get download $packages || { apt-get update && apt-get download $packages; }
dpkg-deb --field "$3"_*.deb Version | sed 's/^[0-9]*://' > version
for deb in *.deb; do
    dpkg-deb --extract "$deb" .
    rm "$deb"
done
mkdir bin
# The loader does not search for libraries here.
cat > "bin/$2" <<END
#!/bin/sh
export LD_LIBRARY_PATH="\${0%/*}/../usr/lib/$(uname -m)-linux-gnu"
exec "\${0%/*}/../$4" "\$@"
END
chmod +x "bin/$2"
