# shellcheck shell=sh
# What systemd says of these $UNITS, and when each one started, or was reloaded.
# shellcheck disable=SC2086 # they are words
export TZ=UTC
heard systemctl show --timestamp=us+utc -p Id,ActiveState,UnitFileState,ActiveEnterTimestamp,StateChangeTimestamp,Result $UNITS | while IFS= read -r line; do
    fact "unit $line"
done
