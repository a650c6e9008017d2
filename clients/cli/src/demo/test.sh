# Run with `sh test.sh`.

. ./leap.sh

failed=0

check() {
    if is_leap "$1"; then found=yes; else found=no; fi
    if [ "$found" = "$2" ]; then
        echo "ok      $1: $found"
    else
        echo "FAILED  $1: $found, but it should be $2"
        failed=1
    fi
}

check 2023 no
check 2024 yes
check 1900 no
check 2000 yes
exit $failed
