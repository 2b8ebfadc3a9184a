# shellcheck shell=sh
# $bare: a function of awk's, a value of base64 in a kubeconfig without its quotes, "" for what is none
# shellcheck disable=SC2034,SC2016  # who reads this uses it
bare='
    function bare(word) { gsub(/"|\047/, "", word); return word ~ /^[A-Za-z0-9+\/=]+$/ ? word : "" }
'
