# sh keeper.sh kill FOLDER: kills the processes that work in the folder, all of them.
# sh keeper.sh keep FOLDER: waits for the end of standard input, which comes when the owner ends, however
# it ends; then kills them, and removes the folder with all that they had.

# Each process of a server works in its data folder, so none is missed that was forked meanwhile.
# A killed process has no folder any more.
processes() {
    find /proc/[0-9]*/cwd -maxdepth 0 \( -lname "$1" -o -lname "$1/*" \) 2> /dev/null | cut -d / -f 3
}

kill_all() {
    tries=1000
    while found=$(processes "$1") && [ -n "$found" ]; do
        [ $((tries -= 1)) -gt 0 ] || return 1
        kill -9 $found 2> /dev/null
        sleep 0.01
    done
}

case $1 in
    kill)
        kill_all "$2"
        ;;
    keep)
        cat > /dev/null
        kill_all "$2"
        # A killed server leaves the memory by which others would know that it runs.
        memory=$(sed -n '7s/.* //p' "$2/data/postmaster.pid" 2> /dev/null)
        [ -z "$memory" ] || ipcrm -m "$memory" 2> /dev/null
        rm -rf -- "$2"
        ;;
esac
