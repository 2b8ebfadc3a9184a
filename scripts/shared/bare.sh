# shellcheck shell=sh
# $bare: an awk function: a base64 value of a kubeconfig without its quotes, "" for anything else
# shellcheck disable=SC2034,SC2016  # who reads this uses it
bare='
    function bare(word) { gsub(/"|\047/, "", word); return word ~ /^[A-Za-z0-9+\/=]+$/ ? word : "" }
'
