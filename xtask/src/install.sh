# Installs Debian's packages, as root: sh install.sh PACKAGE...
# While it does, a file keeps PostgreSQL's package from making and starting a cluster of the system.
set -eu
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
folder=/etc/postgresql-common/createcluster.d
switch="$folder/party-$$.conf"
trap 'rm -f "$switch"; rmdir "$folder" 2> /dev/null || true' EXIT
trap 'exit 1' HUP INT TERM
mkdir -p "$folder"
echo 'create_main_cluster = false' > "$switch"

install() {
    apt-get -q -y -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 install --no-install-recommends "$@"
}

# The lists of packages may be missing, or older than what the mirrors have. Only the last failure counts.
install "$@" 2> /dev/null || {
    apt-get -q -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 update
    install "$@"
}
