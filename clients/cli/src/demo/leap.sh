# The Gregorian calendar, as far as this project needs it.

# Succeeds if the year is a leap year.
is_leap() {
    [ $(($1 % 4)) -eq 0 ] && [ $(($1 % 100)) -ne 0 ]
}
