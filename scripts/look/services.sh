# shellcheck shell=sh
# What systemd says of these $UNITS, and when each one started.
# shellcheck disable=SC2086 # they are words
said=$(TZ=UTC systemctl show --timestamp=us+utc \
    -p Id,ActiveState,UnitFileState,ActiveEnterTimestamp,Result \
    $UNITS 2>&1) || untold "systemctl: $said"
printf '%s\n' "$said" | while IFS= read -r line; do
    fact "unit $line"
done
